"""Numbers as text: `1.5`, `1,5`, `1.234,50 €`, `$1,234.50`, `12 %`, `(7)`, `3 kg`.

What a comma and a point mean is not to be seen in a single word. `decimal` says which of the two
marks the fraction; the other one, white space and apostrophes may part thousands.

Most columns of most tables are numbers as programs write them. These are told from the bytes of
the whole column, and no cell becomes an object of Python's: Arrow reads a number as Python does,
and which cells a point or a code is in is seen from where the cells end.
"""

import functools
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow

from ncd_jax.read.dtypes import Bytes, arrow_of, bytes_of, compute
from ncd_jax.read.raw import is_empty
from ncd_jax.read.words import Alike, Shapes, shapes_of

__all__ = [
    "SIDES",
    "Evidence",
    "Numbers",
    "PlainNumbers",
    "evidence",
    "is_currency",
    "is_unit",
    "numbers_of",
    "plain_numbers",
    "ratio",
]

_SYMBOLS = "$€£¥₹₽₩₺₪₫฿₴₦₱¢"
_MONEY = """
USD EUR GBP CHF JPY CNY RMB INR RUB SEK NOK DKK PLN CZK HUF BRL CAD AUD NZD MXN ZAR TRY SGD HKD KRW
ILS THB AED SAR US$ A$ C$ R$ NZ$ HK$ S$ kr kr. zł Kč Ft Fr. SFr. Rs Rs. Euro
"""
_CODES = _MONEY.split()
_CURRENCY = rf"[{_SYMBOLS}]|" + "|".join(re.escape(code) for code in sorted(_CODES, key=len)[::-1])
_LETTERS = r"[A-Za-zÀ-ɏµμΩ]"
_UNIT = (
    rf"{_CURRENCY}|%|‰|°\s?[CFKNSEW]?|[\"″']|"
    rf"(?:(?:mm|cm|dm|km|m|in|ft)[23]|{_LETTERS}+\.?[²³]?)"
    rf"(?:\s?/\s?(?:(?:mm|cm|dm|km|m|ft)[23]|{_LETTERS}+[²³]?|100\s?g))?"
)
_FAMILIES: tuple[dict[str, float], ...] = (
    {"mg": 1e-3, "g": 1.0, "kg": 1e3, "t": 1e6},
    {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3},
    {"ml": 1e-3, "cl": 1e-2, "l": 1.0, "L": 1.0},
    {"kb": 1e3, "mb": 1e6, "gb": 1e9, "tb": 1e12},
    {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "mio": 1e6, "bn": 1e9, "B": 1e9},
    {"ms": 1e-3, "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0}
    | {"hr": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0, "week": 604800.0},
    {"month": 1.0, "mo": 1.0, "year": 12.0, "yr": 12.0},
)
"""Units that people mix in one column, and what they are to each other."""
SIDES = {"°s": "°n", "°w": "°e"}
"""Degrees that count down, and those that count up."""
_OTHERS = """
% ‰ ° °C °F K degC degF deg rad grad Å nm μm µm um dm in inch ft foot feet yd mi mile nmi ha acre
lb lbs oz ug µg μg ng dl dL mL µl ul gal hl cc ms us µs ns hrs std stunde tag jahr monat years Hz
kHz MHz GHz rpm bpm V mV kV A mA W kW MW kWh MWh Wh J kJ MJ cal kcal eV N kN Nm Pa hPa kPa MPa bar
mbar psi atm mmHg mol mmol umol µmol nmol M mM ppm ppb dB Ohm Ω lm lx cd IU U mU pcs stk Stück byte
bit px pt kn mph kmh
"""
_KNOWN = {*_OTHERS.split(), *_CODES, *_SYMBOLS, *(u for family in _FAMILIES for u in family if u)}
_FOLDED = {word.casefold() for word in _KNOWN if len(word) > 1}

_LIMITS = "<>≤≥≈~"
_EXPONENT = r"(?:[eE](?P<exponent>[+-]?\d{1,3}))?"
_SPACES = str.maketrans("\xa0\u202f\u2009\u2007\u2212\u2019", "    -'")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.A)
_NONE = re.compile(r"\d[-:]\d", re.A)
"""Dates, times and the like: in no number are these signs between digits."""
_DIGIT = re.compile(r"[0-9]")
_CORE = re.compile(r"[+-]?\d[\d.,' ]*", re.A)
_IS_WRITTEN = re.compile(
    r"[+-]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9])(?:[eE][+-]?[0-9]{1,3})?|"
    r"[0-9]+(?:[eE][+-][0-9]{1,3})?)"
).fullmatch
"""Numbers as programs write them."""
_FIRST = 50
"""Cells that are looked at before the others."""
_POINT, _ZERO, _PLUS, _MINUS = b".0+-"


