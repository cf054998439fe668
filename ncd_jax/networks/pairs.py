"""Losses over pairs of rows: which belong together, and whether two outputs agree.

Source: Troisemaine et al., "A Method for Discovering Novel Classes in Tabular Data", 2022,
arXiv 2209.01217, section III.
"""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.networks.neighbours import FAR, distance_levels, level_of_rank
from ncd_jax.types import Array

__all__ = ["disagreement", "pair_cross_entropy", "similar_pairs"]

EPSILON = 1e-7


def similar_pairs(z: Array, mask: Array, n_nearest: Array) -> Array:
    """Pairs of rows of which one is among the most cosine-similar rows of the other.

    Args:
        z: `f32[n, L]`.
        mask: `bool[n]`, rows that count.
        n_nearest: traced scalar, so many nearest rows of each; none for 0.

    Returns:
        `bool[n, n]`, symmetric. No row is a pair with itself.
    """
    chex.assert_rank([z, mask], [2, 1])
    return _similar_pairs(jax.lax.stop_gradient(z), mask, n_nearest)


# One lane after the other; see `neighbours`.
@jax.custom_batching.sequential_vmap
def _similar_pairs(z: Array, mask: Array, n_nearest: Array) -> Array:
    levels = jnp.where(jnp.eye(len(z), dtype=bool), FAR, distance_levels(z, z))
    level = level_of_rank(levels, n_nearest, mask, mask)
    near = (levels <= level[None, :]) & (levels < FAR)
    return (near | near.T) & _pairs(mask) & (n_nearest > 0)


def pair_cross_entropy(logits: Array, together: Array, mask: Array) -> Array:
    """Binary cross-entropy of "the same cluster" over all pairs of rows that count.

    The probability of a pair is the product of the softmaxes of its rows. Without a pair the
    loss is 0.

    Args:
        logits: `f32[n, K]` over the clusters.
        together: `bool[n, n]`, symmetric, the pairs that should be in the same cluster.
        mask: `bool[n]`, rows that count.
    """
    chex.assert_equal_shape([together, mask[:, None] & mask[None, :]])
    chex.assert_equal_shape_prefix([logits, mask], 1)
    p = jax.nn.softmax(logits)
    # Rounding may give a little more than 1, whose complement has no logarithm.
    same = jnp.minimum(jnp.matmul(p, p.T, precision="highest"), 1.0)
    each = -jnp.log(jnp.where(together, same, 1.0 - same) + EPSILON)
    pairs = _pairs(mask)
    return jnp.sum(jnp.where(pairs, each, 0.0)) / jnp.maximum(jnp.sum(pairs), 1)


def disagreement(a: Array, b: Array, rows: Array, columns: Array) -> Array:
    """Mean squared difference of `f32[n, C]` over rows `bool[n]` and columns `bool[C]`.

    Without an entry that counts it is 0.
    """
    chex.assert_equal_shape([a, b, rows[:, None] & columns[None, :]])
    squared = jnp.where(rows[:, None] & columns[None, :], (a - b) ** 2, 0.0)
    return jnp.sum(squared) / jnp.maximum(jnp.sum(rows) * jnp.sum(columns), 1)


def _pairs(mask: Array) -> Array:
    """Pairs `bool[n, n]` of two different rows that both count."""
    return mask[:, None] & mask[None, :] & ~jnp.eye(len(mask), dtype=bool)
