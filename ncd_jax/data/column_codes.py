"""A column of any kind as numbers of one scale, and the record of how, for rows that come later.

What is measured is measured by scikit-learn, on all rows of the training table and never on a
label: `OneHotEncoder(max_categories, handle_unknown="infrequent_if_exist")`; or as
`SimpleImputer(strategy="median")` and `StandardScaler` would, but for wild cells; see `scale`.
What was found is kept as numbers and words, so a model is stored without pickle and does not
depend on the release of scikit-learn that reads it.

What becomes of a column:

* numeric: empty cells get the median; then mean 0 and variance 1, wild cells aside. Where cells
  were empty in training, a pair of columns says whether one was.
* date: the time itself and, as sine and cosine, the day in the year, in the week and the time
  of day, less what does not vary. Together they have variance 1. Of times of day, and of numbers
  that begin again, there is a place on a circle, whose sine and cosine have one scale.
* boolean and category: a column for each word, for empty cells if there were any, and one for
  all words that are less frequent than the first `MAX_CATEGORIES - 1`. New words count as
  such an infrequent one; where there is none, all columns are 0. The column that is set holds
  `ONE_HOT`, so rows with different words are as far apart as rows whose numbers differ by one
  standard deviation, and rare words do not outweigh everything else.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
import pandas as pd

from ncd_jax.data.scale import measure, rounded
from ncd_jax.read.cells import level_words, numbers, times
from ncd_jax.read.columns import MAX_CATEGORIES, Column, Kind
from ncd_jax.read.date_words import days_between
from ncd_jax.read.words import level_key

__all__ = ["ONE_HOT", "Block", "NumberCode", "WordCode"]

ONE_HOT = float(np.sqrt(0.5))
"""What an encoded column of a category holds where it is set.

Two rows with different words are then at distance 1. No value was best everywhere: by the score
of k-means on hidden classes, a variance of 1 for each category was better on soybean (ARI 0.68
against 0.64), and much worse on penguins (0.33 against 0.82) and eucalyptus (0.09 against 0.17).
"""

_YEAR, _WEEK = 365.25, 7.0
_MOST = float(np.finfo(float).max)


class Block(NamedTuple):
    """Encoded columns that belong together.

    Attributes:
        column: name of the column that they come from.
        kind: `numeric`, or `categorical`: at most one of the columns is set, to `ONE_HOT`.
        start: the first encoded column.
        stop: the first one behind.
    """

    column: str
    kind: Literal["numeric", "categorical"]
    start: int
    stop: int


@dataclass(frozen=True)
class WordCode:
    """How a boolean or a category is encoded.

    Attributes:
        column: the column.
        words: those with an encoded column of their own.
        missing: whether empty cells have one.
        infrequent: whether all other words have one.
    """

    column: Column
    words: tuple[str, ...]
    missing: bool
    infrequent: bool

    @classmethod
    def fit(cls, column: Column, cells: pd.Series) -> "WordCode":
        """Measures a column of the training table."""
        found = level_words(column, cells)
        codes, words = found.codes, found.words
        # Empty cells come last, and of equally frequent words the later one is kept.
        levels, counts = np.unique(np.where(codes < 0, len(words), codes), return_counts=True)
        infrequent = len(levels) >= MAX_CATEGORIES
        most = np.argsort(counts, kind="stable")[-(MAX_CATEGORIES - 1) :] if infrequent else ...
        kept = np.sort(levels[most]).tolist()
        return cls(
            column,
            tuple(words[code] for code in kept if code < len(words)),
            len(words) in kept,
            infrequent,
        )

    def check(self) -> None:
        """Raises `ValueError` where somebody else's data made it something else."""
        _check_column(self.column)
        flags = isinstance(self.missing, bool) and isinstance(self.infrequent, bool)
        if not flags or not all(isinstance(word, str) for word in self.words):
            raise ValueError("words are not text")

    def blocks(self, start: int) -> list[Block]:
        """What it is encoded as, from column `start` on."""
        return [Block(self.column.name, "categorical", start, start + len(self.names()))]

    def names(self) -> list[str]:
        """Names of the encoded columns."""
        rest = ["(missing)"] * self.missing + ["(infrequent)"] * self.infrequent
        return [f"{self.column.name}={word}" for word in (*self.words, *rest)]

    def apply(self, cells: pd.Series, out: np.ndarray) -> None:
        """Writes rows `[n]` into the encoded columns `out: f32[n, len(names())]`."""
        found = level_words(self.column, cells)
        other = len(self.words) + self.missing if self.infrequent else -1
        position = {level_key(word): i for i, word in enumerate(self.words)}
        empty = len(self.words) if self.missing else other
        at = [*(position.get(level_key(word), other) for word in found.words), empty]
        _write_one_hot(out, np.array(at)[found.codes])


