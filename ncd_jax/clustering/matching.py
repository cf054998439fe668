"""Which class each cluster stands for: the one-to-one match with the most rows in common.

And how well two partitions agree, whatever their parts are called.

Source: Kuhn, "The Hungarian method for the assignment problem", 1955; Hubert, Arabie, "Comparing
partitions", Journal of Classification, 1985.
"""

from typing import TYPE_CHECKING

import chex
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from ncd_jax.types import Array

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "adjusted_rand",
    "clustering_accuracy",
    "count_pairs",
    "match_clusters",
    "match_names",
]


def clustering_accuracy(labels: Array, classes: Array, *, n_slots: int, mask: Array) -> Array:
    """Share, a scalar, of rows in the cluster of their class under the best match of both.

    The match is one-to-one: rows of surplus clusters are errors. Of no rows at all it is 0.

    Args:
        labels: `i32[n]` in `0..n_slots-1`.
        classes: `i32[n]` in `0..n_slots-1`.
        n_slots: static number of slots for clusters, and for classes; empty ones change nothing.
        mask: `bool[n]`, rows that count.
    """
    # Here, as `--help` needs what else is in this file: so many libraries take a while.
    from optax.assignment import hungarian_algorithm

    chex.assert_equal_shape([labels, classes, mask])
    table = jnp.zeros((n_slots, n_slots)).at[labels, classes].add(mask.astype(jnp.float32))
    clusters, matched = hungarian_algorithm(-table)
    return jnp.sum(table[clusters, matched]) / jnp.maximum(jnp.sum(table), 1.0)


def count_pairs(
    labels: np.ndarray, classes: np.ndarray, n_labels: int, n_classes: int
) -> np.ndarray:
    """Rows `i64[n_labels, n_classes]` by cluster and class, both counted from 0."""
    table = np.zeros((n_labels, n_classes), np.int64)
    np.add.at(table, (labels, classes), 1)
    return table


def adjusted_rand(a: ArrayLike, b: ArrayLike) -> float:
    """The adjusted Rand index of two partitions of the same rows: 1 if equal, 0 as by chance.

    Pairs of rows are whole numbers of any size, so that nothing is rounded but the last division.
    """
    (of_a, a), (of_b, b) = (np.unique(each, return_inverse=True) for each in (a, b))
    table = count_pairs(a, b, len(of_a), len(of_b))
    both = int((table**2).sum())
    only_a, only_b = (int((table.sum(axis=i) ** 2).sum()) - both for i in (1, 0))
    together, apart = both - len(a), len(a) ** 2 - only_a - only_b - both
    if only_a == only_b == 0:
        return 1.0
    agreed = 2.0 * (together * apart - only_a * only_b)
    return agreed / (
        (together + only_a) * (only_a + apart) + (together + only_b) * (only_b + apart)
    )


def match_clusters(table: np.ndarray) -> np.ndarray:
    """The class `i[K]` of each cluster, -1 where it is left without one.

    A cluster and a class that share no row are no match.

    Args:
        table: `[K, C]`, rows by cluster and class.
    """
    match = np.full(len(table), -1)
    from scipy.optimize import linear_sum_assignment

    clusters, classes = linear_sum_assignment(-table)
    shared = table[clusters, classes] > 0
    match[clusters[shared]] = classes[shared]
    return match


def match_names(counts: "pd.DataFrame") -> dict[str, str]:
    """From each line of a table to the column that it is matched with, as far as there is one.

    Args:
        counts: rows by class of the one partition, down, and of the other, across.
    """
    match = match_clusters(counts.to_numpy())
    return {
        line: counts.columns[column]
        for line, column in zip(counts.index, match, strict=True)
        if column >= 0
    }
