"""k-means with k-means++ starts, restarts and masks, as one pure function.

Sources: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007
(starts drawn by squared distance); Lloyd, "Least squares quantization in PCM", 1982.
"""

from typing import Literal

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.precise import dot
from ncd_jax.types import Array, KMeansResult

__all__ = ["Power", "draw_starts", "kmeans", "nearest", "squared_distances"]

Power = Literal[1, 2]
"""Exponent of the distance, where it weighs a draw or adds up to the inertia."""


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances `f32[n, m]` between the rows of `[n, d]` and `[m, d]`."""
    chex.assert_rank([x, y], 2)
    norms = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :]
    return jnp.maximum(norms - 2.0 * dot(x, y.T), 0.0)


def nearest(x: Array, centroids: Array, active: Array) -> Array:
    """Index `i32[n]` of the nearest active centroid; the lowest index wins a tie.

    Args:
        x: `f32[n, d]`.
        centroids: `f32[K, d]`.
        active: `bool[K]`, which centroid slots are in use.
    """
    score = 0.5 * jnp.sum(centroids**2, axis=1)[None, :] - dot(x, centroids.T)
    return jnp.argmin(jnp.where(active[None, :], score, jnp.inf), axis=1).astype(jnp.int32)


def kmeans(
    key: Array,
    x: Array,
    n_clusters: Array | int,
    *,
    max_clusters: int,
    mask: Array | None = None,
    avoid: Array | None = None,
    power: Power = 2,
    restarts: int = 10,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> KMeansResult:
    """Clusters the unmasked rows of `x`; the restart with the lowest inertia wins.

    The number of clusters is traced, so one compilation serves every `k`. A cluster that
    loses its rows keeps its place. With more clusters than distinct rows, some stay empty.

    Args:
        key: random key.
        x: `f32[n, d]`.
        n_clusters: scalar between 1 and `max_clusters`.
        max_clusters: static number of cluster slots `K`.
        mask: `bool[n]`, rows that count; all by default.
        avoid: `f32[n]`, squared distance of each row to the nearest point that is there already;
            draws keep away from these points too. By default there is none.
        power: static, of the distances that weigh draws and add up to the inertia. With 1 a few
            rows far from all others have less say.
        restarts: independent starts.
        max_iter: Lloyd iterations of each start at most.
        tol: a start stops when its centroids move by less than this share of the mean
            column variance (sum of squares over all centroids).
    """
    chex.assert_rank(x, 2)
    weight = jnp.ones(len(x), x.dtype) if mask is None else mask.astype(x.dtype)
    # A mean near the data keeps the differences of squares accurate.
    center = dot(weight, x) / jnp.maximum(weight.sum(), 1.0)
    centered = (x - center[None, :]) * weight[:, None]
    active = jnp.arange(max_clusters) < n_clusters
    distance = jnp.full(len(x), jnp.inf, x.dtype)
    if avoid is not None:
        distance = jnp.where(weight > 0, avoid, distance)
    variance = jnp.sum(centered**2) / jnp.maximum(weight.sum(), 1.0) / max(x.shape[1], 1)

    def start(key: Array) -> KMeansResult:
        centroids = draw_starts(key, centered, weight, active, distance, power=power)
        return _lloyd(
            centered,
            weight,
            centroids,
            active,
            max_iter=max_iter,
            tol=tol * variance,
            power=power,
        )

    runs = jax.vmap(start)(jax.random.split(key, restarts))
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(runs.inertia)], runs)
    labels = nearest(x - center[None, :], best.centroids, active)
    centroids = jnp.where(active[:, None], best.centroids + center[None, :], 0.0)
    return best._replace(centroids=centroids, labels=labels)


def draw_starts(
    key: Array, x: Array, weight: Array, active: Array, distance: Array, *, power: Power = 2
) -> Array:
    """Draws starting centroids `f32[K, d]`, each with weight on the distance so far.

    Args:
        key: random key.
        x: `f32[n, d]`.
        weight: `f32[n]`, 1 for rows that may be drawn and 0 for the others.
        active: `bool[K]`, which slots get a draw of their own.
        distance: `f32[n]`, squared distance to the nearest of the centroids that are there
            already; infinite everywhere where there is none.
        power: static, of the distance in the weight of a draw.
    """

    def draw(uniform: Array, distance: Array) -> Array:
        mass = weight * jnp.where(jnp.isfinite(distance), _powered(distance, power), 1.0)
        # Where no row is away from every centroid (too few distinct rows), any row will do.
        mass = jnp.where(jnp.sum(mass) > 0, mass, weight)
        cumulative = jnp.cumsum(mass)
        row = jnp.searchsorted(cumulative, uniform * cumulative[-1], side="right")
        return x[jnp.minimum(row, len(x) - 1)]

    def add(
        carry: tuple[Array, Array], inputs: tuple[Array, Array]
    ) -> tuple[tuple[Array, Array], Array]:
        previous, distance = carry
        uniform, is_active = inputs
        distance = jnp.minimum(distance, jnp.sum((x - previous[None, :]) ** 2, axis=1))
        centroid = jnp.where(is_active, draw(uniform, distance), previous)
        return (centroid, distance), centroid

    uniforms = jax.random.uniform(key, active.shape)
    first = draw(uniforms[0], distance)
    _, others = jax.lax.scan(add, (first, distance), (uniforms[1:], active[1:]))
    return jnp.concatenate([first[None], others])


def _lloyd(
    x: Array,
    weight: Array,
    centroids: Array,
    active: Array,
    *,
    max_iter: int,
    tol: Array,
    power: Power,
) -> KMeansResult:
    """Moves centroids to the means of their rows until they rest.

    Args:
        x: `f32[n, d]`.
        weight: `f32[n]`, 1 for rows that count and 0 for the others.
        centroids: `f32[K, d]`, where they start.
        active: `bool[K]`, those that rows are assigned to; the others stay where they are.
        max_iter: iterations at most.
        tol: they rest once the sum of the squares of their shifts is not above this.
        power: static, of the distances that add up to the inertia.
    """
    slots = jnp.arange(len(active))

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        i, _, shift = carry
        return (i < max_iter) & (shift > tol)

    def move(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        i, centroids, _ = carry
        member = (nearest(x, centroids, active)[:, None] == slots[None, :]) * weight[:, None]
        size = jnp.sum(member, axis=0)[:, None]
        means = dot(member.T, x) / jnp.maximum(size, 1.0)
        moved = jnp.where((size > 0) & active[:, None], means, centroids)
        return i + 1, moved, jnp.sum((moved - centroids) ** 2)

    start = (jnp.int32(0), centroids, jnp.asarray(jnp.inf, x.dtype))
    n_iter, centroids, shift = jax.lax.while_loop(unfinished, move, start)
    labels = nearest(x, centroids, active)
    squared = jnp.sum((x - centroids[labels]) ** 2, axis=1)
    inertia = jnp.sum(weight * _powered(squared, power))
    return KMeansResult(centroids, labels, inertia, n_iter, shift <= tol)


def _powered(squared: Array, power: Power) -> Array:
    """Distances to the given power, from their squares."""
    return squared if power == 2 else jnp.sqrt(squared)
