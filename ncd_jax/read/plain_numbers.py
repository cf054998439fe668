"""Columns of text that are numbers as programs write them: most columns of most tables.

What is decided is decided of the whole column. Where Arrow holds the text it is so from its bytes,
and no cell becomes an object of Python's: Arrow reads a number as Python does, and which cells a
point or a code is in is seen from where the cells end. Where that says too little, or Arrow is not
there, patterns are matched with each cell.
"""

import re
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.read.dtypes import extra
from ncd_jax.read.number_words import Evidence
from ncd_jax.read.raw import is_empty
from ncd_jax.read.text_bytes import Bytes, Unsure, arrow_of, bytes_of

__all__ = ["PlainNumbers", "plain_numbers"]

_WRITTEN = (
    r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9])(?:[eE][+-]?[0-9]{1,3})?|"
    r"[0-9]+(?:[eE][+-][0-9]{1,3})?)"
)
"""Numbers as programs write them, which most tables are made of."""
_POINT = r"\.[0-9]{0,2}$|\.[0-9]{4,}|[0-9]{4}\.|^[+-]?0?\.|[eE]"
"""Where a point can be no mark of thousands."""
_CODE = r"[+-]?0[0-9]+|[0-9]{16,}"
"""What is rather a name."""
_IS_WRITTEN, _IS_CODE = re.compile(_WRITTEN).fullmatch, re.compile(_CODE).fullmatch
_HAS_POINT = re.compile(_POINT).search
"""Asked of single words: pandas parses a pattern at every call."""
_FIRST = 50
"""Cells that are looked at before the others."""
_POINT_SIGN, _ZERO, _PLUS, _MINUS = b".0+-"


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
    with suppress(Unsure):
        return _by_bytes(cells)
    empty = is_empty(cells)
    filled = cells[~empty].tolist()
    if not filled or not all(map(_IS_WRITTEN, filled)) or any(map(_IS_CODE, filled)):
        return None
    marked, whole = [w for w in filled if "." in w], [w for w in filled if "." not in w]
    point = sum(_HAS_POINT(word) is not None for word in marked)
    if marked and not point:
        return None
    values = np.full(len(cells), np.nan)
    values[~empty] = [*map(float, filled)]
    if np.isinf(values).any():
        return None
    longest = max(map(len, whole), default=0)
    said = Evidence(0, point, 0, 0, "", len(whole), len(filled), longest)
    return PlainNumbers(values, _spellings(cells[empty]), said)


def _spellings(cells: pd.Series) -> dict[str, int]:
    """How empty cells are spelt that are not just empty, and how many are so."""
    gaps = cells.dropna().str.strip().value_counts().to_dict()
    return {word: n for word, n in gaps.items() if word}


def _by_bytes(cells: pd.Series) -> PlainNumbers | None:
    """As `plain_numbers`.

    Raises:
        Unsure: patterns must say.
    """
    text = arrow_of(cells)
    found = bytes_of(text)
    empty, gaps, are_numeric = found.lengths == 0, dict[str, int](), found.are_numeric
    if not are_numeric:
        first = cells.iloc[:_FIRST]
        if not all(map(_IS_WRITTEN, first[~is_empty(first)].tolist())):
            return None
        empty = is_empty(cells)
        gaps = _spellings(cells[empty])
    if empty.any():
        text = text.filter(~empty)
        found = bytes_of(text)
    if not len(text) or not (are_numeric or found.are_numeric):
        return None
    filled = _numbers_in(text)
    if not np.isfinite(filled).all():
        return None
    values = np.array(filled)
    if len(filled) < len(cells):
        values = np.full(len(cells), np.nan)
        values[~empty] = filled
    said = _said_by(text, found)
    return None if said is None else PlainNumbers(values, gaps, said)


def _numbers_in(text: Any) -> np.ndarray:
    pyarrow = extra("pyarrow")
    try:
        values: np.ndarray = text.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        raise Unsure from None
    return values


def _said_by(text: Any, found: Bytes) -> Evidence | None:
    """What cells that are all numbers say about the mark of fractions.

    Nothing where they may be codes, or where a point may mark thousands.
    """
    lengths, signs = found
    written, ends = signs.tobytes(), np.cumsum(lengths)
    n, n_points = len(text), int(np.count_nonzero(signs == _POINT_SIGN))
    has_exponent, has_point = np.zeros(n, bool), np.full(n, n_points > 0)
    if b"e" in written or b"E" in written:
        has_exponent = _match(text, "e", ignore_case=True)
        if not all(map(_IS_WRITTEN, text.filter(has_exponent).to_pylist())):
            return None
    if 0 < n_points < n:
        has_point = _match(text, ".")
    # Three digits behind a point and up to three before it, which are not just 0: thousands.
    by_thousands = np.take(signs, ends - 4, mode="clip") == _POINT_SIGN
    by_thousands &= lengths >= 4
    by_thousands &= ~has_exponent
    whole = ~has_point
    if whole.any() or by_thousands.any():
        starts = ends - lengths
        first = signs[starts]
        signed = (first == _PLUS) | (first == _MINUS)
        is_zero = np.take(signs, starts + signed, mode="clip") == _ZERO
        digits = lengths - signed
        if whole.any():
            is_code = (is_zero & (digits > 1)) | (~signed & (lengths >= 16))
            if (is_code & whole & ~has_exponent).any():
                return None
        by_thousands &= (digits >= 5) & (digits <= 7)
        by_thousands &= (digits > 5) | ~is_zero
    point = int((has_point & ~by_thousands).sum())
    if n_points and not point:
        return None
    longest = int(lengths[whole].max()) if whole.any() else 0
    return Evidence(0, point, 0, 0, "", int(whole.sum()), n, longest)


def _match(text: Any, sign: str, **how: bool) -> np.ndarray:
    """Cells in which a sign is, `bool[n]`."""
    is_in = extra("pyarrow.compute").match_substring(text, sign, **how)
    return np.asarray(is_in.to_numpy(zero_copy_only=False), bool)
