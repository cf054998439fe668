"""Which class a row joins: that of the nearest cell, what a vote leaves of a micro cluster."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from ncd_jax.clustering.kmeans import squared_distances
from ncd_jax.discovery.judging import Judgement
from ncd_jax.discovery.padding import filled_chunks
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits
from ncd_jax.judge.scene import side_by_side
from ncd_jax.judge.vote import nearest_rows, outvoted, voters
from ncd_jax.types import UNLABELLED, Array, Method, PyTree

__all__ = ["Cells", "JoinedRows", "join", "join_rows", "make_cells", "settle"]

_CHUNK = 4096
_FEWEST = 3
"""Rows of a cell; fewer are chance."""
_SLOTS = 2
"""Cells for each micro cluster, at most."""


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


class JoinedRows(NamedTuple):
    """Rows and what each has joined.

    Attributes:
        cell: `i[n]`.
        micro: `i[n]`, the nearest micro cluster of the same group.
        squared: `f32[n, M]`, squared distances to the centroids of all micro clusters in all views
            side by side; infinite where a slot is empty.
    """

    cell: np.ndarray
    micro: np.ndarray
    squared: np.ndarray


def settle(problem: Problem, refits: Refits, judgement: Judgement, n_novel: int | None) -> Cells:
    """Lets the judged rows vote.

    Args:
        problem: what is solved.
        refits: with the scene that was judged.
        judgement: of it.
        n_novel: the number of classes where it is given.
    """
    mask = problem.target_mask
    z, micro = np.asarray(side_by_side(refits.z))[mask], np.asarray(refits.seen.labels)[mask]
    return make_cells(z, micro, nearest_rows(z, voters(problem.class_size)), judgement, n_novel)


def make_cells(
    z: np.ndarray, micro: np.ndarray, asked: np.ndarray, judgement: Judgement, n_novel: int | None
) -> Cells:
    """Cells of rows that have voted.

    A group that nobody has voted for is no class, unless the number of classes is given.

    Args:
        z: `f32[m, V * L]`, the judged rows in all views side by side.
        micro: `i[m]`, the micro cluster of each.
        asked: `i[m, q]`, neighbours that each row asks.
        judgement: of these.
        n_novel: the number of classes where it is given.
    """
    groups = judgement.groups(n_novel)
    before = groups[micro]
    after = outvoted(before, asked)
    if n_novel is not None:
        after = np.where(np.isin(before, after), after, before)
    parts, part, sizes = np.unique(
        np.stack([micro, after]), axis=1, return_inverse=True, return_counts=True
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
    return Cells(groups, judgement.sizes > 0, labels, means_of(z, labels, n_slots), owners)


def means_of(z: np.ndarray, labels: np.ndarray, n_slots: int) -> np.ndarray:
    """Mean `f32[n_slots, L]` of the rows of each label; zero where there is none."""
    member = (labels[:, None] == np.arange(n_slots)).astype(np.float32)
    means: np.ndarray = member.T @ z / np.maximum(member.sum(axis=0), 1)[:, None]
    return means


def join_rows(problem: Problem, refits: Refits, cells: Cells, x: np.ndarray) -> JoinedRows:
    """The nearest cell of standardised rows `f32[n, d]`, those that were judged or not."""
    centroids = jnp.concatenate([refits.seen.centroids, jnp.asarray(cells.centroids)])
    chunks: Iterator[tuple[np.ndarray, int]] = filled_chunks(x, min(_CHUNK, max(len(x), 1)))
    parts = [
        _nearest(
            np.asarray(_to_centroids(problem.method, refits.state, centroids, rows))[:n], cells
        )
        for rows, n in chunks
    ]
    return JoinedRows(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def join(z: np.ndarray, centroids: np.ndarray, cells: Cells) -> JoinedRows:
    """The same of rows `f32[n, V * L]` in all views side by side.

    Args:
        z: the rows.
        centroids: `f32[M, V * L]`, of the micro clusters.
        cells: what they can join.
    """
    to = np.concatenate([centroids, cells.centroids])
    return _nearest(cdist(z, to, "sqeuclidean"), cells)


@functools.partial(jax.jit, static_argnames="method")
def _to_centroids(method: Method, state: PyTree, centroids: Array, x: Array) -> Array:
    views = jax.vmap(method.represent, (0, None))(state, x)
    return squared_distances(side_by_side(views), centroids)


def _nearest(squared: np.ndarray, cells: Cells) -> JoinedRows:
    """What rows join, from their squared distances `f32[n, M + K]` to micro clusters and cells."""
    n_micro = len(cells.groups)
    to_micro = np.where(cells.filled, squared[:, :n_micro], np.inf)
    cell = np.where(cells.owners >= 0, squared[:, n_micro:], np.inf).argmin(axis=1)
    of_group = cells.owners[cell][:, None] == cells.groups
    micro = np.where(of_group, to_micro, np.inf).argmin(axis=1)
    return JoinedRows(cell, micro, to_micro)
