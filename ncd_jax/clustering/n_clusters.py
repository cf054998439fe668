"""The number of clusters, chosen by a validity index over all candidates in one program."""

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans, squared_distances
from ncd_jax.clustering.sample import draw_rows
from ncd_jax.clustering.validity import INDICES
from ncd_jax.types import Array, KEstimate

__all__ = ["INDEX_SIGNS", "KM_ACC", "best_number", "estimate_n_clusters"]

KM_ACC = "km_acc"
"""The index that asks the labelled rows; see `known_accuracy`."""
INDEX_SIGNS = {name: index.sign for name, index in INDICES.items()} | {KM_ACC: 1}
"""Every index by name: 1 where larger is better, -1 where smaller is."""


def best_number(values: Array, sign: int, tolerance: float) -> Array:
    """Position, a scalar, of the smallest number of clusters that is about as good as the best.

    Args:
        values: `f32[m]`, the index of each number, smallest number first; where it is not
            defined, infinitely bad.
        sign: 1 where larger is better, -1 where smaller is.
        tolerance: share of the best value that a smaller number may be worse by.
    """
    best = jnp.max(sign * values)
    return jnp.argmax(sign * values >= best - tolerance * jnp.abs(best))


def estimate_n_clusters(
    key: Array,
    x: Array,
    *,
    max_clusters: int,
    index: str = "silhouette",
    mask: Array | None = None,
    restarts: int = 10,
    max_rows: int = 2000,
    tolerance: float = 0.0,
) -> KEstimate:
    """Validity of k-means partitions for `k = 2..max_clusters`; the best wins.

    An index needs at least two clusters, so it cannot tell that there is only one.

    Args:
        key: random key.
        x: `f32[n, d]`.
        max_clusters: static, the largest number tried.
        index: static, a name in `ncd_jax.clustering.validity.INDICES`.
        mask: `bool[n]`, rows that count; all by default.
        restarts: k-means restarts for each number.
        max_rows: static; beyond it a random sample of that many rows is used, since some
            indices need all pairs of rows.
        tolerance: see `best_number`.
    """
    mask = jnp.ones(len(x), bool) if mask is None else mask
    key_rows, key_runs = jax.random.split(key)
    rows, mask = draw_rows(key_rows, mask, max_rows)
    x = x[rows]
    measure, on_distances, sign, at_once = INDICES[index]
    measured = x
    if on_distances:
        measured = jnp.sqrt(squared_distances(x, x))
        measured = jnp.where(jnp.eye(len(x), dtype=bool), 0.0, measured)
    ks = jnp.arange(2, max_clusters + 1)

    def labels_of(k: Array) -> Array:
        return kmeans(
            jax.random.fold_in(key_runs, k),
            x,
            k,
            max_clusters=max_clusters,
            mask=mask,
            restarts=restarts,
            max_iter=25,
        ).labels

    def value_of(of_k: tuple[Array, Array]) -> Array:
        k, labels = of_k
        value = measure(measured, labels, max_clusters=max_clusters, mask=mask)
        return jnp.where(k < jnp.sum(mask), value, -sign * jnp.inf)

    # One k after the other: starts of equal k need about equally many iterations and slots,
    # under vmap those of different k would all wait for the slowest.
    labels = jax.lax.map(labels_of, ks)
    values = jax.lax.map(value_of, (ks, labels), batch_size=at_once)
    return KEstimate(ks[best_number(values, sign, tolerance)], ks, values)
