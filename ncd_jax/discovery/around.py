"""Rows of a run that later ones are held against, and which of them lie around a row.

To look at them is most of what a row costs, so each kind is looked at by itself, and in the columns
only the kind that a row is taken for.

Sources: see `model`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import squared_distances
from ncd_jax.types import Array

__all__ = [
    "NEIGHBOUR",
    "TINY",
    "Around",
    "OfKind",
    "Reference",
    "look_around",
    "rows_by_kind",
    "third_in_columns",
]

NEIGHBOUR = 3
"""Which neighbour says how far the rows of a kind are."""
VOTERS = 15
"""Labelled neighbours that say of which known class a row is."""
TINY = 1e-6


class Reference(NamedTuple):
    """Rows of the run that others are held against: labelled ones and new ones, a sample of each.

    Attributes:
        x: `f32[r, d]`, in the columns as the method takes them.
        z: `f32[r, L]`, in the view.
        y: `i32[r]`, the known class of labelled rows, -1 of new ones, -2 where a slot is empty.
        limits: `f32[2, C + M]`, in columns and view, how far the third neighbour of a row of each
            class may be among rows of its kind.
        nearer: `f32[2]`, slope and intercept of the log-odds that a row is of a known class, by the
            logarithm of how much nearer labelled rows are than new ones.
        votes: `f32[4]`, what speaks for a known class: see `row_features.CLASS_FEATURES`.
        log_share: `f32[C]`, logarithm of the share of each known class.
        apart: scalar, how much further the second nearest class mean usually is.
        usual: scalar, share of held-out rows of known classes that are beyond a limit; NaN where no
            row could be held out.
    """

    x: Any
    z: Any
    y: Any
    limits: Any
    nearer: Any
    votes: Any
    log_share: Any
    apart: Any
    usual: Any


class OfKind(NamedTuple):
    """Rows of the reference that are labelled, or those that are new.

    Attributes:
        x: `f32[k, d]`.
        z: `f32[k, L]`.
        y: `i32[k]`, as in the reference; -2 where a slot is empty.
        at: `i32[k]`, where in the reference each is; -2 where a slot is empty.
    """

    x: Any
    z: Any
    y: Any
    at: Any


def rows_by_kind(reference: Reference) -> tuple[Reference, OfKind, OfKind]:
    """A reference without its rows, those that are labelled, and those that are new.

    Each kind has half of the room where it fits: then nobody looks at rows of the other one, and
    all tables share a program. They are put together here, as a device would gather them anew for
    every number of a product.
    """
    x, z, y = (np.asarray(each) for each in reference[:3])
    kinds = [np.flatnonzero(y >= 0), np.flatnonzero(y == -1)]
    room = max((len(y) + 1) // 2, *map(len, kinds))

    def filled(rows: np.ndarray, nothing: int) -> np.ndarray:
        empty = [(0, room - len(rows)), *[(0, 0)] * (rows.ndim - 1)]
        return np.pad(rows, empty, constant_values=nothing)

    labelled, new = (
        OfKind(
            filled(x[at], 0),
            filled(z[at], 0),
            filled(y[at], -2).astype(np.int32),
            filled(at, -2).astype(np.int32),
        )
        for at in kinds
    )
    nothing = np.zeros(0, np.float32)
    return reference._replace(x=nothing, z=nothing, y=nothing), labelled, new


class Around(NamedTuple):
    """What lies around `n` rows in the view.

    Attributes:
        to_labelled: `f32[n]`, distance to the third labelled row.
        to_new: `f32[n]`, to the third new one.
        nearness: `f32[n]`, the logarithm of how much nearer labelled rows are than new ones.
        votes: `bool[n, 15, C]`, classes of the nearest labelled rows.
    """

    to_labelled: Array
    to_new: Array
    nearness: Array
    votes: Array


def look_around(labelled: OfKind, new: OfKind, z: Array, itself: Array, n_known: int) -> Around:
    """What labelled and new rows of the reference lie around rows of the view.

    Args:
        labelled: of the reference.
        new: of the reference.
        z: `f32[n, L]`.
        itself: `i32[n]`, which row of the reference each is, and no neighbour of its own; -1 where
            it is none of them.
        n_known: known classes.
    """
    far, voters = _nearest(_nearness(z, labelled.z, labelled.at, itself), VOTERS)
    to_labelled = _third(far)
    to_new = _third(_nearest(_nearness(z, new.z, new.at, itself), NEIGHBOUR)[0])
    nearness = jnp.log((to_new + TINY) / (to_labelled + TINY))
    nearness = jnp.where(jnp.any(new.at >= 0), nearness, 9.0)
    of_class = labelled.y[voters][:, :, None] == jnp.arange(n_known)[None, None]
    votes = of_class & jnp.isfinite(far)[:, :, None]
    return Around(to_labelled, to_new, nearness, votes)


def third_in_columns(
    labelled: OfKind, new: OfKind, x: Array, itself: Array, is_new: Array
) -> Array:
    """Distance `f32[n]` in the columns to the third row of the kind that a row is taken for."""
    to_new, to_labelled = (_nearness(x, each.x, each.at, itself) for each in (new, labelled))
    return _third(_nearest(jnp.where(is_new[:, None], to_new, to_labelled), NEIGHBOUR)[0])


def _nearness(own: Array, theirs: Array, at: Array, itself: Array) -> Array:
    """Minus the squared distances `f32[n, k]`; infinitely little to itself, and to no row."""
    among = (at >= 0)[None] & (at[None] != itself[:, None])
    return jnp.where(among, -squared_distances(own, theirs), -jnp.inf)


def _nearest(nearness: Array, most: int) -> tuple[Array, Array]:
    """The nearest rows, `[n, most]`: how near, and which of the `k`."""
    return jax.lax.top_k(nearness, min(most, nearness.shape[1]))


def _third(nearness: Array) -> Array:
    """The distance `f32[n]` to the third of the nearest rows, or the last that there is."""
    # No slice: for two lengths of one list XLA would sort all rows.
    near = jnp.isfinite(nearness) & (jnp.arange(nearness.shape[1]) < NEIGHBOUR)[None]
    last = jnp.max(jnp.where(near, -nearness, -jnp.inf), axis=1)
    return jnp.sqrt(jnp.maximum(last, 0.0))
