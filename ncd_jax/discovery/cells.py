"""Cells: what a vote among neighbours leaves of micro clusters."""

from typing import NamedTuple

import numpy as np

from ncd_jax.discovery.judging import Judgement
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits
from ncd_jax.judge.scene import side_by_side
from ncd_jax.judge.vote import nearest_rows, outvoted, voters
from ncd_jax.types import UNLABELLED

__all__ = ["Cells", "SeenRows", "means_of", "seen_rows", "settle"]

_FEWEST = 3
"""Rows of a cell; fewer are chance."""
_SLOTS = 2
"""Cells for each micro cluster, at most."""


class SeenRows(NamedTuple):
    """The rows that are judged.

    Attributes:
        z: `f32[m, V * L]`, in all views side by side.
        micro: `i[m]`, the micro cluster of each.
        centroids: `f32[M, V * L]`, of the micro clusters.
        asked: `i[m, q]`, neighbours that each row asks; see `vote.nearest_rows`.
    """

    z: np.ndarray
    micro: np.ndarray
    centroids: np.ndarray
    asked: np.ndarray


class Cells(NamedTuple):
    """Parts of micro clusters, each of one group.

    Attributes:
        groups: `i[M]`, the group of each micro cluster before the vote.
        filled: `bool[M]`, the micro clusters that there are.
        labels: `i[m]`, the cell of every judged row; `UNLABELLED` where it is of none.
        centroids: `f32[K, V * L]`, of each cell in all views side by side.
        owners: `i[K]`, the group of each cell; -1 where a slot is empty.
    """

    groups: np.ndarray
    filled: np.ndarray
    labels: np.ndarray
    centroids: np.ndarray
    owners: np.ndarray


def seen_rows(problem: Problem, refits: Refits) -> SeenRows:
    """The target rows of a problem, as the judge sees them in its refits."""
    mask, seen = problem.target_mask, refits.seen
    z = np.asarray(side_by_side(refits.z))[mask]
    asked = nearest_rows(z, voters(problem.class_size))
    return SeenRows(z, np.asarray(seen.labels)[mask], np.asarray(seen.centroids), asked)


def settle(rows: SeenRows, judgement: Judgement, n_novel: int | None) -> Cells:
    """Lets the judged rows vote.

    A group that nobody has voted for is no class, unless the number of classes is given.

    Args:
        rows: the rows.
        judgement: of their micro clusters.
        n_novel: the number of classes where it is given.
    """
    groups = judgement.groups(n_novel)
    before = groups[rows.micro]
    after = outvoted(before, rows.asked)
    if n_novel is not None:
        after = np.where(np.isin(before, after), after, before)
    parts, part, sizes = np.unique(
        np.stack([rows.micro, after]), axis=1, return_inverse=True, return_counts=True
    )
    by_size = np.argsort(-sizes, kind="stable")
    _, largest = np.unique(parts[1][by_size], return_index=True)  # of each group: it has a cell
    first = by_size[largest]
    others = by_size[~np.isin(by_size, first) & (sizes[by_size] >= _FEWEST)]
    n_slots = _SLOTS * len(groups)
    kept = np.concatenate([first, others])[:n_slots]
    owners, cell_of_part = np.full(n_slots, -1), np.full(len(sizes), UNLABELLED)
    owners[: len(kept)], cell_of_part[kept] = parts[1][kept], np.arange(len(kept))
    labels = cell_of_part[part.reshape(-1)]
    return Cells(groups, judgement.sizes > 0, labels, means_of(rows.z, labels, n_slots), owners)


def means_of(z: np.ndarray, labels: np.ndarray, n_slots: int) -> np.ndarray:
    """Mean `f32[n_slots, L]` of the rows of each label; zero where there is none."""
    member = (labels[:, None] == np.arange(n_slots)).astype(np.float32)
    means: np.ndarray = member.T @ z / np.maximum(member.sum(axis=0), 1)[:, None]
    return means
