"""The number of novel classes, judged by how well clusters give back the known ones.

Sources: Han, Vedaldi and Zisserman, "Learning to discover novel visual categories via deep
transfer clustering", 2019 (known classes tell the number of clusters); Vaze et al.,
"Generalized category discovery", 2022 (accuracy on labelled rows, all rows clustered together).
"""

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.clustering.sample import draw_rows
from ncd_jax.types import UNLABELLED, Array, KEstimate

__all__ = ["estimate_by_known_accuracy"]


def estimate_by_known_accuracy(
    key: Array,
    x: Array,
    y: Array,
    *,
    n_known: int,
    max_clusters: int,
    mask: Array | None = None,
    restarts: int = 10,
    max_rows: int = 2000,
) -> KEstimate:
    """Clusters labelled and unlabelled rows together; the number that fits the labels best wins.

    For every number `k = 1..max_clusters` of novel classes, k-means makes as many clusters as
    there are known classes that have a labelled row, and `k` more. The value of `k` is the
    clustering accuracy on the labelled rows: too few clusters merge known classes, too many
    split them. Between several of the same value the smallest wins: a known class that is one
    cluster with unlabelled rows costs nothing, so small numbers are favoured.

    Args:
        key: random key.
        x: `f32[n, d]`.
        y: `i32[n]`, known class in `0..n_known-1` or `UNLABELLED`.
        n_known: static number of slots for known classes.
        max_clusters: static, the largest number of novel classes tried.
        mask: `bool[n]`, rows that count, labelled or not; all by default.
        restarts: k-means restarts for each number.
        max_rows: static; beyond it a random sample of that many rows is used.

    Returns:
        The number of novel classes. A value is minus infinity where there are not more rows
        than clusters, or no labelled row.
    """
    mask = jnp.ones(len(x), bool) if mask is None else mask
    labelled = (y != UNLABELLED) & mask
    n_present = jnp.sum(jnp.zeros(n_known, bool).at[jnp.where(labelled, y, 0)].max(labelled))
    key_rows, key_runs = jax.random.split(key)
    rows, mask = draw_rows(key_rows, mask, max_rows)
    x, y, labelled = x[rows], y[rows], labelled[rows]
    classes = jnp.where(labelled, y, 0)
    slots = n_known + max_clusters
    ks = jnp.arange(1, max_clusters + 1)

    def value_of(k: Array) -> Array:
        total = n_present + k
        clusters = kmeans(
            jax.random.fold_in(key_runs, k),
            x,
            total,
            max_clusters=slots,
            mask=mask,
            restarts=restarts,
            max_iter=25,
        )
        table = contingency(
            clusters.labels, classes, n_labels=slots, n_classes=n_known, mask=labelled
        )
        defined = (total < jnp.sum(mask)) & jnp.any(labelled)
        return jnp.where(defined, clustering_scores(table).acc, -jnp.inf)

    # One k after the other, as starts of equal k need about equally many iterations.
    values = jax.lax.map(value_of, ks)
    return KEstimate(ks[jnp.argmax(values)], ks, values)
