"""Dates as people write them: `2024-12-31`, `31.12.2024`, `12/31/24 3:45 PM`, `31 Dec 2024`."""

import datetime
import functools
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd

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
    re.compile(r"(?P<year>\d{4})-(?P<month>0[1-9]|1[0-2])", re.A),
    re.compile(rf"(?P<name>{_NAME}{{3,9}})\.?[- ](?P<year>\d{{4}})", re.A),
]
_DURATION = re.compile(
    r"(?P<sign>-)?(?:(?P<days>\d+) days?,? ?)?(?:[+]?(?P<hours>\d+):(?P<minutes>[0-5]\d)"
    r"(?::(?P<seconds>[0-5]\d(?:\.\d+)?))?)?",
    re.A,
)
_CLOCK = re.compile(
    r"(?P<hour>[01]?\d|2[0-3])[:h](?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?:\.\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?Uhr)?",
    re.A,
)
_MARKS = set("-/.")
_PIVOT = 69
"""Two-digit years from here on are of the last century, as in POSIX."""


def dates_of(words: Sequence[str], order: Order) -> np.ndarray:
    """Reads words as times, `datetime64[us][m]`, `NaT` where a word is none; zones become UTC.

    Args:
        words: the words.
        order: whether the day or the month comes first; none of both is a date without it.
    """
    times = np.full(len(words), np.datetime64("NaT", "us"))
    iso = np.array([bool(_ISO.fullmatch(word)) for word in words], bool)
    if iso.any():
        found = pd.to_datetime(
            np.asarray(words, object)[iso], format="ISO8601", errors="coerce"
        ).to_numpy()
        times[iso] = found.astype("datetime64[us]")
    for i in np.flatnonzero(np.isnat(times)).tolist():
        time = _date(words[i], order)
        if time is not None:
            times[i] = np.datetime64(time, "us")
    return times


def day_order(words: Sequence[str]) -> tuple[int, int, int]:
    """How many words say that the day comes first, that the month does, and how many neither."""
    counts = {"dmy": 0, "mdy": 0, "": 0}
    for word in words:
        if len(word) < 6 or not word[0].isdigit() or not {word[1], word[2]} & _MARKS:
            continue
        for form in _FORMS[1:4]:
            if found := form.fullmatch(word):
                first, then = int(found["first"]), int(found["then"])
                counts["dmy" if first > 12 else "mdy" if then > 12 else ""] += 1
                break
    return counts["dmy"], counts["mdy"], counts[""]


def days_between(times: np.ndarray) -> np.ndarray:
    """Times as days since 1970, `f64[n]`, not a number where there is none."""
    days = (times - np.datetime64(0, "us")) / np.timedelta64(1, "D")
    return np.asarray(days, np.float64)


def durations_of(words: Sequence[str]) -> np.ndarray:
    """Reads words such as `1 days 02:00:00` and `7:30` as seconds, `f64[m]`, else not a number."""
    seconds = np.full(len(words), np.nan)
    for i, word in enumerate(words):
        found = _DURATION.fullmatch(word)
        if found and (found["days"] or found["hours"]):
            parts = zip(("days", "hours", "minutes", "seconds"), (86400, 3600, 60, 1), strict=True)
            total = sum(float(found[name] or 0) * weight for name, weight in parts)
            seconds[i] = -total if found["sign"] else total
    return seconds


def clock_of(words: Sequence[str]) -> np.ndarray:
    """Reads times of day such as `23:50` and `7:30:15 PM`, `datetime64[us][m]`, else `NaT`.

    They are times of the first of January 1970.
    """
    times = np.full(len(words), np.datetime64("NaT", "us"))
    for i, word in enumerate(words):
        if found := _CLOCK.fullmatch(word):
            hour, half = int(found["hour"]), (found["half"] or "").lower()
            if half:
                hour = hour % 12 + (12 if half == "p" else 0)
            seconds = 3600 * hour + 60 * int(found["minute"]) + int(found["second"] or 0)
            times[i] = np.datetime64(1_000_000 * seconds, "us")
    return times


@functools.lru_cache(1 << 17)  # a column is looked at several times
def _date(word: str, order: Order) -> datetime.datetime | None:
    for form in _FORMS:
        if (found := form.fullmatch(word)) and (date := _calendar(found.groupdict(), order)):
            return date
    return None


def _calendar(facts: dict[str, str | None], order: Order) -> datetime.datetime | None:
    """The time that the parts of a date make, or none where there is no such day."""
    year, day, month = int(facts["year"] or 0), int(facts.get("day") or 1), 0
    if facts.get("first"):
        if not order:
            return None
        numbers = int(facts["first"] or 0), int(facts["then"] or 0)
        day, month = numbers if order == "dmy" else numbers[::-1]
    elif facts.get("name"):
        month = _MONTHS.get((facts["name"] or "").lower(), 0)
    else:
        month = int(facts["month"] or 0)
    if len(facts["year"] or "") == 2:
        year += 1900 if year >= _PIVOT else 2000
    hour, half = int(facts.get("hour") or 0), (facts.get("half") or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "p" else 0)
    part = int((facts.get("part") or ".0")[1:7].ljust(6, "0"))
    try:
        minute, second = int(facts.get("minute") or 0), int(facts.get("second") or 0)
        time = datetime.datetime(year, month, day, hour, minute, second, part)
    except ValueError:
        return None
    zone = facts.get("zone")
    if zone and zone[0] in "+-":
        away = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].strip(":") or 0))
        time = time - away if zone[0] == "+" else time + away
    return time
