"""New rows, read as the rows of training were: as leniently, and by what was decided then.

Kinds, units, levels and gaps of columns stay. The mark of fractions and what comes first in dates
are those of the new table where it says them, as next month's file may come from another program.
What a column cannot be is a gap, and told with its line.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.cells import as_column, is_number
from ncd_jax.read.columns import Column, OddCell
from ncd_jax.read.date_words import day_order
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.locales import Locale, column_decimal, decide_locale
from ncd_jax.read.names import Mistakes, find_names, show
from ncd_jax.read.number_words import Evidence, evidence
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.readings import KINDS, listed
from ncd_jax.read.words import Words, words_of

__all__ = ["read_again"]

_MOST_ODD = 5
"""Odd cells from which a column that is odd for the most part is refused."""


def read_again(
    raw: RawTable, columns: Sequence[Column], options: ReadOptions | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Columns in their own types, and notes on cells that were taken for gaps.

    Args:
        raw: the new rows.
        columns: what each column was read as in training.
        options: words that mean an empty cell and the mark of fractions, where somebody says them.

    Raises:
        UserError: columns are missing, or are of another kind for the most part; all are named.
    """
    options = options or ReadOptions()
    find_names([column.name for column in columns], list(raw.frame))
    words = {c.name: found for c in columns if (found := _words(c, raw.frame[c.name], options))}
    said = {name: evidence(each.words) for name, each in words.items()}
    locale = decide_locale(
        [*said.values()],
        [day_order(each.words) for each in words.values()],
        raw.separator,
        options.decimal,
    )
    typed, notes = {}, []
    with Mistakes() as mistakes:
        for column in columns:
            as_here = _as_here(column, words, said, locale)
            as_here = dataclasses.replace(as_here, gaps=(*column.gaps, *options.missing))
            odd: list[OddCell] = []
            cells = mistakes.add(as_column, as_here, raw.frame[column.name], raw.where, odd)
            if odd:
                mistakes.add(_check, column, odd, int(cells.notna().sum()))
                notes.append(
                    f"column {show(column.name)} has {listed(odd)} among its"
                    f" {KINDS[column.kind]}, taken for gaps"
                )
            typed[column.name] = cells
    return pd.DataFrame(typed, raw.frame.index, copy=False), notes


def _words(column: Column, cells: pd.Series, options: ReadOptions) -> Words | None:
    """The words of a column of numbers or dates that is text."""
    if column.kind not in ("numeric", "date") or is_number(cells):
        return None
    if pd.api.types.is_datetime64_any_dtype(cells.dtype) or pd.api.types.is_bool_dtype(cells.dtype):
        return None
    words = words_of(cells)
    gaps = MARKS.union(column.gaps, options.missing)
    return words.without(np.array([word in gaps for word in words.words], bool))


def _as_here(
    column: Column, words: Mapping[str, Words], said: Mapping[str, Evidence], locale: Locale
) -> Column:
    """The column as the new table writes it."""
    if column.name not in words:
        return column
    if column.kind == "numeric":
        says = said[column.name]
        if says.comma != says.point or locale.is_certain or locale.is_forced or not column.decimal:
            decimal, _ = column_decimal(says, locale)
            return dataclasses.replace(column, decimal=decimal)
    elif column.order not in ("compact", "clock"):
        day, month, neither = day_order(words[column.name].words)
        order = column.order or locale.order
        if day != month:
            order = "dmy" if day > month else "mdy"
        elif neither and not order:
            order = "mdy" if any("/" in word for word in words[column.name].words) else "dmy"
        return dataclasses.replace(column, order=order)
    return column


def _check(column: Column, odd: Sequence[OddCell], n_filled: int) -> None:
    if len(odd) > max(_MOST_ODD, n_filled):
        raise UserError(
            f"column {show(column.name)} was {KINDS[column.kind]} in the run, and"
            f" {len(odd)} of its cells are not: {listed(odd[:_MOST_ODD])}, ...; mend the column"
        )
