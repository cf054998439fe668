"""The column of class names."""

import math
import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.columns import Reading
from ncd_jax.read.gaps import MARKS, is_gap, is_no_class
from ncd_jax.read.names import show
from ncd_jax.read.words import as_text, words_of
from ncd_jax.types import UNLABELLED

__all__ = ["Labels", "read_labels"]

_FRACTION = re.compile(r"[+-]?\d+\.0+", re.A)
_SHOWN = 12
_MANY, _ROWS_EACH = 20, 1.5
"""So many classes with fewer rows each are none."""


class Labels(NamedTuple):
    """The known classes, and which row is of which.

    Attributes:
        classes: their names, as written less white space around them; numbers by value first.
        y: `i32[n]`, index into them, or `UNLABELLED`.
        reading: how the column was understood.
        notes: for people.
    """

    classes: tuple[str, ...]
    y: np.ndarray
    reading: Reading
    notes: list[str]


def read_labels(cells: pd.Series, label: str, unlabelled: Any = None) -> Labels:
    """Reads the names of classes.

    A row is unlabelled where its cell is empty. Words that say in so many words that the class is
    not known (`unknown`, `?`) mean that too, unless somebody says what does.

    Args:
        cells: the column.
        label: its name.
        unlabelled: the one value that means unlabelled beside the empty cell; the empty text says
            that there is none.

    Raises:
        UserError: no row is labelled, or each is.
    """
    where = f"label column {show(label)}"
    found = words_of(cells)
    codes, words, counts = found.codes, found.words, found.counts
    # Numbers with gaps are stored as 1.0, 2.0, ... by programs that know no empty whole number.
    whole = [word.partition(".")[0] for word in words]
    if all(_FRACTION.fullmatch(word) for word in words) and len(set(whole)) == len(whole):
        words = whole
    notes, gaps = [], [word for word in words if unlabelled is None and is_no_class(word)]
    if unlabelled not in (None, ""):
        value = as_text(unlabelled)
        if value not in words:
            hint = ", ".join(map(show, sorted(words, key=_natural_order)[:10]))
            raise UserError(f"{where} has no cell {show(value)} for unlabelled; it has {hint}")
        gaps = [value]
    elif gaps:
        notes.append(
            f"{where}: {', '.join(map(show, gaps))} is taken for unlabelled; if it is the name of a"
            " class, say --unlabelled= with nothing behind it"
        )
    is_gap_word = np.array([*(word in gaps for word in words), False], bool)
    codes = np.where(is_gap_word[codes], UNLABELLED, codes)
    if unlabelled is None:
        for word in sorted(word for word in words if word not in gaps and _is_doubtful(word)):
            notes.append(
                f"{where}: {show(word)} is taken for the name of a class; if it means unlabelled,"
                f" say --unlabelled={word}"
            )
    notes += _near_twins(words, where)
    used = np.flatnonzero(np.bincount(codes[codes >= 0], minlength=len(words)))
    if not len(used):
        raise UserError(f"{where} is empty on every row; label the rows of known classes")
    if (codes >= 0).all():
        raise UserError(
            f"{where} is filled on every row; leave the cell empty on rows to discover, or say"
            " which value means unlabelled with --unlabelled"
        )
    if len(used) >= _MANY and (codes >= 0).sum() < _ROWS_EACH * len(used):
        each = "one row each" if (codes >= 0).sum() == len(used) else "hardly more than a row each"
        raise UserError(
            f"{where} has {len(used)} classes of {each}: is this an id, or a number? give the"
            " column with the names of classes as --label"
        )
    order = sorted(used, key=lambda code: _natural_order(words[code]))
    position = np.full(len(words) + 1, UNLABELLED, np.int32)  # the last is for code -1
    position[order] = np.arange(len(order))
    classes = tuple(words[code] for code in order)
    sizes = [f"{words[code]} {counts[code]}" for code in order[:_SHOWN]]
    reading = Reading(
        name=label,
        kind="label",
        form=f"{len(classes)} known class{'es' * (len(classes) != 1)}",
        filled=int((codes >= 0).sum()),
        empty=int((found.codes < 0).sum()),
        gaps=tuple((word, int(counts[words.index(word)])) for word in gaps),
        remark=", ".join(sizes) + ", ..." * (len(order) > _SHOWN),
    )
    return Labels(classes, position[codes], reading, notes)


def _is_doubtful(word: str) -> bool:
    """Whether a class has a name that often means that there is none."""
    return word in MARKS or (is_gap(word) and word.lower() not in ("void", "error", "invalid"))


def _near_twins(words: list[str], where: str) -> list[str]:
    """Notes on classes whose names differ in the case of letters or in white space only."""
    twins: dict[str, list[str]] = {}
    for word in words:
        if not _is_doubtful(word):
            twins.setdefault(" ".join(word.casefold().split()), []).append(word)
    return [
        f"{where}: {' and '.join(map(show, these))} are taken for different classes"
        for these in twins.values()
        if len(these) > 1
    ]


def _natural_order(name: str) -> tuple[float, str]:
    """Sorts numbers by value, then all other names."""
    try:
        value = float(name)
    except ValueError:
        return math.inf, name
    return (math.inf if math.isnan(value) else value), name
