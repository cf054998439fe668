"""Micro clusters: rows cut into small groups, the smallest things that the judge sees.

They are small enough to lie within one class, and large enough to have a shape.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.rows import class_means
from ncd_jax.types import UNLABELLED, Array

__all__ = [
    "MicroClusters",
    "class_scale",
    "micro_clusters",
    "n_micro_clusters",
    "rows_each",
]

PARTS_OF_A_CLASS = 2
ROWS_EACH = (5, 30)
LEAST = 4
MOST_ITERATIONS = 20
"""Micro clusters need not be the best there are: later iterations move few rows, and a start is the
first draw."""
EPSILON = 1e-9


class MicroClusters(NamedTuple):
    """A cut of some rows into at most `M` groups; the slots behind the last one are empty.

    All may have leading axes.

    Attributes:
        labels: `i32[n]`, the slot of each row; `UNLABELLED` for rows that do not count.
        sizes: `i32[M]`, rows in each slot; 0 where it is empty.
    """

    labels: Array
    sizes: Array

    @property
    def member(self) -> Array:
        """`f32[n, M]`, 1 where a row is in a slot: sums over slots are products with it."""
        return jax.nn.one_hot(self.labels, self.sizes.shape[-1])

    @property
    def pairs(self) -> Array:
        """`bool[M, M]`, two slots that hold rows and are not the same."""
        filled = self.sizes > 0
        different = ~jnp.eye(filled.shape[-1], dtype=bool)
        both = filled[..., :, None] & filled[..., None, :]
        return both & jnp.broadcast_to(different, both.shape)


def micro_clusters(
    key: Array,
    z: Array,
    n_clusters: Array | int,
    *,
    max_micro: int,
    mask: Array | None = None,
    restarts: int = 2,
) -> MicroClusters:
    """Cuts the unmasked rows of `z` into micro clusters, by k-means.

    With fewer distinct rows than clusters there are fewer clusters.

    Args:
        key: random key.
        z: `f32[n, L]`.
        n_clusters: scalar between 1 and `max_micro`; see `n_micro_clusters`.
        max_micro: static number of slots `M`.
        mask: `bool[n]`, rows that count; all by default.
        restarts: independent starts of k-means.
    """
    found = kmeans(
        key,
        z,
        n_clusters,
        max_clusters=max_micro,
        mask=mask,
        restarts=restarts,
        max_iter=MOST_ITERATIONS,
        trials=1,  # as they were cut for the prior
    )
    labels = found.labels if mask is None else jnp.where(mask, found.labels, UNLABELLED)
    filled = _sizes(labels, max_micro) > 0
    # Slots move forward over empty ones, in their order.
    place = jnp.cumsum(filled, dtype=jnp.int32) - 1
    labels = jnp.where(labels == UNLABELLED, UNLABELLED, place[labels])
    return MicroClusters(labels, _sizes(labels, max_micro))


def n_micro_clusters(
    n_rows: Array | int, class_size: Array | float, max_micro: int, least: Array | int = LEAST
) -> Array:
    """How many micro clusters to cut rows into, a scalar i32.

    Half of a known class, 5 to 30 rows, in each; there are 4 to `max_micro` of them, and no more
    than rows. Hidden and novel rows are cut alike, so that their features compare.

    Args:
        n_rows: scalar, the rows to be cut.
        class_size: scalar, rows of a known class.
        max_micro: static number of slots.
        least: scalar, where more classes are asked for than there would be micro clusters.
    """
    fewest = jnp.clip(least, LEAST, max_micro)
    n_clusters = jnp.clip(n_rows // rows_each(jnp.asarray(class_size)), fewest, max_micro)
    return jnp.minimum(n_clusters, jnp.maximum(n_rows, 1)).astype(jnp.int32)


def rows_each(class_size: Any) -> Any:
    """Rows that a micro cluster is meant to have; see `n_micro_clusters`.

    Args:
        class_size: a scalar of the device or, outside a program, of NumPy: then there is none.
    """
    return (class_size / PARTS_OF_A_CLASS).clip(*ROWS_EACH)


def class_scale(z: Array, y: Array, n_known: int) -> Array:
    """The extent of a known class, a scalar: what a distance is large or small against.

    The median, over the known classes with a row, of the root mean squared distance to the class
    mean. Not a number where no row is labelled.

    Args:
        z: `f32[n, L]`.
        y: `i32[n]`, known class or `UNLABELLED`.
        n_known: static number of known classes.
    """
    chex.assert_rank([z, y], [2, 1])
    apart = z - class_means(z, y, n_known)[jnp.maximum(y, 0)]
    squared = jnp.sum(apart**2, axis=1)
    in_class = y[:, None] == jnp.arange(n_known)[None]
    total = jnp.sum(jnp.where(in_class, squared[:, None], 0.0), axis=0)
    extent = jnp.sqrt(total / jnp.maximum(_sizes(y, n_known), 1))
    return _median_of_present(extent, y, n_known) + EPSILON


def _sizes(labels: Array, n_slots: int) -> Array:
    """Rows `i32[n_slots]` with each label."""
    return jnp.sum(labels[:, None] == jnp.arange(n_slots)[None], axis=0, dtype=jnp.int32)


def _median_of_present(values: Array, y: Array, n_known: int) -> Array:
    """Median of one value a class over the classes that have a row."""
    return jnp.nanmedian(jnp.where(_sizes(y, n_known) > 0, values, jnp.nan))
