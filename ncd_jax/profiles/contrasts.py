"""The columns that set classes of rows apart."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.tree import DecisionTreeClassifier

from ncd_jax.profiles.coded_columns import CodedColumn, Measure, best_measure, code_columns

__all__ = ["Contrast", "Grid", "contrast_classes", "draw_sample", "make_grid", "repeating_columns"]

_MOST_DIFFERENCES = 5
_MOST_FEATURES = 12
_LEAST_EFFECT = 0.15
_CHANCE_ERRORS = 4.0
"""Standard errors that an effect must exceed: among hundreds of columns some reach three."""
_REPEATS, _HARDLY = 0.9, 0.5
"""What a column says of the classes from which on it repeats them; what the others may say then."""
_MOST_ROWS_TOLD, _FEWEST_ROWS_A_CLASS, _TOLD_FOLDS, _TREES = 2000, 10, 3, 50


@dataclass(frozen=True)
class Difference:
    """One column in which a class differs from other rows.

    Attributes:
        column: name of the column.
        title: what is compared: `median`, `share red`, `share 3 to 4`, `share missing`.
        here: its value in the class, in the original unit.
        there: its value in the other rows.
        effect: between -1 and 1, positive where the class has more; see `Measure.effect`.
    """

    column: str
    title: str
    here: str
    there: str
    effect: float


@dataclass(frozen=True)
class Contrast:
    """What sets a class apart from some other rows.

    Attributes:
        against: those rows, for people.
        differences: the largest first; empty where there is none worth telling.
    """

    against: str
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Grid:
    """Every class, known or novel, in the columns that tell the novel ones apart.

    Attributes:
        features: `(column, what is compared in it)` of each of `F` lines.
        classes: names of the `G` classes that have rows, novel ones first.
        effect: `f[F, G]`, of each class against all other rows, between -1 and 1.
        here: the value of each class, as text.
        there: that of all other rows.
    """

    features: tuple[tuple[str, str], ...]
    classes: tuple[str, ...]
    effect: np.ndarray
    here: tuple[tuple[str, ...], ...]
    there: tuple[tuple[str, ...], ...]


class Sample(NamedTuple):
    """Rows that stand for a table.

    Attributes:
        rows: `i[m]`, in order.
        weights: `f[m]`, how many rows of the table each stands for.
        group: `i[m]`, their class.
        n_groups: classes, those without rows included.
    """

    rows: np.ndarray
    weights: np.ndarray
    group: np.ndarray
    n_groups: int

    def counts(self, column: CodedColumn) -> np.ndarray:
        """Weighted counts `f[v + 1, G]` of a column's codes in every class."""
        shape = (len(column.values) + 1, self.n_groups)
        joint = column.codes[self.rows].astype(np.int64) * self.n_groups + self.group
        return np.bincount(joint, self.weights, minlength=shape[0] * shape[1]).reshape(shape)


class ClassContrasts(NamedTuple):
    """How one class differs from the others.

    Attributes:
        contrasts: with the known classes and with the other novel ones, where there are any.
        measures: those of the contrasts, the most telling first.
        strength: `f[d]`, effect of every column against all other rows, without its sign.
    """

    contrasts: tuple[Contrast, ...]
    measures: tuple[Measure, ...]
    strength: np.ndarray


