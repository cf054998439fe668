"""k-means with k-means++ starts, restarts and masks, as one pure function.

Sources: see `starts` and `lloyd`; that the best of several restarts counts is custom.
"""

import functools
import math

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.lloyd import Chunks, Settled, in_chunks, lloyd, nearest
from ncd_jax.clustering.rows import dot, draw_rows, mean_row
from ncd_jax.clustering.starts import Power, draw_starts, powered
from ncd_jax.types import Array, KMeansResult

__all__ = ["kmeans"]

_TIE = 1e-5
"""Restarts that end alike differ by rounding, by less than this share of the inertia."""


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
    trials: int | None = None,
    max_start_rows: int = 16_384,
) -> KMeansResult:
    """Clusters the unmasked rows of `x`; the restart with the lowest inertia wins.

    The number of clusters is traced, so one compilation serves every `k`. A cluster that
    loses its rows keeps its place. With more clusters than distinct rows, some stay empty.
    Rows are taken in chunks that stay in the cache, all restarts side by side: nothing of
    `n` times `K` is held.

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
        trials: static, draws of which the best is taken for a centroid; by default `2 + ln K`.
        max_start_rows: static; with more rows, the restarts compete on a random sample of so
            many, and the best of them goes on with all rows.
    """
    chex.assert_rank(x, 2)
    weight = jnp.ones(len(x), x.dtype) if mask is None else mask.astype(x.dtype)
    # A mean near the data keeps the differences of squares accurate.
    center = mean_row(x, weight)
    centered = (x - center[None, :]) * weight[:, None]
    active = jnp.arange(max_clusters) < n_clusters
    distance = jnp.full(len(x), jnp.inf, x.dtype)
    if avoid is not None:
        distance = jnp.where(weight > 0, avoid, distance)
    variance = jnp.sum(centered**2) / jnp.maximum(weight.sum(), 1.0) / max(x.shape[1], 1)
    settle = functools.partial(
        lloyd, n_clusters=n_clusters, max_iter=max_iter, tol=tol * variance, power=power
    )

    rivals = (centered, weight, distance)
    sampled = len(x) > max_start_rows
    if sampled:
        key, key_rows = jax.random.split(key)
        rows, counts = draw_rows(key_rows, weight > 0, max_start_rows)
        rivals = (centered[rows], counts.astype(x.dtype), distance[rows])
    chunks = in_chunks(*rivals[:2], max_clusters, restarts)
    trials = trials or 2 + int(math.log(max_clusters))
    draw = functools.partial(draw_starts, max_clusters=max_clusters, power=power, trials=trials)
    starts = jax.vmap(lambda key: draw(key, *rivals, n_clusters))(jax.random.split(key, restarts))
    best = _best_of(jax.vmap(functools.partial(settle, chunks))(starts))
    if sampled:
        best = settle(in_chunks(centered, weight, max_clusters), best.centroids)
    place = functools.partial(_place, center, best.centroids, active, power)
    labels, inertia = jax.lax.map(place, in_chunks(x, weight, max_clusters))
    return KMeansResult(
        jnp.where(active[:, None], best.centroids + center[None, :], 0.0),
        labels.reshape(-1)[: len(x)],
        jnp.sum(inertia),
        best.n_iter,
        best.converged,
    )


def _best_of(runs: Settled) -> Settled:
    """The first of the restarts, on a leading axis, that is about as good as the best."""
    winner = jnp.argmax(runs.inertia <= (1.0 + _TIE) * jnp.min(runs.inertia))
    return jax.tree.map(lambda leaf: leaf[winner], runs)


def _place(
    center: Array, centroids: Array, active: Array, power: Power, chunk: Chunks
) -> tuple[Array, Array]:
    """Labels, and the inertia from differences: exact also where it is nearly zero."""
    rows = chunk.x - center[None, :]
    labels = nearest(rows, centroids, active)
    own = dot(jax.nn.one_hot(labels, len(centroids), dtype=rows.dtype), centroids)
    away = powered(jnp.sum((rows - own) ** 2, axis=1), power)
    return labels, jnp.sum(jnp.where(chunk.weight > 0, away, 0.0))
