"""Dates as people write them: `2024-12-31`, `31.12.2024`, `12/31/24 3:45 PM`, `31 Dec 2024`."""

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

from ncd_jax.read.words import Alike, Shapes, shapes_of

__all__ = ["Order", "clock_of", "dates_of", "day_order", "days_between", "durations_of"]

Order = Literal["", "dmy", "mdy"]
"""Whether the day or the month comes first, where words show both as numbers."""

_MONTH_NAMES = """
jan janv januar january janvier
feb fév févr februar february février
mar mär mrz märz march mars
apr avr april avril
may mai
jun juin juni june
jul juil juli july juillet
aug août august
sep sept september septembre
oct okt october oktober octobre
nov november novembre
dec dez déc december dezember décembre
"""
_MONTHS = {
    name: month
    for month, names in enumerate(_MONTH_NAMES.strip().splitlines(), start=1)
    for name in names.split()
}
_TIME = (
    r"(?:(?:T|,? +)(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<part>[.,]\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?P<zone>Z|UTC|[+-]\d\d(?::?\d\d)?))?)?"
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.A)
_NAME = r"[A-Za-zÀ-ÿ]"
_FORMS = [
    re.compile(form + _TIME, re.A)
    for form in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<then>\d{1,2})(?P=mark)(?P<year>\d{4})",
        r"(?P<first>\d\d)(?P<mark>[-/.])(?P<then>\d\d)(?P=mark)(?P<year>\d\d)",
        r"(?P<first>\d{1,2})(?P<mark>/)(?P<then>\d{1,2})/(?P<year>\d\d)",
        rf"(?:{_NAME}{{2,9}}\.?,? +)?(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?[- ]*"
        rf"(?P<name>{_NAME}{{3,9}})\.?,?[- ]*(?P<year>\d{{4}}|\d\d)",
        rf"(?:{_NAME}{{2,9}}\.?,? +)?(?P<name>{_NAME}{{3,9}})\.? +"
        r"(?P<day>\d{1,2})(?:st|nd|rd|th)?,? +(?P<year>\d{4})",
    )
] + [
    re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)", re.A),
    re.compile(rf"(?P<name>{_NAME}{{3,9}})\.?[- ](?P<year>\d{{4}})", re.A),
]
_DURATION = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+) days?,? ?)?(?:[+]?(?P<hours>\d+):(?P<minutes>\d\d)"
    r"(?::(?P<seconds>\d\d(?:\.\d+)?))?)?",
    re.A,
)
_CLOCK = re.compile(
    r"(?P<hour>\d?\d)[:h](?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?Uhr)?",
    re.A,
)
_DURATION_PARTS = ("days", "hours", "minutes", "seconds")
_NOTHING = np.datetime64("NaT", "us")
_MARKS = set("-/.")
_PIVOT = 69
"""Two-digit years from here on are of the last century, as in POSIX."""


def dates_of(words: Sequence[str] | Shapes, order: Order) -> np.ndarray:
    """Reads words as times, `datetime64[us][m]`, `NaT` where a word is none; zones become UTC.

    Where either the day or the month may come first, there is no date without an order.
    """
    shapes = shapes_of(words)
    times = np.full(len(shapes.words), _NOTHING)
    iso = shapes.ask(_ISO.fullmatch)
    if iso.any():
        found = pd.to_datetime(
            np.array(shapes.words, object)[iso], format="ISO8601", errors="coerce"
        ).to_numpy()
        times[iso] = found.astype("datetime64[us]")
    for alike in shapes.with_digits:
        if not np.isnat(times[alike.places]).any():
            continue
        for form in _FORMS:
            if found := form.fullmatch(alike.word):
                here = times[alike.places]
                times[alike.places] = np.where(np.isnat(here), _calendar(alike, found, order), here)
    return times


def day_order(words: Sequence[str] | Shapes) -> tuple[int, int, int]:
    """How many words say that the day comes first, that the month does, and how many neither."""
    day = month = neither = 0
    for alike in shapes_of(words).with_digits:
        word = alike.word
        if len(word) < 6 or not word[0].isdigit() or not {word[1], word[2]} & _MARKS:
            continue
        for form in _FORMS[1:4]:
            if found := form.fullmatch(word):
                is_day = alike.digits(found.span("first")) > 12
                is_month = ~is_day & (alike.digits(found.span("then")) > 12)
                day, month = day + int(is_day.sum()), month + int(is_month.sum())
                neither += int((~is_day & ~is_month).sum())
                break
    return day, month, neither


