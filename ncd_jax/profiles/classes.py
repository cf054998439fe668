"""What the novel classes are, in the columns of the table and the words of its owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.profiles.coded_columns import CodedColumn, code_columns
from ncd_jax.profiles.contrasts import Contrast, Grid, contrast_classes, draw_sample, make_grid
from ncd_jax.profiles.rules import Rule, find_rule

__all__ = ["Neighbour", "Profile", "Profiles", "SortedRows", "TypicalRow", "profile_classes"]

_MOST_NEIGHBOURS = 3
_MOST_TYPICAL_ROWS = 3
_MOST_TYPICAL_COLUMNS = 6
_MOST_RULE_COLUMNS, _MOST_RULE_ROWS = 100, 3000
"""What trees are grown on: a rule of three conditions needs no more, and each takes a hundred."""


@dataclass(frozen=True)
class Neighbour:
    """A known class near a novel one.

    Attributes:
        name: of the known class.
        share: of the novel class's rows that lie nearer to it than to any other known class.
        distance: between the centres in the latent space; 1 is the mean distance between
            the centres of two known classes.
    """

    name: str
    share: float
    distance: float


@dataclass(frozen=True)
class TypicalRow:
    """A row near the centre of its class.

    Attributes:
        row: number in the table.
        confidence: of its assignment.
        values: those of `Profile.columns`, as text.
    """

    row: int
    confidence: float
    values: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """A novel class.

    Attributes:
        name: `novel_i`.
        size: its rows.
        share: of all rows of novel classes.
        contrasts: with the known classes and, where there are others, the other novel ones.
        rule: none where no short rule sets it apart.
        columns: those shown of typical rows.
        typical_rows: nearest to the centre in the latent space first, no two alike.
        neighbours: known classes, nearest centre first.
    """

    name: str
    size: int
    share: float
    contrasts: tuple[Contrast, ...]
    rule: Rule | None
    columns: tuple[str, ...]
    typical_rows: tuple[TypicalRow, ...]
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True)
class Profiles:
    """All novel classes of a run.

    Attributes:
        classes: those that have rows, in order of number.
        grid: for the overview.
        n_sampled: rows that rules were made from, effects from no fewer; none where that is all
            rows.
    """

    classes: tuple[Profile, ...]
    grid: Grid
    n_sampled: int | None


class SortedRows(NamedTuple):
    """The `n` rows of a table, each in a class.

    Attributes:
        frame: their original columns, without labels; numbers, text, missing values.
        labels: the known class or `novel_i` of each.
        is_novel: `bool[n]`, the unlabelled rows that were given to no known class.
        z: `f32[n, L]`, latents.
        confidence: `f[v]`, of these, in order of row.
        numbers: `i[n]`, of the rows in the table; none where they count from 0.
    """

    frame: pd.DataFrame
    labels: Sequence[str]
    is_novel: np.ndarray
    z: np.ndarray
    confidence: np.ndarray
    numbers: np.ndarray | None = None


def profile_classes(
    rows: SortedRows,
    classes: Sequence[str],
    n_novel: int,
    *,
    max_rows: int = 10_000,
    seed: int = 0,
) -> Profiles:
    """Describes every novel class by the original columns.

    Effects and trees are computed on samples where the table is large, drawn evenly from the
    classes and weighted, so that small classes keep their rows and shares stay those of the
    table. How many rows a rule picks is counted on the whole table.

    Args:
        rows: of the table.
        classes: names of the known classes.
        n_novel: number of novel classes.
        max_rows: size of the sample; see `draw_sample`.
        seed: of the sample, the trees and their folds.
    """
    names = [*(f"novel_{i}" for i in range(n_novel)), *classes]
    position = {name: i for i, name in enumerate(names)}
    group = np.array([position[label] for label in rows.labels])
    sample = draw_sample(group, len(names), max_rows, seed)
    columns = code_columns(rows.frame)
    found = contrast_classes(columns, sample, n_novel)
    certainty = np.ones(len(group))
    certainty[rows.is_novel] = rows.confidence
    z = rows.z
    centres = [
        z[group == g].mean(axis=0) if (group == g).any() else None for g in range(len(names))
    ]
    n_in_novel = int((group < n_novel).sum())

    lesson = draw_sample(group, len(names), min(max_rows, _MOST_RULE_ROWS), seed)

    def profile(i: int) -> Profile:
        members = np.flatnonzero(group == i)
        strongest = np.argsort(-found[i].strength, kind="stable")[:_MOST_RULE_COLUMNS]
        rule = find_rule(
            [columns[j] for j in strongest], group == i, lesson.rows, lesson.weights, seed
        )
        asked = [condition.column for condition in rule.conditions] if rule else []
        telling = {c.name: c for c in [*asked, *(m.column for m in found[i].measures)]}
        shown = list(telling.values())[:_MOST_TYPICAL_COLUMNS]
        return Profile(
            name=names[i],
            size=len(members),
            share=len(members) / n_in_novel,
            contrasts=found[i].contrasts,
            rule=rule,
            columns=tuple(column.name for column in shown),
            typical_rows=_typical_rows(rows, members, certainty, shown),
            neighbours=_neighbours(z[members], centres[n_novel:], classes),
        )

    profiles = tuple(map(profile, np.unique(group[group < n_novel]).tolist()))
    n_sampled = len(lesson.rows) if len(lesson.rows) < len(group) else None
    return Profiles(profiles, make_grid(found, sample, names), n_sampled)


def _typical_rows(
    rows: SortedRows, members: np.ndarray, confidence: np.ndarray, columns: Sequence[CodedColumn]
) -> tuple[TypicalRow, ...]:
    latents = rows.z[members].astype(np.float64)
    distance = np.linalg.norm(latents - latents.mean(axis=0), axis=1)
    typical: dict[tuple[str, ...], TypicalRow] = {}
    for row in members[np.argsort(distance, kind="stable")].tolist():
        values = tuple(column.text(column.codes[row]) for column in columns)
        number = row if rows.numbers is None else int(rows.numbers[row])
        typical.setdefault(values, TypicalRow(number, float(confidence[row]), values))
        if len(typical) == _MOST_TYPICAL_ROWS:
            break
    return tuple(typical.values())


def _neighbours(
    latents: np.ndarray, centres: Sequence[np.ndarray | None], classes: Sequence[str]
) -> tuple[Neighbour, ...]:
    known = [i for i, centre in enumerate(centres) if centre is not None]
    if not known:
        return ()
    points = np.array([centres[i] for i in known], dtype=np.float64)
    between = np.linalg.norm(points[:, None] - points[None], axis=2)
    unit = between.sum() / max(len(known) * (len(known) - 1), 1)
    distance = np.linalg.norm(points - latents.mean(axis=0), axis=1) / (unit if unit > 0 else 1.0)
    # |a - b|^2 without |a|^2, which does not change which b is nearest.
    nearest = np.argmin((points**2).sum(axis=1) - 2.0 * latents @ points.T, axis=1)
    share = np.bincount(nearest, minlength=len(known)) / len(latents)
    return tuple(
        Neighbour(str(classes[known[j]]), float(share[j]), float(distance[j]))
        for j in np.argsort(distance, kind="stable")[:_MOST_NEIGHBOURS].tolist()
    )
