"""The cells of a column as words, which of these look alike, and yes and no in several languages.

Text is looked at once for each different cell, not once for each row; and most rules ask no more
than how it looks. Two words have one shape where they differ in digits from 1 to 9 alone:
`$1,250.00` and `$9,381.75`. What kind of number or date they may be is asked once for a shape, and
the digits of all its words are read together. A 0 is no other digit, as it makes codes; nor is a
digit one behind a letter or a stroke, where it may be of a unit: `m2`, `g/100 g`.
"""

import datetime
import decimal
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import arrow_of, bytes_of, compute
from ncd_jax.read.names import show

__all__ = [
    "Alike",
    "Shapes",
    "Words",
    "as_float",
    "as_text",
    "level_key",
    "merged",
    "shapes_of",
    "truth_levels",
    "truth_of",
    "words_of",
]

_FRACTION = re.compile(r"([+-]?\d+)\.0+", re.A)
_HAS_DIGIT = re.compile(r"\d")
_LAST_ASCII = 127

_NO_AND_YES = """
no/yes n/y false/true f/t nein/ja n/j non/oui n/o no/si no/sí não/sim nee/ja nej/ja off/on
falsch/wahr faux/vrai
"""
_TRUTHS = [(no, yes) for no, _, yes in (both.partition("/") for both in _NO_AND_YES.split())]
_LETTERS = {word for levels in _TRUTHS for word in levels if len(word) == 1}
_BOTH_WAYS = {**{no: 0 for no, _ in _TRUTHS}, **{yes: 1 for _, yes in _TRUTHS}, "0": 0, "1": 1}
_MOST_DIGITS = 15
"""Digits of a whole number that a float holds whatever they are."""
_FEWEST = 8
"""Words of a shape whose digits are read together."""
_DIGITS, _NO_DIGIT = frozenset("0123456789"), re.compile(r"[^0-9]")
_ZERO, _ONE, _NINE, _BLANK, _STROKE = b"019 /"
_LETTER = np.zeros(256, bool)
"""Bytes of letters; those beyond ASCII may be of one."""
_LETTER[[*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1), *range(128, 256)]] = True

Span = tuple[int, int]
"""From a character of a word to the one behind the last."""


class Alike(NamedTuple):
    """Words of one shape: the same signs in the same places, but for digits.

    Attributes:
        words: all words there are.
        places: `i64[k]`, which of them.
        text: `u8[...]`, all words in UTF-8.
        starts: `i64[k]`, where these begin in it.
    """

    words: Sequence[str]
    places: np.ndarray
    text: np.ndarray
    starts: np.ndarray

    @property
    def word(self) -> str:
        """The first one."""
        return self.words[self.places[0]]

    def digits(self, *spans: Span) -> np.ndarray:
        """The whole numbers that at most 18 digits in some parts of the words make, `i64[k]`."""
        found, word = np.zeros(len(self.places), np.int64), self.word
        for start, stop in spans:
            first = len(word[:start].encode("utf-8", "surrogatepass"))
            for i, sign in enumerate(word[start:stop].encode("utf-8", "surrogatepass"), first):
                if _ZERO <= sign <= _NINE:
                    found = 10 * found + (self.text[self.starts + i] - _ZERO)
        return found

    def numbers(self, whole: Span, fraction: Span = (0, 0), exponent: Span = (0, 0)) -> np.ndarray:
        """The numbers without a sign that parts of the words spell, `f64[k]`.

        The whole part and the fraction may hold other signs; the exponent has its own.
        """
        word = self.word
        behind = sum(sign in _DIGITS for sign in word[slice(*fraction)])
        n_digits = behind + sum(sign in _DIGITS for sign in word[slice(*whole)])
        if n_digits <= _MOST_DIGITS and len(self.places) >= _FEWEST and not word[slice(*exponent)]:
            return self.digits(whole, fraction) / 10.0**behind  # rounded once, as a float is
        values = np.empty(len(self.places))
        for i, place in enumerate(self.places.tolist()):
            word = self.words[place]
            a, b = (_NO_DIGIT.sub("", word[slice(*span)]) for span in (whole, fraction))
            values[i] = float(f"{a or 0}.{b or 0}e{word[slice(*exponent)] or 0}")
        return values


