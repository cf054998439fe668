"""A vote among neighbours: rows that their class has only because their micro cluster does.

A cut knows nothing of classes, so here and there it puts rows of two into one micro cluster, and
all of them get the class of most. Where the rows around one are nearly all of another class, it is
of that one.
"""

import numpy as np

from ncd_jax.judge.micro import rows_each
from ncd_jax.judge.scene import NARROW, WIDEST

__all__ = ["FEWEST_VOTERS", "VOTERS", "nearest_rows", "neighbour_vote", "voters"]

VOTERS = 0.8
"""Neighbours that are asked, as a share of the rows of a micro cluster."""
FEWEST_VOTERS = 3
ROUNDS = 3
"""Later ones move few rows."""


def voters(class_size: float) -> int:
    """How many neighbours of a row are asked.

    Args:
        class_size: rows that a class is expected to have; see `micro.n_micro_clusters`.
    """
    return max(round(VOTERS * float(rows_each(np.float32(class_size)))), FEWEST_VOTERS)


def nearest_rows(z: np.ndarray, n_nearest: int) -> np.ndarray:
    """The nearest other rows `i[n, q]` of each row, in no order; all others where there are fewer.

    Args:
        z: `f32[n, L]`.
        n_nearest: at least 1.
    """
    n_nearest = min(n_nearest, len(z) - 1)
    if n_nearest < 1:
        return np.zeros((len(z), 0), np.intp)
    z = _narrow(z)
    norms = np.sum(z**2, axis=1)
    squared = norms[:, None] + norms[None] - 2.0 * (z @ z.T)
    np.fill_diagonal(squared, np.inf)
    return np.argpartition(squared, n_nearest - 1, axis=1)[:, :n_nearest]


def neighbour_vote(labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Gives every row the label that most of those have that it asks, several times over.

    A row has a voice too, and where two labels have as many keeps its own.

    Args:
        labels: `i[n]`, from 0.
        asked: `i[n, q]`, rows that each row asks; see `nearest_rows`.

    Returns:
        The labels `i[n]`; one may have no row any more.
    """
    rows = np.arange(len(labels))
    asked = np.column_stack([asked, rows])
    for _ in range(ROUNDS):
        voices = np.zeros((len(labels), int(labels.max()) + 1))
        np.add.at(voices, (rows[:, None], labels[asked]), 1.0)
        voices[rows, labels] += 0.5  # decides a tie
        labels = voices.argmax(axis=1)
    return labels


def _narrow(z: np.ndarray) -> np.ndarray:
    """Rows in random directions where their columns are many, as `scene` does for micro clusters.

    Not by JAX, which outside a program compiles for every number of rows.
    """
    if z.shape[1] <= WIDEST:
        return z
    directions = np.random.default_rng(0).normal(size=(z.shape[1], NARROW)) / np.sqrt(NARROW)
    return z @ directions.astype(z.dtype)
