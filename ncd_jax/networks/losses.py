"""Losses as pure functions of network outputs and labels.

Sources: Troisemaine et al., 2024, arXiv 2311.05440, section 3.4 (known classes, reconstruction);
Troisemaine et al., "A Method for Discovering Novel Classes in Tabular Data", 2022, arXiv
2209.01217, section III (pairs of rows, agreement of two outputs). That categories are rebuilt by
cross-entropy is ours; their tables have none.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.networks.augmentation import FAR, distance_levels, level_of_rank
from ncd_jax.networks.categories import block_of_column, largest, leading
from ncd_jax.types import UNLABELLED, Array, Blocks

__all__ = [
    "disagreement",
    "known_cross_entropy",
    "pair_cross_entropy",
    "reconstruction_error",
    "similar_pairs",
]

EPSILON = 1e-7


def known_cross_entropy(logits: Array, y: Array, present: Array) -> Array:
    """Mean cross-entropy of the labelled rows over the classes that are present.

    Args:
        logits: `f32[n, C]`.
        y: `i32[n]`, known class or `UNLABELLED`. Without a labelled row the loss is 0.
        present: `bool[C]`, classes that have a labelled row somewhere in the data. The
            others take no part in the softmax, as if they had no output.
    """
    chex.assert_rank([logits, y, present], [2, 1, 1])
    labelled = y != UNLABELLED
    # Rows last, as networks have them, and no gather: its gradient is a scatter.
    log_p = jax.nn.log_softmax(jnp.where(present, logits, -1e9).T, axis=0)
    own = y[None, :] == jnp.arange(len(log_p))[:, None]
    return -jnp.sum(jnp.where(own, log_p, 0.0)) / jnp.maximum(jnp.sum(labelled), 1)


def reconstruction_error(reconstruction: Array, x: Array, blocks: Blocks = ()) -> Array:
    """How badly rows are rebuilt: summed over columns, mean over rows.

    A number costs its squared error. A category costs the softmax cross-entropy of its block,
    divided by the logarithm of the number of its words. Either then costs 1 where nothing is
    known: a number of variance 1 that is guessed to be 0, and a category whose words are all
    held equally likely. The division takes no notice of how often the words are: a category
    that nearly always has the same word is cheaper, as it is in squared errors of one-hot columns.

    Args:
        reconstruction: `f32[n, d]`; logits in the columns of blocks.
        x: `f32[n, d]`. A block in which a row has no category costs that row nothing.
        blocks: columns of each category; see `networks.categories`.
    """
    chex.assert_equal_shape([reconstruction, x])
    squared = (reconstruction - x) ** 2
    if not blocks:
        return jnp.mean(jnp.sum(squared, axis=1))
    owner = block_of_column(blocks, x.shape[1])
    # A block of one column has nothing to tell and no logarithm to be divided by.
    weight = 1.0 / np.log([max(stop - start, 2) for start, stop in blocks])
    target = leading(x, blocks)
    # Softmax does not change with what is subtracted, so no gradient goes through it.
    top = jax.lax.stop_gradient(largest(reconstruction, blocks))
    logits = jnp.where(owner >= 0, reconstruction - top[:, owner], 0.0)
    in_block = jnp.asarray(owner[:, None] == np.arange(len(blocks)), jnp.float32)
    total = jnp.matmul(jnp.exp(logits), in_block, precision="highest")
    given = jnp.matmul(target.astype(jnp.float32), in_block)
    surprise = jnp.sum(given * jnp.log(total) * weight[None, :], axis=1)
    surprise -= jnp.sum(jnp.where(target, logits, 0.0) * weight[owner][None, :], axis=1)
    return jnp.mean(jnp.sum(jnp.where(owner >= 0, 0.0, squared), axis=1) + surprise)


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
