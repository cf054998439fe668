"""A table on the host: what the rest of the package is given to work on."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncd_jax.data.encode import Encoder
from ncd_jax.read.columns import TableReading

__all__ = ["Table", "Truth", "is_novel_name"]


def is_novel_name(name: str) -> bool:
    """Whether it is one that a run gives a new class: `novel_0`, `novel_1`, ..."""
    return re.fullmatch(r"novel_\d+", name) is not None


@dataclass(frozen=True)
class Table:
    """A table as numbers, with known and unlabelled rows, and no novel label anywhere.

    Attributes:
        name: for people and for folder names.
        x: `f64[n, d]`, raw columns, all finite; `f32[n, d]`, encoded, where there is an encoder.
        y: `i32[n]`, index into `classes`, or `UNLABELLED`.
        columns: names of the `d` columns.
        classes: names of the `C` known classes.
        x_test: `f64[m, d]`, rows of a given test split, or none.
        y_test: `i32[m]`, like `y`; truly novel test rows are `UNLABELLED`.
        standardise: whether columns are to be brought to mean 0 and variance 1. Not for
            columns whose common unit means something, such as word counts.
        encoder: from columns of any kind to `x`; none where the columns are `x` itself.
        frame: the columns that are used as people know them: numbers, dates, words; none where
            the columns are `x` itself.
        notes: for people: what was left out, and what they may want to look at.
        rows: `i[n]`, the number of every row in the table that it was read from, where some were
            left out; none where all are there.
        reading: how the table was understood; none of a benchmark table.
        copied: columns of these rows that are copied to the answer; none where there are none.
        group: `i[n]`, the group of every row, such as its plate; none where there are no groups.
        group_column: where groups were read from.
        group_names: what they are called there.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    standardise: bool = True
    encoder: Encoder | None = None
    frame: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()
    rows: np.ndarray | None = None
    reading: TableReading | None = None
    copied: pd.DataFrame | None = None
    group: np.ndarray | None = None
    group_column: str = ""
    group_names: tuple[str, ...] = ()

    @property
    def row_numbers(self) -> np.ndarray:
        """The number of every row in the table that it was read from, `i[n]`."""
        return np.arange(len(self.y)) if self.rows is None else self.rows

    @property
    def categories(self) -> tuple[tuple[int, int], ...]:
        """Columns of `x` that are one category together: the first one and the one behind."""
        blocks = self.encoder.blocks if self.encoder is not None else ()
        return tuple((b.start, b.stop) for b in blocks if b.kind == "categorical")

    def original(self) -> pd.DataFrame:
        """The columns in use, as people know them."""
        if self.frame is not None:
            return self.frame
        return pd.DataFrame(self.x, columns=list(self.columns))


@dataclass(frozen=True)
class Truth:
    """The novel labels of a benchmark table. Only scoring and the report may take one.

    Attributes:
        classes: names of the novel classes.
        y: `i32[n]`, index into `classes` for novel rows, -1 for known ones.
        y_test: the same for the test split, or none.
    """

    classes: tuple[str, ...]
    y: np.ndarray
    y_test: np.ndarray | None = None
