"""Losses as pure functions of network outputs and labels.

Source of both: Troisemaine et al., 2024, arXiv 2311.05440, section 3.4. That categories are
rebuilt by cross-entropy is ours; their tables have none.
"""

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.networks.categories import Blocks, block_of_column, largest, leading
from ncd_jax.types import UNLABELLED, Array

__all__ = ["known_cross_entropy", "reconstruction_error"]


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
