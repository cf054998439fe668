"""What each column of a table means: the rules that look at all rows, and never at a label.

* A column of text has the form of nearly all of its cells; see `recognise`. A column of numbers,
  dates or truth values is one.
* Numbers such as -999 that stand far off the others are gaps. Whole numbers that are all days
  written without marks (20241231) are dates.
* Left out: columns without any cell, with one value throughout; text that is different in more
  than half of the rows (names, free text); whole numbers that look like an identifier, all
  different and either without gaps or named like one; and what programs write to number the rows.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.cells import Manner, as_column, compact_dates, is_text
from ncd_jax.read.columns import Column, Reading
from ncd_jax.read.date_words import day_order
from ncd_jax.read.gaps import MARKS, sentinels
from ncd_jax.read.names import gathered, show
from ncd_jax.read.number_words import PlainNumbers, evidence, plain_numbers
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.recognise import Form, Locale, as_wished, as_words, decide_locale, recognise
from ncd_jax.read.remarks import (
    blamed,
    circular_hint,
    found_in,
    is_constant,
    used_as,
    why_left_out,
)
from ncd_jax.read.threads import each_in_threads
from ncd_jax.read.words import Words, as_text

__all__ = ["Description", "describe"]


_MOST_NAMED = 8
"""Columns that a note on several of them names."""


class Description(NamedTuple):
    """What a table means.

    Attributes:
        columns: those that are used, in their order.
        readings: what every feature was read as, in their order.
        frame: the columns that are used, in their own types.
        locale: how numbers and dates are written.
    """

    columns: tuple[Column, ...]
    readings: tuple[Reading, ...]
    frame: pd.DataFrame
    locale: Locale

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know before anything is computed; of like columns once."""
        alike: dict[tuple[bool, str], list[str]] = {}
        for each in (each for each in self.readings if each.is_told and each.remark):
            remark = each.remark.replace(f"={each.name}", "=NAME")
            alike.setdefault((each.kind == "left out", remark), []).append(each.name)
        notes = []
        for (is_left_out, remark), names in alike.items():
            how = "left out: " * is_left_out
            if len(names) == 1:
                notes.append(
                    f"column {show(names[0])} {how}{remark.replace('=NAME', f'={names[0]}')}"
                )
                continue
            more = f" and {len(names) - _MOST_NAMED} more" * (len(names) > _MOST_NAMED)
            first = ", ".join(map(show, names[:_MOST_NAMED]))
            notes.append(f"columns {first}{more} {how or 'each: '}{remark}")
        return tuple(notes)

    def without(self, names: Collection[str]) -> "Description":
        """The same, less some of the columns that are used."""
        columns = tuple(each for each in self.columns if each.name not in names)
        return self._replace(columns=columns, frame=self.frame[[each.name for each in columns]])


class _Sight(NamedTuple):
    """A column that was looked at: what it is, in its own type, and how it got there."""

    form: Form
    cells: pd.Series
    words: Words | None

    def written_with(self, decimal: str) -> "_Sight":
        """The same of a column of text that has this mark of fractions."""
        column = self.form.column
        if column.kind == "numeric":
            column = dataclasses.replace(column, decimal=decimal)
        return self._replace(form=dataclasses.replace(self.form, column=column))


