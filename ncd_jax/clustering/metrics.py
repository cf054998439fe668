"""Agreement of a clustering with classes: ACC, NMI and ARI from one contingency table.

Sources: Kuhn, "The Hungarian method for the assignment problem", 1955; Strehl and Ghosh,
"Cluster ensembles", 2002 (NMI, here with the arithmetic mean); Hubert and Arabie,
"Comparing partitions", 1985 (ARI).
"""

import chex
import jax.numpy as jnp
from optax.assignment import hungarian_algorithm

from ncd_jax.types import Array, Scores

__all__ = ["clustering_scores", "contingency"]


def contingency(
    labels: Array, classes: Array, *, n_labels: int, n_classes: int, mask: Array | None = None
) -> Array:
    """Counts `f32[n_labels, n_classes]` of rows by cluster and class.

    Args:
        labels: `i32[n]` in `0..n_labels-1`.
        classes: `i32[n]` in `0..n_classes-1`.
        n_labels: static number of cluster slots.
        n_classes: static number of class slots.
        mask: `bool[n]`, rows that count; all by default.
    """
    chex.assert_equal_shape([labels, classes])
    one = jnp.ones(labels.shape) if mask is None else mask.astype(jnp.float32)
    return jnp.zeros((n_labels, n_classes)).at[labels, classes].add(one)


def clustering_scores(table: Array) -> Scores:
    """ACC, NMI and ARI of a contingency table `f32[K, C]`; empty slots change nothing.

    The match for ACC is one-to-one over a square table of size `max(K, C)`: rows of
    surplus clusters are errors. Agreement of no rows at all is 0; where scikit-learn
    defines a degenerate case (everything in one cluster and one class), so do we.
    """
    chex.assert_rank(table, 2)
    n = jnp.sum(table)
    size = max(table.shape)
    square = jnp.zeros((size, size)).at[: table.shape[0], : table.shape[1]].set(table)
    rows, columns = hungarian_algorithm(-square)
    acc = jnp.sum(square[rows, columns]) / jnp.maximum(n, 1.0)
    return Scores(*(jnp.where(n > 0, s, 0.0) for s in (acc, _nmi(table, n), _ari(table, n))))


def _nmi(table: Array, n: Array) -> Array:
    p = table / jnp.maximum(n, 1.0)
    p_cluster, p_class = jnp.sum(p, axis=1), jnp.sum(p, axis=0)
    outer = p_cluster[:, None] * p_class[None, :]
    ratio = jnp.where(p > 0, p / jnp.where(p > 0, outer, 1.0), 1.0)
    information = jnp.sum(p * jnp.log(ratio))
    mean_entropy = 0.5 * (_entropy(p_cluster) + _entropy(p_class))
    one_and_one = (jnp.sum(p_cluster > 0) <= 1) & (jnp.sum(p_class > 0) <= 1)
    nmi = information / jnp.maximum(mean_entropy, jnp.finfo(p.dtype).tiny)
    return jnp.where(one_and_one, 1.0, jnp.clip(nmi, 0.0, 1.0))


def _entropy(p: Array) -> Array:
    return -jnp.sum(p * jnp.log(jnp.where(p > 0, p, 1.0)))


def _ari(table: Array, n: Array) -> Array:
    # Counts of row pairs, as shares of all pairs: float32 holds them for any number of rows.
    pairs = jnp.maximum(n * (n - 1.0), 1.0)
    together = jnp.sum(table * (table - 1.0)) / pairs
    cluster, classes = jnp.sum(table, axis=1), jnp.sum(table, axis=0)
    in_cluster = jnp.sum(cluster * (cluster - 1.0)) / pairs
    in_class = jnp.sum(classes * (classes - 1.0)) / pairs
    expected = in_cluster * in_class
    best = 0.5 * (in_cluster + in_class)
    # Nothing to adjust where both partitions are one block or all singletons: they agree.
    trivial = jnp.abs(best - expected) < 1e-12
    return jnp.where(trivial, 1.0, (together - expected) / jnp.where(trivial, 1.0, best - expected))
