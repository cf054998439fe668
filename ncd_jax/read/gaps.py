"""How people and programs write that a cell is empty.

Some spellings mean it in every column. Others are words like any other, and mean it where the
column is numbers, dates or yes and no: `none` is a fungicide that was not used, or no number.
"""

import re
from collections.abc import Sequence

import numpy as np

__all__ = ["MARKS", "is_gap", "is_lone_mark", "is_no_class", "is_not_yet", "sentinels"]

MARKS = frozenset(
    {"", "?", "NA", "N/A", "n/a", "N.A.", "n.a.", "NaN", "nan", "NaT", "NULL", "null", "None"}
    | {"#N/A", "#NA", "<NA>", "#N/A N/A", "(null)", "[NULL]", r"\N"}
    | {"#DIV/0!", "#NULL!", "#NUM!", "#REF!", "#VALUE!", "#NAME?", "#NV", "#WERT!", "#ZAHL!"}
    | {"#BEZUG!", "#VALEUR!", "#NOMBRE!"}
)
"""Words that stand for an empty cell in every column."""

_GAPS = """
na none nil null nan nat #n/a missing unknown unk undefined unspecified unavailable blank empty
n.a n.a. n.d. n/d n.k. n/k nd k.a. k.a ka tbd tba nodata error invalid void
fehlt unbekannt leer inconnu inconnue vide desconocido sconosciuto onbekend 0000-00-00
"""
_PHRASES = """
not available, not known, not given, not applicable, not recorded, no data, no value, no answer,
missing value, keine angabe, k. a., 0000-00-00 00:00:00
"""
_WORDS = frozenset((*_GAPS.split(), *map(str.strip, _PHRASES.split(","))))
"""Words that do where the column is numbers, dates or yes and no; in small letters."""

_PUNCTUATION = re.compile(r"[\W_]+")
_LONE = frozenset({"-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "??", "???"})
_NO_CLASS = frozenset(
    {"unknown", "unlabelled", "unlabeled", "unclassified", "?", "not labelled", "not labeled"}
    | {"no label", "unbekannt"}
)
_NOT_YET = re.compile(
    r"(?:not|not yet|to be|noch nicht|nicht|yet to be|un)[ _-]?(?:label+ed|assigned|class(?:ifi)?ed"
    r"|checked|determined|decided|named|sorted|reviewed|defined|categori[sz]ed|zugeordnet|bestimmt"
    r"|klassifiziert)|pending|to ?do|ausstehend|à (?:définir|classer)|por definir",
    re.I,
)
"""How people write that nobody has come to it yet."""
_SENTINELS = (*(sign * (10.0**n - 1) for n in range(2, 10) for sign in (-1, 1)), -88.0, 888.0)
_SENTINELS += (-888.0, -8888.0, 1e20, -1e20, 1e30, -1e30, -(2.0**31), 2.0**31 - 1)
_FEWEST = 2
"""Cells that must hold a sentinel: one may be a measurement that went wrong, or right."""


def is_gap(word: str) -> bool:
    """Whether a word stands for an empty cell among numbers, dates or yes and no."""
    return (
        word in MARKS
        or word.lower() in _WORDS
        or (bool(_PUNCTUATION.fullmatch(word)) and not word.startswith(("%", "$")))
    )


def is_lone_mark(word: str, words: Sequence[str]) -> bool:
    """Whether a word is a dash or dots for nothing among words: there is no `+` beside it."""
    return word in _LONE and not any(w != word and _PUNCTUATION.fullmatch(w) for w in words)


def is_no_class(word: str) -> bool:
    """Whether a label says in words that there is none."""
    return word.lower() in _NO_CLASS


def is_not_yet(word: str) -> bool:
    """Whether a label says that nobody has looked yet; it may be the name of a class as well."""
    return bool(_NOT_YET.fullmatch(word))


def sentinels(values: np.ndarray) -> list[float]:
    """Numbers such as -999 that stand for an empty cell.

    They are known by their form, occur more than once, and stand off: further from the nearest
    other value than these are from each other.

    Args:
        values: `f64[n]`, not a number where the cell is empty.
    """
    found: list[float] = []
    empty = np.isnan(values)
    filled = values[~empty] if empty.any() else values
    low, high = (filled.min(), filled.max()) if len(filled) else (0.0, 0.0)
    within = [value for value in _SENTINELS if low <= value <= high]
    for value in (v for v in within if np.count_nonzero(filled == v) >= _FEWEST):
        others = filled[~np.isin(filled, (*found, value))]
        others = others[~np.isin(others, _SENTINELS)]
        if len(np.unique(others)) < 3:
            continue
        low, high = others.min(), others.max()
        if max(low - value, value - high) > max(high - low, 10.0):
            found.append(value)
    return found
