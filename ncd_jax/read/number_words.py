"""Numbers as people write them: `1.5`, `1,5`, `1.234,50 €`, `$1,234.50`, `12 %`, `(7)`, `3 kg`.

What a comma and a point mean is not to be seen in a single word. `decimal` says which of the two
marks the fraction; the other one, white space and apostrophes may part thousands.
"""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncd_jax.read.shapes import Alike, Shapes, shapes_of
from ncd_jax.read.units import CURRENCY, UNIT, unit_key

__all__ = ["Evidence", "Numbers", "evidence", "numbers_of"]

_LIMITS = "<>≤≥≈~"
_EXPONENT = r"(?:[eE](?P<exponent>[+-]?\d{1,3}))?"
_SPACES = str.maketrans("\xa0\u202f\u2009\u2007\u2212\u2019", "    -'")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.A)
_NONE = re.compile(r"\d[-:]\d", re.A)
"""Dates, times and the like: in no number are these signs between digits."""
_DIGIT = re.compile(r"[0-9]")
_CORE = re.compile(r"[+-]?\d[\d.,' ]*", re.A)


class Numbers(NamedTuple):
    """What `m` words spell.

    Attributes:
        values: `f64[m]`, not a number where a word spells none.
        units: of each, as `unit_key` has them; empty where there is none.
        grouped: whether one of them marks thousands.
        limits: `bool[m]`, which say that a number is smaller, larger or about so: `<0.1`.
    """

    values: np.ndarray
    units: list[str]
    grouped: bool
    limits: np.ndarray


class Evidence(NamedTuple):
    """What the words of a column say about the mark of fractions.

    Attributes:
        comma: words in which it is a comma.
        point: words in which it is a point.
        with_comma: words with a comma that may as well part thousands.
        with_point: words with a point that may.
        doubtful: the first of these, with a comma if there is one.
        whole: words without a mark.
        all: words.
        longest: characters of the longest word without a mark.
    """

    comma: int
    point: int
    with_comma: int
    with_point: int
    doubtful: str
    whole: int
    all: int
    longest: int

    @property
    def parts_thousands(self) -> bool:
        """Whether numbers have a mark just where they reach a thousand."""
        return 0 < self.longest <= 3

    @property
    def are_numbers(self) -> bool:
        """Whether most of the words look like numbers at all."""
        marked = self.with_comma + self.with_point
        return 2 * (self.comma + self.point + marked + self.whole) >= self.all


def numbers_of(words: Sequence[str] | Shapes, decimal: str) -> Numbers:
    """Reads words as numbers.

    Args:
        words: the words.
        decimal: the mark of the fraction, `.` or `,`.
    """
    shapes = shapes_of(words)
    n = len(shapes.words)
    values, units, grouped = np.full(n, np.nan), np.full(n, "", object), False
    limits = np.zeros(n, bool)
    for alike in shapes.with_digits:
        word, places = alike.word, alike.places
        if _NONE.search(word):
            continue
        if _PLAIN.fullmatch(word) and (decimal == "." or "." not in word):
            values[places] = _plain(alike)
        elif (found := _number(alike, decimal)) is not None:
            values[places], unit, more = found
            places = places[~np.isnan(values[places])]
            units[places], limits[places] = unit, word[0] in _LIMITS
            grouped |= more and len(places) > 0
    return Numbers(values, units.tolist(), grouped, limits)


