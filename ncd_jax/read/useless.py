"""Columns that say nothing of what a row is."""

import re

import numpy as np
import pandas as pd

from ncd_jax.read.columns import Column
from ncd_jax.read.names import is_index_name
from ncd_jax.read.recognise import FEW

__all__ = ["why_left_out"]

_IDENTIFIER = re.compile(r"(^|[_\W])(?i:id|index|key|nr|no|number|rowid)$|[a-z]I[dD]$")
_MOSTLY = 0.8
"""Share of different cells from which a column numbers or names rows, some of which are doubled."""


def why_left_out(column: Column, cells: pd.Series, wanted: bool, category: bool) -> str:
    """The reason why a column is left out, or nothing.

    Args:
        column: the column.
        cells: its cells, in its own type.
        wanted: whether it was asked for by name; then only what is empty or constant is left out.
        category: whether somebody says that it is a category.
    """
    filled = cells[cells.notna()]
    n, different = len(filled), filled.nunique()
    if not n:
        return "every cell is empty"
    if different == 1:
        return "it has one value throughout" if n == len(cells) else ""
    if wanted or category:
        return ""
    if is_index_name(column.name) and different >= _MOSTLY * n and not _has_fractions(filled):
        return "a program wrote it to number or name the rows; --columns takes it, --id keeps it"
    if n <= FEW:
        return ""
    if column.kind == "category" and different > max(FEW, n / 2):
        return f"{different} of {n} cells are different, as in names, codes or free text"
    if column.kind == "numeric" and n == len(cells) and _are_identifiers(column, filled.to_numpy()):
        return "whole numbers, all different, that number the rows or name them"
    return ""


def _has_fractions(filled: pd.Series) -> bool:
    return bool(pd.api.types.is_float_dtype(filled.dtype) and (filled % 1 != 0).any())


def _are_identifiers(column: Column, values: np.ndarray) -> bool:
    if column.unit or column.order:
        return False
    no_gaps = np.ptp(values) < 2 * len(values)
    if not (no_gaps or _IDENTIFIER.search(column.name)) or (values % 1 != 0).any():
        return False
    return len(np.unique(values)) == len(values)
