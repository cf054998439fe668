"""Known or new, row by row: what a row's surroundings say of it.

An empty label may mean a class nobody has named, or that nobody got to the row. A row of a known
class lies among labelled rows as densely as these lie among themselves; of a new class it lies
among other unlabelled ones. Two stages ask for that: the first sees distances and neighbours, the
second also what the first says of the neighbours.

Sources: that unlabelled rows near labelled ones are of their class, Elkan and Noto, "Learning
classifiers from only positive and unlabeled data", KDD 2008; ranks of a distance among those of a
class, Vovk, Gammerman, Shafer, "Algorithmic learning in a random world", 2005.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import class_means, squared_distances
from ncd_jax.judge.micro import class_scale
from ncd_jax.types import Array

__all__ = [
    "ABSENT",
    "CLASS_FEATURES",
    "ROW_FEATURES",
    "SECOND_FEATURES",
    "RowScene",
    "second_features",
]
__all__ += ["odds", "second_features", "see_rows"]

ROW_FEATURES = (
    "labelled_10_rel",
    "labelled_30_rel",
    "labelled_10",
    "labelled_30_excess",
    "log_labelled_to_unlabelled_1",
    "log_labelled_to_unlabelled_3",
    "log_labelled_to_unlabelled_10",
    "log_mean_scale",
    "log_rank_mean",
    "log_rank_3",
    "log_rank_10",
    "log_labelled_3",
    "agreement",
    "log_gap",
    "norm",
    "density",
)
SECOND_FEATURES = ("own", "near_10", "near_30", "near_unlabelled", "mean", "surely_known")
CLASS_FEATURES = ("log_votes_3", "log_votes_15", "distance", "log_share")

NEAREST, LABELLED, UNLABELLED_NEAREST = 30, 15, 10
SOFT = 0.1
"""Distances count as this share of a known class's extent more, so that equal rows divide."""
LARGEST = 8.0
SURE = 6.0
"""Log-odds of known that labelled rows have, and the largest that others are taken to have."""
EPSILON = 1e-9
ABSENT = -100.0
"""Every feature of a class without a labelled row."""


class RowScene(NamedTuple):
    """What the gate sees of `r` rows, labelled and not.

    Attributes:
        rows: `f32[r, 16]`, features of each row, the mean over all views; see `ROW_FEATURES`.
        classes: `f32[r, C, 4]`, how each known class suits each row; see `CLASS_FEATURES`.
        near: `i32[r, 30]`, nearest rows in the first view; `r` where there are no more.
        near_unlabelled: `i32[r, 10]`, nearest unlabelled ones.
    """

    rows: Array
    classes: Array
    near: Array
    near_unlabelled: Array


class _Near(NamedTuple):
    """The nearest rows of some kind: `rows` `i32[r, k]` and `distance`, infinite where none is."""

    rows: Array
    distance: Array

    def at(self, place: int) -> Array:
        """Distance to the neighbour at a place, or to the last one that there is."""
        reached = jnp.where(jnp.isfinite(self.distance), self.distance, -jnp.inf)
        last = jnp.max(reached[:, : place + 1], axis=1)
        return jnp.where(jnp.isfinite(last), last, 0.0)


def see_rows(views: Array, x: Array, y: Array, mask: Array, *, n_known: int) -> RowScene:
    """Describes rows by their surroundings.

    Args:
        views: `f32[V, r, L]`, the rows in every representation.
        x: `f32[r, d]`, in the standardised columns.
        y: `i32[r]`, the known class of labelled rows, `UNLABELLED` for the others.
        mask: `bool[r]`, rows that there are.
        n_known: static number of known classes `C`.
    """
    chex.assert_rank([views, x, y], [3, 2, 1])
    log_norm = jnp.log(jnp.linalg.norm(x, axis=1) + EPSILON)
    seen = jax.lax.map(lambda z: _see(z, log_norm, y, mask, n_known), views)
    return RowScene(
        jnp.mean(seen.rows, axis=0),
        jnp.mean(seen.classes, axis=0),
        seen.near[0],
        seen.near_unlabelled[0],
    )


