"""Rows in groups: plates, sessions, customers. What all rows of a group share is no class.

Numbers are centred within groups where known classes are then found again: in groups that have
labels when these are left out in turn, and among unlabelled rows of groups that have none.
Centring takes away what groups share, and with it the class where each group is one of its own;
so it is measured, not assumed.

Source: centring within batches, Leek et al., "Tackling the widespread and critical impact of batch
effects in high-throughput data", Nature Reviews Genetics 11, 2010.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncd_jax.data.selection import LOOSE, Rounded, rounded, sampled, without_absent
from ncd_jax.read.names import show
from ncd_jax.types import UNLABELLED

__all__ = ["GroupCentres", "centring", "group_note"]

FEWEST = 10
"""Rows of a group that has a centre of its own."""
MOST_PARTS = 8
"""Times that groups are left out."""
BETTER = 0.02
"""Share of rows by which known classes must be found again more often."""
_MEASURES = (
    "known rows of a group found by the labels of others",
    "unlabelled rows of groups without labels that look like a known class",
)


@dataclasses.dataclass(frozen=True)
class GroupCentres:
    """How far the numbers of each group lie from those of all rows.

    Attributes:
        column: the column of groups.
        groups: their names.
        at: encoded columns that are centred.
        offsets: of each group, what is taken from these.
        mean: of all rows, in these.
    """

    column: str
    groups: tuple[str, ...]
    at: tuple[int, ...]
    offsets: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]

    @classmethod
    def fit(
        cls, column: str, names: Sequence[str], x: np.ndarray, at: Sequence[int]
    ) -> "GroupCentres":
        """Measures all rows, known and unlabelled alike; small groups stay where they are.

        Args:
            column: name of the column of groups.
            names: the group of every row.
            x: `f[n, d]`, encoded.
            at: encoded columns that are numbers.
        """
        groups, codes = np.unique(np.asarray(names, str), return_inverse=True)
        values, of_group = np.asarray(x[:, list(at)], float), []
        mean = values.mean(axis=0)
        for g in range(len(groups)):
            own = values[codes == g]
            of_group.append(tuple((own.mean(axis=0) - mean) * (len(own) >= FEWEST)))
        return cls(column, tuple(groups.tolist()), tuple(at), tuple(of_group), tuple(mean))

    def apply(self, names: Sequence[str], x: np.ndarray) -> np.ndarray:
        """Encoded rows `f[n, d]` with their numbers centred.

        A group that was not there in training has the centre of the rows at hand, if they are
        enough.
        """
        x, at = np.array(x), np.array(self.at, int)
        offsets = dict(zip(self.groups, self.offsets, strict=True))
        groups, codes = np.unique(np.asarray(names, str), return_inverse=True)
        for g, name in enumerate(groups.tolist()):
            rows = np.flatnonzero(codes == g)
            own = x[np.ix_(rows, at)].astype(float)
            offset = offsets.get(name)
            if offset is None:
                offset = (own.mean(axis=0) - np.array(self.mean)) * (len(rows) >= FEWEST)
            x[np.ix_(rows, at)] = own - np.array(offset)
        return x

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> "GroupCentres":
        """Undoes `dataclasses.asdict`, by way of JSON."""
        tuples = {name: tuple(value) for name, value in facts.items() if isinstance(value, list)}
        given: dict[str, Any] = {**facts, **tuples, "offsets": tuple(map(tuple, facts["offsets"]))}
        return cls(**given)


def centring(
    centres: GroupCentres, names: Sequence[str], x: np.ndarray, y: np.ndarray
) -> tuple[bool, str]:
    """Whether rows `x: f[n, d]` are to be centred within their groups, and why, for people."""
    rows = sampled(y)
    of_rows, centred = np.asarray(names, str)[rows], centres.apply(names, x)[rows]
    x, y = x[rows], without_absent(y[rows])
    before, after = _found_again(x, y, of_rows), _found_again(centred, y, of_rows)
    # Whatever cannot be measured is no reason for or against.
    gains = [b - a for a, b in zip(before, after, strict=True) if np.isfinite(b - a)]
    helps = bool(gains) and max(gains) > BETTER and min(gains) > -BETTER
    said = [
        f"{what} {a:.0%}, centred {b:.0%}"
        for what, a, b in zip(_MEASURES, before, after, strict=True)
        if np.isfinite(b - a)
    ]
    verb = "are" if helps else "are not"
    why = "; ".join(said) or "no group could tell"
    return helps, f"numbers {verb} centred within {show(centres.column)}: {why}"


def _found_again(x: np.ndarray, y: np.ndarray, names: np.ndarray) -> tuple[float, float]:
    """How well known classes are found in groups that have no part in them.

    Returns:
        The share of labelled rows that look like their class when their group is left out, some
        groups at a time where they are many; and the share of unlabelled rows of groups without
        labels that look like a class.
    """
    labelled = y != UNLABELLED
    with_labels, right, asked = np.unique(names[labelled]), 0, 0
    for part in range(min(len(with_labels), MOST_PARTS) if len(with_labels) > 1 else 0):
        own = labelled & np.isin(names, with_labels[part::MOST_PARTS])
        others = np.where(own, UNLABELLED, y)
        seen = np.unique(others[others != UNLABELLED])
        own &= np.isin(y, seen)
        if len(seen) > 1 and own.any():
            like = _like(rounded(x, without_absent(others)))[own]
            right += int(((like != UNLABELLED) & (seen[like] == y[own])).sum())
            asked += int(own.sum())
    without = ~labelled & ~np.isin(names, with_labels)
    alike = _like(rounded(x, y))[without] != UNLABELLED
    return right / asked if asked else np.nan, float(alike.mean()) if len(alike) else np.nan


def _like(space: Rounded) -> np.ndarray:
    """The known class that each row looks like, `i[n]`, or `UNLABELLED`."""
    return space.look_alikes(np.zeros((space.z.shape[1], 1)), LOOSE)[0]


def group_note(column: str, names: Sequence[str], y: np.ndarray) -> str:
    """Which groups have no label, and how many unlabelled rows they hold; empty where all have."""
    of_rows, labelled = np.asarray(names, str), y != UNLABELLED
    without = np.setdiff1d(of_rows, of_rows[labelled])
    if not len(without):
        return ""
    share = np.isin(of_rows[~labelled], without).mean()
    some = ", ".join(map(repr, without[:5].tolist())) + (" and others" if len(without) > 5 else "")
    return (
        f"no labelled row is of {some} in {column!r}, where {share:.0%} of the unlabelled rows are"
    )
