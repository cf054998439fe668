"""A sample of rows, where an algorithm needs all pairs of them."""

import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["draw_rows"]


def draw_rows(key: Array, mask: Array, most: int) -> tuple[Array, Array]:
    """Indices `i32[m]` of a random sample of the unmasked rows, and which count, `bool[m]`.

    All rows in their order where there are no more than `most`. Masked rows are drawn only
    where the others are too few.

    Args:
        key: random key.
        mask: `bool[n]`, rows that count.
        most: static, rows of the sample; `m = min(n, most)`.
    """
    if len(mask) <= most:
        return jnp.arange(len(mask)), mask
    _, rows = jax.lax.top_k(jax.random.uniform(key, mask.shape) + mask, most)
    return rows, mask[rows]