def evidence(words: Sequence[str] | Shapes) -> Evidence:
    """What the words of a column say about the mark of fractions."""
    shapes = shapes_of(words)
    comma = point = whole = longest = 0
    either, doubtful = {",": 0, ".": 0}, {",": "", ".": ""}
    for word, n in shapes.each():
        if word.isdigit():
            whole, longest = whole + n, max(longest, len(word))
            continue
        core = _core(word)
        if core is None:
            continue
        last = max(core.rfind(","), core.rfind("."))
        if last < 0:
            if core.isdigit():
                whole, longest = whole + n, max(longest, len(core))
            continue
        mark, other = core[last], "." if core[last] == "," else ","
        head, tail = core[:last], core[last + 1 :]
        if mark in head:  # more than once: it parts thousands, or this is a date or an address
            if len(tail) != 3 or not re.fullmatch(rf"\d{{1,3}}(?:\{mark}\d{{2,3}})*", head):
                continue
            fraction = other
        elif other not in head and len(tail) == 3 and re.fullmatch(r"[1-9]\d{0,2}", head):
            either[mark] += n
            doubtful[mark] = doubtful[mark] or core
            continue
        else:
            fraction = mark
        comma, point = comma + n * (fraction == ","), point + n * (fraction == ".")
    first = doubtful[","] or doubtful["."]
    n = len(shapes.words)
    return Evidence(comma, point, either[","], either["."], first, whole, n, longest)


def _core(word: str) -> str | None:
    """The digits and marks of a word that may spell a number, else none."""
    if not _DIGIT.search(word) or _NONE.search(word):
        return None
    word = _translated(word)
    if not _CORE.fullmatch(word):
        found = _loose().fullmatch(word)
        if found is None:
            return None
        word = found["core"]
    return word.lstrip("+-").replace(" ", "").replace("'", "")


@functools.cache
def _loose() -> re.Pattern[str]:
    return re.compile(
        rf"\(?\s*[+-]?\s*(?:{CURRENCY})?\s*[+-]?\s*(?P<core>\d[\d.,' ]*?)\s*(?:[eE][+-]?\d+)?"
        rf"\s*(?:{UNIT})?\s*-?\s*\)?",
        re.A,
    )


@functools.cache
def _grammar(decimal: str) -> re.Pattern[str]:
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    return re.compile(
        rf"[{_LIMITS}]?=?\s*(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<front>{CURRENCY})?\s*(?P<sign2>[+-])?\s*"
        rf"(?P<whole>[1-9]\d{{0,2}}(?:(?P<mark>[{comma}' ])\d{{3}})(?:(?P=mark)\d{{3}})*"
        rf"|[1-9]\d?(?:{comma}\d{{2}})+{comma}\d{{3}}|\d*)"
        rf"(?:{point}(?P<fraction>\d*))?{_EXPONENT}"
        rf"\s*(?P<back>{UNIT})?\s*(?P<minus>-)?\s*(?P<close>\))?",
        re.A,
    )


def _plain(alike: Alike) -> np.ndarray:
    """The numbers that plain words spell, `f64[k]`."""
    word = alike.word
    point = word.find(".") if "." in word else len(word)
    values = alike.numbers((0, point), (point, len(word)))
    return -values if word[0] == "-" else values


def _number(alike: Alike, decimal: str) -> tuple[np.ndarray, str, bool] | None:
    """The numbers that words of a shape spell, `f64[k]`, their unit, and if thousands are marked.

    What no float holds is not a number.
    """
    found = _grammar(decimal).fullmatch(_translated(alike.word))
    if found is None:
        return None
    whole, fraction, exponent = found["whole"], found["fraction"], found["exponent"]
    if not (whole or fraction) or bool(found["open"]) != bool(found["close"]):
        return None
    signs = [found["sign"], found["sign2"], found["minus"], "-" if found["open"] else None]
    signs = [sign for sign in signs if sign]
    if len(signs) > 1 or (found["front"] and found["back"] and found["back"] != "%"):
        return None
    digits = re.sub(r"\D", "", whole)
    if exponent is not None and fraction is None and len(digits) > 1 and exponent[0] not in "+-":
        return None  # 47e58 is a code: programs write one digit before the exponent, or a sign
    values = alike.numbers(*(_span(found, name) for name in ("whole", "fraction", "exponent")))
    values[np.isinf(values)] = np.nan
    unit = unit_key(found["front"] or found["back"] or "")
    return (-values if "-" in signs else values), unit, digits != whole


def _span(found: re.Match[str], name: str) -> tuple[int, int]:
    """Where a part is; at the start, and empty, where there is none."""
    return found.span(name) if found[name] else (0, 0)


def _translated(word: str) -> str:
    return word if word.isascii() else word.translate(_SPACES)
