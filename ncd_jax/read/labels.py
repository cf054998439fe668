"""The column of class names."""

import math
import re
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.columns import Reading
from ncd_jax.read.gaps import MARKS, is_gap, is_no_class, is_not_yet
from ncd_jax.read.names import show, some
from ncd_jax.read.words import as_float, as_text, level_key, words_of
from ncd_jax.types import UNLABELLED

__all__ = ["Labels", "read_labels"]

_FRACTION = re.compile(r"[+-]?\d+\.0+", re.A)
_SHOWN = 12
_MANY, _ROWS_EACH = 20, 1.5
"""So many classes with fewer rows each are none."""
_NOUGHT = ("none", "nil")
"""Words for a class where every row has one: no defect is a finding."""
_SHORT = 2
"""Letters up to which `a` and `A` are different classes."""


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
    not known (`unknown`, `?`) mean that too, unless somebody says what does; and where no cell is
    empty, so do words that mean a gap elsewhere (`TBD`, `nan`, `-`), or -1 among numbers from 0 on.

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
    if all(map(_FRACTION.fullmatch, words)):
        words = [word.partition(".")[0] for word in words]
    gaps, notes = _no_classes(words, bool((codes >= 0).all()), unlabelled, where)
    is_gap_word = np.array([*(word in gaps for word in words), False], bool)
    codes = np.where(is_gap_word[codes], UNLABELLED, codes)
    codes, merged = _one_spelling(words, np.where(is_gap_word[:-1], 0, counts), codes, where)
    notes += merged
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    used = np.flatnonzero(counts)
    if not len(used):
        raise UserError(f"{where} is empty on every row; label the rows of known classes")
    if (codes >= 0).all():
        most = [f"{words[i]} {counts[i]}" for i in np.argsort(-counts, kind="stable")]
        raise UserError(
            f"{where} is filled on every row ({some(most, _SHOWN)}); leave the cell empty on rows"
            " to discover, or say which value means unlabelled with --unlabelled=VALUE"
        )
    if len(used) >= _MANY and (codes >= 0).sum() < _ROWS_EACH * len(used):
        each = "one row each" if (codes >= 0).sum() == len(used) else "hardly more than a row each"
        raise UserError(
            f"{where} has {len(used)} classes of {each}: is this an id, or a number? give the"
            " column with the names of classes as --label"
        )
    alone = [words[code] for code in used if counts[code] == 1]
    if 0 < 2 * len(alone) < len(used):
        said = some([*map(show, alone)], _SHOWN)
        are = "are classes of one row each" if len(alone) > 1 else "is a class of one row"
        notes.append(f"{where}: {said} {are}; if that is a slip, mend it")
    order = sorted(used, key=lambda code: _natural_order(words[code]))
    position = np.full(len(words) + 1, UNLABELLED, np.int32)  # the last is for code -1
    position[order] = np.arange(len(order))
    classes = tuple(words[code] for code in order)
    reading = Reading(
        name=label,
        kind="label",
        form=f"{len(classes)} known class{'es' * (len(classes) != 1)}",
        filled=int((codes >= 0).sum()),
        empty=int((found.codes < 0).sum()),
        gaps=tuple((word, int(found.counts[words.index(word)])) for word in gaps),
        remark=some([f"{words[code]} {counts[code]}" for code in order], _SHOWN),
    )
    return Labels(classes, position[codes], reading, notes)


def _no_classes(
    words: list[str], is_filled: bool, unlabelled: Any, where: str
) -> tuple[list[str], list[str]]:
    """The words that mean unlabelled, and what is said of such words; see `read_labels`."""
    if unlabelled == "":
        return [], []
    if unlabelled is not None:
        value = as_text(unlabelled)
        if value not in words:
            hint = ", ".join(map(show, sorted(words, key=_natural_order)[:10]))
            raise UserError(f"{where} has no cell {show(value)} for unlabelled; it has {hint}")
        return [value], []
    if gaps := [word for word in words if is_no_class(word)]:
        notes = [
            f"{where}: {', '.join(map(show, gaps))} is taken for unlabelled; if it is the name of a"
            " class, say --unlabelled= with nothing behind it"
        ]
    else:
        notes = []
        if is_filled:
            meant = [word for word in words if word.lower() not in _NOUGHT]
            gaps = [word for word in meant if _is_doubtful(word) or is_not_yet(word)]
            gaps = gaps or ["-1"] * _is_minus_one(words)
        if 0 < len(gaps) < len(words):
            return gaps, [
                f"{where} is filled on every row, so {', '.join(map(show, gaps))} is taken for"
                " unlabelled; --unlabelled=VALUE says what else is"
            ]
        gaps = []
    for word in sorted(word for word in words if word not in gaps and _is_doubtful(word)):
        notes.append(
            f"{where}: {show(word)} is taken for the name of a class; if it means unlabelled, say"
            f" --unlabelled={word}"
        )
    return gaps, notes


def _is_doubtful(word: str) -> bool:
    """Whether a class has a name that often means that there is none."""
    return word in MARKS or (is_gap(word) and word.lower() not in ("void", "error", "invalid"))


def _is_minus_one(words: list[str]) -> bool:
    """Whether -1 stands beside whole numbers from 0 on, as programs write that there is none."""
    return "-1" in words and all(word.isdecimal() for word in words if word != "-1")


def _one_spelling(
    words: list[str], counts: np.ndarray, codes: np.ndarray, where: str
) -> tuple[np.ndarray, list[str]]:
    """Codes by which spellings of one class are one, that of most rows, and notes on them.

    Words are the same as in columns of categories, but that short ones may differ in case. What
    stays is renamed in place where it is a whole number with a fraction.
    """
    same: dict[str, list[int]] = {}
    for i, word in enumerate(words):
        is_name = len(word) > _SHORT or any(map(str.isdigit, word))
        if counts[i] and not _is_doubtful(word):
            same.setdefault(level_key(word) if is_name else word, []).append(i)
    new, said = np.append(np.arange(len(words)), UNLABELLED), []
    for key, spellings in same.items():
        first, *others = sorted(spellings, key=lambda i: -counts[i])
        new[others] = first
        if others and key.isdigit():
            words[first] = key  # nobody means 1 and 1.0 to be two classes
        elif others:
            said.append(f"{', '.join(show(words[i]) for i in others)} for {show(words[first])}")
    one = f"{where}: taken for one class are {'; '.join(said)}; rename those that are others"
    return new[codes], [one] * bool(said)


def _natural_order(name: str) -> tuple[float, str]:
    """Sorts numbers by value, then all other names."""
    value = as_float(name)
    return (math.inf if value is None or math.isnan(value) else value), name
