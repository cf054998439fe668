"""Columns of a table as codes, and how much one group of rows differs from another in one.

Every column, numbers or categories, becomes codes of its distinct values. What is counted
over codes is exact, does not mind outliers, and needs no unit.

Source of the effect on numbers: Cliff, "Dominance statistics: ordinal analyses to answer
ordinal questions", 1993; of the search for an interval: Kuiper, "Tests concerning random
points on a circle", 1960.
"""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["CodedColumn", "Measure", "best_measure", "code_columns", "number_text"]

_FEWEST_NUMBERS = 3
"""With fewer distinct values a numeric column is a flag: `smoker is 1` says it better."""


@dataclass(frozen=True, eq=False)
class CodedColumn:
    """A column of `n` rows with `v` distinct values.

    Attributes:
        name: of the column.
        codes: `i32[n]` in `0..v`; `v` where the value is missing.
        values: `[v]` distinct values, numbers in ascending order, categories as text.
        is_number: whether the order of the codes means something.
    """

    name: str
    codes: np.ndarray
    values: np.ndarray
    is_number: bool

    def text(self, code: int) -> str:
        """The value of a code as people read it."""
        if code == len(self.values):
            return "missing"
        value = self.values[code]
        return number_text(value) if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Measure:
    """One way to tell two groups of rows apart in one column.

    Attributes:
        column: the column.
        inside: `bool[v + 1]`, the codes whose share is compared; none where ranks are.
        title: what is compared, for people.
    """

    column: CodedColumn
    inside: np.ndarray | None
    title: str

    def effect(self, here: np.ndarray, there: np.ndarray) -> float:
        """The difference of two groups, from their counts `[v + 1]` of each code.

        Returns:
            Between -1 and 1; 0 where a group is empty. Of a share: its difference. Of ranks:
            how much more often a value of the first group is the larger one than the smaller
            one, among all pairs of one row from each (Cliff's delta, which is
            2 AUC - 1; on a flag it equals the difference of shares).
        """
        if self.inside is None:
            return _rank_effect(here[:-1], there[:-1])
        return _share(here, self.inside) - _share(there, self.inside)

    def value(self, counts: np.ndarray) -> str:
        """The median or the share of a group, in the original unit."""
        if self.inside is not None:
            return f"{_share(counts, self.inside):.0%}"
        return self.column.text(_median(counts[:-1]))


def code_columns(frame: pd.DataFrame) -> tuple[CodedColumn, ...]:
    """Codes the columns of a table of numbers, flags, text, dates and missing values."""
    return tuple(_code(str(name), frame.iloc[:, i]) for i, name in enumerate(frame.columns))


def best_measure(column: CodedColumn, here: np.ndarray, there: np.ndarray) -> Measure:
    """The measure by which two groups of rows differ most in a column.

    For categories the share of a category, or of missing values. For numbers the ranks, the
    share of missing values, or, for a group in the middle or at both ends, the share inside an
    interval. The interval is the best of many, so it only wins where it does after what
    chance would bring is taken off.

    Args:
        column: the column.
        here: counts `[v + 1]` of the codes in the one group.
        there: the same in the other.
    """
    n_values = len(column.values)
    if not column.is_number:
        shares = _shares(here) - _shares(there)
        # Of two that differ equally the one that this group has more of.
        code = int(np.argmax(np.abs(shares) + 1e-9 * np.sign(shares)))
        return Measure(column, np.arange(n_values + 1) == code, f"share {column.text(code)}")

    ranks = Measure(column, None, "median")
    missing = Measure(column, np.arange(n_values + 1) == n_values, "share missing")
    interval = _interval(column, here, there)
    n_here, n_there = here[:-1].sum(), there[:-1].sum()
    chance = math.sqrt(math.pi / 2 * (1 / max(n_here, 1) + 1 / max(n_there, 1)))
    strength = [
        abs(ranks.effect(here, there)),
        abs(missing.effect(here, there)),
        abs(interval.effect(here, there)) - chance,
    ]
    best = (ranks, missing, interval)[int(np.argmax(strength))]
    if best is ranks and ranks.value(here) == ranks.value(there):
        return interval  # equal medians would not show the difference that is there
    return best


