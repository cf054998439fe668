"""Columns that say nothing of what a row is, and those that tell its label in other words."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.read.columns import Column
from ncd_jax.read.names import is_index_name, show
from ncd_jax.read.recognise import FEW
from ncd_jax.types import UNLABELLED

__all__ = ["is_constant", "leakage_notes", "unlabelled_alone", "why_left_out"]

_IDENTIFIER = re.compile(r"(^|[_\W])(?i:id|index|key|nr|no|number|rowid)$|[a-z]I[dD]$")
_MOSTLY = 0.8
"""Share of different cells from which a column numbers or names rows, some of which are doubled."""

_FEWEST = 3
"""Rows of either kind from which a coincidence of this sort is none."""
_FEWEST_TOLD = 10
"""Rows of either kind from which a column is left out for that."""
_FIRST = 1000
"""Rows that most columns show by that there is no coincidence."""


def why_left_out(column: Column, cells: pd.Series, wanted: bool, category: bool) -> str:
    """The reason why a column is left out, or nothing.

    Args:
        column: the column.
        cells: its cells, in its own type.
        wanted: whether it was asked for by name; then only what is empty or constant is left out.
        category: whether somebody says that it is a category.
    """
    filled = cells[cells.notna()]
    n = len(filled)
    if not n:
        return "every cell is empty"
    if is_constant(filled):
        return "it has one value throughout" if n == len(cells) else ""
    if wanted or category:
        return ""
    if (
        is_index_name(column.name)
        and filled.nunique() >= _MOSTLY * n
        and not (types.is_float_dtype(filled.dtype) and not _are_whole(filled.to_numpy()))
    ):
        return "a program wrote it to number or name the rows; --columns takes it, --id keeps it"
    if n <= FEW:
        return ""
    if column.kind == "category" and (different := filled.nunique()) > max(FEW, n / 2):
        return f"{different} of {n} cells are different, as in names, codes or free text"
    if column.kind == "numeric" and n == len(cells) and _are_identifiers(column, filled.to_numpy()):
        return "whole numbers, all different, that number the rows or name them"
    return ""


def is_constant(cells: pd.Series) -> bool:
    """Whether all cells that are filled have one value."""
    if types.is_numeric_dtype(cells.dtype) or types.is_datetime64_any_dtype(cells.dtype):
        return bool(cells.min() == cells.max())
    return bool(cells.nunique() == 1)


def _are_whole(values: np.ndarray) -> bool:
    """Whether numbers have no fraction; most that have one show it early."""
    return bool((values[:_FIRST] % 1 == 0).all() and (values % 1 == 0).all())


def _are_identifiers(column: Column, values: np.ndarray) -> bool:
    if column.unit or column.order:
        return False
    no_gaps = np.ptp(values) < 2 * len(values)
    if not (no_gaps or _IDENTIFIER.search(column.name)) or not _are_whole(values):
        return False
    return len(np.unique(values)) == len(values)


def unlabelled_alone(
    columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray
) -> dict[str, str]:
    """Columns that say which rows are unlabelled, and how: a date of review, a `pending`.

    Among unlabelled rows they tell nothing, so nothing is lost without them.

    Args:
        columns: those that are used.
        frame: these, in their own types.
        y: `i32[n]`, the known class of every row, or `UNLABELLED`.
    """
    unlabelled = y == UNLABELLED
    if min(unlabelled.sum(), (~unlabelled).sum()) < _FEWEST_TOLD:
        return {}
    found = {}
    for column in columns:
        cells = frame[column.name]
        value = cells.iloc[int(np.argmax(unlabelled))]
        same = cells.isna() if pd.isna(value) else cells == value
        if (same.fillna(False).to_numpy(bool) == unlabelled).all():
            what = "empty" if pd.isna(value) else show(value)
            found[column.name] = f"is {what} on all unlabelled rows and on no others"
    return found


def leakage_notes(columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Warns of columns that know which class a row has; see `unlabelled_alone`."""
    unlabelled = y == UNLABELLED
    if min(unlabelled.sum(), (~unlabelled).sum()) < _FEWEST:
        return []
    notes = []
    for column in columns:
        if reason := _reason(column, frame[column.name], y):
            remedy = f"if it says the class in other words, leave it out with --drop={column.name}"
            notes.append(f"column {show(column.name)} {reason}; {remedy}")
    return notes


def _reason(column: Column, cells: pd.Series, y: np.ndarray) -> str:
    """What a column knows."""
    unlabelled = y == UNLABELLED
    classes = y[~unlabelled]
    n_classes = np.count_nonzero(np.bincount(classes))
    if cells.iloc[np.flatnonzero(~unlabelled)[:_FIRST]].nunique(dropna=False) <= n_classes:
        codes, _ = pd.factorize(cells, use_na_sentinel=False)
        known = codes[~unlabelled]
        if np.count_nonzero(np.bincount(known)) == n_classes > 1:
            pairs = np.unique(np.stack([known, classes]), axis=1)
            if pairs.shape[1] == n_classes:
                return "has one value for each known class, and another one for each other"
    if column.kind == "numeric" and _numbers_rows(cells.to_numpy(), y, unlabelled):
        return "numbers the rows, and the rows of a class stand together in that order"
    return ""


def _numbers_rows(values: np.ndarray, y: np.ndarray, unlabelled: np.ndarray) -> bool:
    """Whether whole numbers, all different, put the rows of every class side by side."""
    if not _are_whole(values) or len(pd.unique(values)) < len(values):
        return False
    order = np.argsort(values[~unlabelled])
    n_runs = 1 + np.count_nonzero(np.diff(y[~unlabelled][order]))
    return bool(1 < n_runs == len(np.unique(y[~unlabelled])))
