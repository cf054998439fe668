"""A table of the user's own: numeric CSV, with empty label cells on the rows to discover."""

import csv
import difflib
import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.errors import UserError
from ncd_jax.types import UNLABELLED

__all__ = ["read_csv_rows", "read_csv_table"]

_BOOLEANS = {"true": 1.0, "false": 0.0}
_MOST_NAMES = 10
"""Names that an error message lists; with more of them a list helps nobody."""


def read_csv_table(path: Path, label_column: str) -> Table:
    """Reads a table with known and unlabelled rows.

    Every column but the label must hold numbers (`true` and `false` count as 1 and 0). Class
    names are what is written in the label column, less white space around it, so `1` and
    `1.0` are two classes. Classes are sorted, numbers by value and before other names.

    Args:
        path: a comma-separated UTF-8 file with a header row.
        label_column: the column of class names; empty on the rows to discover.

    Raises:
        UserError: the file cannot be read as such a table, has no labelled or no unlabelled
            row, or has fewer than three known classes.
    """
    header, rows = _open(path)
    label_at = _position(path, header, label_column)
    feature_at = [i for i in range(len(header)) if i != label_at]
    if not feature_at:
        raise UserError(f"{path}: only the label column is there; add columns with features")
    labels, x = [], array("d")
    for number, row in enumerate(rows):
        labels.append(row[label_at].strip())
        x.extend(_numbers(path, header, number, row, feature_at))
    columns = tuple(header[i] for i in feature_at)

    classes = sorted(set(labels) - {""}, key=_natural_order)
    _check_labels(path, label_column, labels, classes)
    codes = {name: code for code, name in enumerate(classes)} | {"": UNLABELLED}
    return Table(
        name=path.stem,
        x=np.array(x).reshape(-1, len(columns)),
        y=np.array([codes[label] for label in labels], np.int32),
        columns=columns,
        classes=tuple(classes),
    )


def read_csv_rows(path: Path, columns: Sequence[str]) -> np.ndarray:
    """Reads the named columns, in the order given: `f64[n, d]`. Others are ignored.

    Raises:
        UserError: the file is not a table, or a column is missing or not numeric.
    """
    header, rows = _open(path)
    at = [_position(path, header, column) for column in columns]
    x = array("d")
    for number, row in enumerate(rows):
        x.extend(_numbers(path, header, number, row, at))
    return np.array(x).reshape(-1, len(columns))


def _open(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """The header, checked, and the data rows, all as wide as it; at least one."""
    lines = _lines(path)
    header = [name.strip() for name in next(lines, [])]
    if not header:
        raise UserError(f"{path} is empty; give a CSV file with a header row")
    for i, name in enumerate(header):
        if not name:
            raise UserError(
                f"{path}: column {i} has no name; name it, or leave it out if it numbers the rows"
            )
        if name in header[:i]:
            raise UserError(f"{path}: two columns are named {_show(name)}; rename one")
    return header, _rows(path, len(header), lines)


def _rows(path: Path, width: int, lines: Iterator[list[str]]) -> Iterator[list[str]]:
    number = -1
    for number, row in enumerate(lines):
        if len(row) != width:
            raise UserError(
                f"{path}: row {number} has {len(row)} cells and the header {width}; mend that row"
                " (rows count from 0 below the header)"
            )
        yield row
    if number < 0:
        raise UserError(f"{path} has a header and no rows; add the rows")


def _lines(path: Path) -> Iterator[list[str]]:
    """The cells of every line that is not blank.

    The standard reader and not that of pandas, which fills short rows with empty cells:
    a row cut before its label would pass for a row to discover.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for line in csv.reader(file, strict=True):
                if line:
                    yield line
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path of the table") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the CSV file itself") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; save the table as CSV in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV table ({error}); save it as CSV") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file") from None


def _position(path: Path, header: list[str], column: str) -> int:
    if column in header:
        return header.index(column)
    close = difflib.get_close_matches(column, header, 1)
    if close:
        hint = f"did you mean {_show(close[0])}?"
    elif len(header) <= _MOST_NAMES:
        hint = f"its columns are {', '.join(map(_show, header))}"
    else:
        hint = f"it has {len(header)} columns, the first of them {_show(header[0])}"
    raise UserError(f"{path} has no column {_show(column)}; {hint}")


def _numbers(
    path: Path, header: list[str], number: int, row: list[str], at: list[int]
) -> list[float]:
    """The cells of one row at the given positions."""
    try:
        values = [float(row[i]) for i in at]
        if all(map(math.isfinite, values)):
            return values
    except ValueError:
        pass
    return [_number(path, header[i], number, row[i]) for i in at]


def _number(path: Path, column: str, number: int, cell: str) -> float:
    """One cell, with all the patience that most rows do not need."""
    where = f"{path}: column {_show(column)}, row {number}"
    cell = cell.strip()
    if not cell:
        raise UserError(f"{where} is empty; fill the cell, or leave out the row or the column")
    if cell.lower() in _BOOLEANS:
        return _BOOLEANS[cell.lower()]
    try:
        value = float(cell)
    except ValueError:
        raise UserError(
            f"{where} is {_show(cell)}, not a number; encode the column as numbers or leave it out"
        ) from None
    if not math.isfinite(value):
        raise UserError(f"{where} is {_show(cell)}; only finite numbers can be used")
    return value


def _check_labels(path: Path, column: str, labels: list[str], classes: list[str]) -> None:
    where = f"{path}: label column {_show(column)}"
    if not classes:
        raise UserError(f"{where} is empty on every row; label the rows of known classes")
    if "" not in labels:
        raise UserError(f"{where} is filled on every row; leave the cell empty on rows to discover")
    if len(classes) < 3:
        raise UserError(
            f"{where} has too few known classes ({', '.join(map(_show, classes))}); give at least"
            " 3, as tuning hides two and trains on the rest"
        )


def _natural_order(name: str) -> tuple[float, str]:
    """Sorts numbers by value, then all other names."""
    try:
        value = float(name)
    except ValueError:
        return math.inf, name
    return (math.inf if math.isnan(value) else value), name


def _show(text: str) -> str:
    """Quoted, on one line, and short."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
