"""The longest edge of a minimum spanning tree: how far apart rows may be and still connect.

Source: Prim, "Shortest connection networks and some generalizations", 1957.
"""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["longest_spanning_edge"]


def longest_spanning_edge(x: Array, mask: Array) -> Array:
    """Squared length, a scalar, of the longest edge that connects the unmasked rows.

    It is exact: the smallest length such that the graph of all shorter or equal edges is
    connected. Rows join the tree one by one, `n^2 d` operations in all; nothing larger than
    `x` is held. It is 0 where fewer than two rows count.

    Args:
        x: `f32[n, d]`.
        mask: `bool[n]`, rows that count.
    """
    chex.assert_rank([x, mask], [2, 1])

    def join(carry: tuple[Array, Array, Array, Array], _: None) -> tuple[tuple, None]:
        newest, outside, to_tree, longest = carry
        outside = outside.at[newest].set(False)
        to_tree = jnp.minimum(to_tree, jnp.sum((x - x[newest][None, :]) ** 2, axis=1))
        open_edges = jnp.where(outside, to_tree, jnp.inf)
        newest = jnp.argmin(open_edges)
        edge = open_edges[newest]
        longest = jnp.where(jnp.isfinite(edge), jnp.maximum(longest, edge), longest)
        return (newest, outside, to_tree, longest), None

    unreached = jnp.full(len(x), jnp.inf, x.dtype)
    start = (jnp.argmax(mask), mask, unreached, jnp.zeros((), x.dtype))
    (*_, longest), _ = jax.lax.scan(join, start, length=max(len(x) - 1, 0))
    return longest
