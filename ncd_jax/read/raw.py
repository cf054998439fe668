"""A table as it stands in a file or a frame, before anything is made of its cells."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ncd_jax.read.gaps import MARKS
from ncd_jax.read.names import is_index_name

__all__ = ["RawTable", "is_empty"]


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

    @property
    def separator(self) -> str:
        """Between the cells of a file; empty where there is none."""
        return self.facts.get("separator", "")

    def number(self, row: int) -> int:
        """The number in the table of a row of the frame."""
        return row if self.rows is None else int(self.rows[row])

    def where(self, row: int) -> str:
        """The place of a row, for people: its line in the file, or else its number from 0."""
        return f"row {self.number(row)}" if self.lines is None else f"line {self.lines[row]}"

    def without_blank_rows(self, features: Sequence[str]) -> "RawTable":
        """The same without rows in which no feature has a cell, and a note on them.

        Columns that number the rows are no features. Where no column has more than one value,
        that a row has none may be what it says, and it stays.
        """
        columns = [name for name in features if not is_index_name(name)] or list(features)
        blank = np.ones(len(self.frame), bool)
        for name in columns:
            blank &= is_empty(self.frame[name]) if blank.any() else False
        if not blank.any() or blank.all() or not self._has_values(columns):
            return self
        places = [self.where(row) for row in np.flatnonzero(blank)[:3]]
        more = ", ..." if blank.sum() > len(places) else ""
        note = f"{blank.sum()} rows without any cell left out: {', '.join(places)}{more}"
        rows = np.arange(len(blank)) if self.rows is None else self.rows
        return dataclasses.replace(
            self,
            frame=self.frame[~blank].reset_index(drop=True),
            lines=None if self.lines is None else self.lines[~blank],
            rows=rows[~blank],
            notes=(*self.notes, note),
        )

    def _has_values(self, columns: Sequence[str]) -> bool:
        return any(
            self.frame[name][~is_empty(self.frame[name])].astype(str).nunique() > 1
            for name in columns
        )


def is_empty(cells: pd.Series) -> np.ndarray:
    """Where no cell is, or a mark for none: `bool[n]`."""
    empty = cells.isna().to_numpy()
    if isinstance(cells.dtype, pd.CategoricalDtype):
        cells = cells.astype(object)
    if cells.dtype == object or pd.api.types.is_string_dtype(cells.dtype):
        empty = empty | cells.isin(MARKS).to_numpy()
        rest = cells[~empty]
        if cells.dtype == object:
            empty[~empty] = [isinstance(cell, str) and not cell.strip() for cell in rest]
        elif len(rest):
            empty[~empty] = (rest.str.strip() == "").to_numpy(bool)
    return np.asarray(empty, bool)
