"""Losses as pure functions of network outputs and labels.

Source of both: Troisemaine et al., 2024, arXiv 2311.05440, section 3.4.
"""

import chex
import jax.numpy as jnp
import optax

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
    logits = jnp.where(present, logits, -1e9)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(labelled, y, 0))
    return jnp.sum(jnp.where(labelled, each, 0.0)) / jnp.maximum(jnp.sum(labelled), 1)


def reconstruction_error(reconstruction: Array, x: Array) -> Array:
    """Squared error of `f32[n, d]`, summed over columns, mean over rows."""
    chex.assert_equal_shape([reconstruction, x])
    return jnp.mean(jnp.sum((reconstruction - x) ** 2, axis=1))
