"""What a column is read as: the record that is stored, and the record that is shown."""

import dataclasses
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from ncd_jax.read.date_words import Order
from ncd_jax.read.names import show, some

__all__ = [
    "KINDS",
    "MAX_CATEGORIES",
    "Column",
    "Kind",
    "OddCell",
    "Reading",
    "TableReading",
    "listed",
]

MAX_CATEGORIES = 20
"""Most columns that a category becomes, with those for empty cells and infrequent words."""
_MOST = 12
"""Spellings of a gap that a line shows."""

_LISTED = 20
"""Odd cells of a column that a message lists."""

Kind = Literal["numeric", "boolean", "category", "date"]
KINDS = {"numeric": "numbers", "date": "dates", "boolean": "yes/no", "category": "categories"}
"""Kinds of columns, for people."""


@dataclass(frozen=True)
class Column:
    """A column that is used: what it takes to read cells of it again.

    Attributes:
        name: as in the table.
        kind: what its cells mean.
        decimal: mark of fractions where it is text; empty where it never was.
        unit: what stands beside its numbers, as `number_words.unit_key` has it.
        order: whether the day or the month comes first in its dates; `compact` are dates that
            are written as a number, `20241231`; `clock` are times of day; `duration` are numbers
            of seconds.
        levels: how no and yes are called, of a boolean.
        gaps: words that mean an empty cell, beside those that always do.
        period: of numbers that begin again, such as 360 of degrees; 0 where they do not.
    """

    name: str
    kind: Kind
    decimal: str = ""
    unit: str = ""
    order: Order | Literal["compact", "clock", "duration"] = ""
    levels: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    period: float = 0.0

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Column":
        """From what `dataclasses.asdict` makes of one, by way of JSON."""
        tuples = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        given: dict[str, Any] = {**facts, **tuples}
        return cls(**given)


@dataclass(frozen=True)
class OddCell:
    """A cell that is not what most of its column is: its place for people, its row from 0, text."""

    where: str
    row: int
    text: str


def listed(odd: Collection[OddCell]) -> str:
    """Cells with their places, the first of them."""
    return some([f"{show(cell.text)} ({cell.where})" for cell in odd], _LISTED, count=True)


@dataclass(frozen=True)
class Reading:
    """How a column was understood, for people.

    Attributes:
        name: of the column.
        kind: `numbers`, `dates`, `yes/no`, `categories`, `left out`, `label`, `id`, `error`.
        form: how they are written: `per cent`, `currency $`, `thousands`, `decimal comma`,
            `unit kg`, `day first`, `17 levels, 3 spellings merged`.
        filled: cells that say something.
        empty: cells in which nothing stands.
        gaps: other spellings of an empty cell, and how many cells have each.
        odd: cells that are no gap in the words of anybody, and were taken for one.
        remark: why it was left out, what was assumed, and how to have it otherwise.
        is_told: whether the remark is worth a note before anything is computed.
    """

    name: str
    kind: str
    form: str = ""
    filled: int = 0
    empty: int = 0
    gaps: tuple[tuple[str, int], ...] = ()
    odd: tuple[OddCell, ...] = ()
    remark: str = ""
    is_told: bool = False

    def told(self, remark: str, *, is_told: bool = True) -> "Reading":
        """The same with another remark behind."""
        remark = "; ".join(filter(None, (self.remark, remark)))
        return dataclasses.replace(self, remark=remark, is_told=self.is_told or is_told)

    @property
    def read_as(self) -> str:
        """Kind and form in words."""
        return f"{self.kind} ({self.form})" if self.form else self.kind

    def gap_text(self) -> str:
        """The gaps in words: `12 empty, 3 'NA'`."""
        parts = [f"{self.empty} empty"] if self.empty else []
        parts += [f"{count} {word!r}" for word, count in self.gaps[:_MOST]]
        more = len(self.gaps) - _MOST
        return ", ".join(parts + ([f"{more} more spellings"] if more > 0 else []))

    def to_json(self) -> dict[str, Any]:
        """The reading as JSON can say it."""
        facts = {**dataclasses.asdict(self), "gaps": dict(self.gaps)}
        del facts["is_told"]
        return facts


@dataclass(frozen=True)
class TableReading:
    """How a table was understood, for people: the file, all columns in order, and what to know."""

    facts: Mapping[str, str]
    columns: tuple[Reading, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The reading as JSON can say it: the content of `columns.json`."""
        columns = [reading.to_json() for reading in self.columns]
        return {"file": dict(self.facts), "columns": columns, "notes": list(self.notes)}

    def frame(self) -> pd.DataFrame:
        """A line for each column: its name, what it is read as, its gaps, and a remark."""
        lines = [(c.name, c.read_as, c.filled, c.gap_text(), c.remark) for c in self.columns]
        return pd.DataFrame(lines, columns=["column", "read as", "filled", "gaps", "remark"])
