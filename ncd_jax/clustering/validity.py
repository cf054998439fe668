"""Cluster validity: how well a partition fits the geometry, without any label.

An index has its value from the literature wherever that is defined, and is infinitely bad where
there are fewer than two clusters, or where every row is one of its own: neither is a grouping.
It is never NaN. What is written here for two clusters on the same spot is ours.

Sources: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
cluster analysis", 1987; Davies and Bouldin, "A cluster separation measure", 1979; Calinski and
Harabasz, "A dendrite method for cluster analysis", 1974; Dunn, "Well-separated clusters and
optimal fuzzy partitions", 1974.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import dot
from ncd_jax.types import Array

__all__ = ["INDICES", "Index", "calinski_harabasz", "davies_bouldin", "dunn", "silhouette"]


class Index(NamedTuple):
    """How the rest of the package meets a validity index.

    Attributes:
        measure: `(rows, labels, *, max_clusters, mask) -> scalar`, with labels `i32[n]` in
            `0..K-1` for the static number of slots `K = max_clusters`; `mask`: `bool[n]`, rows that
            count.
        on_distances: whether `rows` are the distances `f32[n, n]` between them, or `f32[n, d]`.
        sign: 1 where larger is better, -1 where smaller is.
        at_once: partitions to measure side by side: the distances are read once for them, and
            one alone where each has need of numbers for all pairs of rows.
    """

    measure: Callable[..., Array]
    on_distances: bool
    sign: int
    at_once: int = 8


def silhouette(distances: Array, labels: Array, *, max_clusters: int, mask: Array) -> Array:
    """Mean silhouette coefficient, a scalar in [-1, 1]; larger is better.

    A row alone in its cluster has coefficient 0, and so has one at distance 0 from all others.
    """
    chex.assert_shape(distances, (len(labels), len(labels)))
    member, size = _members(labels, max_clusters, mask)
    total = dot(distances, member)
    own_size = dot(member, size)
    within = jnp.sum(total * member, axis=1) / jnp.maximum(own_size - 1.0, 1.0)
    mean_to_others = jnp.where(
        (member == 0) & (size > 0)[None, :], total / jnp.maximum(size, 1.0)[None, :], jnp.inf
    )
    between = jnp.min(mean_to_others, axis=1)
    larger = jnp.maximum(jnp.maximum(within, between), jnp.finfo(distances.dtype).tiny)
    coefficient = jnp.where((own_size > 1) & jnp.isfinite(between), (between - within) / larger, 0)
    mean = jnp.sum(coefficient * mask) / jnp.maximum(jnp.sum(mask), 1)
    return jnp.where(_is_grouping(size), mean, -jnp.inf)


def davies_bouldin(x: Array, labels: Array, *, max_clusters: int, mask: Array) -> Array:
    """Davies-Bouldin index, at least 0; smaller is better.

    The mean over clusters of the worst ratio that a cluster has with another: both mean
    distances to the centroid over the distance of the centroids. A cluster of one row has
    mean distance 0. Two clusters with the same centroid are infinitely bad.
    """
    member, size = _members(labels, max_clusters, mask)
    x, centroids = _centred(x, member, size)
    away = jnp.sqrt(jnp.sum((x - centroids[labels]) ** 2, axis=1))
    scatter = dot(away, member) / jnp.maximum(size, 1.0)
    apart = jnp.sqrt(jnp.sum((centroids[:, None] - centroids[None]) ** 2, axis=2))
    both = scatter[:, None] + scatter[None]
    ratio = jnp.where(apart > 0, both / jnp.where(apart > 0, apart, 1.0), jnp.inf)
    in_use = size > 0
    pair = in_use[:, None] & in_use[None] & ~jnp.eye(max_clusters, dtype=bool)
    worst = jnp.max(jnp.where(pair, ratio, 0.0), axis=1)
    mean = jnp.sum(worst) / jnp.maximum(jnp.sum(in_use), 1)
    return jnp.where(_is_grouping(size), mean, jnp.inf)


def calinski_harabasz(x: Array, labels: Array, *, max_clusters: int, mask: Array) -> Array:
    """Calinski-Harabasz index (variance ratio), at least 0; larger is better.

    Dispersion of the centroids over that of the rows about them, each by its degrees of
    freedom. A cluster of one row adds nothing to the latter. Clusters without any extent have
    a large value, as `_ratio` says; all rows on one spot have 0.
    """
    member, size = _members(labels, max_clusters, mask)
    x, centroids = _centred(x, member, size)
    between = jnp.sum(size * jnp.sum(centroids**2, axis=1))
    within = jnp.sum(mask * jnp.sum((x - centroids[labels]) ** 2, axis=1))
    in_use = jnp.sum(size > 0)
    freedom = (jnp.sum(size) - in_use) / jnp.maximum(in_use - 1, 1)
    return jnp.where(_is_grouping(size), _ratio(between, within) * freedom, -jnp.inf)


def dunn(distances: Array, labels: Array, *, max_clusters: int, mask: Array) -> Array:
    """Dunn index, at least 0; larger is better.

    The smallest distance between rows of two clusters over the largest between rows of one. A
    cluster of one row has diameter 0. Clusters without any extent have a large value, as
    `_ratio` says; all rows on one spot have 0.
    """
    chex.assert_shape(distances, (len(labels), len(labels)))
    _, size = _members(labels, max_clusters, mask)
    counts = mask[:, None] & mask[None]
    together = labels[:, None] == labels[None]
    diameter = jnp.max(jnp.where(counts & together, distances, 0.0))
    # Any pair will do to stand for those that do not count: none is closer than the closest.
    separation = jnp.min(jnp.where(counts & ~together, distances, jnp.max(distances)))
    return jnp.where(_is_grouping(size), _ratio(separation, diameter), -jnp.inf)


INDICES: dict[str, Index] = {
    "silhouette": Index(silhouette, on_distances=True, sign=1),
    "davies_bouldin": Index(davies_bouldin, on_distances=False, sign=-1),
    "calinski_harabasz": Index(calinski_harabasz, on_distances=False, sign=1),
    "dunn": Index(dunn, on_distances=True, sign=1, at_once=1),
}


def _members(labels: Array, max_clusters: int, mask: Array) -> tuple[Array, Array]:
    """Which unmasked row is in which cluster, `f32[n, K]`, and the sizes `f32[K]`."""
    member = jax.nn.one_hot(labels, max_clusters) * mask[:, None]
    return member, jnp.sum(member, axis=0)


def _is_grouping(size: Array) -> Array:
    """Whether there are at least two clusters, and at least one of several rows."""
    in_use = jnp.sum(size > 0)
    return (in_use >= 2) & (in_use < jnp.sum(size))


def _centred(x: Array, member: Array, size: Array) -> tuple[Array, Array]:
    """Rows `f32[n, d]` and centroids `f32[K, d]` about the mean of the unmasked rows."""
    counts = jnp.sum(member, axis=1)
    # First about a row: so rows on one spot are 0, where their rounded mean is beside them.
    x = (x - x[jnp.argmax(counts)][None, :]) * counts[:, None]
    mean = dot(counts, x) / jnp.maximum(jnp.sum(size), 1.0)
    x = x - mean[None, :]
    return x, dot(member.T, x) / jnp.maximum(size, 1.0)[:, None]


def _ratio(separation: Array, extent: Array) -> Array:
    """Separation over extent; 0 of 0 is 0, and no extent at all counts as the least of float32.

    A value that large is beyond all others, and yet a mean can be taken with it.
    """
    float32 = jnp.finfo(separation.dtype)
    least = jnp.maximum(float32.eps * separation, float32.tiny)
    return separation / jnp.maximum(extent, least)
