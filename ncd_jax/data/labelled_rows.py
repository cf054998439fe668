"""What is said, and done, where the rows that people labelled are no random sample.

A date or a running number that tells labelled rows from unlabelled ones says when people labelled,
not what a row is: it is left out. A column of words of which labelled rows have only some makes
groups, in which numbers may be centred. Of any other column people are told, and how to compare
the answers with and without it. See `selection` for what counts as telling.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.data.encode import Encoder
from ncd_jax.data.selection import (
    NOT_RANDOM,
    Rounded,
    contrast_of_columns,
    direction_in,
    is_by_column,
    look_like_known,
    rounded,
    sampled,
    without_absent,
)
from ncd_jax.read.cells import times
from ncd_jax.read.columns import Column
from ncd_jax.read.names import show
from ncd_jax.types import UNLABELLED

__all__ = ["LabelledRows", "how_labelled"]

FEWEST_ROWS = 10
"""Labelled rows, and unlabelled ones, from which anything is said."""
CLEAN = 0.97
"""Share of rows, or AUC within known classes, from which labels end, not only thin out."""
ALL_SIDES = 0.95
"""AUC of a date against every class from which no row need look like a class."""
DIFFERENT, ALONG = 0.9, 0.95
"""Share of different values of a running number, and its rank correlation with the rows."""
NO_FRACTION = 2.0**53
"""Floats from which all are whole, and so count nothing."""
FEWEST_OF_LEVEL = 0.05
"""Share of unlabelled rows with a word that no labelled row has, from which it is said."""
MOST_NAMED = 3
"""Columns that a sentence names."""


class LabelledRows(NamedTuple):
    """How rows came to be labelled, as far as it shows.

    Attributes:
        left_out: columns that say when a row was labelled, and why they are no features.
        notes: sentences for people, the gravest first; none where labels look random.
        batch: a column of words of which labelled rows have only some; empty where there is none.
    """

    left_out: dict[str, str]
    notes: tuple[str, ...]
    batch: str = ""


class _Sight(NamedTuple):
    """A column as it is looked at: its cells as numbers, or none, and its encoded columns."""

    column: Column
    values: np.ndarray | None
    encoded: np.ndarray
    runs: bool


def how_labelled(
    encoder: Encoder, frame: pd.DataFrame, x: np.ndarray, y: np.ndarray, use: Collection[str] = ()
) -> LabelledRows:
    """Looks for columns, words and directions that tell labelled rows from unlabelled ones.

    Args:
        encoder: of the columns.
        frame: their cells, in their own types.
        x: `f32[n, d]`, the same encoded.
        y: `i32[n]`, the known class of every row, or `UNLABELLED`.
        use: columns that stay features whatever they tell.
    """
    labelled = y != UNLABELLED
    if min(labelled.sum(), (~labelled).sum()) < FEWEST_ROWS:
        return LabelledRows({}, ())
    rows = sampled(y)
    y, frame = without_absent(y[rows]), frame.iloc[rows]
    space = rounded(x[rows], y)
    sights = [_sight(code.column, frame, encoder) for code in encoder.codes]
    left_out, notes = _by_numbers(space, [s for s in sights if s.values is not None], use)
    if len(left_out) == len(sights):  # something must be left to work with
        left_out = {}
    batch = ""
    for sight in sights:
        if sight.values is None and (said := _by_words(space, sight, frame[sight.column.name])):
            name = sight.column.name
            if name in use or len(left_out) == len(sights) - 1:
                notes.append(f"{said}; compare the answer with that of --group={name}")
                continue
            remedy = f"{show(name)} is left out, --use={name} takes it back"
            left_out[name] = f"labels end in it; --use={name} takes it back"
            notes.append(f"{said}; {remedy}")
            batch = batch or name
    if not notes:
        notes = _by_all(space, sights)
    return LabelledRows(left_out, tuple(notes), batch)


def _sight(column: Column, frame: pd.DataFrame, encoder: Encoder) -> _Sight:
    blocks = [block for block in encoder.blocks if block.column == column.name]
    encoded = np.concatenate([np.arange(block.start, block.stop) for block in blocks])
    cells, values, runs = frame[column.name], None, False
    if column.kind == "date":
        stamps = times(column, cells).astype("datetime64[s]")
        values = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64))
        runs = True
    elif column.kind == "numeric":
        values = cells.to_numpy(float)
        runs = _runs(values)
    return _Sight(column, values, encoded, runs)


def _runs(values: np.ndarray) -> bool:
    """Whether numbers, nearly all different, count something: whole, or along the rows."""
    filled = values[np.isfinite(values)]
    if len(filled) < FEWEST_ROWS:
        return False
    if len(np.unique(filled)) < DIFFERENT * len(filled):
        return False
    along = np.corrcoef(pd.Series(filled).rank(), np.arange(len(filled)))[0, 1]
    is_whole = (filled % 1 == 0).all() and np.abs(filled).max() < NO_FRACTION
    return bool(is_whole or abs(along) >= ALONG)


def _by_numbers(
    space: Rounded, sights: list[_Sight], use: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """Single columns of numbers and dates that tell."""
    scores = [sight.values for sight in sights if sight.values is not None]
    contrasts = contrast_of_columns(space, [sight.encoded for sight in sights], scores)
    left_out, notes, measured = {}, [], []
    for sight, score, contrast in zip(sights, scores, contrasts, strict=True):
        name = sight.column.name
        rising = contrast.auc > 0.5
        tells = is_by_column(contrast, runs=sight.runs)
        if sight.runs and not tells and (side := _side_of_all(space.y, score)):
            tells, rising = True, side > 0
        if not tells:
            continue
        where = f"{NOT_RANDOM}: {_ends(sight, score, space.y, rising, contrast.size)}"
        if not sight.runs:
            remedy = f"compare the answer with that of --drop={name}"
            measured.append((-contrast.size, f"{where}; {remedy}"))
        elif name in use:
            notes.append(f"{where}; {show(name)} is used all the same, as --use says")
        else:
            remedy = f"{show(name)} is left out, --use={name} takes it back"
            notes.append(f"{where}; {remedy}")
            left_out[name] = f"labels end in it; --use={name} takes it back"
    return left_out, notes + [note for _, note in sorted(measured)[:MOST_NAMED]]


def _side_of_all(y: np.ndarray, score: np.ndarray) -> int:
    """The side, 1 or -1, on which all unlabelled rows lie of every known class; 0 for neither."""
    there = np.isfinite(score)
    unlabelled = np.sort(score[there & (y == UNLABELLED)])
    above = []
    for c in range(int(y.max()) + 1):
        own = score[there & (y == c)]
        if len(own) and len(unlabelled):
            n = np.searchsorted(unlabelled, own, "left") + np.searchsorted(unlabelled, own, "right")
            above.append(1 - float(n.mean()) / (2 * len(unlabelled)))
    if not above:
        return 0
    return int(min(above) >= ALL_SIDES) - int(max(above) <= 1 - ALL_SIDES)


def _ends(sight: _Sight, score: np.ndarray, y: np.ndarray, rising: bool, size: float) -> str:
    """Where labels end in a column with cells `f[n]`, or that they thin out in it.

    Unlabelled rows lie higher where it is rising; `size` is of the contrast within known classes.
    """
    there = np.isfinite(score)
    a, b = score[there & (y != UNLABELLED)], score[there & (y == UNLABELLED)]
    name, last = show(sight.column.name), a.max() if rising else a.min()
    beyond = np.mean(b > last) if rising else np.mean(b < last)
    is_date = sight.column.kind == "date"
    sides = ["before", "after"] if is_date else ["below", "above"]
    early, late = sides if rising else reversed(sides)
    if max(beyond, 0.5 + size) >= CLEAN:
        most = "" if beyond >= CLEAN else f"{beyond:.0%} of the "
        verb = ("end " if rising else "begin ") + ("on" if is_date else "at")
        return (
            f"they {verb} {_shown(sight, last)} in {name}: labelled rows lie {early},"
            f" {most}unlabelled {late}"
        )
    middle = [_shown(sight, float(np.median(each))) for each in (a, b)]
    return (
        f"in {name} half of the labelled rows lie {early} {middle[0]}, half of the unlabelled"
        f" {late} {middle[1]}, and so within what looks like a known class"
    )


def _shown(sight: _Sight, value: float) -> str:
    if sight.column.kind == "date":
        stamp = pd.Timestamp(int(value), unit="s")
        return str(stamp.date() if stamp == stamp.normalize() else stamp)
    return f"{value:.6g}"


def _by_words(space: Rounded, sight: _Sight, cells: pd.Series) -> str:
    """Words that no labelled row has, and many unlabelled ones that look like known classes."""
    codes, words = pd.factorize(cells)
    unlabelled, missing, n = space.y == UNLABELLED, [], 0
    least = max(FEWEST_ROWS, FEWEST_OF_LEVEL * unlabelled.sum())
    for code, word in enumerate(words):
        rows = np.flatnonzero(codes == code)
        is_missing = len(rows) >= least and unlabelled[rows].all()
        if is_missing and look_like_known(space, rows, sight.encoded):
            missing.append(show(word))
            n += len(rows)
    if not missing:
        return ""
    return (
        f"{NOT_RANDOM}: no labelled row has {' or '.join(missing[:MOST_NAMED])} in"
        f" {show(sight.column.name)}, which {n / unlabelled.sum():.0%} of the unlabelled rows have"
    )


def _by_all(space: Rounded, sights: list[_Sight]) -> list[str]:
    """All columns together."""
    found = direction_in(space)
    if found is None:
        return []
    direction, contrast = found
    parts = [np.abs(direction.reads[sight.encoded]).sum() for sight in sights]
    most = [sights[i].column.name for i in np.argsort(parts)[::-1][:MOST_NAMED]]
    return [
        f"{NOT_RANDOM}: within what looks like a known class an unlabelled row is told from a"
        f" labelled one in {contrast.auc:.0%} of pairs, most of all by"
        f" {', '.join(map(show, most))}; known rows where no row is labelled may be called new:"
        " label some there"
    ]
