"""Where k-means starts: rows drawn far from each other, all restarts in one product under `vmap`.

Source: Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", 2007; taking the
best of several draws is from its section on experiments.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import dot
from ncd_jax.types import Array

__all__ = ["Power", "draw_starts", "powered"]

Power = Literal[1, 2]
"""Exponent of the distance, where it weighs a draw or adds up to the inertia."""

_ROUNDING = 1e-5
"""What float32 may leave of a difference of two equal sums, as a share of them."""
_BLOCK = 128


def draw_starts(
    key: Array,
    x: Array,
    weight: Array,
    distance: Array,
    n_clusters: Array | int,
    *,
    max_clusters: int,
    power: Power = 2,
    trials: int = 1,
) -> Array:
    """Draws starting centroids `f32[K, d]`, each with weight on the distance so far.

    Slots that get no draw are zero.

    Args:
        key: random key.
        x: `f32[n, d]`.
        weight: `f32[n]`, 1 for rows that may be drawn and 0 for the others.
        distance: `f32[n]`, squared distance to the nearest of the centroids that are there
            already; infinite everywhere where there is none.
        n_clusters: scalar between 1 and `max_clusters`, how many to draw.
        max_clusters: static number of slots `K`.
        power: static, of the distance in the weight of a draw.
        trials: static; of so many draws the one that leaves the least distances is taken.
    """
    norms = jnp.sum(x**2, axis=1)
    uniforms = jax.random.uniform(key, (max_clusters, trials), x.dtype)

    def add(slot: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        centroids, distance = carry
        mass = weight * jnp.where(jnp.isfinite(distance), powered(distance, power), 1.0)
        # Where no row is away from every centroid (too few distinct rows), any row will do.
        mass = jnp.where(jnp.sum(mass) > 0, mass, weight)
        drawn = x[_draw_rows(uniforms[slot], mass)]
        both = jnp.sum(drawn**2, axis=1)[:, None] + norms[None, :]
        squared = both - 2.0 * dot(drawn, x.T)
        # A row that is there already must not be drawn again because of rounding.
        squared = jnp.where(squared > _ROUNDING * both, squared, 0.0)
        left = jnp.minimum(distance[None, :], squared)
        best = jnp.argmin(dot(powered(left, power), weight))
        return centroids.at[slot].set(drawn[best]), left[best]

    empty = jnp.zeros((max_clusters, x.shape[1]), x.dtype)
    return jax.lax.fori_loop(0, n_clusters, add, (empty, distance))[0]


def powered(squared: Array, power: Power) -> Array:
    """Distances to the given power, from their squares."""
    return squared if power == 2 else jnp.sqrt(squared)


def _draw_rows(uniforms: Array, mass: Array) -> Array:
    """Rows `i32[t]`, each drawn with the probability of its mass, by numbers in [0, 1).

    First a block of rows, then one of its rows: running sums over all rows are slow.

    Args:
        uniforms: `f32[t]`.
        mass: `f32[n]`.
    """
    blocks = jnp.pad(mass, (0, -len(mass) % _BLOCK)).reshape(-1, _BLOCK)
    sums = jnp.sum(blocks, axis=1)

    def draw(uniform: Array) -> Array:
        block, rest = _place(sums, uniform * jnp.sum(sums))
        row, _ = _place(blocks[block], rest)
        return jnp.minimum(block * _BLOCK + row, len(mass) - 1)

    return jax.vmap(draw)(uniforms)


def _place(mass: Array, target: Array) -> tuple[Array, Array]:
    """The first index at which the running sum exceeds the target, and how far into it that is."""
    ends = jnp.cumsum(mass)
    target = jnp.minimum(target, jnp.nextafter(ends[-1], jnp.zeros_like(target)))
    index = jnp.minimum(jnp.sum(ends <= target), len(mass) - 1)
    return index, target - (ends[index] - mass[index])
