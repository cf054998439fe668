"""Tables of columns of any kind as one matrix, and the record of how, stored without pickle."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.data.column_codes import Block, NumberCode, WordCode
from ncd_jax.data.groups import GroupCentres
from ncd_jax.read.columns import Column
from ncd_jax.read.names import find_names
from ncd_jax.read.threads import each_in_threads
from ncd_jax.read.words import as_text

__all__ = ["Encoder"]


@dataclass(frozen=True)
class Encoder:
    """From a table with columns of any kind to the numbers that methods take.

    Attributes:
        codes: how each column is encoded.
        copied: columns of the training table that are copied into answers, and are so of new rows.
        centres: within which groups numbers are centred; none where they are not.
    """

    codes: tuple[NumberCode | WordCode, ...]
    copied: tuple[str, ...] = ()
    centres: GroupCentres | None = None

    @classmethod
    def fit(
        cls, frame: pd.DataFrame, columns: Sequence[Column], copied: Sequence[str] = ()
    ) -> "Encoder":
        """Measures all rows of the training table, known and unlabelled alike.

        Columns go by their names, so that their order in the table plays no part.
        """
        columns = sorted(columns, key=lambda column: column.name)
        codes = each_in_threads(lambda c: _fit(c, frame[c.name]), columns, len(frame))
        return cls(tuple(codes), tuple(copied))

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns that are read, in order."""
        return tuple(code.column.name for code in self.codes)

    @property
    def needed(self) -> tuple[str, ...]:
        """Names of all columns that rows must have: those, and the one of groups."""
        return (*self.columns, *([self.centres.column] if self.centres else []))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the `d` encoded columns: `age`, `city=Paris`, `born:year_sin`."""
        return tuple(name for code in self.codes for name in code.names())

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The encoded columns in blocks, in order and without gaps."""
        blocks: list[Block] = []
        for code in self.codes:
            blocks += code.blocks(blocks[-1].stop if blocks else 0)
        return tuple(blocks)

    def apply(self, frame: pd.DataFrame) -> np.ndarray:
        """Encodes rows, in their own types or as they are written: `f32[n, d]`.

        Columns may come in any order; others are ignored.

        Raises:
            UserError: columns are missing, or cells are not of their column's kind; all are named.
        """
        find_names(self.needed, list(frame))
        x = np.empty((len(frame), len(self.names)), np.float32)
        stops = np.cumsum([len(code.names()) for code in self.codes]).tolist()

        def apply(i: int) -> None:
            code, start = self.codes[i], stops[i] - len(self.codes[i].names())
            code.apply(frame[code.column.name], x[:, start : stops[i]])

        each_in_threads(apply, range(len(stops)), len(frame))
        if self.centres is not None:
            x = self.centres.apply(frame[self.centres.column].map(as_text).tolist(), x)
        return x

    def without(self, x: np.ndarray, names: Collection[str]) -> tuple[np.ndarray, "Encoder"]:
        """Encoded rows `f32[n, d]` and the encoder, less some of the columns."""
        gone = [np.arange(b.start, b.stop) for b in self.blocks if b.column in names]
        kept = tuple(code for code in self.codes if code.column.name not in names)
        return np.delete(x, np.concatenate(gone), axis=1), dataclasses.replace(self, codes=kept)

    def is_blank(self, x: np.ndarray) -> np.ndarray:
        """Encoded rows `f32[n, d]` that look as if they had no filled cell, `bool[n]`."""
        nothing = pd.DataFrame({name: pd.Series([None], dtype=object) for name in self.columns})
        return np.asarray((x == Encoder(self.codes).apply(nothing)).all(axis=1))

    def to_json(self) -> dict[str, Any]:
        """The encoder as JSON can say it; numbers keep every digit."""
        return {
            "codes": [dataclasses.asdict(code) for code in self.codes],
            "copied": [*self.copied],
            "centres": self.centres and dataclasses.asdict(self.centres),
        }

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "Encoder":
        """Undoes `to_json`.

        Raises:
            KeyError, TypeError, ValueError: the facts are not those of an encoder.
        """
        centres = facts["centres"]
        centres = None if centres is None else GroupCentres.from_json(centres)
        return cls(tuple(map(_code, facts["codes"])), tuple(facts["copied"]), centres)


def _fit(column: Column, cells: pd.Series) -> NumberCode | WordCode:
    if column.kind in ("boolean", "category"):
        return WordCode.fit(column, cells)
    return NumberCode.fit(column, cells)


def _code(fact: Mapping[str, Any]) -> NumberCode | WordCode:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fact.items()}
    fields["column"] = Column.from_json(fact["column"])
    code = WordCode(**fields) if "words" in fields else NumberCode(**fields)
    code.check()
    return code