def days_between(times: np.ndarray) -> np.ndarray:
    """Times as days since 1970, `f64[n]`, not a number where there is none."""
    days = (times - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    return np.asarray(days, np.float64)


def durations_of(words: Sequence[str] | Shapes) -> np.ndarray:
    """Reads words such as `1 days 02:00:00` and `7:30` as seconds, `f64[m]`, else not a number."""
    shapes = shapes_of(words)
    seconds = np.full(len(shapes.words), np.nan)
    for alike in shapes.with_digits:
        found = _DURATION.fullmatch(alike.word)
        if found and (found["days"] or found["hours"]):
            parts = [_part(alike, found, name) for name in _DURATION_PARTS]
            days, hours, minutes, rest = parts
            total = 86400 * days + 3600 * hours + 60 * minutes + rest
            total = np.where((minutes < 60) & (rest < 60), total, np.nan)
            seconds[alike.places] = -total if found["sign"] else total
    return seconds


def clock_of(words: Sequence[str] | Shapes) -> np.ndarray:
    """Reads times of day such as `23:50` and `7:30:15 PM`, `datetime64[us][m]`, else `NaT`.

    They are times of the first of January 1970.
    """
    shapes = shapes_of(words)
    times = np.full(len(shapes.words), _NOTHING)
    for alike in shapes.with_digits:
        if found := _CLOCK.fullmatch(alike.word):
            times[alike.places] = np.datetime64(0, "us") + _time(alike, found)
    return times


def _calendar(alike: Alike, found: re.Match[str], order: Order) -> np.ndarray:
    """The times that parts of dates make, `datetime64[us][k]`, `NaT` where there is no such day.

    `found` is one of `_FORMS` in the first of the words.
    """
    facts = found.groupdict()
    year, day = _part(alike, found, "year"), _part(alike, found, "day", 1)
    if facts.get("first"):
        if not order:
            return np.full(len(year), _NOTHING)
        parts = _part(alike, found, "first"), _part(alike, found, "then")
        day, month = parts if order == "dmy" else parts[::-1]
    elif facts.get("name"):
        month = np.full(len(year), float(_MONTHS.get(facts["name"].lower(), 0)))
    else:
        month = _part(alike, found, "month")
    if len(facts["year"]) == 2:
        year += np.where(year >= _PIVOT, 1900, 2000)
    is_one = (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    months = np.where(is_one, 12 * (year - 1970) + month - 1, 0).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    is_one &= days.astype("datetime64[M]") == months
    times = days.astype("datetime64[us]") + _time(alike, found)
    zone = facts.get("zone") or ""
    if zone[:1] in ("+", "-"):
        start = found.start("zone")
        away = 60 * alike.digits((start, start + 3)) + alike.digits((start + 3, found.end("zone")))
        away = away.astype("timedelta64[m]")
        times = times - away if zone[0] == "+" else times + away
    return np.where(is_one, times, _NOTHING)


def _time(alike: Alike, found: re.Match[str]) -> np.ndarray:
    """How long after midnight words say that it is, `timedelta64[us][k]`, `NaT` if never."""
    hour, minute, second = (_part(alike, found, name) for name in ("hour", "minute", "second"))
    is_one = (hour < 24) & (minute < 60) & (second < 60)
    facts = found.groupdict()
    if half := (facts.get("half") or "").lower():
        hour = hour % 12 + (12 if half == "p" else 0)
    part = np.zeros(len(hour))
    if facts.get("part"):
        start, stop = found.start("part") + 1, min(found.end("part"), found.start("part") + 7)
        part = alike.digits((start, stop)) * 10.0 ** (6 - stop + start)
    seconds = 3600 * hour + 60 * minute + second
    time = (1_000_000 * seconds + part).astype("timedelta64[us]")
    return np.where(is_one, time, np.timedelta64("NaT", "us"))


def _part(alike: Alike, found: re.Match[str], name: str, otherwise: float = 0.0) -> np.ndarray:
    """The numbers in a part of words, `f64[k]`."""
    text = found.groupdict().get(name)
    if not text:
        return np.full(len(alike.places), otherwise)
    start, stop = found.span(name)
    point = start + len(text.partition(".")[0])
    return alike.numbers((start, point), (point, stop))