def number_text(value: float) -> str:
    """A number in four digits, or in as many as it takes where it is a whole one."""
    if value == round(value) and abs(value) < 1e15:
        return f"{value + 0.0:.0f}"  # no "-0"
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


def _code(name: str, series: pd.Series) -> CodedColumn:
    """Infinite numbers count as missing: they have no place on a scale."""
    is_flag = pd.api.types.is_bool_dtype(series)
    is_date = pd.api.types.is_datetime64_any_dtype(series)
    is_number = pd.api.types.is_numeric_dtype(series) and not is_flag
    if is_number:
        numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        codes, distinct = pd.factorize(np.where(np.isfinite(numbers), numbers, np.nan), sort=True)
        values: list[object] = [float(value) for value in distinct]
    elif is_date:
        codes, distinct = pd.factorize(series, sort=True)
        values = [_date_text(value) for value in distinct]
    else:
        text = series.astype(object).map(str, na_action="ignore")
        codes, distinct = pd.factorize(text, sort=True)
        values = list(distinct)
    return CodedColumn(
        name=name,
        codes=np.where(codes < 0, len(values), codes).astype(np.int32),
        values=np.array(values, dtype=object),
        is_number=(is_number or is_date) and len(values) >= _FEWEST_NUMBERS,
    )


def _date_text(time: pd.Timestamp) -> str:
    """A day, or a time; times of day are those of the first days of 1970."""
    if time.year == 1970 and time.day_of_year <= 2:
        return str(time.time())
    return str(time).removesuffix(" 00:00:00")


def _shares(counts: np.ndarray) -> np.ndarray:
    return counts / max(counts.sum(), 1e-12)


def _share(counts: np.ndarray, inside: np.ndarray) -> float:
    return float(_shares(counts)[inside].sum())


def _median(counts: np.ndarray) -> int:
    """Code of the lower median; that of a missing value where there is no other."""
    cumulative = np.cumsum(counts)
    if not len(counts) or cumulative[-1] == 0:
        return len(counts)
    return int(np.searchsorted(cumulative, cumulative[-1] / 2))


def _rank_effect(here: np.ndarray, there: np.ndarray) -> float:
    if here.sum() == 0 or there.sum() == 0:
        return 0.0
    below = np.cumsum(_shares(there))
    smaller = np.concatenate([[0.0], below[:-1]])
    return float(np.clip(np.sum(_shares(here) * (smaller - (1.0 - below))), -1.0, 1.0))


def _interval(column: CodedColumn, here: np.ndarray, there: np.ndarray) -> Measure:
    """The interval of values whose share differs most, missing values aside."""
    n_values = len(column.values)
    lead = np.cumsum(_shares(here[:-1])) - np.cumsum(_shares(there[:-1]))
    lead = np.concatenate([[0.0], lead])  # before the first value
    lead[-1] = 0.0  # exactly
    low, high = sorted((int(np.argmin(lead)), int(np.argmax(lead))))
    codes = np.arange(n_values + 1)
    inside = (codes >= low) & (codes < high)
    if (low == 0 or high == n_values) and _share(here, inside) < _share(there, inside):
        # The other side of the one threshold says the same, and what there is more of.
        low, high = (high, n_values) if low == 0 else (0, low)
        inside = (codes >= low) & (codes < high)
    if high - low == 1:
        title = f"share {column.text(low)}"
    elif low == 0:
        title = f"share up to {column.text(high - 1)}"
    elif high == n_values:
        title = f"share above {column.text(low - 1)}"
    else:
        title = f"share {column.text(low)} to {column.text(high - 1)}"
    return Measure(column, inside, title)
