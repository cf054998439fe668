"""The number of clusters, chosen by an index over all candidates in one program.

A validity index looks at the geometry of the rows alone, the accuracy on known classes at labels.

Sources of the latter: Han, Vedaldi and Zisserman, "Learning to discover novel visual categories via
deep transfer clustering", 2019 (known classes tell the number of clusters); Vaze et al.,
"Generalized category discovery", 2022 (accuracy on labelled rows, all rows clustered together).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.matching import clustering_accuracy
from ncd_jax.clustering.rows import draw_rows, squared_distances
from ncd_jax.clustering.validity import INDICES
from ncd_jax.types import UNLABELLED, Array, Goal, KEstimate, NCDData

__all__ = [
    "INDEX_SIGNS",
    "KM_ACC",
    "KSearch",
    "best_number",
    "estimate_by_known_accuracy",
    "estimate_by_validity",
    "estimate_k",
]

KM_ACC = "km_acc"
"""The index that asks the labelled rows; see `estimate_by_known_accuracy`."""
INDEX_SIGNS = {name: index.sign for name, index in INDICES.items()} | {KM_ACC: 1}
"""Every index by name: 1 where larger is better, -1 where smaller is."""


@dataclass(frozen=True)
class KSearch:
    """Static facts of how the number of classes is looked for.

    Attributes:
        max_clusters: largest number considered.
        n_known: known classes of the table.
        index: a name in `INDEX_SIGNS`; `km_acc` asks the labelled rows, the others only the rows
            that are to be told apart.
        restarts: k-means restarts for each number.
        max_rows: beyond it a random sample of that many rows is used, since some indices need all
            pairs of rows.
        tolerance: share of the best value that a smaller number may be worse by; not asked
            with `km_acc`.
    """

    max_clusters: int
    n_known: int
    index: str
    restarts: int = 10
    max_rows: int = 2000
    tolerance: float = 0.0


def estimate_k(
    key: Array,
    represent: Callable[[Array], Array],
    data: NCDData,
    goal: Goal,
    z: Array,
    search: KSearch,
) -> KEstimate:
    """Estimates the number of classes among the goal's rows.

    Args:
        key: random key.
        represent: from rows `f32[n, d]` to the space in which they are clustered.
        data: all rows, with the labels that may be seen.
        goal: which rows are to be told apart.
        z: `f32[m, L]`, these rows in that space.
        search: how to look.
    """
    if search.index != KM_ACC:
        return estimate_by_validity(key, z, goal.mask, search)
    wanted = jnp.zeros(len(data.x), bool).at[goal.rows].max(goal.mask)
    mask = wanted | (data.y != UNLABELLED)
    return estimate_by_known_accuracy(key, represent(data.x), data.y, mask, search)


def estimate_by_validity(key: Array, x: Array, mask: Array, search: KSearch) -> KEstimate:
    """Validity of k-means partitions for `k = 2..max_clusters`; the best wins.

    An index needs at least two clusters, so it cannot tell that there is only one.

    Args:
        key: random key.
        x: `f32[n, d]`.
        mask: `bool[n]`, rows that count.
        search: how to look.
    """
    key_rows, key_runs = jax.random.split(key)
    rows, mask = draw_rows(key_rows, mask, search.max_rows)
    x = x[rows]
    measure, on_distances, sign, at_once = INDICES[search.index]
    measured = x
    if on_distances:
        measured = jnp.sqrt(squared_distances(x, x))
        measured = jnp.where(jnp.eye(len(x), dtype=bool), 0.0, measured)
    ks = jnp.arange(2, search.max_clusters + 1)

    def value_of(of_k: tuple[Array, Array]) -> Array:
        k, labels = of_k
        value = measure(measured, labels, max_clusters=search.max_clusters, mask=mask)
        return jnp.where(k < jnp.sum(mask), value, -sign * jnp.inf)

    labels = _partitions(key_runs, x, mask, ks, ks, search.max_clusters, search.restarts)
    values = jax.lax.map(value_of, (ks, labels), batch_size=at_once)
    return KEstimate(ks[best_number(values, sign, search.tolerance)], ks, values)


def estimate_by_known_accuracy(
    key: Array, x: Array, y: Array, mask: Array, search: KSearch
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
        mask: `bool[n]`, rows that count, labelled or not.
        search: how to look.

    Returns:
        The number of novel classes. A value is minus infinity where there are not more rows
        than clusters, or no labelled row.
    """
    n_known, labelled = search.n_known, (y != UNLABELLED) & mask
    n_present = jnp.sum(jnp.zeros(n_known, bool).at[jnp.where(labelled, y, 0)].max(labelled))
    key_rows, key_runs = jax.random.split(key)
    rows, mask = draw_rows(key_rows, mask, search.max_rows)
    labelled = labelled[rows]
    classes = jnp.where(labelled, y[rows], 0)
    ks, slots = jnp.arange(1, search.max_clusters + 1), n_known + search.max_clusters

    def value_of(of_k: tuple[Array, Array]) -> Array:
        k, labels = of_k
        defined = (n_present + k < jnp.sum(mask)) & jnp.any(labelled)
        accuracy = clustering_accuracy(labels, classes, n_slots=slots, mask=labelled)
        return jnp.where(defined, accuracy, -jnp.inf)

    labels = _partitions(key_runs, x[rows], mask, ks, n_present + ks, slots, search.restarts)
    values = jax.lax.map(value_of, (ks, labels))
    return KEstimate(ks[jnp.argmax(values)], ks, values)


def best_number(values: Array, sign: int, tolerance: float) -> Array:
    """Position, a scalar, of the smallest number of clusters that is about as good as the best.

    Args:
        values: `f32[m]`, the index of each number, smallest number first; where it is not
            defined, infinitely bad.
        sign: 1 where larger is better, -1 where smaller is.
        tolerance: share of the best value that a smaller number may be worse by.
    """
    best = (sign * values).max()
    return (sign * values >= best - tolerance * abs(best)).argmax()


def _partitions(
    key: Array, x: Array, mask: Array, ks: Array, totals: Array, slots: int, restarts: int
) -> Array:
    """Labels `i32[m, n]` of the rows in so many clusters, `totals`, drawn by the numbers `ks`."""

    def labels_of(of_k: tuple[Array, Array]) -> Array:
        return kmeans(
            jax.random.fold_in(key, of_k[0]),
            x,
            of_k[1],
            max_clusters=slots,
            mask=mask,
            restarts=restarts,
            max_iter=25,
        ).labels

    # One k after the other: starts of equal k need about equally many iterations and slots,
    # under vmap those of different k would all wait for the slowest.
    return jax.lax.map(labels_of, (ks, totals))
