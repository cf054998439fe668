"""A short rule that picks one class out of a table, from a shallow decision tree.

The tree sees codes of the original columns, so its splits have no unit and outliers do not
matter. A threshold is written as the roundest number that separates the same values.

Source: Breiman, Friedman, Olshen, Stone, "Classification and regression trees", 1984.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from ncd_jax.profiles.coded_columns import CodedColumn, number_text
from ncd_jax.profiles.shallow_tree import Side, bins_of, nodes

__all__ = ["Condition", "Quality", "Rule", "find_rule"]

_DEPTH = 3
_FOLDS = 5
_MOST_LEVELS = 10
"""Categories of a column that a rule can ask for: those whose shares differ most."""
_WORTH_A_CONDITION = 0.01
"""A rule that is longer by one condition must have an F1 that is higher by this much."""


@dataclass(frozen=True)
class Condition:
    """What a rule asks of one column.

    Attributes:
        column: the column.
        allowed: `bool[v + 1]`, the codes that fulfil it, the last one for missing values.
    """

    column: CodedColumn
    allowed: np.ndarray

    @property
    def text(self) -> str:
        """For people: `age > 34`, `colour is red`, `income is missing`."""
        return f"{self.column.name} {_condition_text(self.column, self.allowed)}"


class Quality(NamedTuple):
    """How well a rule picks out a class.

    Attributes:
        precision: share of the rows that it picks that are of the class; 0 where it picks none.
        recall: share of the rows of the class that it picks.
    """

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.precision * self.recall / max(self.precision + self.recall, 1e-12)


@dataclass(frozen=True)
class Rule:
    """Conditions that a row must fulfil together.

    Attributes:
        conditions: at most three, each on another column.
        n_rows: rows of the table that fulfil them.
        n_right: those of them that are of the class.
        on_table: measured on the rows of the table, which the rule was made from.
        on_new_rows: measured by cross-validation: rules made in the same way without a fifth
            of the rows, tried on that fifth. None where the class has fewer than two rows.
    """

    conditions: tuple[Condition, ...]
    n_rows: int
    n_right: int
    on_table: Quality
    on_new_rows: Quality | None

    @property
    def texts(self) -> tuple[str, ...]:
        """The conditions for people."""
        return tuple(condition.text for condition in self.conditions)


def find_rule(
    columns: Sequence[CodedColumn],
    is_class: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Rule | None:
    """Looks for the rule among all inner nodes and leaves of a tree of depth three.

    Args:
        columns: that the rule may use.
        is_class: `bool[n]`, rows of the class in the whole table.
        rows: `i[m]`, the sample that trees are grown on; holds rows of the class.
        weights: `f[m]`, how many rows of the table each of them stands for.
        seed: of the folds.

    Returns:
        The rule with the best F1, or none where no split sets the class apart.
    """
    conditions = _grow(columns, is_class, rows, weights)
    if not conditions:
        return None
    picked = _apply(conditions, np.arange(len(is_class)))
    return Rule(
        conditions=conditions,
        n_rows=int(picked.sum()),
        n_right=int((picked & is_class).sum()),
        on_table=_quality(picked, is_class, np.ones(len(is_class))),
        on_new_rows=_cross_validated(columns, is_class, rows, weights, seed),
    )


def _cross_validated(
    columns: Sequence[CodedColumn],
    is_class: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    seed: int,
) -> Quality | None:
    target = is_class[rows]
    n_folds = min(_FOLDS, int(target.sum()), int((~target).sum()))
    if n_folds < 2:
        return None
    picked = np.zeros(len(rows), bool)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for made_from, tried_on in folds.split(rows, target):
        conditions = _grow(columns, is_class, rows[made_from], weights[made_from])
        # Without a rule nothing is picked, which costs recall.
        if conditions:
            picked[tried_on] = _apply(conditions, rows[tried_on])
    return _quality(picked, target, weights)


def _grow(
    columns: Sequence[CodedColumn], is_class: np.ndarray, rows: np.ndarray, weights: np.ndarray
) -> tuple[Condition, ...]:
    """Conditions of the best node of three trees; none where that is a root.

    One tree counts every row the same, which suits rules that pick few wrong rows; one counts
    the class as much as all else, or it would not look at a small class; one lies between.
    """
    target = is_class[rows]
    features = [f for column in columns for f in _features(column, rows, target, weights)]
    if not features:
        return ()
    bins = np.stack([feature.bins[feature.column.codes[rows]] for feature in features], axis=1)
    share = float(weights[target].sum() / weights.sum())
    balance = 1.0 / np.where(target, share, 1.0 - share)
    best: tuple[Condition, ...] = ()
    best_score = _quality(np.ones(len(rows), bool), target, weights).f1
    for power in (0.0, 0.5, 1.0):
        for path, picked in nodes(bins, target, weights * balance**power, _DEPTH):
            score, conditions = _quality(picked, target, weights).f1, _conditions(path, features)
            longer = max(len(conditions) - len(best), 0)
            if score > best_score + _WORTH_A_CONDITION * longer:
                best, best_score = conditions, score
    return _without_missing(best, best_score, rows, target, weights)


def _conditions(path: Sequence[Side], features: Sequence["_Feature"]) -> tuple[Condition, ...]:
    """What the way to a node asks of each column."""
    asked: dict[CodedColumn, np.ndarray] = {}
    for side in path:
        column, bins = features[side.column]
        asked[column] = asked.get(column, True) & side.holds(bins)
    return tuple(Condition(column, allowed) for column, allowed in asked.items())


def _without_missing(
    conditions: tuple[Condition, ...],
    score: float,
    rows: np.ndarray,
    target: np.ndarray,
    weights: np.ndarray,
) -> tuple[Condition, ...]:
    """Leaves `or missing` out where that hardly costs anything, or no value is missing."""
    for i, condition in enumerate(conditions):
        allowed = condition.allowed.copy()
        allowed[-1] = False
        if not condition.column.is_number or not allowed.any():
            continue
        plain = (*conditions[:i], Condition(condition.column, allowed), *conditions[i + 1 :])
        if _quality(_apply(plain, rows), target, weights).f1 > score - _WORTH_A_CONDITION:
            conditions = plain
    return conditions


class _Feature(NamedTuple):
    """A column as a tree sees it: the bin `i[v + 1]` of each code, or whether it is one of them."""

    column: CodedColumn
    bins: np.ndarray


def _features(
    column: CodedColumn, rows: np.ndarray, target: np.ndarray, weights: np.ndarray
) -> list[_Feature]:
    codes, n_values = column.codes[rows], len(column.values)
    if (codes == codes[0]).all():
        return []
    if column.is_number:
        return [_Feature(column, bins_of(codes, n_values, target))]
    counts = [
        np.bincount(codes[side], weights[side], minlength=n_values + 1)
        for side in (target, ~target)
    ]
    here, there = (c / max(c.sum(), 1e-12) for c in counts)
    telling = np.argsort(-np.abs(here - there), kind="stable")[:_MOST_LEVELS]
    levels = telling[here[telling] != there[telling]]
    return [_Feature(column, (np.arange(n_values + 1) == level).astype(int)) for level in levels]


def _apply(conditions: Sequence[Condition], rows: np.ndarray) -> np.ndarray:
    return np.logical_and.reduce([c.allowed[c.column.codes[rows]] for c in conditions])


def _quality(picked: np.ndarray, target: np.ndarray, weights: np.ndarray) -> Quality:
    right = float(weights[picked & target].sum())
    return Quality(
        right / max(float(weights[picked].sum()), 1e-12),
        right / max(float(weights[target].sum()), 1e-12),
    )


def _condition_text(column: CodedColumn, allowed: np.ndarray) -> str:
    n_values, missing = len(column.values), bool(allowed[-1])
    inside = np.flatnonzero(allowed[:-1])
    if not inside.size:
        return "is missing"
    if inside.size == n_values:
        return "is not missing"
    if column.is_number:
        low, high = int(inside[0]), int(inside[-1])
        if low == high:
            return f"is {column.text(low)}" + (" or missing" if missing else "")
        above = f"> {_between(column, low - 1)}" if low > 0 else ""
        below = f"<= {_between(column, high)}" if high < n_values - 1 else ""
        return " and ".join(filter(None, (above, below))) + (" or missing" if missing else "")
    occur = np.append(np.ones(n_values, bool), (column.codes == n_values).any())
    taken = [column.text(int(i)) for i in np.flatnonzero(allowed & occur)]
    refused = [column.text(int(i)) for i in np.flatnonzero(~allowed & occur)]
    if len(taken) <= len(refused):
        return f"is {' or '.join(taken)}"
    return f"is neither {' nor '.join(refused)}" if len(refused) > 1 else f"is not {refused[0]}"


def _between(column: CodedColumn, code: int) -> str:
    """The roundest number `t` with `values[code] <= t < values[code + 1]`."""
    low, high = column.values[code], column.values[code + 1]
    if not isinstance(low, float):
        return column.text(code)
    middle = low / 2 + high / 2
    coarsest = math.ceil(math.log10(max(abs(low), abs(high))))
    for digits in range(-coarsest, 17 - coarsest):
        scale = 10.0**digits
        for number in (round(middle, digits), round(math.floor(middle * scale) / scale, digits)):
            if low <= number < high:
                return number_text(number) if float(number_text(number)) == number else repr(number)
    return repr(low)
