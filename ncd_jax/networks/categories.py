"""Encoded columns that are one category together, and which category a row has.

A block `(start, stop)` holds the columns of one category. Blocks are static, in order, and do not
overlap; columns outside of them are numbers. The category of a row is the column with the largest
value in the block, so it is the same whether a set column holds 1 or anything else above the
others. Where that value is not above 0, no column is set: the row has no category there. That is
what new rows with an unheard-of word look like; rows of a training table always have one.
"""

import itertools

import jax.numpy as jnp
import numpy as np

from ncd_jax.types import Array, Blocks

__all__ = ["block_of_column", "first_columns", "largest", "leading", "members", "packed"]


def block_of_column(blocks: Blocks, n_columns: int) -> np.ndarray:
    """The index of the block that each column is in, `i[d]`; -1 for numbers."""
    owner = np.full(n_columns, -1)
    for i, (start, stop) in enumerate(blocks):
        owner[start:stop] = i
    return owner


def first_columns(blocks: Blocks, n_columns: int) -> np.ndarray:
    """The first column of the block that each column is in, `i[d]`; numbers have their own."""
    first = np.arange(n_columns)
    for start, stop in blocks:
        first[start:stop] = start
    return first


def members(blocks: Blocks) -> np.ndarray:
    """The columns of all blocks, `i[e]`, in order."""
    return np.array(list(itertools.chain(*(range(*block) for block in blocks))), int)


def packed(blocks: Blocks) -> Blocks:
    """Where the blocks are in a table of their `members` alone."""
    stops = np.cumsum([stop - start for start, stop in blocks]).tolist()
    return tuple(itertools.pairwise([0, *stops]))


def largest(x: Array, blocks: Blocks) -> Array:
    """The largest value of rows `f32[n, d]` in each of at least one block: `f32[n, B]`."""
    return jnp.max(x[:, _padded(blocks)], axis=2)


def leading(x: Array, blocks: Blocks) -> Array:
    """Which columns of rows `f32[n, d]` lead their block, above 0: `bool[n, d]`.

    At most one column a block, the first where several are as large; of one-hot rows it is the
    one that is set. Numbers never lead.
    """
    d, index = x.shape[1], _padded(blocks)
    column = jnp.asarray(index[:, 0])[None, :] + jnp.argmax(x[:, index], axis=2)
    column = jnp.where(largest(x, blocks) > 0, column, d)
    owner = block_of_column(blocks, d)
    return (column[:, owner] == jnp.arange(d)[None, :]) & (owner >= 0)[None, :]


def _padded(blocks: Blocks) -> np.ndarray:
    """The columns of each block, `i[B, widest]`; the last one fills narrower blocks up."""
    start, stop = np.array(blocks).T[:, :, None]
    return np.minimum(start + np.arange(np.max(stop - start)), stop - 1)
