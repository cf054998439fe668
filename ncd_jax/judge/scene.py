"""Rows as the judge sees them: micro clusters, and what every pair of them looks like.

A table has several views: representations that different hyperparameters or trainings give of the
same rows. All views share their micro clusters, made in all of them side by side, so what they say
of a pair can be averaged.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import dot
from ncd_jax.judge.features import pair_features
from ncd_jax.judge.micro import class_scale, micro_clusters, n_micro_clusters
from ncd_jax.types import Array

__all__ = [
    "MAX_MICRO",
    "NARROW",
    "WIDEST",
    "Rows",
    "Scene",
    "make_scene",
    "side_by_side",
]

MAX_MICRO = 40
WIDEST, NARROW = 256, 128
"""Columns in which micro clusters are looked for at most, and how many there are where that is too
many: distances change by a tenth or so, and k-means takes a fraction of the time."""


class Rows(NamedTuple):
    """The rows that are to be told apart, and what they are measured against.

    Attributes:
        views: `f32[V, m, L]`, the rows in every representation.
        x: `f32[m, d]`, in the standardised columns.
        mask: `bool[m]`, which of them count.
        known: `f32[V, q, L]`, labelled rows in every representation.
        y: `i32[q]`, their classes, `UNLABELLED` where a fold hides them.
        class_size: scalar, how many of the rows one class would have if it were as large as a known
            one: median rows of a known class, times the share of the rows that were drawn.
        least: scalar, micro clusters that there have to be at least; see `n_micro_clusters`.
    """

    views: Array
    x: Array
    mask: Array
    known: Array
    y: Array
    class_size: Array
    least: Array | int = 0


class Scene(NamedTuple):
    """What the judge sees of `m` rows.

    Attributes:
        labels: `i32[m]`, the micro cluster of every row; `UNLABELLED` for those that do not count.
        sizes: `i32[M]`, rows in each; 0 where a slot is empty.
        centroids: `f32[M, V * L]`, in all views side by side.
        features: `f32[V, M, M, F]`, of all pairs in every view.
    """

    labels: Array
    sizes: Array
    centroids: Array
    features: Array


def make_scene(key: Array, rows: Rows, *, n_known: int, max_micro: int = MAX_MICRO) -> Scene:
    """Cuts rows into micro clusters and describes all pairs of them, in every view.

    Args:
        key: random key.
        rows: the rows.
        n_known: static number of known classes.
        max_micro: static number of slots for micro clusters `M`.
    """
    chex.assert_rank([rows.views, rows.x], [3, 2])
    key_space, key_micro = jax.random.split(key)
    joint = side_by_side(rows.views)
    n_clusters = n_micro_clusters(jnp.sum(rows.mask), rows.class_size, max_micro, rows.least)
    micro = micro_clusters(
        key_micro, _narrow(key_space, joint), n_clusters, max_micro=max_micro, mask=rows.mask
    )

    def describe(view: tuple[Array, Array]) -> Array:
        z, known = view
        in_class = class_scale(known, rows.y, n_known)
        return pair_features(z, rows.x, micro, in_class, rows.class_size)

    # One view after the other: side by side they would hold their rows times all micro clusters.
    features = jax.lax.map(describe, (rows.views, rows.known))
    centroids = dot(micro.member.T, joint) / jnp.maximum(micro.sizes, 1)[:, None]
    return Scene(micro.labels, micro.sizes, centroids, features)


def side_by_side(views: Any) -> Any:
    """Views `f32[V, m, L]` as one space `f32[m, V * L]`, in which distances are their mean.

    Arrays of the host or of the device.
    """
    n_views, n_rows, width = views.shape
    return views.transpose(1, 0, 2).reshape(n_rows, n_views * width) / n_views**0.5


def _narrow(key: Array, x: Array) -> Array:
    """Rows `f32[n, L]` in random directions where their columns are many.

    Source: Johnson and Lindenstrauss, "Extensions of Lipschitz mappings into a Hilbert space",
    1984.
    """
    if x.shape[1] <= WIDEST:
        return x
    return dot(x, jax.random.normal(key, (x.shape[1], NARROW)) / jnp.sqrt(NARROW))
