"""A table of the user's own: a file or a pandas DataFrame with one column of class names."""

import math
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.data.columns import describe
from ncd_jax.data.encode import Encoder
from ncd_jax.data.files import read_frame
from ncd_jax.data.names import checked_names, chosen_names, find_name, show
from ncd_jax.data.table import Table
from ncd_jax.data.text_files import MISSING, Choose
from ncd_jax.data.values import as_text, distinct
from ncd_jax.errors import UserError
from ncd_jax.types import UNLABELLED

__all__ = ["read_numeric_rows", "read_rows", "read_table"]


def read_table(
    source: Path | pd.DataFrame,
    label: str,
    *,
    unlabelled: Any = None,
    columns: Collection[str] | None = None,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
) -> Table:
    """Reads a table with known and unlabelled rows, and encodes it.

    Class names are what is in the label column, less white space around it. Whole numbers are
    written without a fraction. Classes are sorted, numbers by value and before other names.

    Args:
        source: a file as `files.read_frame` takes it, or a frame, whose index does not count.
        label: the column of class names; empty on the rows to discover.
        unlabelled: a value that means unlabelled as well, such as -1.
        columns: features to use, whatever they look like; all by default.
        drop: features to leave out.
        categories: features that are categories, such as codes written as numbers.

    Raises:
        UserError: the source cannot be read as such a table, or has no labelled or no
            unlabelled row.
    """
    features: list[str] = []

    def choose(names: Sequence[str]) -> list[str]:
        chosen = chosen_names(names, label, columns, drop)
        features[:] = [name for name in chosen if name != label]
        for name in categories:
            find_name(name, features)
        return chosen

    frame = _load(source, choose, as_text=[label])
    try:
        classes, y, label_notes = _classes(frame[label], label, unlabelled)
        kinds, notes = describe(frame, features, wanted=columns or (), categories=categories)
        encoder = Encoder.fit(frame, kinds)
        x = encoder.apply(frame)
    except UserError as error:
        raise _located(source, error) from None
    name = source.name.split(".")[0] if isinstance(source, Path) else "table"
    tell_tales = _tell_tales(frame, encoder.columns, y)
    return Table(
        name,
        x,
        y,
        encoder.names,
        classes,
        standardise=False,
        encoder=encoder,
        frame=frame,
        notes=(*label_notes, *notes, *tell_tales),
    )


def read_rows(source: Path | pd.DataFrame, encoder: Encoder) -> np.ndarray:
    """Encodes new rows as those of the training table: `f32[n, d]`.

    Columns may come in any order, and others than the encoder's are ignored.

    Raises:
        UserError: the source cannot be read, lacks a column, or has a cell in it that is not
            of the column's kind.
    """

    def choose(names: Sequence[str]) -> list[str]:
        return [find_name(name, names) for name in encoder.columns]

    frame = _load(source, choose)
    try:
        return encoder.apply(frame)
    except UserError as error:
        raise _located(source, error) from None


def read_numeric_rows(source: Path, columns: Sequence[str]) -> np.ndarray:
    """Reads new rows of a table that is numbers throughout: `f64[n, d]`.

    Raises:
        UserError: the file cannot be read, lacks a column, or has a cell in it that is no number.
    """
    frame = _load(source, lambda names: [find_name(name, names) for name in columns])
    x = np.empty((len(frame), len(columns)))
    for i, name in enumerate(columns):
        x[:, i] = pd.to_numeric(frame[name], errors="coerce")
        if bad := np.flatnonzero(~np.isfinite(x[:, i])).tolist():
            cell = frame[name].iloc[bad[0]]
            raise UserError(
                f"{source}: column {show(name)}, row {bad[0]}: {cell!r} is no number; the table of"
                " this run has numbers only"
            )
    return x


def _load(
    source: Path | pd.DataFrame, choose: Choose, as_text: Collection[str] = ()
) -> pd.DataFrame:
    if isinstance(source, Path):
        return read_frame(source, choose, as_text)
    names = checked_names(list(source.columns))
    choose(names)
    if len(source) == 0:
        raise UserError("the table has no rows; add the rows")
    # No cell is copied, not even to leave columns out.
    return source if names == list(source.columns) else source.set_axis(names, axis=1)


def _located(source: Path | pd.DataFrame, error: UserError) -> UserError:
    return UserError(f"{source}: {error}") if isinstance(source, Path) else error


_FRACTION = re.compile(r"[+-]?\d+\.0+", re.A)


def _classes(
    cells: pd.Series, label: str, unlabelled: Any
) -> tuple[tuple[str, ...], np.ndarray, list[str]]:
    """Names of the known classes, `i32[n]` codes, and notes."""
    where = f"label column {show(label)}"
    codes, words = distinct(cells, as_written=True)
    # Numbers with gaps are stored as 1.0, 2.0, ... by programs that know no empty whole number.
    whole = [word.partition(".")[0] for word in words]
    if all(_FRACTION.fullmatch(word) for word in words) and len(set(whole)) == len(whole):
        words = whole
    notes = []
    if unlabelled is not None:
        value = as_text(unlabelled)
        if value not in words:
            hint = ", ".join(map(show, sorted(words, key=_natural_order)[:10]))
            raise UserError(f"{where} has no cell {show(value)} for unlabelled; it has {hint}")
        codes = np.where(codes == words.index(value), UNLABELLED, codes)
    for word in sorted(set(words) & set(MISSING) - {as_text(unlabelled)}):
        notes.append(
            f"{where}: {show(word)} is taken for the name of a class; if it means unlabelled, say"
            f" --unlabelled={word}"
        )
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(words)))
    if not len(used):
        raise UserError(f"{where} is empty on every row; label the rows of known classes")
    if (codes >= 0).all():
        raise UserError(
            f"{where} is filled on every row; leave the cell empty on rows to discover, or say"
            " which value means unlabelled with --unlabelled"
        )
    order = sorted(used, key=lambda code: _natural_order(words[code]))
    position = np.full(len(words) + 1, UNLABELLED, np.int32)  # the last is for code -1
    position[order] = np.arange(len(order))
    return tuple(words[code] for code in order), position[codes], notes


def _tell_tales(frame: pd.DataFrame, columns: Sequence[str], y: np.ndarray) -> list[str]:
    """Warns of columns that are empty on just the unlabelled rows: labels in disguise."""
    return [
        f"column {show(name)} is empty on all unlabelled rows and filled on all others; if it says"
        " the class in other words, leave it out with --drop"
        for name in columns
        if np.array_equal(frame[name].isna().to_numpy(), y == UNLABELLED)
    ]


def _natural_order(name: str) -> tuple[float, str]:
    """Sorts numbers by value, then all other names."""
    try:
        value = float(name)
    except ValueError:
        return math.inf, name
    return (math.inf if math.isnan(value) else value), name
