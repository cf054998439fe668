"""What was found in a column, in words for people: gaps, odd cells, forms and mistakes."""

import dataclasses
from collections.abc import Collection

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.cells import as_float
from ncd_jax.read.columns import MAX_CATEGORIES, Column, OddCell, Reading
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.names import show
from ncd_jax.read.raw import RawTable
from ncd_jax.read.recognise import Form
from ncd_jax.read.words import Words, as_text

__all__ = ["KINDS", "blamed", "found_in", "listed", "used_as"]

KINDS = {"numeric": "numbers", "date": "dates", "boolean": "yes/no", "category": "categories"}
"""Kinds of columns, for people."""
_LISTED = 20
"""Odd cells of a column that a message lists."""
_MOST_RARE = 0.5
"""Share of cells with rare levels from which a category says little."""


def found_in(raw: RawTable, form: Form, words: Words | None, cells: pd.Series) -> Reading:
    """What was found in a column, whether or not it is used.

    Args:
        raw: the table.
        form: what the column was recognised as.
        words: its words, where it is text.
        cells: its cells, in their own type.
    """
    column, stored = form.column, raw.frame[form.column.name]
    if words is not None:
        marks = MARKS.union(column.gaps)
        counts = zip(words.words, words.counts.tolist(), strict=True)
        gaps = [(word, count) for word, count in counts if word in marks]
        odd = _cells_with(raw, words, form.odd)
    else:
        means = {value for value in map(as_float, column.gaps) if value is not None}
        means = means if column.kind == "numeric" else set()
        is_gap = stored.isin(means).to_numpy(bool) if means else np.zeros(len(stored), bool)
        texts = [as_text(value) for value in stored[is_gap]]
        gaps = [(text, texts.count(text)) for text in sorted(set(texts))]
        rows = np.flatnonzero(np.isinf(stored.to_numpy(float))).tolist() if form.odd else []
        odd = [OddCell(raw.where(r), raw.number(r), as_text(stored.iloc[r])) for r in rows]
    filled = int(cells.notna().sum())
    remarks = [form.remark] if form.remark else []
    if odd:
        kind = KINDS[column.kind]
        remarks.append(f"has {listed(odd)} among its {kind}, taken for gaps")
    return Reading(
        name=column.name,
        kind=KINDS[column.kind],
        form=form.form,
        filled=filled,
        empty=len(stored) - filled - sum(count for _, count in gaps),
        gaps=tuple(gaps),
        odd=tuple(odd),
        remark="; ".join(remarks),
        is_told=form.is_told or bool(odd),
    )


def used_as(reading: Reading, column: Column, cells: pd.Series, words: Words | None) -> Reading:
    """The reading of a column that is used, its levels counted."""
    form = reading.form
    if column.kind == "boolean":
        form = "/".join(reversed(column.levels))
    elif column.kind == "category":
        n_levels, gaps = cells.nunique(), {word for word, _ in reading.gaps}
        form = f"{n_levels} level{'s' * (n_levels != 1)}"
        n_merged = len(set(words.words) - gaps) - n_levels if words is not None else 0
        if n_merged > 0:
            form += f", {n_merged} other spelling{'s' * (n_merged > 1)} merged"
        reading = _with_rare_levels(reading, cells, n_levels)
    return dataclasses.replace(reading, kind=KINDS[column.kind], form=form)


def _with_rare_levels(reading: Reading, cells: pd.Series, n_levels: int) -> Reading:
    """The same, saying so where levels are taken together because there are too many."""
    if n_levels <= MAX_CATEGORIES:
        return reading
    rest = cells.value_counts(normalize=True).iloc[MAX_CATEGORIES - 1 :].sum()
    remark = f"the {MAX_CATEGORIES - 1} most frequent are told apart, the others count as one"
    if rest > _MOST_RARE:
        remark += f", which {rest:.0%} of its cells are then; --drop={reading.name} leaves it out"
    remark = "; ".join(filter(None, (reading.remark, remark)))
    return dataclasses.replace(reading, remark=remark, is_told=reading.is_told or rest > _MOST_RARE)


def blamed(
    raw: RawTable, name: str, words: Words | None, blame: Collection[str], kind: str
) -> UserError:
    """The mistake that cells keep a column from being read, all of them counted.

    Args:
        raw: the table.
        name: of the column.
        words: its words.
        blame: those of these cells.
        kind: what its other cells are.
    """
    odd = _cells_with(raw, words, blame) if words is not None else []
    return UserError(
        f"column {show(name)} has {len(odd)} cells that are not {kind} as its others are:"
        f" {listed(odd)}; mend them, name such words with --missing, or say --categories={name} or"
        f" --drop={name}"
    )


def _cells_with(raw: RawTable, words: Words, these: Collection[str]) -> list[OddCell]:
    """The cells that hold one of these words, in order of rows."""
    if not these:
        return []
    wanted = set(these)
    is_odd = np.array([*(word in wanted for word in words.words), False], bool)
    rows = np.flatnonzero(is_odd[words.codes]).tolist()
    return [OddCell(raw.where(r), raw.number(r), words.words[words.codes[r]]) for r in rows]


def listed(odd: Collection[OddCell]) -> str:
    """Cells with their places, the first of them."""
    cells = ", ".join(f"{show(cell.text)} ({cell.where})" for cell in list(odd)[:_LISTED])
    return cells + (f" and {len(odd) - _LISTED} more" if len(odd) > _LISTED else "")
