"""Cells of a column as values, in the way that was decided for it: old rows and new ones.

New rows are read as leniently as those of training. Kinds, units, levels and gaps of columns stay.
The mark of fractions and what comes first in dates are those of the new table where it says them,
as next month's file may come from another program. What a column cannot be is a gap, and told with
its line.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.columns import KINDS, Column, OddCell, listed
from ncd_jax.read.date_words import Order, clock_of, dates_of, day_order, durations_of
from ncd_jax.read.gaps import MARKS, is_gap
from ncd_jax.read.names import Mistakes, find_names, show, some
from ncd_jax.read.number_words import Evidence, evidence, numbers_of, plain_numbers, ratio
from ncd_jax.read.options import NO_WISHES, ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.recognise import column_decimal, date_order, decide_locale
from ncd_jax.read.words import Words, as_float, as_text, merged, truth_of, words_of

__all__ = [
    "Again",
    "Manner",
    "as_column",
    "compact_dates",
    "is_number",
    "is_text",
    "level_words",
    "numbers",
    "times",
]

_TRUTHS = {"true": 1.0, "false": 0.0}
_SHOWN = 8
"""Odd cells of a column that a message lists."""
_MOST_ODD = 5
"""Odd cells from which a column that is odd for the most part is refused."""


class Manner(NamedTuple):
    """How cells are read.

    Attributes:
        where: from the number of a row to its place in messages.
        odd: takes up cells of another kind, which are gaps then; by default they are a mistake.
        words: of the cells, where they are known.
    """

    where: Callable[[int], str] = "row {}".format
    odd: list[OddCell] | None = None
    words: Words | None = None


_STRICTLY = Manner()


def is_number(cells: pd.Series) -> bool:
    """Whether cells are stored as numbers; truth values are not."""
    dtype = cells.dtype
    return types.is_numeric_dtype(dtype) and not (
        types.is_bool_dtype(dtype) or types.is_complex_dtype(dtype)
    )


def is_text(cells: pd.Series) -> bool:
    """Whether cells are neither stored as numbers nor as dates or truth values."""
    is_known = types.is_datetime64_any_dtype(cells.dtype) or types.is_bool_dtype(cells.dtype)
    return not (is_known or is_number(cells))


def numbers(column: Column, cells: pd.Series, how: Manner = _STRICTLY) -> np.ndarray:
    """A column as numbers `f64[n]`, not a number where the cell is empty.

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
            texts = [as_text(value) for value in values[bad]]
            _put_down(column, np.flatnonzero(bad), texts, "finite numbers", how)
            return np.where(bad, np.nan, values)
        return values
    quick = plain_numbers(cells) if column.order == "" else None
    if quick is not None and not (quick.has_points and column.decimal == ","):
        values = quick.values
    else:
        words = _filled(column, how.words or words_of(cells), soft=True)
        values = _placed(column, words, _numbers_in(column, words), np.nan, "numbers", how)
    if gaps:
        values[np.isin(values, gaps)] = np.nan
    return values


def _numbers_in(column: Column, words: Words) -> np.ndarray:
    """The numbers that words spell, `f64[m]`."""
    if column.order == "duration":
        values = durations_of(words.shapes)
    else:
        said = evidence(words.shapes)
        decimal = column.decimal or ("," if said.comma > said.point else ".")
        found = numbers_of(words.shapes, decimal)
        ratios = {unit: ratio(unit, column.unit) or np.nan for unit in set(found.units)}
        scale = np.array([ratios[unit] for unit in found.units], np.float64)
        values = found.values * np.where(found.values == 0, 1.0, scale)
    for i in np.flatnonzero(np.isnan(values)).tolist():
        values[i] = _TRUTHS.get(words.words[i].lower(), np.nan)
    return values


