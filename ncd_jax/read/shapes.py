"""Words by how they look: most words of a column look alike, and most rules ask no more.

Two words have one shape where they differ in digits from 1 to 9 alone: `$1,250.00` and `$9,381.75`.
What kind of number or date they may be is asked once for a shape, and the digits of all its words
are read together. A 0 is no other digit, as it makes codes; nor is a digit one behind a letter or
a stroke, where it may be of a unit: `m2`, `g/100 g`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["Alike", "Shapes", "shapes_of"]

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
        """The whole numbers that the digits in some parts of the words make, `i64[k]`.

        Args:
            spans: from a character to the one behind the last; at most 18 digits together.
        """
        found, word = np.zeros(len(self.places), np.int64), self.word
        for start, stop in spans:
            first = len(word[:start].encode("utf-8", "surrogatepass"))
            for i, sign in enumerate(word[start:stop].encode("utf-8", "surrogatepass"), first):
                if _ZERO <= sign <= _NINE:
                    found = 10 * found + (self.text[self.starts + i] - _ZERO)
        return found

    def numbers(self, whole: Span, fraction: Span = (0, 0), exponent: Span = (0, 0)) -> np.ndarray:
        """The numbers without a sign that parts of the words spell, `f64[k]`.

        Args:
            whole: where the digits before the point are, among other signs.
            fraction: and those behind it; these parts are empty where there is none.
            exponent: and the exponent, with its sign.
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


class Shapes:
    """Words, and which of them look alike.

    Attributes:
        words: `m` of them.
        of: `i64[m]`, the shape of each; they are numbered as they come.
    """

    def __init__(
        self, words: Sequence[str], of: np.ndarray, text: np.ndarray, starts: np.ndarray
    ) -> None:
        self.words, self.of = words, of
        self._text, self._starts = text, starts

    def without(self, gone: np.ndarray, words: Sequence[str]) -> "Shapes":
        """The same less those set in `bool[m]`.

        Args:
            gone: which.
            words: the others.
        """
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