@dataclass(frozen=True, eq=False)
class Shapes:
    """Words, and which of them look alike.

    Attributes:
        words: `m` of them.
        of: `i64[m]`, the shape of each; they are numbered as they come.
    """

    words: Sequence[str]
    of: np.ndarray
    _text: np.ndarray
    _starts: np.ndarray

    def without(self, gone: np.ndarray, words: Sequence[str]) -> "Shapes":
        """The same less those set in `gone: bool[m]`; `words` are the others."""
        of, _ = pd.factorize(self.of[~gone])
        return Shapes(words, of, self._text, self._starts[~gone])

    @cached_property
    def firsts(self) -> list[str]:
        """The first word of each shape."""
        _, first = np.unique(self.of, return_index=True)
        return [self.words[i] for i in first.tolist()]

    def each(self) -> Iterator[tuple[str, int]]:
        """The first word of each shape, and how many there are of it."""
        return zip(self.firsts, np.bincount(self.of).tolist(), strict=True)

    def ask(self, rule: Callable[[str], object]) -> np.ndarray:
        """Of which words a rule holds that looks at their shape: `bool[m]`."""
        return np.array([bool(rule(word)) for word in self.firsts], bool)[self.of]

    @cached_property
    def with_digits(self) -> list[Alike]:
        """The words that have a digit of ASCII in them, by shapes."""
        order = np.argsort(self.of, kind="stable")
        starts, ends = self._starts[order], np.cumsum(np.bincount(self.of)).tolist()
        return [
            Alike(self.words, order[start:end], self._text, starts[start:end])
            for word, start, end in zip(self.firsts, [0, *ends], ends, strict=False)
            if not _DIGITS.isdisjoint(word)
        ]


def shapes_of(words: "Sequence[str] | Shapes") -> Shapes:
    """Finds which words look alike; what has been found already is given back."""
    if isinstance(words, Shapes):
        return words
    text = "\0".join((*words, ""))
    if text.count("\0") > len(words):  # some hold one
        text = "\0".join((*(word.replace("\0", "\1") for word in words), ""))
    signs = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    starts = np.append(0, np.flatnonzero(signs == 0)[:-1] + 1) if words else np.zeros(0, int)
    before = np.append(np.zeros(2, np.uint8), signs)
    stays = _LETTER[before[1:-1]] | (before[1:-1] == _STROKE)
    stays |= (before[1:-1] <= _BLANK) & (before[:-2] == _STROKE)
    folded = np.where((signs - _ONE <= _NINE - _ONE) & ~stays, _NINE, signs).astype(np.uint8)
    looks = folded.tobytes().split(b"\0")[:-1]
    of, _ = pd.factorize(np.array([*looks, None], object)[:-1])
    return Shapes(words, of, signs, starts)


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

    def among(self, these: Collection[str]) -> np.ndarray:
        """Which words are among these: `bool[len(words)]`."""
        return np.array([word in these for word in self.words], bool)

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
    if isinstance(value, datetime.datetime):  # of pandas, some are beyond Python's years
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return str(value).strip()


def as_float(word: str) -> float | None:
    """The number that a word spells to a program, or none."""
    try:
        return float(word)
    except ValueError:
        return None


def words_of(cells: pd.Series) -> Words:
    """The different words of a column, as they are written less white space around them.

    Raises:
        UserError: cells hold lists or the like.
    """
    if (found := _words_of_text(cells)) is not None:
        return found
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


def _words_of_text(cells: pd.Series) -> Words | None:
    """As `words_of`, where Arrow holds the text and there is no white space around words."""
    if (text := arrow_of(cells)) is None:
        return None
    found = text.dictionary_encode()
    lengths, signs = bytes_of(found.dictionary)
    ends = np.cumsum(lengths)
    edges = np.append(signs[ends[lengths > 0] - 1], signs[(ends - lengths)[lengths > 0]])
    if ((edges <= _BLANK) | (edges > _LAST_ASCII)).any() or (signs == 0).any():
        return None
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
