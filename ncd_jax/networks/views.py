"""Two random views of table rows that keep what the row is about."""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.networks.categories import Blocks, first_columns, members
from ncd_jax.types import Array

__all__ = ["two_views"]


def two_views(key: Array, x: Array, mask_rate: Array, noise: Array, blocks: Blocks = ()) -> Array:
    """Two views `f32[2, n, d]` of rows: some entries from other rows, and noise on all numbers.

    An entry that is replaced comes from the same column of another row: a draw from the column's
    marginal. All replacements of a column come from equally far down the batch, whose order is
    random, so a view costs one random number a column and not a permutation. What is drawn does
    not depend on the rates: under `vmap` over rates it is drawn once. A category is one entry: all
    columns of its block are replaced by those of the same row, or none, and it has no noise.

    Source: Bahri et al., "SCARF: self-supervised contrastive learning using random feature
    corruption", ICLR 2022.

    Args:
        key: random key.
        x: `f32[n, d]`, the rows of one batch.
        mask_rate: share of entries that are replaced.
        noise: standard deviation of the Gaussian noise, as a multiple of that of the column.
        blocks: columns of each category; see `networks.categories`.
    """
    chex.assert_rank(x, 2)
    n, d = x.shape
    key_rows, key_mask, key_noise = jax.random.split(key, 3)
    away = jax.random.randint(key_rows, (2, 1, d), 1, max(n, 2))
    # Sixteen random bits decide about an entry: the rate is off by at most 2^-16.
    bits = jax.random.bits(key_mask, (2, n, d), jnp.uint16)
    scale = jnp.std(x, axis=0)
    if blocks:
        first = first_columns(blocks, d)
        away, bits = away[..., first], bits[..., first]
        scale = scale.at[members(blocks)].set(0.0)
    others = x[(jnp.arange(n)[None, :, None] + away) % n, jnp.arange(d)]
    replaced = bits.astype(jnp.float32) < mask_rate * 2**16
    jitter = scale[None, None, :] * jax.random.normal(key_noise, (2, n, d), x.dtype)
    return jnp.where(replaced, others, x) + noise * jitter
