"""Rows that are like other rows: between a row and a neighbour, or with entries of others.

Neighbours are looked for in a batch and a memory of earlier rows. What is no number has nothing
between: as in SMOTE-NC, a category becomes the most frequent one of the neighbours.

They are the most cosine-similar rows of the same kind, labelled or unlabelled, and are
found without sorting: distances become whole numbers, and the one of a given rank is found bit
by bit, by counting, for any traced rank. As the distances say nothing of labels, all lanes of a
sweep share them, cut into bits that are packed 32 rows a word.

Sources: Troisemaine et al., "A Method for Discovering Novel Classes in Tabular Data", 2022,
arXiv 2209.01217; Chawla et al., "SMOTE: synthetic minority over-sampling technique", 2002, section
6.1 on categories. Distances stay those of encoded rows, without its median of deviations.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import unit_rows
from ncd_jax.networks.categories import (
    block_of_column,
    first_columns,
    largest,
    leading,
    members,
    packed,
)
from ncd_jax.types import Array, Blocks

__all__ = [
    "FAR",
    "Memory",
    "augment",
    "distance_levels",
    "empty_memory",
    "level_of_rank",
    "push",
    "two_views",
]

BITS = 15
FAR = 2**BITS - 1
"""The level of a pair of rows that is no pair of neighbours."""


class Memory(NamedTuple):
    """The last rows that were seen, the oldest first; slots fill up from the end.

    Attributes:
        x: `f32[m, d]`.
        labelled: `bool[m]`.
        filled: `bool[m]`, slots that hold a row.
    """

    x: Array
    labelled: Array
    filled: Array


def empty_memory(n_slots: int, n_features: int) -> Memory:
    """A memory without a row in it."""
    nothing = jnp.zeros(n_slots, bool)
    return Memory(jnp.zeros((n_slots, n_features), jnp.float32), nothing, nothing)


def push(memory: Memory, x: Array, labelled: Array) -> Memory:
    """Adds rows `f32[n, d]` and forgets as many of the oldest: first in, first out."""
    chex.assert_equal_shape([memory.x[:1], x[:1]])
    n_slots = len(memory.x)
    pool = _pool(memory, x, labelled)
    return jax.tree.map(lambda leaf: leaf[len(leaf) - n_slots :], pool)


def distance_levels(x: Array, y: Array) -> Array:
    """Distances between the directions of rows as whole numbers, `i16[n, m]` below `FAR`.

    The distance `sqrt(2 - 2 cos)` is a 16383rd part a level, so it orders rows as the cosine
    does, up to a difference that float32 can hardly say of two cosines near 1.
    """
    squared = 2.0 - 2.0 * jnp.matmul(unit_rows(x), unit_rows(y).T, precision="highest")
    level = jnp.sqrt(jnp.clip(squared, 0.0, 4.0)) * (FAR // 2)
    return jnp.round(level).astype(jnp.int16)


def level_of_rank(levels: Array, rank: Array, kind: Array, own_kind: Array) -> Array:
    """The level `i16[n]` of the row that has a given rank in each column, nearest first.

    Only rows of the column's own kind count. It is `FAR` where there are fewer than `rank`,
    and 0 for a rank below 1.

    Args:
        levels: `i16[p, n]`.
        rank: `i32[n]`, or one for all columns; 1 is the nearest.
        kind: `bool[p]`, kind of each row.
        own_kind: `bool[n]`, kind of each column.
    """
    return _find_rank(levels, rank, kind, own_kind)[0]


def _find_rank(levels: Array, rank: Array, kind: Array, own_kind: Array) -> tuple[Array, Array]:
    """That level, and the rows at it as bits, `u32[w, n]`; 0 where there is none.

    Levels are cut into their bits, and 32 rows share a word. A bit after the other, the rows
    that may have the rank become fewer: those without the bit are nearer than those with it,
    and counting them tells among which it is.
    """
    chex.assert_shape(levels, (len(kind), len(own_kind)))
    # Filled up before they are cut, in one pass instead of one a bit.
    levels = jnp.pad(levels, ((0, -len(levels) % 32), (0, 0)))
    planes = jnp.stack([_words((levels >> bit) & 1) for bit in reversed(range(BITS))])
    rows = jnp.where(own_kind, _words(kind)[:, None], _words(~kind)[:, None])

    def narrow(carry: tuple[Array, Array, Array], plane: Array) -> tuple[Any, None]:
        level, rank, rows = carry
        nearer = rows & ~plane
        n_nearer = jnp.sum(jax.lax.population_count(nearer), axis=0, dtype=jnp.int32)
        beyond = n_nearer < rank
        rows = jnp.where(beyond, rows & plane, nearer)
        return (2 * level + beyond, jnp.where(beyond, rank - n_nearer, rank), rows), None

    rank = jnp.broadcast_to(jnp.asarray(rank, jnp.int32), own_kind.shape)
    start = jnp.zeros(own_kind.shape, jnp.int16), rank, rows
    (level, _, rows), _ = jax.lax.scan(narrow, start, planes)
    return level, rows


def _words(bits: Array) -> Array:
    """Bits `[p, ...]` of 32 rows each as words `u32[w, ...]`, the first row the lowest bit."""
    bits = jnp.pad(bits, ((0, -len(bits) % 32), *[(0, 0)] * (bits.ndim - 1)))
    bits = bits.reshape(-1, 32, *bits.shape[1:]).astype(jnp.uint32)
    place = jnp.arange(32, dtype=jnp.uint32).reshape(32, *[1] * (bits.ndim - 2))
    return jnp.sum(bits << place[None], axis=1, dtype=jnp.uint32)


def _latest(rows: Array) -> Array:
    """The last of the rows `u32[w, n]` of each column, `i32[n]`; 0 where there is none."""
    first = 32 * jnp.arange(len(rows), dtype=jnp.int32)[:, None]
    last = first + 31 - jax.lax.clz(rows).astype(jnp.int32)
    return jnp.max(jnp.where(rows > 0, last, 0), axis=0)


def augment(
    key: Array,
    x: Array,
    labelled: Array,
    memory: Memory,
    k_neighbors: Array,
    blocks: Blocks = (),
) -> Array:
    """Moves each row of `f32[n, d]` a random part of the way to a random neighbour.

    The neighbour is any of the `k_neighbors` most similar rows of its kind in the batch and
    the memory, the part of the way uniform. An earlier visit of the same row counts as a
    neighbour, as in the authors' code. A row without any stays where it is. What is drawn
    depends on the key alone.

    A category is not moved: it becomes the most frequent one among the `k_neighbors`, and rows as
    far away as the last of them count too. Of several the one that the random neighbour has, else
    the one whose column is first. A row stays what it is where none of them has a category.

    Args:
        key: random key.
        x: rows of the batch.
        labelled: `bool[n]`, the kind of each row.
        memory: earlier rows.
        k_neighbors: traced scalar, at least 1; all of them where there are fewer.
        blocks: columns of each category; see `networks.categories`.
    """
    chex.assert_rank([x, labelled], [2, 1])
    key_rank, key_part = jax.random.split(key)
    pool = _pool(memory, x, labelled)
    p, n = len(pool.x), len(x)
    itself = jnp.arange(p)[:, None] == jnp.arange(p - n, p)[None, :]
    levels = distance_levels(pool.x, x)
    levels = jnp.where(itself | ~pool.filled[:, None], FAR, levels)

    n_labelled = jnp.sum(pool.labelled & pool.filled)
    n_unlabelled = jnp.sum(~pool.labelled & pool.filled)
    choices = jnp.minimum(jnp.where(labelled, n_labelled, n_unlabelled) - 1, k_neighbors)
    rank = 1 + jnp.floor(jax.random.uniform(key_rank, (n,), x.dtype) * choices).astype(jnp.int32)
    rank = jnp.minimum(rank, choices)
    neighbour = pool.x[_latest(_find_rank(levels, rank, pool.labelled, labelled)[1])]
    part = jnp.where(choices > 0, jax.random.uniform(key_part, (n,), x.dtype), 0.0)
    moved = x + part[:, None] * (neighbour - x)
    if not blocks:
        return moved
    farthest = level_of_rank(levels, choices, pool.labelled, labelled)
    near = (levels <= farthest[None, :]) & (pool.labelled[:, None] == labelled[None, :])
    return _with_categories(moved, x, pool, near, neighbour, blocks)


def _with_categories(
    moved: Array, x: Array, pool: Memory, near: Array, neighbour: Array, blocks: Blocks
) -> Array:
    """Moved rows `f32[n, d]` with the categories that most of their neighbours have.

    Args:
        moved: rows whose numbers are moved.
        x: the same rows before that.
        pool: `p` rows, some of which may be none.
        near: `bool[p, n]`, the neighbours of each row.
        neighbour: `f32[n, d]`, the one that each row is moved to.
        blocks: at least one.
    """
    columns, blocks = members(blocks), packed(blocks)
    rows = pool.x[:, columns]
    # Zeros and ones, and sums below 2^24, are exact on any matrix unit.
    votes = near.T.astype(jnp.float32) @ leading(rows, blocks).astype(jnp.float32)
    # Half a vote decides between equals only. A row alone in its kind has a neighbour in name.
    votes += 0.5 * (leading(neighbour[:, columns], blocks) & (votes > 0))
    # A column has one value where it is set and one where it is not. Zero, as in empty slots, is
    # neither above the first nor below the second, however columns are shifted and scaled.
    held = jnp.where(leading(votes, blocks), jnp.max(rows, axis=0), jnp.min(rows, axis=0))
    elected = largest(votes, blocks)[:, block_of_column(blocks, len(columns))] > 0
    held = jnp.where(elected, held, x[:, columns])
    place = np.full(x.shape[1], -1)
    place[columns] = np.arange(len(columns))
    return jnp.where(place >= 0, held[:, place], moved)


def _pool(memory: Memory, x: Array, labelled: Array) -> Memory:
    """The memory with all rows of a batch behind it."""
    rows = Memory(x, labelled, jnp.ones(len(x), bool))
    return jax.tree.map(lambda a, b: jnp.concatenate([a, b]), memory, rows)


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