class Numbers(NamedTuple):
    """What `m` words spell.

    Attributes:
        values: `f64[m]`, not a number where a word spells none.
        units: of each, one spelling for those of one unit; empty where there is none.
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
        comma, point: words in which it is a comma, or a point.
        with_comma, with_point: words with one that may as well part thousands.
        doubtful: the first of these, with a comma if there is one.
        whole, all: words without a mark, and all words.
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


class PlainNumbers(NamedTuple):
    """A column of text that is numbers: `f64[n]`, how often empty cells are spelt how, evidence."""

    values: np.ndarray
    gaps: dict[str, int]
    said: Evidence

    @property
    def has_points(self) -> bool:
        """Whether a number has a fraction."""
        return self.said.point > 0


def plain_numbers(cells: pd.Series) -> PlainNumbers | None:
    """Reads a column of text whose cells are all plain numbers, or empty; or else nothing.

    None it is too where a point may mark thousands, where numbers may be codes, and where words
    must say, as Arrow does not read what Python does.
    """
    text = arrow_of(cells)
    if text is None or not len(text):
        return None
    if text.null_count:
        text = text.fill_null("")
    found = bytes_of(text)
    empty, gaps, are_numeric = found.lengths == 0, dict[str, int](), found.are_numeric
    if not are_numeric:
        first = cells.iloc[:_FIRST]
        if not all(map(_IS_WRITTEN, first[~is_empty(first)].tolist())):
            return None
        empty = is_empty(cells)
        counts = cells[empty].dropna().str.strip().value_counts().to_dict()
        gaps = {word: n for word, n in counts.items() if word}
    if empty.any():
        text = text.filter(~empty)
        found = bytes_of(text)
    if not len(text) or not (are_numeric or found.are_numeric):
        return None
    try:
        filled: np.ndarray = text.cast(pyarrow.float64()).to_numpy()
    except pyarrow.ArrowInvalid:
        return None
    said = _said_by(text, found) if np.isfinite(filled).all() else None
    if said is None:
        return None
    values = np.full(len(cells), np.nan)
    values[~empty] = filled
    return PlainNumbers(values, gaps, said)


def _said_by(text: Any, found: Bytes) -> Evidence | None:
    """What cells that are all numbers say about the mark of fractions.

    Nothing where they may be codes, or where a point may mark thousands.
    """
    lengths, signs = found
    written, ends = signs.tobytes(), np.cumsum(lengths)
    n, n_points = len(text), int(np.count_nonzero(signs == _POINT))
    has_exponent, has_point = np.zeros(n, bool), np.full(n, n_points > 0)
    if b"e" in written or b"E" in written:
        has_exponent = _has(text, "e", ignore_case=True)
        if not all(map(_IS_WRITTEN, text.filter(has_exponent).to_pylist())):
            return None
    if 0 < n_points < n:
        has_point = _has(text, ".")
    # Three digits behind a point and up to three before it, which are not just 0: thousands.
    by_thousands = np.take(signs, ends - 4, mode="clip") == _POINT
    by_thousands &= lengths >= 4
    by_thousands &= ~has_exponent
    whole = ~has_point
    if whole.any() or by_thousands.any():
        starts = ends - lengths
        first = signs[starts]
        signed = (first == _PLUS) | (first == _MINUS)
        is_zero = np.take(signs, starts + signed, mode="clip") == _ZERO
        digits = lengths - signed
        is_code = (is_zero & (digits > 1)) | (~signed & (lengths >= 16))
        if (is_code & whole & ~has_exponent).any():
            return None
        by_thousands &= (digits >= 5) & (digits <= 7)
        by_thousands &= (digits > 5) | ~is_zero
    point = int((has_point & ~by_thousands).sum())
    if n_points and not point:
        return None
    longest = int(lengths[whole].max()) if whole.any() else 0
    return Evidence(0, point, 0, 0, "", int(whole.sum()), n, longest)


def _has(text: Any, sign: str, **how: bool) -> np.ndarray:
    """Cells in which a sign is, `bool[n]`."""
    is_in = compute.match_substring(text, sign, **how)
    return np.asarray(is_in.to_numpy(zero_copy_only=False), bool)


def numbers_of(words: Sequence[str] | Shapes, decimal: str) -> Numbers:
    """Reads words as numbers; `decimal` is the mark of the fraction, `.` or `,`."""
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
        core = word if word.isdigit() else _core(word)
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
        rf"\(?\s*[+-]?\s*(?:{_CURRENCY})?\s*[+-]?\s*(?P<core>\d[\d.,' ]*?)\s*(?:[eE][+-]?\d+)?"
        rf"\s*(?:{_UNIT})?\s*-?\s*\)?",
        re.A,
    )


@functools.cache
def _grammar(decimal: str) -> re.Pattern[str]:
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    return re.compile(
        rf"[{_LIMITS}]?=?\s*(?P<open>\()?\s*(?P<sign>[+-])?\s*(?P<front>{_CURRENCY})?\s*(?P<sign2>[+-])?\s*"
        rf"(?P<whole>[1-9]\d{{0,2}}(?:(?P<mark>[{comma}' ])\d{{3}})(?:(?P=mark)\d{{3}})*"
        rf"|[1-9]\d?(?:{comma}\d{{2}})+{comma}\d{{3}}|\d*)"
        rf"(?:{point}(?P<fraction>\d*))?{_EXPONENT}"
        rf"\s*(?P<back>{_UNIT})?\s*(?P<minus>-)?\s*(?P<close>\))?",
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
    unit = _unit_key(found["front"] or found["back"] or "")
    return (-values if "-" in signs else values), unit, digits != whole


def _span(found: re.Match[str], name: str) -> tuple[int, int]:
    """Where a part is; at the start, and empty, where there is none."""
    return found.span(name) if found[name] else (0, 0)


def _translated(word: str) -> str:
    return word if word.isascii() else word.translate(_SPACES)


def _unit_key(unit: str) -> str:
    """What spellings of one unit share: `KG` and `kg`, `years` and `year`."""
    unit = "".join(unit.split())
    if len(unit) == 1:
        return unit
    key = unit.casefold().rstrip(".")
    return key.removesuffix("s") if len(key) > 3 else key


def is_unit(word: str) -> bool:
    """Whether a word is a unit that people know, or some of them: `mm`, `mg/dL`, `kg m-2`."""
    parts = re.split(r"\s*[/*·]\s*|\s+|\bper\b", word)
    plain = [re.sub(r"(?<=\w)\^?-?[1-4²³]$", "", part) for part in parts if part not in ("", "1")]
    return bool(plain) and all(p in _KNOWN or p.casefold().rstrip("s") in _FOLDED for p in plain)


def is_currency(key: str) -> bool:
    """Whether a unit is one of money."""
    return key in {*_SYMBOLS, *map(_unit_key, _CODES)}


def ratio(unit: str, other: str) -> float | None:
    """What a number with a unit counts for in a column that has another one, if that is known.

    Three dollars may be written without the sign, but 0.3 among per cents may be 30 of them.
    """
    if unit != other and SIDES.get(unit, unit) == SIDES.get(other, other):
        return -1.0
    for family in _FAMILIES:
        if unit in family and other in family:
            return family[unit] / family[other]
    return 1.0 if unit == other or (not unit and other not in ("%", "‰")) else None
