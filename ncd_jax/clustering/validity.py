"""Cluster validity: how well a partition fits the geometry, without any label.

Source: Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of
cluster analysis", 1987.
"""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["silhouette"]


def silhouette(distances: Array, labels: Array, *, max_clusters: int, mask: Array) -> Array:
    """Mean silhouette coefficient, a scalar in [-1, 1].

    A row alone in its cluster has coefficient 0. With fewer than two clusters in use the
    silhouette is not defined; the worst value -1 stands for it, so it never wins.

    Args:
        distances: `f32[n, n]` between rows.
        labels: `i32[n]` in `0..K-1`.
        max_clusters: static number of cluster slots `K`.
        mask: `bool[n]`, rows that count.
    """
    chex.assert_shape(distances, (len(labels), len(labels)))
    member = jax.nn.one_hot(labels, max_clusters, dtype=distances.dtype) * mask[:, None]
    size = jnp.sum(member, axis=0)
    total = distances @ member
    own_size = member @ size
    within = jnp.sum(total * member, axis=1) / jnp.maximum(own_size - 1.0, 1.0)
    mean_to_others = jnp.where((member == 0) & (size > 0), total / jnp.maximum(size, 1.0), jnp.inf)
    between = jnp.min(mean_to_others, axis=1)
    larger = jnp.maximum(jnp.maximum(within, between), jnp.finfo(distances.dtype).tiny)
    coefficient = jnp.where((own_size > 1) & jnp.isfinite(between), (between - within) / larger, 0)
    mean = jnp.sum(coefficient * mask) / jnp.maximum(jnp.sum(mask), 1)
    return jnp.where(jnp.sum(size > 0) >= 2, mean, -1.0)
