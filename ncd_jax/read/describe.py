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
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.cells import Manner, as_column, compact_dates, is_text
from ncd_jax.read.columns import Column, Reading
from ncd_jax.read.date_words import day_order
from ncd_jax.read.gaps import MARKS, sentinels
from ncd_jax.read.names import show, some
from ncd_jax.read.number_words import PlainNumbers, evidence, plain_numbers
from ncd_jax.read.options import NO_WISHES, ReadOptions
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
    """What a table means: columns that are used, in their types, and how every feature was read."""

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
                remark = remark.replace("=NAME", f"={names[0]}")
                notes.append(f"column {show(names[0])} {how}{remark}")
                continue
            first = some([*map(show, names)], _MOST_NAMED, count=True)
            notes.append(f"columns {first} {how or 'each: '}{remark}")
        return tuple(notes)

    def without(self, names: Collection[str]) -> "Description":
        """The same, less some of the columns that are used."""
        columns = tuple(each for each in self.columns if each.name not in names)
        return self._replace(columns=columns, frame=self.frame[[each.name for each in columns]])


def describe(
    raw: RawTable, features: Sequence[str], options: ReadOptions = NO_WISHES
) -> Description:
    """Decides for every feature what it means.

    Args:
        raw: the table.
        features: names of its columns without the label.
        options: what somebody wants of the reading.

    Raises:
        UserError: columns cannot be used as they are, all of which are named, or none is left.
    """
    wanted = {*(options.columns or ()), *options.wished}

    n_rows = len(raw.frame)
    seen = each_in_threads(lambda name: _plain_or_words(name, raw, options), features, n_rows)
    found = dict(zip(features, seen, strict=True))
    spoken = [
        words.shapes
        for name, words in found.items()
        if isinstance(words, Words) and name not in options.categories
    ]
    locale = decide_locale(
        [*map(evidence, spoken), *(p.said for p in seen if isinstance(p, PlainNumbers))],
        [*map(day_order, spoken)],
        raw.separator,
        options.decimal,
    )

    def described(name: str) -> tuple[Reading, Column | None, pd.Series]:
        stored = cells = raw.frame[name]
        plain = each if isinstance(each := found[name], PlainNumbers) else None
        words = each if isinstance(each, Words) else None
        if plain is not None:
            cells = pd.Series(plain.values, cells.index)
        form, typed = _look(raw, name, cells, words, locale, options)
        if plain is not None and form.column.kind == "numeric":
            form = form.of(decimal=locale.decimal)
        reading = found_in(raw, cells, form, words, typed)
        if plain is not None:  # gaps as they were written
            gaps = sorted({**plain.gaps, **dict(reading.gaps)}.items())
            empty = reading.empty - sum(plain.gaps.values())
            reading = dataclasses.replace(reading, gaps=tuple(gaps), empty=empty)
        as_category = name in options.categories
        if reason := why_left_out(form.column, typed, name in wanted, as_category):
            hint = form.remark.partition(";")[0]  # why it is words
            remark = f"{reason}; it {hint}" if hint.startswith(("has", "mixes")) else reason
            kind = "left out"
            reading = dataclasses.replace(reading, kind=kind, form="", remark=remark, is_told=True)
            return reading, None, typed
        return _used(reading, form.column, typed, stored, words)

    done = each_in_threads(described, features, n_rows)
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
    cells = raw.frame[name]
    dtype = cells.dtype
    if types.is_complex_dtype(dtype):
        raise UserError(f"column {show(name)} holds complex numbers; leave it out with --drop")
    # Whole numbers with gaps are such that a float cannot hold.
    is_large = types.is_integer_dtype(dtype) and types.is_extension_array_dtype(dtype)
    if not (is_large or is_text(cells) or name in options.categories):
        return None
    has_wish = options.missing or name in options.wished
    plain = None if has_wish else plain_numbers(cells)
    if plain is None or (options.decimal == "," and plain.has_points):
        return raw.words(name)
    return plain


def _used(
    reading: Reading, column: Column, cells: pd.Series, stored: pd.Series, words: Words | None
) -> tuple[Reading, Column, pd.Series]:
    """The reading of a column that is used, what it is read as, and its cells."""
    if is_constant(cells):  # what tells rows apart is whether there is a value
        column = Column(column.name, "category", gaps=column.gaps)
        cells = as_column(column, stored, Manner(words=words))
    reading = used_as(reading, column, cells, words)
    if hint := circular_hint(column, cells):
        reading = reading.told(hint)
    return reading, column, _from_emptiest_hour(cells) if column.order == "clock" else cells


def _look(
    raw: RawTable,
    name: str,
    cells: pd.Series,
    words: Words | None,
    locale: Locale,
    options: ReadOptions,
) -> tuple[Form, pd.Series]:
    """What a column is by its type, by its words where it is text, or by somebody's wish."""
    missing = tuple(options.missing)
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
        raise blamed(raw, form, words)
    form = form.of(gaps=tuple(dict.fromkeys((*form.column.gaps, *missing))))
    if period := options.periods.get(name, 0.0):
        if form.column.kind != "numeric":
            raise UserError(f"column {show(name)} is no numbers; take it from --circular")
        form = dataclasses.replace(form.of(period=period), form=f"circular, period {period:g}")
    typed = as_column(form.column, cells, Manner(raw.where, words=words))
    if form.column.kind == "numeric" and not form.column.order and name not in options.numbers:
        form = _with_sentinels(form, typed.to_numpy())
        typed = as_column(form.column, typed)
    return form, typed


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
    column, empty = form.column, np.isnan(values)
    filled = values[~empty] if empty.any() else values
    if not column.unit and not form.form and _are_days(filled):
        return dataclasses.replace(form.of(kind="date", order="compact"), form="year, month, day")
    found = sentinels(filled)
    if not found:
        return form
    texts = tuple(as_text(value) for value in found)
    remark = (
        f"has {', '.join(texts)} far off its other numbers, taken for gaps;"
        f" --numbers={column.name} takes them for numbers"
    )
    return dataclasses.replace(form.of(gaps=(*column.gaps, *texts)), remark=remark, is_told=True)


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
