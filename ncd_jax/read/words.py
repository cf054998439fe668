"""The cells of a column as words, whatever they are stored as; yes and no in several languages.

Text is looked at once for each different cell, not once for each row.
"""

import datetime
import decimal
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra
from ncd_jax.read.names import show
from ncd_jax.read.shapes import Shapes, shapes_of
from ncd_jax.read.text_bytes import Unsure, arrow_of, bytes_of

__all__ = ["Words", "as_text", "level_key", "merged", "truth_levels", "truth_of", "words_of"]

_FRACTION = re.compile(r"([+-]?\d+)\.0+", re.A)
_HAS_DIGIT = re.compile(r"\d")
_BLANK, _LAST_ASCII = ord(" "), 127

_TRUTHS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("nein", "ja"),
    ("n", "j"),
    ("non", "oui"),
    ("n", "o"),
    ("no", "si"),
    ("no", "sí"),
    ("não", "sim"),
    ("nee", "ja"),
    ("nej", "ja"),
    ("off", "on"),
    ("falsch", "wahr"),
    ("faux", "vrai"),
)
_LETTERS = {word for levels in _TRUTHS for word in levels if len(word) == 1}
_BOTH_WAYS = {**{no: 0 for no, _ in _TRUTHS}, **{yes: 1 for _, yes in _TRUTHS}, "0": 0, "1": 1}


@dataclass(frozen=True, eq=False)
class Words:
    """A column of `n` cells as words.

    Attributes:
        codes: `i64[n]`, index into the words, -1 where the cell is empty.
        words: the different words, sorted.
    """

    codes: np.ndarray
    words: list[str]

    @cached_property
    def counts(self) -> np.ndarray:
        """Cells of each word, `i64[len(words)]`."""
        return np.bincount(self.codes + 1, minlength=len(self.words) + 1)[1:]

    @cached_property
    def shapes(self) -> Shapes:
        """Which words look alike."""
        return shapes_of(self.words)

    def without(self, empty: np.ndarray) -> "Words":
        """The same, words whose place in `empty: bool[len(words)]` is set taken for no cell."""
        if not empty.any():
            return self
        new = np.append(np.where(empty, -1, np.cumsum(~empty) - 1), -1)
        words = [w for w, e in zip(self.words, empty, strict=True) if not e]
        rest = Words(new[self.codes], words)
        if "shapes" in self.__dict__:  # what has been found is kept
            rest.__dict__["shapes"] = self.shapes.without(empty, words)
        return rest


