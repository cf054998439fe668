"""Which class a row joins: that of the nearest cell."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from ncd_jax.clustering.rows import squared_distances
from ncd_jax.discovery.cells import Cells, SeenRows
from ncd_jax.discovery.padding import filled_chunks
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits
from ncd_jax.judge.scene import side_by_side
from ncd_jax.types import Array, Method, PyTree

__all__ = ["JoinedRows", "join", "join_rows"]

_CHUNK = 4096


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


def join(rows: SeenRows, cells: Cells) -> JoinedRows:
    """The nearest cell of the rows that were judged."""
    to = np.concatenate([rows.centroids, cells.centroids])
    return _nearest(cdist(rows.z, to, "sqeuclidean"), cells)


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
