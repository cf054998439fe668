"""What begins again: times of day, directions, hours."""

import re

import numpy as np
import pandas as pd

from ncd_jax.read.columns import Column

__all__ = ["circular_hint", "from_emptiest_hour"]

_PERIODS = {
    360.0: re.compile(
        r"angle|deg(?:rees?)?(?![a-z])|direction|heading|bearing|azimut|aspect|hue(?![a-z])|grad(?![a-z])"
        r"|winkel|richtung|longitude|(?<![a-z])(?:lon|long|dir|course|phase)(?![a-z])",
        re.I,
    ),
    24.0: re.compile(
        r"(?<![a-z])(?:hours?|hrs?|hod|stunden?|uhr|heures?|horas?|ora)(?![a-z])|hour$|time.?of.?day|uhrzeit|tageszeit",
        re.I,
    ),
}
"""Periods of numbers, and words in the names of columns that have them."""
_EDGE = 0.1
"""Part of the period that must be filled at both ends."""


def circular_hint(column: Column, cells: pd.Series) -> str:
    """A remark on numbers that look as if they began again, or nothing.

    Their name says so, they lie between 0 and the period, and some lie at both ends.
    """
    if column.kind != "numeric" or column.period or column.order:
        return ""
    for period, words in _PERIODS.items():
        if words.search(column.name) is None:
            continue
        values = cells.to_numpy(np.float64, na_value=np.nan)
        low, high = np.nanmin(values), np.nanmax(values)
        if 0 <= low <= _EDGE * period and (1 - _EDGE) * period <= high <= period:
            return (
                f"looks circular, from 0 to {period:g}, and its ends are taken to be far apart;"
                f" --circular={column.name}:{period:g} makes them neighbours"
            )
    return ""


def from_emptiest_hour(times: pd.Series) -> pd.Series:
    """Times of day in an order that does not cut a class in two at midnight.

    The day begins in the middle of the longest time in which nothing happens; what is earlier on
    the clock is put on the next day.
    """
    filled = np.unique(times.dropna().to_numpy())
    if len(filled) < 2:
        return times
    day = np.timedelta64(1, "D")
    gaps = np.diff(np.append(filled, filled[0] + day))
    longest = int(np.argmax(gaps))
    if longest == len(filled) - 1:  # at midnight
        return times
    return times.where(~(times <= filled[longest]), times + pd.Timedelta(day))
