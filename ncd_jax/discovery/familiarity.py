"""Whether a row is like any that a run has seen: far from everything, no class is its own.

Which class a row is nearest to says nothing of how near that is. A row is familiar where its third
nearest neighbour among rows of the run is no further than nearly all rows of that class have
theirs. It is asked in the columns and in the representation: the one sees what the other, which may
look at angles only or leave columns out, does not.

Sources: Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining outliers from large data sets",
SIGMOD 2000; that new rows exceed a rank among old ones as seldom as the rank says: Laxhammar and
Falkman, "Conformal prediction for distribution-independent anomaly detection", 2010.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neighbors import NearestNeighbors

from ncd_jax.types import Array

__all__ = ["Reference", "familiarity", "familiarity_of", "make_reference"]

NEIGHBOUR = 3
RANK = 0.995
"""Share of a class's own rows that are familiar in each of the two spaces."""
MOST_ROWS = 2000
FEWEST_OF_A_CLASS = 20
"""Rows from which on a class has a limit of its own."""
TINY = 1e-6


class Reference(NamedTuple):
    """Rows of a run that new ones are held against, a sample where there are many.

    Attributes:
        x: `f32[r, d]`, in the columns as the method takes them.
        z: `f32[r, L]`, in the representation.
        limits: `f64[2, K]`, in columns and representation, how far the third neighbour of a row of
            each class may be.
        usual: scalar, share of held-out rows of known classes that are beyond a limit; NaN where no
            row could be held out.
    """

    x: np.ndarray
    z: np.ndarray
    limits: np.ndarray
    usual: np.ndarray


def make_reference(
    x: np.ndarray,
    z: np.ndarray,
    classes: np.ndarray,
    n_classes: int,
    *,
    seed: int = 0,
    usual: float = math.nan,
) -> Reference:
    """Draws the rows and measures the limits.

    Args:
        x: `f32[n, d]`, all rows as the method takes them.
        z: `f32[n, L]`, in its representation.
        classes: `i[n]`, the class of each.
        n_classes: how many there are.
        seed: of the sample.
        usual: see `Reference`.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(x))[:MOST_ROWS])
    x, z, classes = x[rows], z[rows], classes[rows]
    limits = [_limits(_nearest(space, space, 1), classes, n_classes) for space in (x, z)]
    return Reference(x, z, np.array(limits), np.asarray(usual))


def familiarity(
    reference: Reference, x: np.ndarray, z: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """How like the rows of their class rows are, `f64[n]`: 1 within its limits, 0 far away.

    The squared share that the limit is of the distance, in the space where it is less.

    Args:
        reference: of the run.
        x: `f32[n, d]`, rows as the method takes them.
        z: `f32[n, L]`, in its representation.
        classes: `i[n]`, the class that each was given.
    """
    share = np.ones(len(x))
    for space, rows, limit in zip(reference[:2], (x, z), reference.limits, strict=True):
        distance = _nearest(space, rows, 0)
        share = np.minimum(share, limit[classes] / np.maximum(distance, TINY))
    return np.asarray(np.minimum(share, 1.0) ** 2)


def familiarity_of(reference: Reference, x: Array, z: Array, label: Array) -> Array:
    """The same of one row on the device, a scalar.

    Args:
        reference: of the run.
        x: `f32[d]`.
        z: `f32[L]`.
        label: scalar, its class.
    """
    share = jnp.float32(1.0)
    for space, row, limit in zip(reference[:2], (x, z), reference.limits, strict=True):
        squared = jnp.sum((jnp.asarray(space) - row[None]) ** 2, axis=1)
        nearest = -jax.lax.top_k(-squared, min(NEIGHBOUR, len(space)))[0]
        own_limit = jnp.asarray(limit, jnp.float32)[label]
        share = jnp.minimum(share, own_limit / jnp.maximum(jnp.sqrt(nearest[-1]), TINY))
    return share**2


def _nearest(space: np.ndarray, rows: np.ndarray, itself: int) -> np.ndarray:
    """Distance `f64[n]` of rows to their third nearest neighbour in a space, or the last one."""
    if len(rows) == 0:
        return np.zeros(0)
    n_neighbours = min(NEIGHBOUR + itself, len(space))
    tree = NearestNeighbors(n_neighbors=n_neighbours, algorithm="brute").fit(space)
    return np.asarray(tree.kneighbors(rows)[0][:, -1])


def _limits(distance: np.ndarray, classes: np.ndarray, n_classes: int) -> np.ndarray:
    everywhere = float(np.quantile(distance, RANK, method="lower"))
    limits = np.full(n_classes, max(everywhere, TINY))
    for c in range(n_classes):
        own = distance[classes == c]
        if len(own) >= FEWEST_OF_A_CLASS:
            limits[c] = max(float(np.quantile(own, RANK, method="lower")), TINY)
    return limits
