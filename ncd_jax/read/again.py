"""New rows, read as the rows of training were: as leniently, and by what was decided then.

Kinds, units, levels and gaps of columns stay. The mark of fractions and what comes first in dates
are those of the new table where it says them, as next month's file may come from another program.
What a column cannot be is a gap, and told with its line.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.cells import as_column, is_number
from ncd_jax.read.columns import Column, OddCell
from ncd_jax.read.date_words import day_order
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.locales import column_decimal, decide_locale
from ncd_jax.read.names import Mistakes, find_names, show
from ncd_jax.read.number_words import Evidence, evidence
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.plain_numbers import plain_numbers
from ncd_jax.read.raw import RawTable
from ncd_jax.read.readings import KINDS, listed
from ncd_jax.read.words import Words

__all__ = ["Again"]

_MOST_ODD = 5
"""Odd cells from which a column that is odd for the most part is refused."""


class Again:
    """Reads new rows, in one batch or several; the first says how the table is written.

    Args:
        columns: what each column was read as in training.
        options: words that mean an empty cell and the mark of fractions, where somebody says them.
    """

    def __init__(self, columns: Sequence[Column], options: ReadOptions | None = None) -> None:
        self._columns, self._options = columns, options or ReadOptions()
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
                cells = mistakes.add(as_column, as_here, raw.frame[column.name], raw.where, odd)
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
        if not _is_written(column, cells):
            continue
        gaps = {*column.gaps, *options.missing}
        quick = plain_numbers(cells) if column.kind == "numeric" and not gaps else None
        if quick is not None:
            said[name] = quick.said
            continue
        found, gaps = raw.words(name), gaps | MARKS
        words[name] = found.without(np.array([word in gaps for word in found.words], bool))
        said[name] = evidence(words[name].shapes)
    days = {name: day_order(each.shapes) for name, each in words.items()}
    locale = decide_locale([*said.values()], [*days.values()], raw.separator, options.decimal)

    def as_here(column: Column) -> Column:
        says = said.get(column.name)
        if says is None:
            return column
        if column.kind == "numeric":
            is_said = says.comma != says.point or locale.is_certain or locale.is_forced
            if is_said or not column.decimal:
                decimal, _ = column_decimal(says, locale)
                return dataclasses.replace(column, decimal=decimal)
        elif column.order not in ("compact", "clock"):
            day, month, neither = days[column.name]
            order = column.order or locale.order
            if day != month:
                order = "dmy" if day > month else "mdy"
            elif neither and not order:
                order = "mdy" if any("/" in word for word in words[column.name].words) else "dmy"
            return dataclasses.replace(column, order=order)
        return column

    return [as_here(column) for column in columns]


def _is_written(column: Column, cells: pd.Series) -> bool:
    """Whether a column of numbers or dates is text."""
    if column.kind not in ("numeric", "date") or is_number(cells):
        return False
    is_date = pd.api.types.is_datetime64_any_dtype(cells.dtype)
    return not (is_date or pd.api.types.is_bool_dtype(cells.dtype))


def _check(column: Column, odd: Sequence[OddCell], n_filled: int) -> None:
    if len(odd) > max(_MOST_ODD, n_filled):
        raise UserError(
            f"column {show(column.name)} was {KINDS[column.kind]} in the run, and"
            f" {len(odd)} of its cells are not: {listed(odd[:_MOST_ODD])}, ...; mend the column"
        )