class _Known(NamedTuple):
    """The labelled rows of a scene, by class.

    Attributes:
        y: `i32[r]`, the class of each, whatever it says of others.
        rows: `bool[r]`, which rows these are.
        of_class: `bool[C, r]`.
        n: `i32[C]`, rows of each class.
    """

    y: Array
    rows: Array
    of_class: Array
    n: Array

    def mean(self, values: Array) -> Array:
        """Mean `f32[C]` over each class of `f32[r]`, drawn to that of all where rows are few."""
        weight = self.n / (self.n + 5.0)
        own = jnp.sum(jnp.where(self.of_class, values[None], 0.0), axis=1) / jnp.maximum(self.n, 1)
        every = jnp.sum(jnp.where(self.rows, values, 0.0)) / jnp.maximum(jnp.sum(self.rows), 1)
        return weight * own + (1 - weight) * every

    def median(self, values: Array) -> Array:
        """Median `f32[C]` over each class of `f32[r]`; 0 where it has no row."""
        middle = jnp.nanmedian(jnp.where(self.of_class, values[None], jnp.nan), axis=1)
        return jnp.where(self.n > 0, middle, 0.0)

    def log_rank(self, values: Array, classes: Array) -> Array:
        """Logarithm of the share of labelled rows of a class whose value is as large, `f32[r]`."""
        larger = (values[None] >= values[:, None]) & self.rows[None]
        n = jnp.sum(larger & (self.y[None] == classes[:, None]), axis=1)
        n += jnp.where(self.rows, 0, 1)
        return jnp.log(jnp.maximum(n, 1) / (self.n[classes] + 1))


class _Around(NamedTuple):
    """What lies around every row: the nearest of all, labelled and unlabelled rows, and means.

    Attributes:
        near: of all rows.
        labelled: of labelled ones.
        unlabelled: of the others.
        votes: `bool[r, 15, C]`, classes of the nearest labelled rows.
        to_means: `f32[r, C]`, distances to class means, without the row itself.
        extent: scalar, of a known class.
    """

    near: _Near
    labelled: _Near
    unlabelled: _Near
    votes: Array
    to_means: Array
    extent: Array

    @property
    def voted(self) -> Array:
        """`i32[r]`, the class that most of ten labelled neighbours have; of two the nearer."""
        of_ten = jnp.sum(self.votes[:, :10], axis=1) + 1e-3 * jnp.sum(self.votes[:, :5], axis=1)
        return jnp.argmax(of_ten, axis=1)

    @property
    def second(self) -> tuple[Array, Array]:
        """Distances `f32[r]` to the nearest class mean and to the second one."""
        two = -jax.lax.top_k(-self.to_means, min(2, self.to_means.shape[1]))[0]
        return two[:, 0], jnp.where(jnp.isfinite(two[:, -1]), two[:, -1], two[:, 0])


def _see(z: Array, log_norm: Array, y: Array, mask: Array, n_known: int) -> RowScene:
    labelled = mask & (y >= 0)
    of_class = labelled[None] & (y[None] == jnp.arange(n_known)[:, None])
    known = _Known(y, labelled, of_class, jnp.sum(of_class, axis=1))
    around = _look_around(z, mask, known)
    rows = _row_features(around, known, log_norm, mask)
    classes = _class_features(around, known, mask & ~labelled)
    return RowScene(
        jnp.clip(jnp.stack([rows[name] for name in ROW_FEATURES], axis=1), -LARGEST, LARGEST),
        jnp.where(
            (known.n > 0)[None, :, None],
            jnp.stack([classes[name] for name in CLASS_FEATURES], axis=2),
            ABSENT,
        ),
        around.near.rows,
        around.unlabelled.rows,
    )


