"""A table on the host: what the rest of the package is given to work on."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Table", "Truth"]


@dataclass(frozen=True)
class Table:
    """A numeric table with known and unlabelled rows, and no novel label anywhere.

    Attributes:
        name: for people and for folder names.
        x: `f64[n, d]`, raw columns, all finite.
        y: `i32[n]`, index into `classes`, or `UNLABELLED`.
        columns: names of the `d` columns.
        classes: names of the `C` known classes.
        x_test: `f64[m, d]`, rows of a given test split, or none.
        y_test: `i32[m]`, like `y`; truly novel test rows are `UNLABELLED`.
        standardise: whether columns are to be brought to mean 0 and variance 1. Not for
            columns whose common unit means something, such as word counts.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    standardise: bool = True


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