def draw_sample(group: np.ndarray, n_groups: int, max_rows: int, seed: int) -> Sample:
    """All rows, or about `max_rows`, for which the largest classes give rows up."""
    if len(group) <= max_rows:
        return Sample(np.arange(len(group)), np.ones(len(group)), group, n_groups)
    random = np.random.default_rng(seed)
    size = np.bincount(group, minlength=n_groups)
    left, most = max_rows, 1
    for place, n in enumerate(np.sort(size).tolist()):
        most = max(left // (n_groups - place), 1)
        left -= min(n, most)
    kept = [
        random.choice(np.flatnonzero(group == g), min(most, int(n)), replace=False)
        for g, n in enumerate(size)
    ]
    rows = np.sort(np.concatenate(kept))
    stands_for = size / np.maximum([len(k) for k in kept], 1)
    return Sample(rows, stands_for[group[rows]], group[rows], n_groups)


def contrast_classes(
    columns: Sequence[CodedColumn], sample: Sample, n_novel: int
) -> list[ClassContrasts]:
    """Contrasts of each of the first `n_novel` classes."""
    groups = np.arange(sample.n_groups)
    novel = groups < n_novel
    size = np.bincount(sample.group, minlength=sample.n_groups)
    sides = [
        [("the known classes", ~novel), ("the other novel classes", novel & (groups != i))]
        for i in range(n_novel)
    ]
    found: list[list[list[tuple[Measure, Difference]]]] = [[[], []] for _ in sides]
    strength = np.zeros((n_novel, len(columns)))
    # Columns outside: only the counts of one are held at a time.
    for j, column in enumerate(columns):
        counts = sample.counts(column)
        everyone = counts.sum(axis=1)
        for i in range(n_novel):
            here = counts[:, i]
            everyone_else = everyone - here
            best = best_measure(column, here, everyone_else)
            strength[i, j] = abs(best.effect(here, everyone_else))
            for (_, others), kept in zip(sides[i], found[i], strict=True):
                there = counts[:, others].sum(axis=1)
                measure = best_measure(column, here, there)
                chance = _CHANCE_ERRORS * _standard_error(size[i], size[others].sum())
                if abs(measure.effect(here, there)) > max(_LEAST_EFFECT, chance):
                    kept.append((measure, _difference(measure, here, there)))
    result = []
    for i in range(n_novel):
        for kept in found[i]:
            kept.sort(key=lambda pair: -abs(pair[1].effect))
            del kept[_MOST_DIFFERENCES:]
        contrasts = (
            Contrast(text, tuple(d for _, d in kept))
            for (text, others), kept in zip(sides[i], found[i], strict=True)
            if size[others].sum()
        )
        pairs = sorted((p for kept in found[i] for p in kept), key=lambda p: -abs(p[1].effect))
        result.append(ClassContrasts(tuple(contrasts), tuple(m for m, _ in pairs), strength[i]))
    return result


def make_grid(found: Sequence[ClassContrasts], sample: Sample, names: Sequence[str]) -> Grid:
    """The most telling features of each class in turn, with what every class has of them."""
    chosen: dict[str, Measure] = {}
    for measure in itertools.chain(*itertools.zip_longest(*(f.measures for f in found))):
        if measure is not None and len(chosen) < _MOST_FEATURES:
            chosen.setdefault(measure.column.name, measure)
    used = np.flatnonzero(np.bincount(sample.group, minlength=sample.n_groups))
    lines = []
    for measure in chosen.values():
        counts = sample.counts(measure.column)
        rest = counts.sum(axis=1, keepdims=True) - counts
        lines.append([_difference(measure, counts[:, g], rest[:, g]) for g in used])
    return Grid(
        features=tuple((measure.column.name, measure.title) for measure in chosen.values()),
        classes=tuple(names[g] for g in used.tolist()),
        effect=np.array([[d.effect for d in line] for line in lines]).reshape(-1, len(used)),
        here=tuple(tuple(d.here for d in line) for line in lines),
        there=tuple(tuple(d.there for d in line) for line in lines),
    )


def repeating_columns(frame: pd.DataFrame, labels: np.ndarray, seed: int = 0) -> tuple[str, ...]:
    """A column that alone says which class a row is in, where all others together hardly do.

    Such a column is often where or when a row was taken, and the classes are places or days then.
    What columns say is the share of rows whose class they tell, 0 for that of the largest class
    and 1 for all.

    Args:
        frame: `n` rows.
        labels: `[n]`, the class of each.
        seed: of the sample, and of the trees that look at the others.

    Returns:
        Its name, and those of its copies; nothing where there is none.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_MOST_ROWS_TOLD])
    _, group = np.unique(labels[rows], return_inverse=True)
    sizes = np.bincount(group)
    if len(sizes) < 2 or len(rows) < _FEWEST_ROWS_A_CLASS * len(sizes):
        return ()

    def said(right: float) -> float:
        largest = sizes.max() / len(rows)
        return (right - largest) / (1 - largest)

    columns = code_columns(frame.iloc[rows])
    says = [said(_told_by(column, group)) for column in columns]
    if max(says, default=0.0) < _REPEATS:
        return ()
    best = columns[int(np.argmax(says))]
    repeating = [column for column in columns if column is best or _are_copies(column, best)]
    others = [column for column in columns if column not in repeating]
    said_by_others = [say for column, say in zip(columns, says, strict=True) if column in others]
    # One that repeats the classes as well need not be asked together with the rest.
    if not others or max(said_by_others) >= _REPEATS:
        return ()
    from sklearn.ensemble import RandomForestClassifier  # few tables come here
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    x = np.stack([column.codes for column in others], axis=1)
    kept = sizes[group] >= _TOLD_FOLDS
    folds = StratifiedKFold(_TOLD_FOLDS, shuffle=True, random_state=seed)
    forest = RandomForestClassifier(_TREES, min_samples_leaf=2, random_state=seed)
    told = cross_val_predict(forest, x[kept], group[kept], cv=folds) == group[kept]
    if said(float(told.sum()) / len(rows)) > _HARDLY:
        return ()
    return tuple(column.name for column in repeating)


def _told_by(column: CodedColumn, group: np.ndarray) -> float:
    """Share of rows whose class the other rows with their value tell; of numbers, with one near."""
    codes, n_classes = column.codes, int(group.max()) + 1
    if column.is_number:
        tree = DecisionTreeClassifier(max_leaf_nodes=2 * n_classes, random_state=0)
        codes = tree.fit(codes[:, None], group).apply(codes[:, None])
    _, codes = np.unique(codes, return_inverse=True)
    counts = np.zeros((int(codes.max()) + 1, n_classes))
    np.add.at(counts, (codes, group), 1)
    counts = np.sort(counts, axis=1)
    # Without the row itself its class must still be the first one.
    return float(counts[counts[:, -1] - 1 > counts[:, -2], -1].sum() / len(group))


def _are_copies(a: CodedColumn, b: CodedColumn) -> bool:
    """Whether two columns say the same of their rows in other words."""
    pairs = np.stack([a.codes, b.codes], axis=1)
    n_pairs = len(np.unique(pairs, axis=0))
    # Columns without a value twice say nothing of each other.
    return n_pairs < len(pairs) / 2 and all(len(np.unique(c)) == n_pairs for c in pairs.T)


def _difference(measure: Measure, here: np.ndarray, there: np.ndarray) -> Difference:
    return Difference(
        column=measure.column.name,
        title=measure.title,
        here=measure.value(here),
        there=measure.value(there),
        effect=measure.effect(here, there),
    )


def _standard_error(n_here: int, n_there: int) -> float:
    """Of Cliff's delta between groups that do not differ; of a share it is at most that."""
    return math.sqrt((1 / max(n_here, 1) + 1 / max(n_there, 1)) / 3)
