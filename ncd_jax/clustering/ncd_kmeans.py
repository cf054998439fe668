"""NCD k-means: k-means whose draws keep away from the known classes.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.2.
"""

import chex
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans, squared_distances
from ncd_jax.clustering.precise import dot
from ncd_jax.clustering.starts import Power
from ncd_jax.types import Array, KMeansResult

__all__ = ["ncd_kmeans"]


def ncd_kmeans(
    key: Array,
    x: Array,
    n_clusters: Array | int,
    known_centroids: Array,
    present: Array,
    *,
    max_clusters: int,
    mask: Array | None = None,
    power: Power = 2,
    restarts: int = 10,
) -> KMeansResult:
    """Clusters the unmasked rows of `x`, none of which is of a known class.

    New centroids are drawn among these rows, as in k-means++, far from the known centroids
    and from each other. Then they move as in Lloyd's algorithm. The known centroids have done
    their part in the draws: no row is assigned to them.

    Args:
        key: random key.
        x: `f32[n, d]`.
        n_clusters: scalar between 1 and `max_clusters`.
        known_centroids: `f32[C, d]`, means of the known classes.
        present: `bool[C]`, which of them exist.
        max_clusters: static number of slots for new centroids.
        mask: `bool[n]`, rows that count; all by default.
        power: static, of the distances; see `kmeans`.
        restarts: independent starts.
    """
    chex.assert_rank([x, known_centroids, present], [2, 2, 1])
    # A point near the data keeps the differences of squares accurate.
    known_centroids = jnp.where(present[:, None], known_centroids, 0.0)
    weight = present.astype(x.dtype)
    centre = dot(weight, known_centroids) / jnp.maximum(jnp.sum(weight), 1.0)
    squared = squared_distances(x - centre[None, :], known_centroids - centre[None, :])
    to_known = jnp.min(jnp.where(present[None, :], squared, jnp.inf), axis=1, initial=jnp.inf)
    return kmeans(
        key,
        x,
        n_clusters,
        max_clusters=max_clusters,
        mask=mask,
        avoid=to_known,
        power=power,
        restarts=restarts,
        trials=1,  # as in the source
    )
