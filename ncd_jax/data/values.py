"""The cells of a column as numbers, dates or words, whatever they are stored as.

Text is looked at once for each different cell, not once for each row. Rows are counted from 0
in messages, and a message names the column, the row and the cell.
"""

import datetime
import re
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.data.names import show
from ncd_jax.data.text_files import MISSING
from ncd_jax.errors import UserError

__all__ = [
    "Spelling",
    "as_date",
    "as_number",
    "as_text",
    "as_truth",
    "days",
    "distinct",
    "numbers",
    "truths",
]

Spelling = Literal["plain", "percent", "comma"]
"""How a column of text writes numbers: `1.5`, `1.5 %` (taken as 1.5), or `1,5`."""

_MISSING = frozenset(MISSING)
_TRUTHS = {"true": "true", "false": "false", "1": "true", "0": "false"}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.I | re.A)
_WHOLE = re.compile(r"[+-]?\d{1,4000}(\.0*)?", re.A)
_DATE = re.compile(
    r"\d{4}([-/])\d\d?\1\d\d?([T ]\d\d:\d\d(:\d\d(\.\d+)?)?( ?(Z|[+-]\d\d:?\d\d))?)?", re.A
)


def as_text(value: Any) -> str:
    """A cell as a word: whole numbers without a fraction, dates as ISO 8601 has them."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if isinstance(value, (datetime.date, datetime.time)):  # pandas' own dates are such
        return value.isoformat()
    return str(value).strip()


def distinct(cells: pd.Series, as_written: bool = False) -> tuple[np.ndarray, list[str]]:
    """The different words of a column.

    `01`, `1.0` and the number 1 are the same word, as are `TRUE` and the truth value: how a
    column is stored depends on the file and on its other cells. The words `MISSING` are none.

    Args:
        cells: `[n]`, of any type.
        as_written: whether text stays as it is; only the empty text counts as an empty cell.

    Returns:
        Codes `i64[n]` into the words, -1 where the cell is empty, and the words, sorted.

    Raises:
        UserError: cells hold lists or the like.
    """
    try:
        if isinstance(cells.dtype, pd.CategoricalDtype):
            codes, values = cells.cat.codes.to_numpy(), cells.cat.categories
        else:
            codes, values = pd.factorize(cells)
    except (TypeError, NotImplementedError):
        raise UserError(
            f"column {show(cells.name)} holds lists or the like; leave it out with --drop"
        ) from None
    used = np.bincount(codes + 1, minlength=len(values) + 1)[1:] > 0
    texts = [as_text(value) for value in values]
    if not as_written:
        texts = ["" if text in _MISSING else _plain(text) for text in texts]
    words = sorted({text for text, u in zip(texts, used, strict=True) if u} - {""})
    position = {word: i for i, word in enumerate(words)}
    # The last entry is for code -1.
    new = np.array([*(position.get(text, -1) for text in texts), -1], np.int64)
    return new[codes], words


def _plain(word: str) -> str:
    """A word less the ways to write the same number or truth value."""
    if word.lower() in ("true", "false"):
        return word.capitalize()
    if _WHOLE.fullmatch(word):
        return str(int(word.partition(".")[0]))
    number = as_number(word)
    return word if number is None else as_text(number)


def as_number(word: str, spelling: Spelling = "plain") -> float | None:
    """The number that a word spells, or none. A plain number is one in every spelling."""
    if spelling == "percent":
        word = word.removesuffix("%").rstrip()
    elif spelling == "comma":
        word = word.replace(",", ".", 1)
    return float(word) if _NUMBER.fullmatch(word) else None


def numbers(cells: pd.Series, spelling: Spelling = "plain") -> np.ndarray:
    """A column as numbers `f64[n]`, not a number where the cell is empty.

    Durations are in seconds, and truth values 1 and 0.

    Raises:
        UserError: a cell is not a number, or not a finite one.
    """
    if types.is_timedelta64_dtype(cells.dtype):
        cells = cells.dt.total_seconds()
    if types.is_numeric_dtype(cells.dtype) and not types.is_complex_dtype(cells.dtype):
        values = cells.to_numpy(np.float64, na_value=np.nan)
    else:
        codes, words = distinct(cells)
        found = [_truth_or_number(word, spelling) for word in words]
        if None in found:
            at = found.index(None)
            raise _refusal(cells, codes == at, words[at], "not a number")
        values = np.array([*found, np.nan], np.float64)[codes]
    if np.isinf(values).any():
        at = int(np.argmax(np.isinf(values)))
        raise _refusal(cells, np.isinf(values), as_text(values[at]), "not a finite number")
    return values


def _truth_or_number(word: str, spelling: Spelling) -> float | None:
    lowered = word.lower()
    return {"true": 1.0, "false": 0.0}.get(lowered, as_number(word, spelling))


def as_truth(word: str) -> str | None:
    """`true` or `false` where a word means that, or none."""
    return _TRUTHS.get(word.lower())


def truths(cells: pd.Series) -> tuple[np.ndarray, list[str]]:
    """A column of truth values as `distinct` has it, with the words `false` and `true`.

    Raises:
        UserError: a cell is neither.
    """
    codes, words = distinct(cells)
    found = [as_truth(word) for word in words]
    if None in found:
        at = found.index(None)
        raise _refusal(cells, codes == at, words[at], "neither true nor false")
    return np.array([*(word == "true" for word in found), -1], np.int64)[codes], ["false", "true"]


def as_date(word: str) -> pd.Timestamp | None:
    """The time that a word spells, year first, or none. Times of other zones become UTC."""
    if not _DATE.fullmatch(word):
        return None
    try:
        time = pd.Timestamp(word)
    except ValueError:
        return None
    return time if time.tz is None else time.tz_convert("UTC").tz_localize(None)


def days(cells: pd.Series) -> np.ndarray:
    """A column of dates as days since 1970 `f64[n]`, not a number where the cell is empty.

    Raises:
        UserError: a cell is not a date.
    """
    if types.is_datetime64_any_dtype(cells.dtype):
        if getattr(cells.dt, "tz", None) is not None:
            cells = cells.dt.tz_convert("UTC").dt.tz_localize(None)
        codes, times = pd.factorize(cells)
        stamps = [pd.Timestamp(time) for time in times]
    else:
        codes, words = distinct(cells)
        found = [as_date(word) for word in words]
        if None in found:
            at = found.index(None)
            raise _refusal(cells, codes == at, words[at], "not a date such as 2024-12-31")
        stamps = [time for time in found if time is not None]
    start, day = pd.Timestamp(1970, 1, 1), pd.Timedelta(days=1)
    return np.array([*((time - start) / day for time in stamps), np.nan])[codes]


def _refusal(cells: pd.Series, at: np.ndarray, word: str, what: str) -> UserError:
    where = f"column {show(cells.name)}, row {int(np.argmax(at))}"
    return UserError(f"{where} is {show(word)}, {what}; mend the cell or leave the column out")