def as_text(value: Any) -> str:
    """A cell as a word: whole numbers without a fraction, dates as ISO 8601 has them."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    if isinstance(value, decimal.Decimal) and value.is_finite():
        return str(int(value)) if value == value.to_integral_value() else format(value, "f")
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat() if value.tzinfo is None else value.isoformat(" ")
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value).strip()


def words_of(cells: pd.Series) -> Words:
    """The different words of a column, as they are written less white space around them.

    Raises:
        UserError: cells hold lists or the like.
    """
    with suppress(Unsure):
        return _words_of_text(cells)
    try:
        if isinstance(cells.dtype, pd.CategoricalDtype):
            codes, values = cells.cat.codes.to_numpy(), cells.cat.categories
        else:
            codes, values = pd.factorize(cells)
        if cells.dtype == object:
            # Equal to Python, but not to people: 1 and True, of which one would be lost.
            kinds = {type(value) for value in cells.tolist()}
            if bool in kinds or np.bool_ in kinds:
                texts = pd.Series([None if _is_none(v) else as_text(v) for v in cells], dtype="str")
                codes, values = pd.factorize(texts)
    except (TypeError, NotImplementedError):
        raise UserError(
            f"column {show(cells.name)} holds lists or the like; leave it out with --drop"
        ) from None
    used = np.bincount(codes + 1, minlength=len(values) + 1)[1:] > 0
    if isinstance(values.dtype, pd.StringDtype):
        values = values.to_numpy(object)  # one by one Arrow gives them slowly
    texts = [as_text(value) for value in values]
    if any("\0" in text for text in texts):
        texts = [text.replace("\0", "") for text in texts]
    words = sorted({text for text, u in zip(texts, used, strict=True) if u} - {""})
    position = {word: i for i, word in enumerate(words)}
    # The last entry is for code -1.
    new = np.array([*(position.get(text, -1) for text in texts), -1], np.int64)
    return Words(new[codes], words)


def _words_of_text(cells: pd.Series) -> Words:
    """As `words_of`, where there is no white space around words.

    Raises:
        Unsure: there may be, or Arrow does not hold the text.
    """
    compute = extra("pyarrow.compute")
    found = arrow_of(cells, gaps=True).dictionary_encode()
    lengths, signs = bytes_of(found.dictionary)
    ends = np.cumsum(lengths)
    edges = np.append(signs[ends[lengths > 0] - 1], signs[(ends - lengths)[lengths > 0]])
    if ((edges <= _BLANK) | (edges > _LAST_ASCII)).any() or (signs == 0).any():
        raise Unsure
    order = compute.array_sort_indices(found.dictionary).to_numpy()
    words = found.dictionary.take(order).to_pylist()
    place = np.full(len(words) + 1, -1)  # the last is for cells that are not there
    place[order] = np.arange(len(words))
    if words and not words[0]:
        words, place = words[1:], np.maximum(place - 1, -1)
    return Words(place[found.indices.fill_null(-1).to_numpy()], words)


def level_key(word: str) -> str:
    """What spellings of one level of a category share.

    Words are the same whatever the case of their letters and the white space in them. What holds
    a digit and no white space is a code, and stays as it is written: `1.10` is not `1.1`. But
    `1.0` is how programs write a whole 1 that has gaps beside it.
    """
    if _HAS_DIGIT.search(word) and not re.search(r"\s", word):
        whole = _FRACTION.fullmatch(word)
        return whole.group(1) if whole else word
    return " ".join(word.casefold().split())


def merged(words: Words) -> Words:
    """The same with one word for each level: the spelling that most cells have."""
    is_other = words.shapes.ask(lambda word: level_key(word) != word)
    if not is_other.any():
        return words
    counts = words.counts
    best: dict[str, int] = {}
    pairs = zip(words.words, is_other.tolist(), strict=True)
    keys = [level_key(word) if other else word for word, other in pairs]
    for i, key in enumerate(keys):
        if key not in best or counts[i] > counts[best[key]]:
            best[key] = i
    if len(best) == len(keys):
        return words
    order = sorted(best, key=lambda key: words.words[best[key]])
    position = {key: i for i, key in enumerate(order)}
    new = np.array([*(position[key] for key in keys), -1], np.int64)
    return Words(new[words.codes], [words.words[best[key]] for key in order])


def truth_of(word: str) -> int | None:
    """1 or 0 where a word means yes or no, in whatever language, or none."""
    return _BOTH_WAYS.get(word.casefold())


def truth_levels(words: Sequence[str]) -> tuple[str, ...]:
    """How no and yes are called where words say nothing else, or nothing."""
    if not all(word.casefold() in _BOTH_WAYS for word in words):
        return ()
    folded = {word.casefold() for word in words}
    for levels in _TRUTHS:
        if folded == set(levels) or (folded in ({"true"}, {"false"}) and folded <= set(levels)):
            return levels
    # Several spellings of both: `yes`, `Y`, `no`. One letter for each may be anything.
    if len(folded) < 3 or not folded <= _BOTH_WAYS.keys() - {"0", "1"} or folded <= _LETTERS:
        return ()
    sides = [[w for w in sorted(folded, key=len) if _BOTH_WAYS[w] == side] for side in (0, 1)]
    return (sides[0][-1], sides[1][-1]) if all(sides) else ()


def _is_none(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or value != value
