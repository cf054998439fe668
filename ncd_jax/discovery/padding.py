"""Arrays filled up to a few lengths, so that folds, novel rows and other tables share programs."""

from collections.abc import Iterator

import numpy as np

from ncd_jax.data.folds import Folds, pad_rows
from ncd_jax.types import UNLABELLED

__all__ = [
    "class_slots",
    "fill_up",
    "filled_chunks",
    "pad_folds",
    "padded_size",
    "sample",
    "shared_room",
]


def padded_size(n: int) -> int:
    """The next of a few sizes: tables of like sizes share programs.

    Powers of two for small numbers, above them eight sizes from one to the next.
    """
    if n <= 1024:
        return max(64, 1 << (n - 1).bit_length()) if n else 0
    step = 2 ** (n.bit_length() - 4)
    return -(-n // step) * step


def class_slots(n_classes: int) -> int:
    """Room for known classes: tables with like numbers of them share programs."""
    return -(-n_classes // 8) * 8


def shared_room(n_novel: int, n_hidden: int) -> tuple[int, int]:
    """Lengths of the lists of novel rows and of a fold's hidden ones.

    Programs are compiled for lengths. Where the two differ by less than a factor of two they
    share one.
    """
    room = padded_size(n_novel), padded_size(n_hidden)
    return (max(room), max(room)) if 2 * min(room) >= max(room) else room


def pad_folds(folds: Folds[np.ndarray], length: int, n_rows: int) -> Folds[np.ndarray]:
    """Folds with row lists of a length, and labels of so many rows."""
    rows, mask, y = (
        pad_rows(each, length) for each in (folds.hidden_rows, folds.hidden_mask, folds.hidden_y)
    )
    missing = n_rows - folds.y.shape[1]
    labels = np.pad(folds.y, ((0, 0), (0, missing)), constant_values=UNLABELLED)
    return folds._replace(y=labels, hidden_rows=rows, hidden_mask=mask, hidden_y=y)


def fill_up(known: np.ndarray, length: int, n: int) -> np.ndarray:
    """A list of labelled rows, filled up with a row that is none where the table has one."""
    if length == n:
        return known
    room = min(padded_size(len(known)), length)
    return np.concatenate([known, np.full(room - len(known), n, known.dtype)])


def filled_chunks(x: np.ndarray, length: int) -> Iterator[tuple[np.ndarray, int]]:
    """Rows `f[n, d]` in parts of one length, the last filled up with zeros, and how many are rows.

    One part, of zeros alone, where there is no row.
    """
    for start in range(0, max(len(x), 1), length):
        rows = x[start : start + length]
        filled = np.zeros((length, x.shape[1]), np.float32)
        filled[: len(rows)] = rows
        yield filled, len(rows)


def sample(rng: np.random.Generator, rows: np.ndarray, most: int) -> np.ndarray:
    """At most that many of the rows, in their order."""
    return rows if len(rows) <= most else np.sort(rng.permutation(rows)[:most])
