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


# One lane after the other: the matrices of many lanes side by side do not fit into the cache of a
# CPU. With them a whole step takes 1.4 times as long.
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
    return _pair_loss(jax.nn.softmax(logits), together, mask)


@jax.custom_vjp
def _pair_loss(p: Array, together: Array, mask: Array) -> Array:
    """The loss from probabilities `f32[n, K]`. Matrices of pairs need not be kept for its slope."""
    return _loss_and_slope(p, together, mask)[0]


def _loss_and_slope(p: Array, together: Array, mask: Array) -> tuple[Array, Array]:
    """The loss, and its derivative by the probabilities."""
    product = jnp.matmul(p, p.T, precision="highest")
    # Rounding may give a little more than 1, whose complement has no logarithm.
    same = jnp.minimum(product, 1.0)
    right = jnp.where(together, same, 1.0 - same) + EPSILON
    pairs = _pairs(mask)
    n_pairs = jnp.maximum(jnp.sum(pairs), 1)
    loss = -jnp.sum(jnp.where(pairs, jnp.log(right), 0.0)) / n_pairs
    slope = jnp.where(pairs & (product <= 1.0), jnp.where(together, -1.0, 1.0) / right, 0.0)
    return loss, 2.0 * jnp.matmul(slope, p, precision="highest") / n_pairs


def _backwards(slope: Array, cotangent: Array) -> tuple[Array, None, None]:
    return cotangent * slope, None, None


_pair_loss.defvjp(_loss_and_slope, _backwards)


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