def _look_around(z: Array, mask: Array, known: _Known) -> _Around:
    squared = squared_distances(z, z)
    squared = jnp.where(jnp.eye(len(z), dtype=bool), jnp.inf, squared)
    near_labelled = _nearest(squared, known.rows, LABELLED)
    counts = jnp.isfinite(near_labelled.distance)
    of_rows = known.y[jnp.minimum(near_labelled.rows, len(z) - 1)]
    votes = of_rows[:, :, None] == jnp.arange(len(known.n))[None, None]
    return _Around(
        near=_nearest(squared, mask, NEAREST),
        labelled=near_labelled,
        unlabelled=_nearest(squared, mask & ~known.rows, UNLABELLED_NEAREST),
        votes=votes & counts[:, :, None],
        to_means=_to_means(z, known),
        extent=class_scale(z, jnp.where(mask, known.y, -1), len(known.n)),
    )


def _row_features(around: _Around, known: _Known, log_norm: Array, mask: Array) -> dict[str, Array]:
    """Sixteen features `f32[r]` by name; see `ROW_FEATURES`."""
    labelled, near, voted = known.rows, around.near, around.voted
    share = jnp.sum(labelled) / jnp.maximum(jnp.sum(mask), 1)
    soft = SOFT * around.extent

    def ratio(a: Array, b: Array) -> Array:
        return jnp.log((a + soft) / (b + soft))

    is_labelled = labelled[jnp.minimum(near.rows, len(labelled) - 1)] & jnp.isfinite(near.distance)
    ten, thirty = jnp.mean(is_labelled[:, :10], axis=1), jnp.mean(is_labelled, axis=1)
    own_class = jnp.where(labelled, known.y, jnp.argmin(around.to_means, axis=1))
    to_own = jnp.take_along_axis(around.to_means, own_class[:, None], axis=1)[:, 0]
    voted_class = jnp.where(labelled, known.y, voted)
    first, second = around.second
    third, tenth = around.labelled.at(2), around.labelled.at(9)
    width = _median_of(near.at(9), mask) + soft
    kernel = jnp.where(
        jnp.isfinite(near.distance), jnp.exp(-0.5 * (near.distance / width) ** 2), 0.0
    )
    spread = jnp.sqrt(_variance(log_norm, labelled)) + 1e-6
    of_ten = jnp.sum(around.votes[:, :10], axis=1) + 1e-3 * jnp.sum(around.votes[:, :5], axis=1)
    return {
        "labelled_10_rel": ten / (known.mean(ten)[voted] + 0.02),
        "labelled_30_rel": thirty / (known.mean(thirty)[voted] + 0.02),
        "labelled_10": ten,
        "labelled_30_excess": thirty - share,
        "log_labelled_to_unlabelled_1": ratio(around.labelled.at(0), around.unlabelled.at(0)),
        "log_labelled_to_unlabelled_3": ratio(third, around.unlabelled.at(2)),
        "log_labelled_to_unlabelled_10": ratio(tenth, around.unlabelled.at(9)),
        "log_mean_scale": jnp.log(first / around.extent + EPSILON),
        "log_rank_mean": known.log_rank(to_own, own_class),
        "log_rank_3": known.log_rank(third, voted_class),
        "log_rank_10": known.log_rank(tenth, voted_class),
        "log_labelled_3": ratio(third, known.median(third)[voted]),
        "agreement": jnp.max(of_ten, axis=1) / 10,
        "log_gap": jnp.log((second + EPSILON) / (first + EPSILON)),
        "norm": jnp.clip((log_norm - known.median(log_norm)[voted]) / spread, -4, 4),
        "density": jnp.sum(kernel * is_labelled, axis=1) / (jnp.sum(kernel, axis=1) + EPSILON)
        - share,
    }


