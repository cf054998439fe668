"""Numbers as programs write them, whole columns at once: what most tables are made of."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.read.number_words import Evidence
from ncd_jax.read.raw import is_empty

__all__ = ["PlainNumbers", "plain_numbers"]

_PLAIN = (
    r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9])(?:[eE][+-]?[0-9]{1,3})?|"
    r"[0-9]+(?:[eE][+-][0-9]{1,3})?)"
)
_POINT = r"\.[0-9]{0,2}$|\.[0-9]{4,}|[0-9]{4}\.|^[+-]?0?\.|[eE]"
"""Where a point can be no mark of thousands."""
_CODE = r"[+-]?0[0-9]+|[0-9]{16,}"
"""What is rather a name."""


class PlainNumbers(NamedTuple):
    """A column of text that is numbers.

    Attributes:
        values: `f64[n]`, not a number where the cell is empty.
        gaps: spellings of empty cells but the empty one, and how many cells have each.
        said: what it says about the mark of fractions.
    """

    values: np.ndarray
    gaps: dict[str, int]
    said: Evidence

    @property
    def has_points(self) -> bool:
        """Whether a number has a fraction."""
        return self.said.point > 0


def plain_numbers(cells: pd.Series) -> PlainNumbers | None:
    """Reads a column of text whose cells are all plain numbers, or empty; or else nothing.

    None it is too where a point may mark thousands, and where numbers may be codes.
    """
    if not isinstance(cells.dtype, pd.StringDtype) or not len(cells):
        return None
    empty = is_empty(cells)
    filled = cells[~empty]
    if not len(filled) or not filled.iloc[:50].str.fullmatch(_PLAIN).all():
        return None
    if not filled.str.fullmatch(_PLAIN).all() or filled.str.fullmatch(_CODE).any():
        return None
    has_point = filled.str.contains(".", regex=False).to_numpy(bool)
    point = int(filled[has_point].str.contains(_POINT).sum())
    if has_point.any() and not point:
        return None
    values = np.full(len(cells), np.nan)
    values[~empty] = filled.to_numpy(object).astype(np.float64)
    if np.isinf(values).any():
        return None
    whole = filled[~has_point]
    gaps = cells[empty].dropna().str.strip().value_counts().to_dict()
    longest = int(whole.str.len().max()) if len(whole) else 0
    said = Evidence(0, point, [], [], len(whole), len(filled), longest)
    return PlainNumbers(values, {word: n for word, n in gaps.items() if word}, said)
