"""A table as it stands in a file or a frame, before anything is made of its cells."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow

from ncd_jax.read.dtypes import arrow_of, bytes_of, compute, holds_text
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.words import Words, words_of

__all__ = ["RawTable", "is_empty"]

_MARKS = pyarrow.array(sorted(MARKS), pyarrow.large_string())


@dataclass(frozen=True)
class RawTable:
    """Columns as they are stored, text as it is written.

    Attributes:
        frame: the columns that were asked for.
        lines: `i[n]`, the line of the file in which each row begins; none where there are no lines.
        rows: `i[n]`, the number of each row in the table, from 0; none where all are there.
        facts: what was found out about the file, for people: `encoding`, `separator`, `sheet`.
        notes: for people.
    """

    frame: pd.DataFrame
    lines: np.ndarray | None = None
    rows: np.ndarray | None = None
    facts: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _words: dict[str, Words] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def separator(self) -> str:
        """Between the cells of a file; empty where there is none."""
        return self.facts.get("separator", "")

    @property
    def numbers(self) -> np.ndarray:
        """The number of each row in the table, `i[n]`."""
        return np.arange(len(self.frame)) if self.rows is None else self.rows

    def words(self, name: str) -> Words:
        """The words of a column; they are found once.

        Raises:
            UserError: its cells hold lists or the like.
        """
        if name not in self._words:
            self._words[name] = words_of(self.frame[name])
        return self._words[name]

    def number(self, row: int) -> int:
        """The number in the table of a row of the frame."""
        return row if self.rows is None else int(self.rows[row])

    def where(self, row: int) -> str:
        """The place of a row, for people: its line in the file, or else its number from 0."""
        return f"row {self.number(row)}" if self.lines is None else f"line {self.lines[row]}"

    def without(self, left_out: np.ndarray, note: str) -> "RawTable":
        """The same without rows `bool[n]`, and a note on them; others keep their numbers."""
        return dataclasses.replace(
            self,
            frame=self.frame[~left_out].reset_index(drop=True),
            lines=None if self.lines is None else self.lines[~left_out],
            rows=self.numbers[~left_out],
            notes=(*self.notes, note),
        )


def is_empty(cells: pd.Series) -> np.ndarray:
    """Where no cell is, or a mark for none: `bool[n]`."""
    if (text := arrow_of(cells)) is not None:
        found = bytes_of(text)
        if found.are_numeric and not text.null_count:  # as no mark is
            return found.lengths == 0
        is_blank = compute.equal(compute.utf8_trim_whitespace(text), "")
        return np.asarray(compute.or_(compute.is_in(text, _MARKS), is_blank).fill_null(True))
    empty = np.array(cells.isna(), bool)
    if isinstance(cells.dtype, pd.CategoricalDtype) or holds_text(cells):
        rest = cells.astype(object)[~empty]
        empty[~empty] = [isinstance(c, str) and (c in MARKS or not c.strip()) for c in rest]
    return empty