def describe(
    raw: RawTable,
    features: Sequence[str],
    options: ReadOptions | None = None,
    wanted: Collection[str] = (),
) -> Description:
    """Decides for every feature what it means.

    Args:
        raw: the table.
        features: names of its columns without the label.
        options: what somebody wants of the reading.
        wanted: columns that are not left out for looking like an identifier or free text.

    Raises:
        UserError: columns cannot be used as they are, all of which are named, or none is left.
    """
    options = options or ReadOptions()
    wanted = {*wanted, *(options.columns or ()), *options.wished}
    n_rows = len(raw.frame)
    seen, errors = each_in_threads(
        lambda name: _plain_or_words(name, raw, options), features, n_rows
    )
    if errors:
        raise gathered(errors)
    found = dict(zip(features, seen, strict=True))
    plain = {name: each for name, each in found.items() if isinstance(each, PlainNumbers)}
    words = {name: each for name, each in found.items() if isinstance(each, Words)}
    spoken = [each.shapes for name, each in words.items() if name not in options.categories]
    locale = decide_locale(
        [*map(evidence, spoken), *(each.said for each in plain.values())],
        [*map(day_order, spoken)],
        raw.separator,
        options.decimal,
    )
    typed_raw = dataclasses.replace(raw, frame=_with_numbers(raw.frame, plain))

    def described(name: str) -> tuple[Reading, Column | None, pd.Series]:
        sight = _look(name, typed_raw, words.get(name), locale, options)
        if name in plain:
            sight = sight.written_with(locale.decimal)
        reading = found_in(typed_raw, sight.form, sight.words, sight.cells)
        if name in plain:
            reading = _as_text(reading, plain[name])
        as_category = name in options.categories
        if reason := why_left_out(sight.form.column, sight.cells, name in wanted, as_category):
            return _left_out(reading, sight, reason), None, sight.cells
        return _used(reading, sight, raw.frame[name])

    done, errors = each_in_threads(described, features, n_rows)
    if errors:
        raise gathered(errors)
    readings = tuple(reading for reading, _, _ in done)
    used = [(column, cells) for _, column, cells in done if column is not None]
    if not used:
        reasons = [f"{show(each.name)}: {each.remark}" for each in readings]
        raise UserError(
            f"no column is left to work with ({'; '.join(reasons[:5])}); add columns with features"
        )
    frame = pd.DataFrame({column.name: cells for column, cells in used}, copy=False)
    return Description(tuple(column for column, _ in used), readings, frame, locale)


def _plain_or_words(name: str, raw: RawTable, options: ReadOptions) -> PlainNumbers | Words | None:
    """A column of text as numbers, where it is plainly such, or else as words."""
    if not _is_text(raw.frame[name], name in options.categories):
        return None
    found = None if _has_wish(name, options) else plain_numbers(raw.frame[name])
    if found is None or (options.decimal == "," and found.has_points):
        return raw.words(name)
    return found


def _left_out(reading: Reading, sight: _Sight, reason: str) -> Reading:
    """The reading of a column that is not used, and why."""
    hint = sight.form.remark.partition(";")[0]  # why it is words
    remark = f"{reason}; it {hint}" if hint.startswith(("has", "mixes")) else reason
    return dataclasses.replace(reading, kind="left out", form="", remark=remark, is_told=True)


def _used(reading: Reading, sight: _Sight, stored: pd.Series) -> tuple[Reading, Column, pd.Series]:
    """The reading of a column that is used, what it is read as, and its cells."""
    column, cells = sight.form.column, sight.cells
    if is_constant(cells):  # what tells rows apart is whether there is a value
        column = Column(column.name, "category", gaps=column.gaps)
        cells = as_column(column, stored, Manner(words=sight.words))
    reading = used_as(reading, column, cells, sight.words)
    if hint := circular_hint(column, cells):
        remark = "; ".join(filter(None, (reading.remark, hint)))
        reading = dataclasses.replace(reading, remark=remark, is_told=True)
    return reading, column, _from_emptiest_hour(cells) if column.order == "clock" else cells


def _has_wish(name: str, options: ReadOptions) -> bool:
    """Whether somebody wants a column in a way that asks for its words."""
    return bool(options.missing) or name in options.wished


def _with_numbers(frame: pd.DataFrame, plain: Mapping[str, PlainNumbers]) -> pd.DataFrame:
    """The table with columns of text that are plain numbers as such."""
    columns = dict(frame.items())
    for name, found in plain.items():
        columns[name] = pd.Series(found.values, frame.index)
    return pd.DataFrame(columns, copy=False)


def _as_text(reading: Reading, found: PlainNumbers) -> Reading:
    """The reading of a column of plain numbers, its gaps as they were written."""
    gaps = {**found.gaps, **dict(reading.gaps)}
    empty = reading.empty - sum(found.gaps.values())
    return dataclasses.replace(reading, gaps=tuple(sorted(gaps.items())), empty=empty)


def _is_text(cells: pd.Series, as_category: bool) -> bool:
    dtype = cells.dtype
    if types.is_complex_dtype(dtype):
        raise UserError(
            f"column {show(cells.name)} holds complex numbers; leave it out with --drop"
        )
    if types.is_integer_dtype(dtype) and types.is_extension_array_dtype(dtype):
        return True  # numbers that a float cannot hold
    return as_category or is_text(cells)


