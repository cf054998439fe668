"""Matrix products that keep float32, shared by the algorithms."""

import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["dot"]


def dot(a: Array, b: Array) -> Array:
    """`a @ b` at full precision, also on matrix units that would round their operands.

    A difference of large squares, as in a distance, would show that rounding.
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
