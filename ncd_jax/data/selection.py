"""Which rows people labelled: at random, or those before a date, on one side, of one plate.

What learns from labelled rows takes them for a sample. Unlabelled rows differ from labelled ones in
any case where classes are new, so the two are compared *within what looks like a known class*: in
the space in which known classes are round, an unlabelled row looks like a class if it lies as near
to its mean as labelled rows do, the column or direction in question left aside. A new class may lie
beside one known class and so seem to differ from it; a way of labelling shows in every class, in
the same direction. So a direction is found in all classes but one, and counts by what it says of
that one; and it counts beyond what classes do that are hidden from the same table.

Source: labelling mechanisms, Bekker and Davis, "Learning from positive and unlabeled data: a
survey", Machine Learning 109, 2020, section 3.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ncd_jax.types import UNLABELLED

__all__ = [
    "LOOSE",
    "NOT_RANDOM",
    "Contrast",
    "Direction",
    "Rounded",
    "contrast_of_all",
    "contrast_of_columns",
    "direction_in",
    "direction_of_missing",
    "find_direction",
    "is_by_column",
    "look_like_known",
    "rounded",
    "sampled",
    "without_absent",
]

NOT_RANDOM = "labels are no random sample"
"""How every sentence begins that says so."""
MOST_ROWS = 1500
"""Labelled rows, and unlabelled ones, that are looked at."""
MOST_AXES, MOST_COLUMNS = 50, 40
"""Principal axes in which rows are compared, and single columns that are looked at closely."""
RIDGE = 0.1
"""Share of the variance of all rows in that within classes: some columns vary only between them."""
CLEAR = 3.0
"""Standard errors by which a single column has to tell: of few rows half a class lies anywhere."""
FEWEST = 3
"""Rows of either kind from which a class says something."""
ROUNDS, ALIGNING = 4, 10
"""Times that a direction, and a move, are found again."""
STRICT, LOOSE = 0.5, 0.9
"""Share of labelled rows that look like their class."""


@dataclasses.dataclass(frozen=True)
class Rounded:
    """Rows in a space in which the known classes are round, of variance 1 in each direction.

    Attributes:
        z: `f64[n, p]`.
        y: `i[n]`, the known class of every row, or `UNLABELLED`.
        means: `f64[C, p]`, of the labelled rows of each class.
        axes: `f64[d, p]`, where a row moves as one of its columns grows by 1.
        squared: `f64[n, C]`, squared distances to the means.
        without: `f64[n, C]`, what these are multiplied by, as a row has no part in its mean.
    """

    z: np.ndarray
    y: np.ndarray
    means: np.ndarray
    axes: np.ndarray
    squared: np.ndarray
    without: np.ndarray

    def look_alikes(self, aside: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
        """The known class that each row looks like, and how far it is from that.

        Args:
            aside: `f64[p, b]`, orthonormal directions that do not count.
            share: of the labelled rows, those that look like their class.

        Returns:
            Classes `i[n]`, `UNLABELLED` for rows that look like none or, being labelled, like
            another; and squared distances `f64[n]`, to their own class for labelled rows.
        """
        along = ((self.z @ aside)[:, None] - (self.means @ aside)[None]) ** 2
        squared = self.without * np.maximum(self.squared - along.sum(axis=2), 0)
        nearest, labelled = squared.argmin(axis=1), self.y != UNLABELLED
        own = squared[np.arange(len(squared)), np.where(labelled, self.y, nearest)]
        near = own <= np.quantile(own[labelled], share)
        return np.where(near & (~labelled | (nearest == self.y)), nearest, UNLABELLED), own


def rounded(x: np.ndarray, y: np.ndarray) -> Rounded:
    """Makes the known classes of rows `f[n, d]` round, in columns of like scale; each has a row."""
    x = np.asarray(x, float) - x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x)
    kept = [i for i in np.argsort(-values)[:MOST_AXES] if values[i] > 1e-9 * values[-1]]
    z, labelled = x @ vectors[:, kept], y != UNLABELLED
    n_classes = int(y.max()) + 1
    n = np.bincount(y[labelled], minlength=n_classes)
    means = np.stack([z[y == c].mean(axis=0) for c in range(n_classes)])
    beside = z[labelled] - means[y[labelled]]
    within = beside.T @ beside / max(1, len(beside) - n_classes)
    values, turned = np.linalg.eigh((1 - RIDGE) * within + RIDGE * np.diag(z.var(axis=0)))
    whiten = turned / np.sqrt(values)
    z, means = z @ whiten, means @ whiten
    without = np.ones((len(z), n_classes))
    without[labelled, y[labelled]] = ((n / np.maximum(n - 1, 1)) ** 2)[y[labelled]]
    squared = ((z[:, None] - means[None]) ** 2).sum(axis=2)
    return Rounded(z, y, means, vectors[:, kept] @ whiten, squared, without)


class Contrast(NamedTuple):
    """How labelled and unlabelled rows differ within what looks like known classes.

    Attributes:
        auc: chance that an unlabelled row has the larger score of the two, the mean over classes.
        low: the same in the quarter of the classes that say least in that direction.
        n_classes: classes that have enough rows of either kind, of
        n_known: known ones.
        errors: how many standard errors `auc` is from 0.5.
        strange: chance that an unlabelled row is farther from its class in all other directions.
        ratio: unlabelled rows that look like a class, to a labelled one that does.
        even: over how many of the known classes these are spread, as a share of all, `0..1`.
    """

    auc: float
    low: float
    n_classes: int
    n_known: int
    errors: float
    strange: float
    ratio: float
    even: float

    @property
    def size(self) -> float:
        """How far from telling nothing, `0..0.5`, in whichever direction."""
        return abs(self.auc - 0.5)

    @property
    def agrees(self) -> bool:
        """Whether classes enough have a say: a new class may lie beside two, all in one way."""
        return self.n_classes >= min(3, self.n_known) > 1


NOTHING = Contrast(0.5, 0.5, 0, 0, 0.0, 0.5, 0.0, 0.0)


def _contrast(parts: list[tuple[float, float, int, int]], n_known: int) -> Contrast:
    """Of classes: AUC of the score and of the distance, labelled rows and unlabelled ones."""
    if not parts:
        return NOTHING
    auc, strange, n, m = (np.array(each, float) for each in zip(*parts, strict=True))
    weight = n * m / (n + m)
    weight /= weight.sum()
    mean = float(weight @ auc)
    # Of the statistic of Mann and Whitney in each class.
    error = float(np.sqrt((weight**2 * (n + m + 1) / (12 * n * m)).sum()))
    signed = np.sort(np.sign(mean - 0.5) * (auc - 0.5))
    return Contrast(
        auc=mean,
        low=0.5 + float(signed[len(auc) // 4]),
        n_classes=len(auc),
        n_known=n_known,
        errors=abs(mean - 0.5) / error,
        strange=float(weight @ strange),
        ratio=float(m.sum() / n.sum()),
        even=evenness(m / n, n_known),
    )


def evenness(shares: np.ndarray, n_known: int) -> float:
    """Over how many of `n_known` classes something is spread: the exponential of the entropy."""
    shares = shares[shares > 0] / max(shares.sum(), 1e-12)
    return float(np.exp(-(shares * np.log(shares)).sum())) / n_known if len(shares) else 0.0


def _auc(a: np.ndarray, b: np.ndarray) -> float:
    """Chance that one of `b` is larger than one of `a`."""
    a = np.sort(a)
    below, not_above = (a.searchsorted(b, side).sum() for side in ("left", "right"))
    return float((below + not_above) / 2 / (len(a) * len(b)))


def _compare(
    space: Rounded, like: np.ndarray, own: np.ndarray, score: np.ndarray, classes: Iterable[int]
) -> list[tuple[float, float, int, int]]:
    parts, labelled = [], space.y != UNLABELLED
    for c in classes:
        a, b = (np.flatnonzero(kind & (like == c)) for kind in (labelled, ~labelled))
        if min(len(a), len(b)) >= FEWEST:
            parts.append((_auc(score[a], score[b]), _auc(own[a], own[b]), len(a), len(b)))
    return parts


def contrast_of_columns(
    space: Rounded, columns: Sequence[np.ndarray], scores: Sequence[np.ndarray]
) -> list[Contrast]:
    """How far single columns tell labelled rows from unlabelled ones.

    Of each there are the encoded columns `i[b]` that do not count beside it, and scores `f64[n]`;
    rows of none do not count.
    """
    n_known = len(space.means)
    found = [NOTHING] * len(columns)
    for i in _most_different(space, scores):
        aside = np.linalg.qr(space.axes[columns[i]].T)[0]
        like, own = space.look_alikes(aside, STRICT)
        like = np.where(np.isnan(scores[i]), UNLABELLED, like)
        found[i] = _contrast(_compare(space, like, own, scores[i], range(n_known)), n_known)
    return found


def _most_different(space: Rounded, scores: Sequence[np.ndarray]) -> list[int]:
    """The columns worth a closer look: where the rows nearest to a class differ most from it."""
    if len(scores) <= MOST_COLUMNS:
        return list(range(len(scores)))
    values = np.nan_to_num(np.stack(scores, axis=1))
    labelled, nearest = space.y != UNLABELLED, space.squared.argmin(axis=1)
    spread, different = values.std(axis=0) + 1e-12, np.zeros(len(scores))
    for c in range(len(space.means)):
        a, b = labelled & (space.y == c), ~labelled & (nearest == c)
        if min(n := int(a.sum()), m := int(b.sum())) >= FEWEST:
            way = (values[b].mean(axis=0) - values[a].mean(axis=0)) / spread
            different += n * m / (n + m) * way
    return np.argsort(-np.abs(different))[:MOST_COLUMNS].tolist()


def contrast_of_all(space: Rounded, share: float) -> Contrast:
    """How far all columns together do, by directions that are found in all classes but one."""
    parts = []
    for c in range(len(space.means)):
        if (direction := find_direction(space, share, without=c)) is not None:
            like, own = space.look_alikes(direction[:, None], share)
            parts += _compare(space, like, own, space.z @ direction, [c])
    return _contrast(parts, len(space.means))


def find_direction(space: Rounded, share: float, without: int = -1) -> np.ndarray | None:
    """The direction from labelled rows to unlabelled ones that look like their class, `f64[p]`.

    Rows that are far in that direction look like their class as well; so it is found again. It has
    length 1; there is none where no class but `without` has rows enough.
    """
    direction, labelled = np.zeros(space.z.shape[1]), space.y != UNLABELLED
    for _ in range(ROUNDS):
        like, _ = space.look_alikes(direction[:, None], share)
        way = np.zeros_like(direction)
        for c in range(len(space.means)):
            a, b = (kind & (like == c) for kind in (labelled, ~labelled))
            n, m = int(a.sum()), int(b.sum())
            if c != without and min(n, m) >= FEWEST:
                way += n * m / (n + m) * (space.z[b].mean(axis=0) - space.z[a].mean(axis=0))
        length = np.linalg.norm(way)
        if length == 0:
            return None
        direction = way / length
    return direction


class Direction(NamedTuple):
    """A direction that tells labelled rows from unlabelled ones, in the columns.

    Attributes:
        reads: `f64[d]`, what makes the score of a row of its columns.
        way: `f64[d]`, how the columns of a row of some class move as its score grows by 1.
    """

    reads: np.ndarray
    way: np.ndarray

    def score(self, x: np.ndarray) -> np.ndarray:
        """How much rows `f[n, d]` are like unlabelled ones of their class, `f64[n]`."""
        return np.asarray(x @ self.reads)

    def without(self, x: np.ndarray) -> np.ndarray:
        """Rows `f[n, d]` as if all had one score."""
        return (x - np.outer(self.score(x), self.way)).astype(x.dtype)


def direction_of_missing(x: np.ndarray, y: np.ndarray) -> Direction | None:
    """A direction along which labels may be missing, if there is one.

    Less will do than for saying that they are: rows may be seen without it at little cost.
    """
    rows = sampled(y)
    space = rounded(x[rows], without_absent(y[rows]))
    if not may_be_one_sided(contrast_of_all(space, STRICT)):
        return None
    direction = find_direction(space, STRICT)
    return None if direction is None else _in_columns(space, direction)


def direction_in(space: Rounded) -> tuple[Direction, Contrast] | None:
    """The direction in which labels are missing, if they clearly are no random sample."""
    for share, tells in ((STRICT, is_one_sided), (LOOSE, is_shifted)):
        contrast, direction = contrast_of_all(space, share), find_direction(space, share)
        if direction is not None and tells(contrast):
            return _in_columns(space, direction), contrast
    return None


def _in_columns(space: Rounded, direction: np.ndarray) -> Direction:
    return Direction(space.axes @ direction, direction @ np.linalg.pinv(space.axes))


def without_absent(y: np.ndarray) -> np.ndarray:
    """Classes `i[n]` counted without those of which no row is there."""
    seen = np.unique(y[y != UNLABELLED])
    return np.where(y == UNLABELLED, UNLABELLED, np.searchsorted(seen, y))


def is_one_sided(contrast: Contrast) -> bool:
    """Whether labelled rows lie on one side of a direction, by rows that look strictly alike.

    The limits of this and the next two were set on development tables; see
    `benchmarks.missing_labels`.
    """
    enough = contrast.agrees and contrast.errors > 2.5 and contrast.ratio > 0.3
    return enough and contrast.auc > 0.64 and contrast.strange < 0.66 and contrast.even > 0.5


def may_be_one_sided(contrast: Contrast) -> bool:
    """The same with less evidence, for what does little harm where it is wrong."""
    return contrast.errors > 2 and contrast.ratio > 0.5 and contrast.auc > 0.6


def is_shifted(contrast: Contrast) -> bool:
    """Whether many unlabelled rows are known classes that were moved, by rows loosely alike."""
    enough = contrast.n_classes > 1 and contrast.errors > 3 and contrast.ratio > 1
    return enough and contrast.auc > 0.68 and contrast.strange < 0.8 and contrast.even > 0.5


def is_by_column(contrast: Contrast, *, runs: bool) -> bool:
    """Whether a single column tells labelled rows from unlabelled ones within known classes.

    If it runs, it is a date or a running number, which no class need have to do with.
    """
    if contrast.errors < CLEAR:
        return False
    if runs:
        return contrast.n_classes > 0 and contrast.size > 0.2 and contrast.low > 0.6
    enough = contrast.agrees and contrast.ratio > 0.3 and contrast.even > 0.5
    return enough and contrast.size > 0.3 and contrast.low > 0.75 and contrast.strange < 0.66


def look_like_known(space: Rounded, rows: np.ndarray, columns: np.ndarray) -> bool:
    """Whether unlabelled rows that have something in common look like the known classes, moved.

    New classes that have it in common lie in other places than the known ones, or are few. The
    encoded columns `i[b]` that say what rows `i[m]` have in common do not count.
    """
    n_known, labelled = len(space.means), space.y != UNLABELLED
    aside = np.linalg.qr(space.axes[columns].T)[0]

    def beside(z: np.ndarray) -> np.ndarray:
        return z - (z @ aside) @ aside.T

    z, means = beside(space.z), beside(space.means)
    _, own = space.look_alikes(aside, LOOSE)
    near = np.quantile(own[labelled], LOOSE)
    moved = z[rows].mean(axis=0) - z[labelled].mean(axis=0)
    like = np.zeros(len(rows), int)
    for _ in range(ALIGNING):
        squared = ((z[rows, None] - moved - means[None]) ** 2).sum(axis=2)
        like, own = squared.argmin(axis=1), squared.min(axis=1)
        # The nearer half says where they were moved to.
        at = own <= np.median(own)
        moved = (z[rows] - means[like])[at].mean(axis=0)
    like, n_like = like[own <= near], np.bincount(space.y[labelled], minlength=n_known)
    counts = np.bincount(like, minlength=n_known)
    n_classes = int((counts >= FEWEST).sum())
    enough = len(like) > 0.3 * len(rows) and n_classes >= min(n_known, 3)
    return enough and n_classes > 1 and evenness(counts / n_like, n_known) > 0.5


def sampled(y: np.ndarray) -> np.ndarray:
    """Rows `i[m]` that are looked at: not too many of either kind, in order."""
    rng, kinds = np.random.default_rng(0), (y != UNLABELLED, y == UNLABELLED)
    return np.sort(np.concatenate([rng.permutation(np.flatnonzero(k))[:MOST_ROWS] for k in kinds]))