def _class_features(around: _Around, known: _Known, unlabelled: Array) -> dict[str, Array]:
    """How each class suits each row, `f32[r, C]` by name; see `CLASS_FEATURES`."""
    first, second = around.second
    usual = _median_of(second - first, unlabelled) + 1e-6
    beyond = around.to_means - first[:, None]
    log_share = jnp.log((known.n + EPSILON) / (jnp.sum(known.n) + EPSILON))
    return {
        "log_votes_3": jnp.log(jnp.mean(around.votes[:, :3], axis=1) + 0.03),
        "log_votes_15": jnp.log(jnp.mean(around.votes, axis=1) + 0.03),
        "distance": -jnp.minimum(beyond / usual, 10.0),
        "log_share": jnp.broadcast_to(log_share[None], around.to_means.shape),
    }


def _nearest(squared: Array, among: Array, k: int) -> _Near:
    kept = jnp.where(among[None], -squared, -jnp.inf)
    negative, index = jax.lax.top_k(kept, min(k, len(squared)))
    distance = jnp.sqrt(jnp.maximum(-negative, 0.0))
    return _Near(jnp.where(jnp.isfinite(distance), index, len(squared)), distance)


def _to_means(z: Array, known: _Known) -> Array:
    """Distances `f32[r, C]` to class means, without the row itself; infinite where none is."""
    means = class_means(z, jnp.where(known.rows, known.y, -1), len(known.n))
    distance = jnp.sqrt(squared_distances(z, means))
    without = known.n / jnp.maximum(known.n - 1, 1)
    distance = jnp.where(known.of_class.T, distance * without[None], distance)
    return jnp.where((known.n > 0)[None], distance, jnp.inf)


def _median_of(values: Array, among: Array) -> Array:
    middle = jnp.nanmedian(jnp.where(among, values, jnp.nan))
    return jnp.where(jnp.any(among), middle, 1.0)


def _variance(values: Array, among: Array) -> Array:
    n = jnp.maximum(jnp.sum(among), 1)
    mean = jnp.sum(jnp.where(among, values, 0.0)) / n
    return jnp.sum(jnp.where(among, (values - mean) ** 2, 0.0)) / n


def second_features(
    logits: np.ndarray, unlabelled: np.ndarray, near: np.ndarray, near_unlabelled: np.ndarray
) -> np.ndarray:
    """What the first stage says of the surroundings of unlabelled rows, `f64[u, 6]`.

    See `SECOND_FEATURES`: its log-odds of the row; the mean chance of its 10 and 30 nearest rows,
    labelled ones being known; the mean log-odds of its 10 nearest unlabelled ones; and of all
    unlabelled rows the log-odds of their mean chance, and of the share that is surely known.

    Args:
        logits: `f64[u]`, of the unlabelled rows, by the first stage.
        unlabelled: `i[u]`, which of the `r` rows they are.
        near: `i[r, 30]`, see `RowScene`.
        near_unlabelled: `i[r, 10]`.
    """
    clipped = np.clip(logits, -SURE, SURE)
    every = np.full(len(near) + 1, SURE)
    every[unlabelled] = clipped
    chance = 1 / (1 + np.exp(-every))
    n = len(near)
    of_row, among = (np.minimum(each[unlabelled], n) for each in (near, near_unlabelled))
    there, some = of_row < n, among < n
    of_near = np.where(there, chance[of_row], 0.0)
    of_others = np.where(some, every[among], 0.0).sum(axis=1) / np.maximum(some.sum(axis=1), 1)
    ten = of_near[:, :10].sum(axis=1) / np.maximum(there[:, :10].sum(axis=1), 1)
    thirty = of_near.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    own = chance[unlabelled]
    whole = [odds(own.mean()), odds((own > 0.9).mean())]
    return np.column_stack([clipped, ten, thirty, of_others, np.tile(whole, (len(logits), 1))])


def odds(share: float) -> float:
    """Log-odds of a share, finite where it is 0 or 1."""
    return float(np.log((share + 0.01) / (1.01 - share)))