def _look(
    name: str, raw: RawTable, words: Words | None, locale: Locale, options: ReadOptions
) -> _Sight:
    """What a column is by its type, by its words where it is text, or by somebody's wish."""
    cells, missing = raw.frame[name], tuple(options.missing)
    if words is None:
        form = _typed(name, cells)
    else:
        rest = words.without(words.among(MARKS.union(missing)))
        if name in options.orders:
            order = options.orders[name] or locale.order
            form = as_wished(name, rest, dataclasses.replace(locale, order=order), is_date=True)
        elif name in options.numbers or name in options.periods:
            form = as_wished(name, rest, locale, is_date=False)
        elif name in options.categories or isinstance(cells.dtype, pd.CategoricalDtype):
            form = as_words(name, rest)
        else:
            form = recognise(name, rest, locale)
    if form.blame:
        kind = "dates" if form.column.kind == "date" else "numbers"
        raise blamed(raw, name, words, form.blame, kind)
    said = tuple(word for word in missing if word not in form.column.gaps)
    column = dataclasses.replace(form.column, gaps=(*form.column.gaps, *said))
    if period := options.periods.get(name, 0.0):
        if column.kind != "numeric":
            raise UserError(f"column {show(name)} is no numbers; take it from --circular")
        column = dataclasses.replace(column, period=period)
        form = dataclasses.replace(form, form=f"circular, period {period:g}")
    form = dataclasses.replace(form, column=column)
    typed = as_column(form.column, cells, Manner(raw.where, words=words))
    if form.column.kind == "numeric" and not form.column.order and name not in options.numbers:
        form = _with_sentinels(form, typed.to_numpy())
        typed = as_column(form.column, typed)
    return _Sight(form, typed, words)


def _typed(name: str, cells: pd.Series) -> Form:
    """What a column is by its type."""
    if types.is_bool_dtype(cells.dtype):
        return Form(Column(name, "boolean", levels=("false", "true")))
    if types.is_datetime64_any_dtype(cells.dtype):
        return Form(Column(name, "date"))
    values = cells.to_numpy(np.float64, na_value=np.nan)
    infinite = tuple(sorted({as_text(v) for v in values[np.isinf(values)]}))
    if not infinite:
        return Form(Column(name, "numeric"))
    if 2 * np.isinf(values).sum() >= np.count_nonzero(~np.isnan(values)):
        raise UserError(
            f"column {show(name)} has infinite numbers throughout; give finite ones or leave it out"
        )
    return Form(
        Column(name, "numeric", gaps=infinite),
        odd=infinite,
        remark="has infinite numbers, which are taken for gaps",
        is_told=True,
    )


def _with_sentinels(form: Form, values: np.ndarray) -> Form:
    """The same, with numbers that mean an empty cell, or as dates written as numbers."""
    column = form.column
    empty = np.isnan(values)
    filled = values[~empty] if empty.any() else values
    if not column.unit and not form.form and _are_days(filled):
        column = dataclasses.replace(column, kind="date", order="compact")
        return dataclasses.replace(form, column=column, form="year, month, day")
    found = sentinels(filled)
    if not found:
        return form
    texts = tuple(as_text(value) for value in found)
    column = dataclasses.replace(column, gaps=(*column.gaps, *texts))
    remark = (
        f"has {', '.join(texts)} far off its other numbers, taken for gaps;"
        f" --numbers={column.name} takes them for numbers"
    )
    return dataclasses.replace(form, column=column, remark=remark, is_told=True)


def _are_days(filled: np.ndarray) -> bool:
    """Whether numbers are all days as 20241231 writes one."""
    if not len(filled) or filled.min() < 19000101 or len(np.unique(filled)) < 3:
        return False
    return not np.isnat(compact_dates(filled)).any()


def _from_emptiest_hour(times: pd.Series) -> pd.Series:
    """Times of day in an order that does not cut a class in two at midnight.

    The day begins in the middle of the longest time in which nothing happens; what is earlier on
    the clock is put on the next day.
    """
    filled = np.unique(times.dropna().to_numpy())
    if len(filled) < 2:
        return times
    day = np.timedelta64(1, "D")
    gaps = np.diff(np.append(filled, filled[0] + day))
    longest = int(np.argmax(gaps))
    if longest == len(filled) - 1:  # at midnight
        return times
    return times.where(~(times <= filled[longest]), times + pd.Timedelta(day))
