"""What a pair of micro clusters looks like: numbers that tell one class from two.

All pairs are described at once by sums over the rows of a micro cluster, which are matrix products
with its members. A row is seen from its own centroid only, along the lines to all the others, so
nothing larger than rows times micro clusters is held.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import dot, squared_distances
from ncd_jax.judge.micro import MicroClusters
from ncd_jax.types import UNLABELLED, Array

__all__ = ["NAMES", "pair_features"]

NAMES = (
    "log_separation",
    "middle",
    "log_edges_10",
    "log_distance",
    "log_distance_near",
    "silhouette",
    "log_edges_30",
    "log_distance_class",
    "log_separation_raw",
    "middle_raw",
    "log_rank",
    "log_valley",
    "log_rows",
    "log_rows_class",
)
"""The features in their order; `pair_features` says what they are."""

NEIGHBOURS = (10, 30)
MIDDLE = (0.33, 0.67)
GRID = np.linspace(0.0, 1.0, 11, dtype=np.float32)
BANDWIDTH = 0.12
CLOSEST = 1e-6
"""A distance between centroids that is smaller counts as this."""
ROWS_AT_ONCE = 256
"""Rows whose distances to all others are held at once."""


class _Lines(NamedTuple):
    """Rows on the lines from the centroid of their own micro cluster to every other one.

    Attributes:
        position: `f32[n, M]`, of a row's projection: 0 at its own centroid, 1 at the other.
        to_own: `f32[n]`, squared distance to the own centroid.
        to_other: `f32[n, M]`, squared distance to the other one.
        length: `f32[M, M]`, distance between centroids.
    """

    position: Array
    to_own: Array
    to_other: Array
    length: Array


def pair_features(
    z: Array,
    x: Array,
    micro: MicroClusters,
    class_scale: Array | float,
    class_size: Array | float,
) -> Array:
    """Describes every pair of micro clusters, `f32[M, M, F]` with `F = len(NAMES)`.

    It is symmetric, and 0 where `micro.pairs` is false. The features are, on the line through both
    centroids, that has length 1:

    * `log_separation`: minus the logarithm of the sum of both standard deviations;
    * `middle`: share of the rows in the middle third;
    * `log_valley`: the lowest density between the centroids against that at the lower end;

    and besides:

    * `log_edges_10`, `log_edges_30`: how many of the 10 and 30 nearest neighbours of each row are
      in the other one, against how many could be;
    * `log_distance`, `log_distance_near`, `log_distance_class`: between the centroids, alone,
      against that of each to its two nearest, and against the class scale;
    * `log_rank`: how many centroids are nearer, seen from the side from where there are fewer;
    * `silhouette`: mean share by which a row is nearer to its own centroid;
    * `log_separation_raw`, `middle_raw`: as above, in `x`;
    * `log_rows`, `log_rows_class`: how many rows a micro cluster of the pair has, the harmonic mean
      of both, alone and against `class_size`. What all the others are like follows from it: of few
      rows a spread is small and a valley deep, whatever they are.

    Args:
        z: `f32[n, L]`, the representation.
        x: `f32[n, d]`, standardised columns.
        micro: their micro clusters; rows that are in none of them do not count.
        class_scale: scalar, the extent of a known class in `z`; see `micro.class_scale`.
        class_size: scalar, how many of the rows a class is expected to have.
    """
    chex.assert_rank([z, x], 2)
    chex.assert_equal_shape_prefix([z, x, micro.labels], 1)
    pairs = micro.pairs
    size = jnp.maximum(micro.sizes, 1).astype(z.dtype)

    in_z, in_x = _lines(z, micro), _lines(x, micro)
    length = in_z.length
    near = _mean_of_two_nearest(jnp.where(pairs, length, jnp.inf))
    nearness = jnp.sqrt(in_z.to_own)[:, None] / jnp.maximum(jnp.sqrt(in_z.to_other), 1e-6)
    edges_10, edges_30 = _log_edges(z, micro, size)
    rows = 2.0 / (1.0 / size[:, None] + 1.0 / size[None])
    features = {
        "log_separation": _log_separation(in_z, micro, size),
        "middle": _middle(in_z, micro, size),
        "log_edges_10": edges_10,
        "log_distance": jnp.log(length),
        "log_distance_near": jnp.log(2.0 * length / (near[:, None] + near[None])),
        "silhouette": 1.0 - _mean_of_both(nearness, micro, size),
        "log_edges_30": edges_30,
        "log_distance_class": jnp.log(length / class_scale),
        "log_separation_raw": _log_separation(in_x, micro, size),
        "middle_raw": _middle(in_x, micro, size),
        "log_rank": _log_rank(jnp.where(pairs, length, jnp.inf)),
        "log_valley": _log_valley(in_z.position, micro.member),
        "log_rows": jnp.log(rows),
        "log_rows_class": jnp.log(rows / class_size),
    }
    stacked = jnp.stack([features[name] for name in NAMES], axis=-1)
    return jnp.where(pairs[:, :, None], stacked, 0.0)


def _mean_of_both(values: Array, micro: MicroClusters, size: Array) -> Array:
    """Means `f32[M, M]` of `f32[n, M]`, seen from the other side, over the rows of both."""
    return _both(dot(micro.member.T, values)) / (size[:, None] + size[None])


def _log_separation(lines: _Lines, micro: MicroClusters, size: Array) -> Array:
    # The mean is 0: positions are seen from it.
    deviation = jnp.sqrt(dot(micro.member.T, lines.position**2) / size[:, None])
    return -jnp.log(_both(deviation) + 1e-6)


def _middle(lines: _Lines, micro: MicroClusters, size: Array) -> Array:
    # The middle third lies the same from both ends.
    low, high = MIDDLE
    inside = (lines.position > low) & (lines.position < high)
    return _mean_of_both(inside.astype(lines.position.dtype), micro, size)


def _log_edges(z: Array, micro: MicroClusters, size: Array) -> list[Array]:
    n_others = jnp.maximum(jnp.sum(micro.sizes) - 1, 1)
    smaller = jnp.minimum(size[:, None], size[None])
    return [
        jnp.log(_both(count) / (2 * jnp.minimum(n, n_others) * smaller) + 0.002)
        for count, n in zip(_neighbour_counts(z, micro), NEIGHBOURS, strict=True)
    ]


def _both(one_side: Array) -> Array:
    """What is said of a pair from one side and from the other, added."""
    return one_side + one_side.mT


def _lines(rows: Array, micro: MicroClusters) -> _Lines:
    """Sees the rows `f32[n, d]` on the lines between the centroids."""
    member = micro.member
    centroids = dot(member.T, rows) / jnp.maximum(micro.sizes, 1)[:, None]
    # Not by way of inner products: their difference says little of centroids that are close.
    squared = jnp.sum((centroids[:, None] - centroids[None]) ** 2, axis=2)
    squared = jnp.where(micro.pairs, jnp.maximum(squared, CLOSEST**2), 1.0)
    # Rows that are in no micro cluster are in no sum, wherever they seem to be.
    own = jnp.maximum(micro.labels, 0)
    apart = rows - centroids[own]
    to_own = jnp.sum(apart**2, axis=1)
    along = dot(apart, centroids.T)
    along -= jnp.take_along_axis(along, own[:, None], axis=1)
    to_other = jnp.maximum(to_own[:, None] - 2.0 * along + squared[own], 0.0)
    return _Lines(along / squared[own], to_own, to_other, jnp.sqrt(squared))


def _neighbour_counts(z: Array, micro: MicroClusters) -> Array:
    """Neighbours of the rows of one micro cluster that are in another, `f32[2, M, M]`.

    As many neighbours of each row as `NEIGHBOURS` says, all other rows where there are fewer.
    """
    n, slots = len(z), jnp.arange(len(micro.sizes))
    n_nearest = min(max(NEIGHBOURS), n)
    counts = micro.labels != UNLABELLED

    def count(rows: Array) -> Array:
        far = ~counts[None] | (rows[:, None] == jnp.arange(n)[None])
        negative = jnp.where(far, -jnp.inf, -squared_distances(z[rows], z))
        _, neighbours = jax.lax.top_k(negative, n_nearest)
        # Where they are too few what follows is in no micro cluster, or in that of the row itself.
        found = micro.labels[neighbours][:, :, None] == slots[None, None]
        # Rows behind the last one, which fill the last block, are of no micro cluster.
        own = micro.labels.at[rows].get(mode="fill", fill_value=UNLABELLED)[:, None] == slots[None]
        in_slot = jnp.stack([jnp.sum(found[:, :q], axis=1, dtype=z.dtype) for q in NEIGHBOURS])
        return dot(own.T.astype(z.dtype), in_slot)

    # Lists of rows are filled up at their end; behind the last row that counts nothing is to do.
    last = jnp.max(jnp.where(counts, jnp.arange(n) + 1, 0))
    block = min(ROWS_AT_ONCE, n)
    found = jnp.zeros((len(NEIGHBOURS), len(slots), len(slots)), z.dtype)

    def add(i: Array, found: Array) -> Array:
        return found + count(i * block + jnp.arange(block))

    return jax.lax.fori_loop(0, -(-last // block), add, found)


def _mean_of_two_nearest(apart: Array) -> Array:
    """Mean distance `f32[M]` to the two nearest of `f32[M, M]`, or to the only one."""
    nearest = jnp.sort(apart, axis=1)[:, :2]
    finite = jnp.isfinite(nearest)
    total = jnp.sum(jnp.where(finite, nearest, 0.0), axis=1)
    return total / jnp.maximum(jnp.sum(finite, axis=1), 1)


def _log_rank(apart: Array) -> Array:
    """How many centroids are nearer than the other one of a pair, from the better side."""
    rank = jnp.argsort(jnp.argsort(apart, axis=1), axis=1)
    return jnp.log1p(jnp.minimum(rank, rank.mT))


def _log_valley(position: Array, member: Array) -> Array:
    """The lowest density between two centroids against that at the lower of both ends."""

    def density(place: Array) -> Array:
        return dot(member.T, jnp.exp(-0.5 * ((place - position) / BANDWIDTH) ** 2))

    one_side = jax.lax.map(density, GRID)
    # From the other end the places come in reverse.
    both = one_side + one_side[::-1].mT
    ends = jnp.minimum(jnp.max(both[:3], axis=0), jnp.max(both[-3:], axis=0))
    return jnp.log(jnp.min(both[2:9], axis=0) / jnp.maximum(ends, 1e-9) + 0.02)
