"""Arithmetic on rows that the algorithms share: exact products, distances, means and samples."""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["class_means", "dot", "draw_rows", "mean_row", "squared_distances", "unit_rows"]


def dot(a: Array, b: Array) -> Array:
    """`a @ b` at full precision, also on matrix units that would round their operands.

    A difference of large squares, as in a distance, would show that rounding.
    """
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances `f32[n, m]` between the rows of `[n, d]` and `[m, d]`."""
    chex.assert_rank([x, y], 2)
    norms = jnp.sum(x**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)[None, :]
    return jnp.maximum(norms - 2.0 * dot(x, y.T), 0.0)


def mean_row(x: Array, mask: Array) -> Array:
    """Mean `f32[d]` of the unmasked rows: about it, distances from products are accurate."""
    weight = mask.astype(x.dtype)
    return dot(weight, x) / jnp.maximum(jnp.sum(weight), 1.0)


def class_means(x: Array, y: Array, n_classes: int) -> Array:
    """Means `f32[C, d]` of the rows `f32[n, d]` of each class; zero where it has none.

    Args:
        x: the rows.
        y: `i32[n]`, class in `0..C-1`; rows of no class have another number.
        n_classes: static number of classes `C`.
    """
    member = jax.nn.one_hot(y, n_classes, dtype=x.dtype)
    return dot(member.T, x) / jnp.maximum(jnp.sum(member, axis=0), 1.0)[:, None]


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


def unit_rows(h: Array, axis: int = -1) -> Array:
    """Rows of `f32[n, L]` scaled to Euclidean norm 1; a zero row stays zero.

    Args:
        h: the rows.
        axis: of the columns; 0 where rows are the last axis.
    """
    return h * jax.lax.rsqrt(jnp.maximum(jnp.sum(h**2, axis=axis, keepdims=True), 1e-24))
