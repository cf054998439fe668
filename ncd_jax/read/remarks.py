"""What is said of columns: what was found, why one is left out, and what people may want to see."""

import dataclasses
import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.columns import KINDS, MAX_CATEGORIES, Column, OddCell, Reading, listed
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.names import is_index_name, show
from ncd_jax.read.raw import RawTable
from ncd_jax.read.recognise import FEW, Form
from ncd_jax.read.words import Words, as_float, as_text
from ncd_jax.types import UNLABELLED

__all__ = [
    "blamed",
    "circular_hint",
    "found_in",
    "is_constant",
    "leakage_notes",
    "unlabelled_alone",
    "used_as",
    "why_left_out",
]

_MOST_RARE = 0.5
"""Share of cells with rare levels from which a category says little."""
_IDENTIFIER = re.compile(r"(^|[_\W])(?i:id|index|key|nr|no|number|rowid)$|[a-z]I[dD]$")
_MOSTLY = 0.8
"""Share of different cells from which a column numbers or names rows, some of which are doubled."""
_FEWEST = 3
"""Rows of either kind from which a coincidence of this sort is none."""
_FEWEST_TOLD = 10
"""Rows of either kind from which a column is left out for that."""
_FIRST = 1000
"""Rows that most columns show by that there is no coincidence."""
_PERIODS = {
    360.0: re.compile(
        r"angle|deg(?:rees?)?(?![a-z])|direction|heading|bearing|azimut|aspect|hue(?![a-z])|grad(?![a-z])"
        r"|winkel|richtung|longitude|(?<![a-z])(?:lon|long|dir|course|phase)(?![a-z])",
        re.I,
    ),
    24.0: re.compile(
        r"(?<![a-z])(?:hours?|hrs?|hod|stunden?|uhr|heures?|horas?|ora)(?![a-z])|hour$|time.?of.?day|uhrzeit|tageszeit",
        re.I,
    ),
}
"""Periods of numbers, and words in the names of columns that have them."""
_EDGE = 0.1
"""Part of the period that must be filled at both ends."""


def found_in(
    raw: RawTable, stored: pd.Series, form: Form, words: Words | None, cells: pd.Series
) -> Reading:
    """What was found in a column, whether or not it is used.

    Args:
        raw: the table.
        stored: the column as it stands there, or as plain numbers.
        form: what it was recognised as.
        words: its words, where it is text.
        cells: its cells, in their own type.
    """
    column = form.column
    if words is not None:
        marks = MARKS.union(column.gaps)
        counts = zip(words.words, words.counts.tolist(), strict=True)
        gaps = [(word, count) for word, count in counts if word in marks]
        odd = _cells_with(raw, words, form.odd)
    else:
        means = [value for value in map(as_float, column.gaps) if value is not None]
        means = means if column.kind == "numeric" else []
        texts = [as_text(value) for value in stored[stored.isin(means)]] if means else []
        gaps = [(text, texts.count(text)) for text in sorted(set(texts))]
        rows = np.flatnonzero(np.isinf(stored.to_numpy(float))).tolist() if form.odd else []
        odd = [OddCell(raw.where(r), raw.number(r), as_text(stored.iloc[r])) for r in rows]
    filled, kind = int(cells.notna().sum()), KINDS[column.kind]
    empty = len(stored) - filled - sum(count for _, count in gaps)
    reading = Reading(column.name, kind, form.form, filled, empty, tuple(gaps), tuple(odd))
    reading = reading.told(form.remark, is_told=form.is_told)
    return reading.told(f"has {listed(odd)} among its {kind}, taken for gaps") if odd else reading


