"""Cells of a column as values, in the way that was decided for it: old rows and new ones."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.columns import Column, OddCell
from ncd_jax.read.date_words import Order, clock_of, dates_of, day_order, durations_of
from ncd_jax.read.gaps import MARKS, is_gap
from ncd_jax.read.names import show
from ncd_jax.read.number_words import evidence, numbers_of
from ncd_jax.read.plain_numbers import plain_numbers
from ncd_jax.read.units import ratio
from ncd_jax.read.words import Words, as_text, merged, truth_of, words_of

__all__ = [
    "Where",
    "as_column",
    "as_float",
    "by_row",
    "compact_dates",
    "is_number",
    "level_words",
    "numbers",
    "times",
]

Where = Callable[[int], str]
"""From the number of a row to its place, for people."""

_TRUTHS = {"true": 1.0, "false": 0.0}
_SHOWN = 8
"""Odd cells of a column that a message lists."""


def by_row(row: int) -> str:
    """The place of a row of a table without lines."""
    return f"row {row}"


def is_number(cells: pd.Series) -> bool:
    """Whether cells are stored as numbers; truth values are not."""
    dtype = cells.dtype
    return types.is_numeric_dtype(dtype) and not (
        types.is_bool_dtype(dtype) or types.is_complex_dtype(dtype)
    )


def numbers(
    column: Column,
    cells: pd.Series,
    where: Where = by_row,
    odd: list[OddCell] | None = None,
    words: Words | None = None,
) -> np.ndarray:
    """A column as numbers `f64[n]`, not a number where the cell is empty.

    Args:
        column: what it is.
        cells: its cells, as numbers or text.
        where: from the number of a row to its place in messages.
        odd: takes up cells of another kind, which are gaps then; by default they are a mistake.
        words: of the cells, where they are known.

    Raises:
        UserError: cells are no finite numbers; all of them are named.
    """
    gaps = [value for value in map(as_float, column.gaps) if value is not None]
    if types.is_bool_dtype(cells.dtype) or is_number(cells):
        values = cells.to_numpy(np.float64, na_value=np.nan)
        if gaps and np.isin(values, gaps).any():
            values = np.where(np.isin(values, gaps), np.nan, values)
        bad = np.isinf(values)
        if bad.any():
            texts = [as_text(values[row]) for row in np.flatnonzero(bad)]
            _put_down(column, np.flatnonzero(bad), texts, where, "finite numbers", odd)
            return np.where(bad, np.nan, values)
        return values
    quick = plain_numbers(cells) if column.order == "" else None
    if quick is not None and not (quick.has_points and column.decimal == ","):
        values = quick.values
        values[np.isin(values, gaps)] = np.nan
        return values
    words = _filled(column, words or words_of(cells), soft=True)
    if column.order == "duration":
        values = durations_of(words.shapes)
    else:
        decimal = column.decimal or _decimal(words)
        found = numbers_of(words.shapes, decimal)
        ratios = {unit: ratio(unit, column.unit) or np.nan for unit in set(found.units)}
        scale = np.array([ratios[unit] for unit in found.units], np.float64)
        values = found.values * np.where(found.values == 0, 1.0, scale)
    for i in np.flatnonzero(np.isnan(values)).tolist():
        values[i] = _TRUTHS.get(words.words[i].lower(), np.nan)
    bad = np.isnan(values)
    values[np.isin(values, gaps)] = np.nan
    return _placed(column, words, values, np.nan, bad, where, "numbers", odd)


def _decimal(words: Words) -> str:
    said = evidence(words.shapes)
    return "," if said.comma > said.point else "."


def times(
    column: Column,
    cells: pd.Series,
    where: Where = by_row,
    odd: list[OddCell] | None = None,
    words: Words | None = None,
) -> np.ndarray:
    """A column of dates as `datetime64[us][n]`, `NaT` where the cell is empty; see `numbers`.

    Raises:
        UserError: cells are no dates; all of them are named.
    """
    nothing = np.datetime64("NaT", "us")
    if types.is_datetime64_any_dtype(cells.dtype):
        if isinstance(cells.dtype, pd.DatetimeTZDtype):
            cells = cells.dt.tz_convert("UTC").dt.tz_localize(None)
        found = cells.to_numpy().astype("datetime64[us]")
        gaps = dates_of(column.gaps, "")
        return np.where(np.isin(found, gaps[~np.isnat(gaps)]), nothing, found)
    words = _filled(column, words or words_of(cells), soft=True)
    if column.order == "clock":
        found = clock_of(words.shapes)
    elif column.order == "compact":
        found = compact_dates(numbers_of(words.shapes, ".").values)
    else:
        found = dates_of(words.shapes, _order(column, words))
    return _placed(column, words, found, nothing, np.isnat(found), where, "dates", odd)


def _order(column: Column, words: Words) -> Order:
    """What comes first in dates: as in the old rows, or as these say where nobody saw those."""
    if column.order == "dmy" or column.order == "mdy":
        return column.order
    day, month, _ = day_order(words.shapes)
    return "" if day == month else "dmy" if day > month else "mdy"


def level_words(
    column: Column,
    cells: pd.Series,
    where: Where = by_row,
    odd: list[OddCell] | None = None,
    words: Words | None = None,
) -> Words:
    """A boolean or a category as words, one for each level; see `numbers`.

    Raises:
        UserError: cells of a boolean are neither yes nor no; all of them are named.
    """
    words = _filled(column, words or words_of(cells), soft=column.kind == "boolean")
    if column.kind == "category":
        return merged(words)
    truths = [truth_of(word) for word in words.words]
    sides = np.array([-1 if truth is None else truth for truth in truths], np.int64)
    levels = " or ".join(column.levels)
    codes = _placed(column, words, sides, -1, sides < 0, where, levels, odd)
    return Words(codes, list(column.levels))


def as_column(
    column: Column,
    cells: pd.Series,
    where: Where = by_row,
    odd: list[OddCell] | None = None,
    words: Words | None = None,
) -> pd.Series:
    """A column in its own type: numbers, times, or words; see `numbers`.

    Raises:
        UserError: cells are not of its kind; all of them are named.
    """
    values: np.ndarray
    if column.kind == "numeric":
        values = numbers(column, cells, where, odd, words)
    elif column.kind == "date":
        values = times(column, cells, where, odd, words)
    else:
        found = level_words(column, cells, where, odd, words)
        values = np.array([*found.words, None], object)[found.codes]
    return pd.Series(values, cells.index, name=column.name, copy=False)


def compact_dates(values: np.ndarray) -> np.ndarray:
    """Numbers such as 20241231 as `datetime64[us][n]`, `NaT` where one is no day."""
    whole = np.where((values >= 19000101) & (values <= 21001231) & (values % 1 == 0), values, 0)
    texts = [f"{int(v) // 10000:04}-{int(v) // 100 % 100:02}-{int(v) % 100:02}" for v in whole]
    return dates_of(texts, "")


def _filled(column: Column, words: Words, soft: bool) -> Words:
    """Words that are no gap; `soft` where those count that only mean one among numbers."""
    gaps = MARKS.union(column.gaps)
    gone = np.array([word in gaps for word in words.words], bool)
    return words.without(gone | words.shapes.ask(is_gap) if soft else gone)


def _placed(
    column: Column,
    words: Words,
    values: np.ndarray,
    nothing: object,
    bad: np.ndarray,
    where: Where,
    what: str,
    odd: list[OddCell] | None,
) -> np.ndarray:
    """The value of every row, from those of the words."""
    if bad.any():
        rows = np.flatnonzero(np.append(bad, False)[words.codes])
        texts = [words.words[words.codes[row]] for row in rows]
        _put_down(column, rows, texts, where, what, odd)
        values = np.where(bad, np.array([nothing], values.dtype), values)
    return np.append(values, np.array([nothing], values.dtype))[words.codes]


def _put_down(
    column: Column,
    rows: np.ndarray,
    texts: list[str],
    where: Where,
    what: str,
    odd: list[OddCell] | None,
) -> None:
    """Takes up odd cells, or raises."""
    if odd is not None:
        odd += [OddCell(where(r), r, t) for r, t in zip(rows.tolist(), texts, strict=True)]
        return
    cells = [f"{where(int(row))} {show(t)}" for row, t in zip(rows, texts, strict=True)]
    more = f" and {len(cells) - _SHOWN} more" if len(cells) > _SHOWN else ""
    raise UserError(
        f"column {show(column.name)} has cells that are not {what}: {', '.join(cells[:_SHOWN])}"
        f"{more}; mend or empty them, or leave the column out"
    )


def as_float(word: str) -> float | None:
    """The number that a word spells to a program, or none."""
    try:
        return float(word)
    except ValueError:
        return None