@dataclass(frozen=True)
class NumberCode:
    """How a number or a date is encoded.

    Attributes:
        column: the column.
        fill: what empty cells get: the median.
        parts: what of the value is encoded.
        mean: of each part.
        scale: of each part; what it is divided by.
        missing: whether a pair of columns says if the cell is empty.
        low: what values below count as.
        high: what values above count as.
    """

    column: Column
    fill: float
    parts: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    missing: bool
    low: float = -_MOST
    high: float = _MOST

    @classmethod
    def fit(cls, column: Column, cells: pd.Series) -> "NumberCode":
        """Measures a column of the training table, which has at least one cell that is filled."""
        values = _values(column, cells)
        empty = np.isnan(values)
        missing, period = bool(empty.any()), _period(column)
        if period:
            return cls._of_circle(column, values[~empty], missing)
        fill = _median(values[~empty])
        values = _filled(values, empty, fill)
        whole = measure(values)
        parts, mean, scale = [], [], []
        for name in ("value",) if column.kind == "numeric" else _DATE_PARTS:
            if name in ("value", "time"):
                part = whole
            elif np.ptp(turns := _part(name, values)):
                part = measure(turns, clip=False)
            else:
                continue
            parts.append(name)
            mean.append(part.mean)
            scale.append(part.scale)
        weight = np.sqrt(len(parts))
        scales = tuple(float(s * weight) for s in scale)
        return cls(column, fill, tuple(parts), tuple(mean), scales, missing, whole.low, whole.high)

    @classmethod
    def _of_circle(cls, column: Column, values: np.ndarray, missing: bool) -> "NumberCode":
        """Empty cells get the mean direction."""
        period = _period(column)
        ends = np.stack([_part(name, values, period) for name in _CIRCLE])
        mean = ends.mean(axis=1)
        scale = float(np.sqrt(ends.var(axis=1).sum())) or 1.0
        fill = float(np.arctan2(*mean) / (2 * np.pi) % 1 * period)
        return cls(column, fill, _CIRCLE, tuple(map(float, mean)), (scale, scale), missing)

    def check(self) -> None:
        """Raises `ValueError` where somebody else's data made it something else."""
        _check_column(self.column)
        figures = (self.fill, self.low, self.high, *self.mean, *self.scale)
        if not (
            isinstance(self.missing, bool)
            and len(self.parts) == len(self.mean) == len(self.scale)
            and {*self.parts} <= {"value", *_DATE_PARTS, *_CIRCLE}
            and all(isinstance(figure, int | float) for figure in figures)
            and np.isfinite(np.array(figures, np.float64)).all()
            and min(self.scale, default=1.0) > 0
        ):
            raise ValueError("parts and their figures do not belong together")

    def blocks(self, start: int) -> list[Block]:
        """What it is encoded as, from column `start` on."""
        stop = start + len(self.parts)
        blocks = [Block(self.column.name, "numeric", start, stop)]
        if self.missing:
            blocks.append(Block(self.column.name, "categorical", stop, stop + 2))
        return blocks

    def names(self) -> list[str]:
        """Names of the encoded columns."""
        name = self.column.name
        names = [name if p == "value" else f"{name}:{p}" for p in self.parts]
        return names + [f"{name}=(given)", f"{name}=(missing)"] * self.missing

    def apply(self, cells: pd.Series, out: np.ndarray) -> None:
        """Writes rows `[n]` into the encoded columns `out: f32[n, len(names())]`."""
        values = _values(self.column, cells)
        empty = np.isnan(values)
        values = _filled(values, empty, self.fill)
        facts = zip(self.parts, self.mean, self.scale, strict=True)
        for i, (name, mean, scale) in enumerate(facts):
            part = _part(name, values, _period(self.column))
            if name in ("value", "time"):
                part = np.clip(part, self.low, self.high)
            part = part - mean
            part /= scale
            out[:, i] = rounded(part)
        if self.missing:
            _write_one_hot(out[:, len(self.parts) :], empty.astype(np.int64))


_DATE_PARTS = ("time", "year_sin", "year_cos", "week_sin", "week_cos", "day_sin", "day_cos")
_CIRCLE = ("sin", "cos")


def _check_column(column: Column) -> None:
    texts = (column.name, column.unit, *column.levels, *column.gaps)
    if not (
        all(isinstance(text, str) for text in texts)
        and column.kind in get_args(Kind)
        and column.decimal in ("", ".", ",")
        and column.order in ("", "dmy", "mdy", "compact", "clock", "duration")
        and isinstance(column.period, int | float)
        and 0 <= column.period < np.inf
        and len(column.levels) in (0, 2)
    ):
        raise ValueError("this is no column")


def _period(column: Column) -> float:
    """After what the values of a column begin again; 0 where they do not."""
    return 1.0 if column.order == "clock" else column.period


def _values(column: Column, cells: pd.Series) -> np.ndarray:
    """Numbers, or days since 1970; not to be written to, as they may be the table itself."""
    if column.kind == "date":
        return days_between(times(column, cells))
    return numbers(column, cells)


def _median(values: np.ndarray) -> float:
    """The median; halves are added up, as the sum of two large numbers may overflow."""
    places = [(len(values) - 1) // 2, len(values) // 2]
    low, high = np.partition(values, places)[places]
    return float(low / 2 + high / 2) if low != high else float(low)


def _filled(values: np.ndarray, empty: np.ndarray, fill: float) -> np.ndarray:
    return np.where(empty, fill, values) if empty.any() else values


def _part(name: str, values: np.ndarray, period: float = 0.0) -> np.ndarray:
    """A part of numbers, of a place on a circle, or of dates, given as days since 1970."""
    if name in ("value", "time"):
        return values
    if name in _CIRCLE:
        angle = 2 * np.pi * (values / period % 1)
        return np.sin(angle) if name == "sin" else np.cos(angle)
    date = np.floor(values)
    if name.startswith("year"):
        day = date.astype("datetime64[D]")
        turn = (day - day.astype("datetime64[Y]")).astype(np.float64) / _YEAR
    elif name.startswith("week"):
        turn = (date + 3) % _WEEK / _WEEK  # 1970 began on a Thursday
    else:
        turn = values - date
    angle = 2 * np.pi * turn
    return np.sin(angle) if name.endswith("sin") else np.cos(angle)


def _write_one_hot(out: np.ndarray, at: np.ndarray) -> None:
    """Sets column `at` of each row and clears the others; where it is negative, clears all."""
    out[:] = 0
    rows = np.flatnonzero(at >= 0)
    out[rows, at[rows]] = ONE_HOT