def used_as(reading: Reading, column: Column, cells: pd.Series, words: Words | None) -> Reading:
    """The reading of a column that is used, its levels counted; too many are taken together."""
    if column.kind == "boolean":
        form = "/".join(reversed(column.levels))
        return dataclasses.replace(reading, kind=KINDS[column.kind], form=form)
    if column.kind != "category":
        return dataclasses.replace(reading, kind=KINDS[column.kind])
    n_levels, gaps = cells.nunique(), {word for word, _ in reading.gaps}
    form = f"{n_levels} level{'s' * (n_levels != 1)}"
    n_merged = len(set(words.words) - gaps) - n_levels if words is not None else 0
    if n_merged > 0:
        form += f", {n_merged} other spelling{'s' * (n_merged > 1)} merged"
    reading = dataclasses.replace(reading, kind=KINDS[column.kind], form=form)
    if n_levels <= MAX_CATEGORIES:
        return reading
    rest = cells.value_counts(normalize=True).iloc[MAX_CATEGORIES - 1 :].sum()
    remark = f"the {MAX_CATEGORIES - 1} most frequent are told apart, the others count as one"
    if rest > _MOST_RARE:
        remark += f", which {rest:.0%} of its cells are then; --drop={reading.name} leaves it out"
    return reading.told(remark, is_told=bool(rest > _MOST_RARE))


def blamed(raw: RawTable, form: Form, words: Words | None) -> UserError:
    """The mistake that cells keep a column from being read, all of them counted."""
    name, kind = form.column.name, KINDS[form.column.kind]
    odd = _cells_with(raw, words, form.blame) if words is not None else []
    if words is not None and 2 * len(odd) > (words.codes >= 0).sum():
        return UserError(
            f"column {show(name)} has {len(odd)} cells that are not {kind}, and hardly one that is,"
            f" as {listed(odd[:3])}; say --categories={name} or --drop={name}"
        )
    return UserError(
        f"column {show(name)} has {len(odd)} cells that are not {kind} as its others are:"
        f" {listed(odd)}; mend them, name such words with --missing, or say --categories={name} or"
        f" --drop={name}"
    )


def _cells_with(raw: RawTable, words: Words, these: Collection[str]) -> list[OddCell]:
    """The cells that hold one of these words, in order of rows."""
    is_odd = np.append(words.among(set(these)), False)
    rows = np.flatnonzero(is_odd[words.codes]).tolist()
    return [OddCell(raw.where(r), raw.number(r), words.words[words.codes[r]]) for r in rows]


def why_left_out(column: Column, cells: pd.Series, wanted: bool, category: bool) -> str:
    """The reason why a column is left out, or nothing.

    What is wanted by name, or is said to be a category, is only where it is empty or constant.
    """
    filled = cells[cells.notna()]
    n = len(filled)
    if not n:
        return "every cell is empty"
    if is_constant(filled):
        return "it has one value throughout" if n == len(cells) else ""
    if wanted or category:
        return ""
    if (
        is_index_name(column.name)
        and filled.nunique() >= _MOSTLY * n
        and not (types.is_float_dtype(filled.dtype) and not _are_whole(filled.to_numpy()))
    ):
        return "a program wrote it to number or name the rows; --columns takes it, --id keeps it"
    if n <= FEW:
        return ""
    if column.kind == "category" and (different := filled.nunique()) > max(FEW, n / 2):
        return f"{different} of {n} cells are different, as in names, codes or free text"
    if column.kind == "numeric" and n == len(cells) and _are_identifiers(column, filled.to_numpy()):
        return "whole numbers, all different, that number the rows or name them"
    return ""


def is_constant(cells: pd.Series) -> bool:
    """Whether all cells that are filled have one value."""
    if types.is_numeric_dtype(cells.dtype) or types.is_datetime64_any_dtype(cells.dtype):
        return bool(cells.min() == cells.max())
    return bool(cells.nunique() == 1)


def _are_whole(values: np.ndarray) -> bool:
    """Whether numbers have no fraction; most that have one show it early."""
    return bool((values[:_FIRST] % 1 == 0).all() and (values % 1 == 0).all())


