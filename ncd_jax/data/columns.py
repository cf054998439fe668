"""What each column of a table means: numbers, truth values, categories or dates, or nothing.

The rules look at all rows and never at a label. They are written down here, column by column
in messages for people, and stored with the model, so that new rows are read alike:

* Numbers are numeric, whatever they count. Text is numeric where every cell spells a number:
  plain (`1.5`), with a per cent sign on each (`12 %`), or with a decimal comma (`1,5`). Where
  a comma could just as well part thousands (`1,234`), the column is refused.
* `true` and `false` (and Python's truth values) are boolean.
* Dates are dates, and so is text of the kind `2024-12-31` or `2024-12-31T23:59:00`.
* Any other text, and pandas categories, are categories. Text that is different in more than
  half of the rows (names, free text) is left out.
* A column part numbers, part words is a category where it has few different numbers, and is
  refused where it has many.
* Left out: columns without any cell, with one value throughout, and whole numbers that look
  like an identifier: all different, and either without gaps or named like one.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.data.names import show
from ncd_jax.data.values import Spelling, as_date, as_number, days, distinct, numbers
from ncd_jax.errors import UserError

__all__ = ["Column", "Kind", "describe"]

Kind = Literal["numeric", "boolean", "category", "date"]

_FEW = 20
"""Different cells that no column is blamed for, however short the table."""
_THOUSANDS = re.compile(r"^[+-]?[1-9]\d{0,2},\d{3}$", re.A)
_IDENTIFIER = re.compile(r"(^|[_\W])(?i:id|index|key|nr|no|number|rowid)$|[a-z]I[dD]$")


@dataclass(frozen=True)
class Column:
    """A column that is used.

    Attributes:
        name: as in the table.
        kind: what its cells mean.
        spelling: how it writes numbers, where it is text that does.
    """

    name: str
    kind: Kind
    spelling: Spelling = "plain"


class _LeftOutError(Exception):
    """The reason why a column says nothing."""


def describe(
    frame: pd.DataFrame,
    features: Sequence[str],
    wanted: Collection[str] = (),
    categories: Collection[str] = (),
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Decides for every column what it means.

    Args:
        frame: the table.
        features: names of its columns without the label.
        wanted: columns that were asked for by name; they are not left out for looking like an
            identifier or free text.
        categories: columns that are categories, such as codes written as numbers.

    Returns:
        The columns that are used, in their order, and notes for people on the others.

    Raises:
        UserError: a column cannot be used as it is, or none is left.
    """
    columns, notes = [], []
    for name in features:
        try:
            column, note = _describe(frame[name], name in wanted, name in categories)
        except _LeftOutError as reason:
            notes.append(f"column {show(name)} left out: {reason}")
            continue
        columns.append(column)
        if note:
            notes.append(f"column {show(name)} {note}")
    if not columns:
        raise UserError(f"no column is left to work with ({notes[0]}); add columns with features")
    return tuple(columns), tuple(notes)


def _describe(cells: pd.Series, wanted: bool, category: bool) -> tuple[Column, str]:
    """One column, and what people should know of it."""
    name = str(cells.name)
    column, note = (Column(name, "category"), "") if category else _guess(cells)
    if column.kind == "numeric":
        values = numbers(cells, column.spelling)
        filled = values[~np.isnan(values)]
    elif column.kind == "date":
        values = days(cells)
        filled = values[~np.isnan(values)]
    else:
        codes, _ = distinct(cells)
        filled = codes[codes >= 0]

    n = len(filled)
    if not n:
        raise _LeftOutError("every cell is empty")
    if filled.min() == filled.max():
        if n == len(cells):
            raise _LeftOutError("it has one value throughout")
        # What tells rows apart is whether there is a value.
        return Column(name, "category"), note
    if wanted or category or n <= _FEW:
        return column, note
    if column.kind == "category":
        different = len(np.unique(filled))
        if different > max(_FEW, n / 2):
            raise _LeftOutError(f"{different} of {n} cells are different, as in names or free text")
    elif column.kind == "numeric" and n == len(cells) and _are_identifiers(name, filled):
        raise _LeftOutError("whole numbers, all different, that number the rows or name them")
    return column, note


def _are_identifiers(name: str, values: np.ndarray) -> bool:
    no_gaps = np.ptp(values) < 2 * len(values)
    if not (no_gaps or _IDENTIFIER.search(name)) or (values % 1 != 0).any():
        return False
    return len(np.unique(values)) == len(values)


def _guess(cells: pd.Series) -> tuple[Column, str]:
    """The kind of a column by its type, or by its words where it is text."""
    name, dtype = str(cells.name), cells.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return Column(name, "category"), ""
    if types.is_bool_dtype(dtype):
        return Column(name, "boolean"), ""
    if types.is_datetime64_any_dtype(dtype):
        return Column(name, "date"), ""
    if types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return Column(name, "numeric"), ""

    codes, words = distinct(cells)
    if all(word.lower() in ("true", "false") for word in words):
        return Column(name, "boolean"), ""
    plain = [as_number(word) is not None for word in words]
    if all(plain):
        return Column(name, "numeric"), ""
    if all(word.endswith("%") and as_number(word, "percent") is not None for word in words):
        return Column(name, "numeric", "percent"), ""
    if all(as_number(word, "comma") is not None for word in words):
        if all(_THOUSANDS.search(word) for word in words if "," in word):
            word = next(word for word in words if "," in word)
            raise UserError(
                f"column {show(name)} has numbers such as {show(word)}, where the comma may mark"
                " thousands or decimals; write them without thousands marks and with a point"
            )
        return Column(name, "numeric", "comma"), ""
    if all(as_date(word) is not None for word in words):
        return Column(name, "date"), ""

    if not any(plain):
        return Column(name, "category"), ""
    stray = plain.index(False)
    row = int(np.argmax(codes == stray))
    if sum(plain) > max(_FEW, len(words) / 2):
        raise UserError(
            f"column {show(name)}, row {row} is {show(words[stray])}, but most of its cells are"
            " numbers; mend or empty such cells, drop the column, or name it a category"
        )
    note = f"mixes numbers and words such as {show(words[stray])} (row {row}); it is a category"
    return Column(name, "category"), note
