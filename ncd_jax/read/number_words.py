"""Numbers as people write them: `1.5`, `1,5`, `1.234,50 €`, `$1,234.50`, `12 %`, `(7)`, `3 kg`.

What a comma and a point mean is not to be seen in a single word. `decimal` says which of the two
marks the fraction; the other one, white space and apostrophes may part thousands.
"""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncd_jax.read.units import CURRENCY, UNIT, unit_key

__all__ = ["Evidence", "Numbers", "evidence", "numbers_of"]

_KEPT = 1 << 17
"""Words that are remembered: a column is looked at several times until it is known what it is."""
_LIMITS = "<>≤≥≈~"
_EXPONENT = r"(?:[eE](?P<exponent>[+-]?\d{1,3}))?"
_SPACES = str.maketrans(
    dict.fromkeys("\xa0\u202f\u2009\u2007", " ") | {"\u2212": "-", "\u2019": "'"}
)
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.A)
_NONE = re.compile(r"\d[-:]\d", re.A)
"""Dates, times and the like: in no number are these signs between digits."""
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
        whole: words without a mark.
        all: words.
        longest: characters of the longest word without a mark.
    """

    comma: int
    point: int
    with_comma: list[str]
    with_point: list[str]
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
        marked = len(self.with_comma) + len(self.with_point)
        return 2 * (self.comma + self.point + marked + self.whole) >= self.all


def numbers_of(words: Sequence[str], decimal: str) -> Numbers:
    """Reads words as numbers.

    Args:
        words: the words.
        decimal: the mark of the fraction, `.` or `,`.
    """
    values, units, grouped = np.full(len(words), np.nan), [""] * len(words), False
    limits = np.zeros(len(words), bool)
    for i, word in enumerate(words):
        if _NONE.search(word):
            continue
        if _PLAIN.fullmatch(word) and (decimal == "." or "." not in word):
            values[i] = float(word)
        elif (found := _number(word, decimal)) is not None:
            values[i], units[i], more = found
            grouped, limits[i] = grouped or more, word[0] in _LIMITS
    return Numbers(values, units, grouped, limits)


def evidence(words: Sequence[str]) -> Evidence:
    """What the words of a column say about the mark of fractions."""
    comma = point = whole = longest = 0
    either: dict[str, list[str]] = {",": [], ".": []}
    for word in words:
        if _NONE.search(word):
            continue
        if word.isdigit():
            whole, longest = whole + 1, max(longest, len(word))
            continue
        core = _core(word)
        if core is None:
            continue
        last = max(core.rfind(","), core.rfind("."))
        if last < 0:
            if core.isdigit():
                whole, longest = whole + 1, max(longest, len(core))
            continue
        mark, other = core[last], "." if core[last] == "," else ","
        head, tail = core[:last], core[last + 1 :]
        if mark in head:  # more than once: it parts thousands, or this is a date or an address
            if len(tail) != 3 or not re.fullmatch(rf"\d{{1,3}}(?:\{mark}\d{{2,3}})*", head):
                continue
            fraction = other
        elif other not in head and len(tail) == 3 and re.fullmatch(r"[1-9]\d{0,2}", head):
            either[mark].append(core)
            continue
        else:
            fraction = mark
        comma, point = comma + (fraction == ","), point + (fraction == ".")
    return Evidence(comma, point, either[","], either["."], whole, len(words), longest)


@functools.lru_cache(_KEPT)
def _core(word: str) -> str | None:
    """The digits and marks of a word that may spell a number, else none."""
    if not any(map(str.isdigit, word)):
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


@functools.lru_cache(_KEPT)
def _number(word: str, decimal: str) -> tuple[float, str, bool] | None:
    """The number that a word spells, its unit, and whether thousands are marked."""
    found = _grammar(decimal).fullmatch(_translated(word))
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
    value = float(f"{digits or 0}.{fraction or 0}e{exponent or 0}")
    if not np.isfinite(value):
        return None
    unit = unit_key(found["front"] or found["back"] or "")
    return (-value if "-" in signs else value), unit, digits != whole


def _translated(word: str) -> str:
    return word if word.isascii() else word.translate(_SPACES)