def _are_identifiers(column: Column, values: np.ndarray) -> bool:
    if column.unit or column.order:
        return False
    no_gaps = np.ptp(values) < 2 * len(values)
    if not (no_gaps or _IDENTIFIER.search(column.name)) or not _are_whole(values):
        return False
    return len(np.unique(values)) == len(values)


def unlabelled_alone(
    columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray
) -> dict[str, str]:
    """Columns that say which rows are unlabelled, and how: a date of review, a `pending`.

    Among unlabelled rows they tell nothing, so nothing is lost without them.

    Args:
        columns: those that are used.
        frame: these, in their own types.
        y: `i32[n]`, the known class of every row, or `UNLABELLED`.
    """
    unlabelled = y == UNLABELLED
    if min(unlabelled.sum(), (~unlabelled).sum()) < _FEWEST_TOLD:
        return {}
    found = {}
    for column in columns:
        cells = frame[column.name]
        value = cells.iloc[int(np.argmax(unlabelled))]
        same = cells.isna() if pd.isna(value) else cells == value
        if (same.fillna(False).to_numpy(bool) == unlabelled).all():
            what = "empty" if pd.isna(value) else show(value)
            found[column.name] = f"is {what} on all unlabelled rows and on no others"
    return found


def leakage_notes(columns: Sequence[Column], frame: pd.DataFrame, y: np.ndarray) -> list[str]:
    """Warns of columns that know which class a row has; see `unlabelled_alone`."""
    unlabelled = y == UNLABELLED
    if min(unlabelled.sum(), (~unlabelled).sum()) < _FEWEST:
        return []
    notes = []
    for column in columns:
        if reason := _reason(column, frame[column.name], y):
            remedy = f"if it says the class in other words, leave it out with --drop={column.name}"
            notes.append(f"column {show(column.name)} {reason}; {remedy}")
    return notes


def _reason(column: Column, cells: pd.Series, y: np.ndarray) -> str:
    """What a column knows."""
    unlabelled = y == UNLABELLED
    classes = y[~unlabelled]
    n_classes = np.count_nonzero(np.bincount(classes))
    if cells.iloc[np.flatnonzero(~unlabelled)[:_FIRST]].nunique(dropna=False) <= n_classes:
        codes, _ = pd.factorize(cells, use_na_sentinel=False)
        known = codes[~unlabelled]
        if np.count_nonzero(np.bincount(known)) == n_classes > 1:
            pairs = np.unique(np.stack([known, classes]), axis=1)
            if pairs.shape[1] == n_classes:
                return "has one value for each known class, and another one for each other"
    if column.kind == "numeric" and _numbers_rows(cells.to_numpy(), y, unlabelled):
        return "numbers the rows, and the rows of a class stand together in that order"
    return ""


def _numbers_rows(values: np.ndarray, y: np.ndarray, unlabelled: np.ndarray) -> bool:
    """Whether whole numbers, all different, put the rows of every class side by side."""
    if not _are_whole(values) or len(pd.unique(values)) < len(values):
        return False
    order = np.argsort(values[~unlabelled])
    n_runs = 1 + np.count_nonzero(np.diff(y[~unlabelled][order]))
    return bool(1 < n_runs == len(np.unique(y[~unlabelled])))


def circular_hint(column: Column, cells: pd.Series) -> str:
    """A remark on numbers that look as if they began again, or nothing.

    Their name says so, they lie between 0 and the period, and some lie at both ends.
    """
    if column.kind != "numeric" or column.period or column.order:
        return ""
    for period, words in _PERIODS.items():
        if words.search(column.name) is None:
            continue
        values = cells.to_numpy(np.float64, na_value=np.nan)
        low, high = np.nanmin(values), np.nanmax(values)
        if 0 <= low <= _EDGE * period and (1 - _EDGE) * period <= high <= period:
            return (
                f"looks circular, from 0 to {period:g}, and its ends are taken to be far apart;"
                f" --circular={column.name}:{period:g} makes them neighbours"
            )
    return ""
