"""A table of the user's own: a file or a frame with one column of class names."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.data.encode import Encoder
from ncd_jax.data.groups import GroupCentres, centring, group_note
from ncd_jax.data.labelled_rows import how_labelled
from ncd_jax.data.selection import NOT_RANDOM
from ncd_jax.data.table import Table
from ncd_jax.errors import UserError
from ncd_jax.read.cells import Again, Manner, numbers
from ncd_jax.read.columns import Column, Reading, TableReading
from ncd_jax.read.describe import Description, describe
from ncd_jax.read.dtypes import to_frame
from ncd_jax.read.false_rows import without_false_rows, without_headers
from ncd_jax.read.files import read_batches, read_raw
from ncd_jax.read.labels import read_labels
from ncd_jax.read.names import Mistakes, checked_names, find_names, show
from ncd_jax.read.options import NO_WISHES, Choose, ReadOptions
from ncd_jax.read.raw import RawTable, is_empty
from ncd_jax.read.remarks import leakage_notes, unlabelled_alone
from ncd_jax.read.several import source_of, split_cells
from ncd_jax.read.words import as_text

__all__ = [
    "NewRows",
    "RowEncoder",
    "encoded_table",
    "read_numeric_rows",
    "read_rows_in_batches",
    "read_table",
]

BATCH = 1 << 23
"""Cells of a batch of new rows: half a million rows of 16 columns."""


@dataclass(frozen=True, eq=False)
class NewRows:
    """Rows that a model is to be applied to.

    Attributes:
        x: `f[n, d]`, as the model takes them.
        copied: columns that are copied to the answer.
        rows: `i[n]`, the number of each row in the table that it was read from.
        notes: for people.
    """

    x: np.ndarray
    copied: pd.DataFrame
    rows: np.ndarray
    notes: tuple[str, ...] = ()


def read_table(
    source: Path | Any, label: str, *, unlabelled: Any = None, options: ReadOptions = NO_WISHES
) -> Table:
    """Reads a table with known and unlabelled rows, and encodes it.

    Class names are what is in the label column, less white space around it. Whole numbers are
    written without a fraction. Classes are sorted, numbers by value and before other names.

    Args:
        source: a file as `files.read_raw` takes it, or a frame of pandas, Polars or Arrow, whose
            index does not count.
        label: the column of class names; empty on the rows to discover.
        unlabelled: a value that means unlabelled as well, such as -1; see `labels.read_labels`.
        options: how it is to be read, where people know better.

    Raises:
        UserError: the source cannot be read as such a table, or has no labelled or no
            unlabelled row.
    """
    features: list[str] = []

    def choose(names: Sequence[str]) -> list[str]:
        features[:] = options.features(names, label)
        used = {*features, label, *options.copied, *([options.group] if options.group else [])}
        return [name for name in names if name in used]

    raw = _load(source, choose, options)
    with _located(source):
        raw = without_false_rows(raw, features, label)
        raw, names = split_cells(raw, features, (*options.wished, *options.copied))
        with Mistakes() as mistakes:
            labels = mistakes.add(read_labels, raw.frame[label], label, unlabelled)
            found = mistakes.add(describe, raw, names, options)
        name = source.name.split(".")[0] if isinstance(source, Path) else "table"
        readings = _in_order(raw, [labels.reading, *found.readings], options)
        known = labels.classes, labels.y
        return encoded_table(name, raw, found, *known, readings, labels.notes, options)


def encoded_table(
    name: str,
    raw: RawTable,
    found: Description,
    classes: tuple[str, ...],
    y: np.ndarray,
    readings: Sequence[Reading],
    notes: Sequence[str] = (),
    options: ReadOptions = NO_WISHES,
) -> Table:
    """The rows as numbers, with what was found out about them: of a file or from memory alike."""
    use = {*options.use, *(options.columns or ())}
    alone = unlabelled_alone(found.columns, found.frame, y)
    left_out = {k: f"it {v}; --use={k} takes it back" for k, v in alone.items() if k not in use}
    if len(left_out) == len(found.columns):  # something must be left to work with
        left_out = {}
    told = [f"column {show(name)} left out: {why}" for name, why in left_out.items()]
    every = found
    found = found.without(left_out) if left_out else found
    encoder = Encoder.fit(found.frame, found.columns, options.copied)
    of_groups: tuple[str, ...] = ()
    x, group, group_names = encoder.apply(found.frame), None, ()
    if options.group:
        encoder, x, of_groups = _in_groups(encoder, x, y, raw.frame[options.group])
        group, group_names = pd.factorize(raw.frame[options.group].map(as_text))
    how = how_labelled(encoder, found.frame, x, y, use)
    if how.batch and not options.group and how.batch in raw.frame:
        # As a plate, a shop or a week does, it says where rows were labelled, not what they are.
        taken = (
            f"column {show(how.batch)} is taken for groups of rows, as by --group={how.batch};"
            f" --use={how.batch} makes it a feature"
        )
        as_group = _no_features(readings, "group", {how.batch: "labels end in it"})
        found, options = every.without([how.batch]), dataclasses.replace(options, group=how.batch)
        return encoded_table(name, raw, found, classes, y, as_group, (taken, *notes), options)
    if how.left_out:
        x, encoder = encoder.without(x, how.left_out)
        found = found.without(how.left_out)
    readings = _no_features(readings, "left out", left_out | how.left_out)
    notes = (*of_groups, *how.notes, *raw.notes, *notes, *told, *found.notes)
    notes += tuple(leakage_notes(found.columns, found.frame, y))
    facts = dict(raw.facts)
    if any(column.decimal for column in found.columns) or raw.lines is not None:
        facts["decimal mark"] = found.locale.decimal
    return Table(
        name,
        x,
        y,
        encoder.names,
        classes,
        standardise=False,
        encoder=encoder,
        frame=found.frame,
        notes=tuple(notes),
        rows=raw.rows,
        reading=TableReading(facts, tuple(readings), tuple(notes)),
        copied=raw.frame[options.copied] if options.copied else None,
        group=group,
        group_column=options.group,
        group_names=tuple(group_names),
    )


def _no_features(readings: Sequence[Reading], kind: str, why: Mapping[str, str]) -> list[Reading]:
    """The readings, those of some columns as what they are instead of features, and why."""
    return [
        dataclasses.replace(each, kind=kind, form="", remark=why[each.name])
        if each.name in why
        else each
        for each in readings
    ]


def _in_groups(
    encoder: Encoder, x: np.ndarray, y: np.ndarray, cells: pd.Series
) -> tuple[Encoder, np.ndarray, tuple[str, ...]]:
    """The encoder and its rows, centred within groups where that helps, and what is said of it."""
    column, names = str(cells.name), cells.map(as_text).tolist()
    at = [i for b in encoder.blocks if b.kind == "numeric" for i in range(b.start, b.stop)]
    notes = []
    if without := group_note(column, names, y):
        notes.append(f"{NOT_RANDOM}: {without}")
    if at:
        centres = GroupCentres.fit(column, names, x, at)
        helps, why = centring(centres, names, x, y)
        notes.append(why)
        if helps:
            encoder = dataclasses.replace(encoder, centres=centres)
            x = centres.apply(names, x)
    return encoder, x, tuple(notes)


def read_rows_in_batches(
    source: Path, encoder: Encoder, options: ReadOptions = NO_WISHES, n_done: int = 0
) -> Iterator[NewRows]:
    """Encodes new rows as those of the training table, in batches of rows that number them on.

    Columns may come in any order, and others than the encoder's are ignored. What was copied into
    the answer of the run is copied here too, where it is there and nothing else is asked for.

    Of a table of one batch rows are left out as in training. Of a larger one the first batch says
    what the mark of fractions is and whether the day comes first, units are looked for in its first
    row, and no row is taken for a sum of the others, which nobody sees together. The first `n_done`
    rows are left out, a whole number of batches.

    Raises:
        UserError: the source cannot be read, lacks columns, or has columns of another kind; all of
            them are named. Batches before a mistake have been given then.
    """
    rows = RowEncoder(encoder, options)
    batches = read_batches(source, rows.choose, options, BATCH)
    is_first, raw = True, next(batches, None)
    while raw is not None:
        after = next(batches, None)
        if raw.numbers[-1] < n_done and not is_first:
            raw = after
            continue
        with _located(source):
            if is_first and after is None:
                raw = without_false_rows(raw, ())
            else:
                raw = without_headers(raw, is_first)
            x, odd = rows.encode(raw)
        notes = (*(rows.notes if is_first else ()), *raw.notes, *odd)
        if raw.numbers[-1] >= n_done:
            yield NewRows(x, raw.frame[rows.copied], raw.numbers, notes)
        is_first, raw = False, after


class RowEncoder:
    """Encodes new rows, in one batch or several; the first says how the table is written.

    Attributes:
        copied: columns that are copied into the answer.
        notes: for people.
    """

    def __init__(self, encoder: Encoder, options: ReadOptions = NO_WISHES) -> None:
        self._encoder, self.copied = encoder, list(options.copied)
        self.notes: list[str] = []
        self._again = Again([code.column for code in encoder.codes], options)

    def choose(self, names: Sequence[str]) -> list[str]:
        """The columns that new rows must have; see `options.Choose`."""
        encoder = self._encoder
        if not self.copied:
            self.copied = [name for name in encoder.copied if name in names]
            self.notes = [
                f"column {name!r}, which the run copied into its answer, is not there"
                for name in encoder.copied
                if name not in names
            ]
        needed = [source_of(name, names) for name in encoder.needed]
        find_names([*needed, *self.copied], names)
        return list(dict.fromkeys([*needed, *self.copied]))

    def encode(self, raw: RawTable) -> tuple[np.ndarray, list[str]]:
        """Rows as those of the training table, `f32[n, d]`, and notes on cells that are gaps now.

        Raises:
            UserError: columns are missing, or of another kind for the most part.
        """
        encoder = self._encoder
        raw, _ = split_cells(raw, list(raw.frame), raw.frame, encoder.columns)
        frame, odd = self._again.read(raw)
        if encoder.centres is not None:
            frame[encoder.centres.column] = raw.frame[encoder.centres.column]
        return encoder.apply(frame), odd


def read_numeric_rows(
    source: Path, columns: Sequence[str], options: ReadOptions = NO_WISHES
) -> NewRows:
    """Reads new rows of a table that is numbers throughout: `f64[n, d]`.

    Raises:
        UserError: the file cannot be read, lacks columns, or has cells in them that are no numbers.
    """

    def choose(names: Sequence[str]) -> list[str]:
        find_names([*columns, *options.copied], names)
        return [*columns, *options.copied]

    raw = read_raw(source, choose, options)
    x = np.empty((len(raw.frame), len(columns)))

    def fill(i: int, name: str) -> None:
        x[:, i] = numbers(Column(name, "numeric"), raw.frame[name], Manner(raw.where))
        if empty := np.flatnonzero(np.isnan(x[:, i])).tolist():
            places = ", ".join(raw.where(row) for row in empty[:8])
            raise UserError(
                f"column {name!r} is empty in {places}; the table of this run has no gaps"
            )

    with _located(source), Mistakes() as mistakes:
        for i, name in enumerate(columns):
            mistakes.add(fill, i, name)
    return NewRows(x, raw.frame[options.copied], raw.numbers)


def _load(source: Path | Any, choose: Choose, options: ReadOptions) -> RawTable:
    if isinstance(source, Path):
        return read_raw(source, choose, options)
    frame = to_frame(source)
    names = checked_names(list(frame.columns))
    choose(names)
    if len(frame) == 0:
        raise UserError("the table has no rows; add the rows")
    # No cell is copied, not even to leave columns out.
    return RawTable(frame if names == list(frame.columns) else frame.set_axis(names, axis=1))


def _in_order(raw: RawTable, readings: Sequence[Reading], options: ReadOptions) -> list[Reading]:
    """What was read as what, in the order of the table; columns that are no features too."""
    found = {each.name: each for each in readings}
    kinds = {options.group: "group"} | dict.fromkeys(options.copied, "copied") | {options.id: "id"}
    for name, kind in kinds.items():
        if name and name not in found:
            empty = int(is_empty(raw.frame[name]).sum())
            found[name] = Reading(name, kind, filled=len(raw.frame) - empty, empty=empty)
    return [found[name] for name in map(str, raw.frame.columns) if name in found]


@contextlib.contextmanager
def _located(source: Path | Any) -> Iterator[None]:
    """Says of mistakes which file they are in."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}" if isinstance(source, Path) else str(error)) from None
