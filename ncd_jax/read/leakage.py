"""Columns that tell the label in other words, of which people are warned before any score."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ncd_jax.read.columns import Column
from ncd_jax.read.names import show
from ncd_jax.types import UNLABELLED

__all__ = ["tell_tales"]

_FEWEST = 3
"""Rows of either kind from which a coincidence of this sort is none."""


def tell_tales(columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Warns of columns that know which rows are unlabelled, or which class a row has.

    Args:
        columns: those that are used.
        frame: these, in their own types.
        y: `i32[n]`, the known class of every row, or `UNLABELLED`.
    """
    unlabelled = y == UNLABELLED
    if min(unlabelled.sum(), (~unlabelled).sum()) < _FEWEST:
        return []
    notes = []
    for column in columns:
        codes, values = pd.factorize(frame[column.name], use_na_sentinel=False)
        if reason := _reason(column, codes, values, frame[column.name], y, unlabelled):
            remedy = f"if it says the class in other words, leave it out with --drop={column.name}"
            notes.append(f"column {show(column.name)} {reason}; {remedy}")
    return notes


def _reason(
    column: Column,
    codes: np.ndarray,
    values: pd.Index,
    cells: pd.Series,
    y: np.ndarray,
    unlabelled: np.ndarray,
) -> str:
    first = codes[np.argmax(unlabelled)]
    known, classes = codes[~unlabelled], y[~unlabelled]
    if (codes[unlabelled] == first).all() and not (known == first).any():
        value = values[first]
        if pd.isna(value):
            return "is empty on all unlabelled rows and filled on all others"
        return f"is {show(value)} on all unlabelled rows and on no others"
    n_classes = np.count_nonzero(np.bincount(classes))
    if np.count_nonzero(np.bincount(known)) == n_classes > 1:
        pairs = np.unique(np.stack([known, classes]), axis=1)
        if pairs.shape[1] == n_classes:
            return "has one value for each known class, and another one for each other"
    if column.kind == "numeric" and _numbers_rows(cells.to_numpy(), y, unlabelled):
        return "numbers the rows, and the rows of a class stand together in that order"
    return ""


def _numbers_rows(values: np.ndarray, y: np.ndarray, unlabelled: np.ndarray) -> bool:
    """Whether whole numbers, all different, put the rows of every class side by side."""
    if not (values % 1 == 0).all() or len(pd.unique(values)) < len(values):
        return False
    order = np.argsort(values[~unlabelled])
    n_runs = 1 + np.count_nonzero(np.diff(y[~unlabelled][order]))
    return bool(1 < n_runs == len(np.unique(y[~unlabelled])))