def times(column: Column, cells: pd.Series, how: Manner = _STRICTLY) -> np.ndarray:
    """A column of dates as `datetime64[us][n]`, `NaT` where the cell is empty.

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
    words = _filled(column, how.words or words_of(cells), soft=True)
    if column.order == "clock":
        found = clock_of(words.shapes)
    elif column.order == "compact":
        found = compact_dates(numbers_of(words.shapes, ".").values)
    else:
        order: Order = "mdy" if column.order == "mdy" else "dmy"
        if not column.order:  # as these say, where nobody saw those of training
            day, month, _ = day_order(words.shapes)
            order = "" if day == month else "dmy" if day > month else "mdy"
        found = dates_of(words.shapes, order)
    return _placed(column, words, found, nothing, "dates", how)


def level_words(column: Column, cells: pd.Series, how: Manner = _STRICTLY) -> Words:
    """A boolean or a category as words, one for each level.

    Raises:
        UserError: cells of a boolean are neither yes nor no; all of them are named.
    """
    words = _filled(column, how.words or words_of(cells), soft=column.kind == "boolean")
    if column.kind == "category":
        return merged(words)
    truths = [truth_of(word) for word in words.words]
    sides = np.array([-1 if truth is None else truth for truth in truths], np.int64)
    codes = _placed(column, words, sides, -1, " or ".join(column.levels), how)
    return Words(codes, list(column.levels))


def as_column(column: Column, cells: pd.Series, how: Manner = _STRICTLY) -> pd.Series:
    """A column in its own type: numbers, times, or words.

    Raises:
        UserError: cells are not of its kind; all of them are named.
    """
    values: np.ndarray
    if column.kind == "numeric":
        values = numbers(column, cells, how)
    elif column.kind == "date":
        values = times(column, cells, how)
    else:
        found = level_words(column, cells, how)
        values = np.array([*found.words, None], object)[found.codes]
    return pd.Series(values, cells.index, name=column.name, copy=False)


def compact_dates(values: np.ndarray) -> np.ndarray:
    """Numbers such as 20241231 as `datetime64[us][n]`, `NaT` where one is no day."""
    whole = np.where((values >= 19000101) & (values <= 21001231) & (values % 1 == 0), values, 0)
    texts = [f"{int(v) // 10000:04}-{int(v) // 100 % 100:02}-{int(v) % 100:02}" for v in whole]
    return dates_of(texts, "")


def _filled(column: Column, words: Words, soft: bool) -> Words:
    """Words that are no gap; `soft` where those count that only mean one among numbers."""
    gone = words.among(MARKS.union(column.gaps))
    return words.without(gone | words.shapes.ask(is_gap) if soft else gone)


def _placed(
    column: Column, words: Words, values: np.ndarray, nothing: object, what: str, how: Manner
) -> np.ndarray:
    """The value of every row, from those of the words, of which some are `nothing`."""
    bad = pd.isna(values) | (values == nothing)
    if bad.any():
        rows = np.flatnonzero(np.append(bad, False)[words.codes])
        texts = [words.words[words.codes[row]] for row in rows]
        _put_down(column, rows, texts, what, how)
    return np.append(values, np.array([nothing], values.dtype))[words.codes]


def _put_down(column: Column, rows: np.ndarray, texts: list[str], what: str, how: Manner) -> None:
    """Takes up odd cells, or raises."""
    odd = [OddCell(how.where(r), r, t) for r, t in zip(rows.tolist(), texts, strict=True)]
    if how.odd is not None:
        how.odd.extend(odd)
        return
    shown = some([f"{each.where} {show(each.text)}" for each in odd], _SHOWN, count=True)
    raise UserError(
        f"column {show(column.name)} has cells that are not {what}: {shown}; mend or empty them, or"
        " leave the column out"
    )


class Again:
    """Reads new rows, in one batch or several; the first says how the table is written.

    Args:
        columns: what each column was read as in training.
        options: words that mean an empty cell and the mark of fractions, where somebody says them.
    """

    def __init__(self, columns: Sequence[Column], options: ReadOptions = NO_WISHES) -> None:
        self._columns, self._options = columns, options
        self._here: list[Column] = []

    def read(self, raw: RawTable) -> tuple[pd.DataFrame, list[str]]:
        """Columns in their own types, and notes on cells that were taken for gaps.

        Raises:
            UserError: columns are missing, or are of another kind for the most part; all are named.
        """
        find_names([column.name for column in self._columns], list(raw.frame))
        is_first, missing = not self._here, self._options.missing
        self._here = self._here or _as_here(raw, self._columns, self._options)
        typed, notes = {}, []
        with Mistakes() as mistakes:
            for column, as_here in zip(self._columns, self._here, strict=True):
                as_here = dataclasses.replace(as_here, gaps=(*column.gaps, *missing))
                odd: list[OddCell] = []
                how = Manner(raw.where, odd)
                cells = mistakes.add(as_column, as_here, raw.frame[column.name], how)
                if odd:
                    if is_first:
                        mistakes.add(_check, column, odd, int(cells.notna().sum()))
                    notes.append(
                        f"column {show(column.name)} has {listed(odd)} among its"
                        f" {KINDS[column.kind]}, taken for gaps"
                    )
                typed[column.name] = cells
        return pd.DataFrame(typed, raw.frame.index, copy=False), notes


def _as_here(raw: RawTable, columns: Sequence[Column], options: ReadOptions) -> list[Column]:
    """The columns as the new table writes them."""
    words: dict[str, Words] = {}
    said: dict[str, Evidence] = {}
    for column in columns:
        name, cells = column.name, raw.frame[column.name]
        if column.kind not in ("numeric", "date") or not is_text(cells):
            continue
        gaps = {*column.gaps, *options.missing}
        quick = plain_numbers(cells) if column.kind == "numeric" and not gaps else None
        if quick is not None:
            said[name] = quick.said
            continue
        found = raw.words(name)
        words[name] = found.without(found.among(gaps | MARKS))
        said[name] = evidence(words[name].shapes)
    days = {name: day_order(each.shapes) for name, each in words.items()}
    locale = decide_locale([*said.values()], [*days.values()], raw.separator, options.decimal)

    def as_here(column: Column) -> Column:
        says = said.get(column.name)
        if says is not None and column.kind == "numeric":
            is_said = says.comma != says.point or locale.is_certain or locale.is_forced
            if is_said or not column.decimal:
                decimal, _ = column_decimal(says, locale)
                return dataclasses.replace(column, decimal=decimal)
        elif says is not None and column.order in ("", "dmy", "mdy"):
            order: Order = column.order or locale.order
            order, _ = date_order(days[column.name], words[column.name].words, order)
            return dataclasses.replace(column, order=order)
        return column

    return [as_here(column) for column in columns]


def _check(column: Column, odd: Sequence[OddCell], n_filled: int) -> None:
    if len(odd) > max(_MOST_ODD, n_filled):
        raise UserError(
            f"column {show(column.name)} was {KINDS[column.kind]} in the run, and"
            f" {len(odd)} of its cells are not: {listed(odd[:_MOST_ODD])}, ...; mend the column"
        )
