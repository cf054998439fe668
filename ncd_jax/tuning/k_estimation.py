"""The number of classes among the rows that are to be told apart, by any of the indices."""

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp

from ncd_jax.clustering.known_accuracy import estimate_by_known_accuracy
from ncd_jax.clustering.n_clusters import KM_ACC, estimate_n_clusters
from ncd_jax.types import UNLABELLED, Array, Goal, KEstimate, NCDData

__all__ = ["KSearch", "estimate_k"]


@dataclass(frozen=True)
class KSearch:
    """Static facts of how the number of classes is looked for.

    Attributes:
        max_clusters: largest number considered.
        n_known: known classes of the table.
        index: name of the index; `km_acc` asks the labelled rows, the others only the rows
            that are to be told apart.
        restarts: k-means restarts for each number.
        max_rows: rows the index is measured on at most.
        tolerance: share of the best value that a smaller number may be worse by; not asked
            with `km_acc`.
    """

    max_clusters: int
    n_known: int
    index: str
    restarts: int
    max_rows: int
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
    if search.index == KM_ACC:
        wanted = jnp.zeros(len(data.x), bool).at[goal.rows].max(goal.mask)
        return estimate_by_known_accuracy(
            key,
            represent(data.x),
            data.y,
            n_known=search.n_known,
            max_clusters=search.max_clusters,
            mask=wanted | (data.y != UNLABELLED),
            restarts=search.restarts,
            max_rows=search.max_rows,
        )
    return estimate_n_clusters(
        key,
        z,
        max_clusters=search.max_clusters,
        index=search.index,
        mask=goal.mask,
        restarts=search.restarts,
        max_rows=search.max_rows,
        tolerance=search.tolerance,
    )
