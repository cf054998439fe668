"""Rows in the plane, near ones near: t-SNE, exact, on the device.

Of a thousand rows all pairs are a megabyte or four: to go over them takes less time than to build
and walk a tree of them.

Source: van der Maaten, Hinton, "Visualizing data using t-SNE", JMLR 2008; the start on principal
axes, Kobak, Berens, "The art of using t-SNE for single-cell transcriptomics", 2019; the rate,
Belkina et al., "Automated optimized parameters for t-distributed stochastic neighbor embedding",
2019.
"""

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import dot, squared_distances
from ncd_jax.kept_programs import kept_jit
from ncd_jax.types import Array

__all__ = ["neighbour_map", "principal_axes"]

_ITERATIONS, _EARLY = 500, 250
"""Of a thousand points, the picture hardly moves after them; first those in which groups form."""
_EXAGGERATION = 12.0
_START = 1e-4
"""Spread of the points at the beginning."""
_HALVINGS = 40
_FEWEST_PLACES = 64


def neighbour_map(points: np.ndarray, perplexity: float) -> np.ndarray:
    """Lays points out in the plane, `f32[n, 2]`, the same way every time.

    Args:
        points: `f[n, d]`, not all alike.
        perplexity: how many neighbours each has, about; less than `n`.
    """
    n = len(points)
    room = max(1 << (n - 1).bit_length(), _FEWEST_PLACES)  # few sizes: programs are kept
    x = np.zeros((room, points.shape[1]), np.float32)
    x[:n] = points - points.mean(axis=0)
    start = np.zeros((room, 2), np.float32)
    start[:n] = principal_axes(points)
    start *= _START / max(float(start[:n, 0].std()), 1e-12)
    return np.asarray(_LAY_OUT(x, start, np.int32(n), np.float32(perplexity)))[:n]


def principal_axes(points: np.ndarray) -> np.ndarray:
    """Coordinates `f64[n, 2]` on the first two principal axes; zeros where there is no spread."""
    if len(points) == 0:
        return np.zeros((0, 2))
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The largest part of an axis is positive: which way round it is, nothing else says.
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
    xy = centred @ (axes * np.sign(largest))[:2].T
    return np.pad(xy, ((0, 0), (0, 2 - xy.shape[1])))


def _lay_out(x: Array, start: Array, n: Array, perplexity: Array) -> Array:
    there = jnp.arange(len(x)) < n
    pairs = there[:, None] & there[None] & ~jnp.eye(len(x), dtype=bool)
    squared = squared_distances(x, x)
    chance = _chances(squared / jnp.maximum(jnp.max(squared), 1e-12), pairs, jnp.log(perplexity))
    attracted = (chance + chance.T) / (2.0 * n)
    rate = jnp.maximum(n / (4.0 * _EXAGGERATION), 50.0)

    def step(i: Array, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        y, velocity, gain = state
        early = i < _EARLY
        near = _nearness(y, pairs)
        # A sum of columns first: rows of it are added side by side.
        total = jnp.sum(jnp.sum(near, axis=0))
        pull = near * (jnp.where(early, _EXAGGERATION, 1.0) * attracted - near / total)
        moved = dot(pull, jnp.concatenate([y, jnp.ones((len(y), 1))], axis=1))
        slope = 4.0 * (moved[:, 2:] * y - moved[:, :2])
        gain = jnp.maximum(jnp.where(velocity * slope < 0, gain + 0.2, gain * 0.8), 0.01)
        velocity = jnp.where(early, 0.5, 0.8) * velocity - rate * gain * slope
        return y + velocity, velocity, gain

    state = (start, jnp.zeros_like(start), jnp.ones_like(start))
    return jax.lax.fori_loop(0, _ITERATIONS, step, state)[0]


def _nearness(y: Array, pairs: Array) -> Array:
    """Student's t of all pairs `[n, n]` of points in the plane; 0 of what is none."""
    across, up = (y[:, None, i] - y[None, :, i] for i in (0, 1))
    return jnp.where(pairs, 1.0 / (1.0 + across**2 + up**2), 0.0)


def _chances(squared: Array, pairs: Array, entropy: Array) -> Array:
    """How likely each row would choose each other one, of a width that gives that entropy."""

    def chances(width: Array) -> Array:
        logits = jnp.where(pairs, -squared * width[:, None], -jnp.inf)
        logits -= jnp.max(jnp.where(pairs, logits, -1e30), axis=1, keepdims=True)
        weight = jnp.where(pairs, jnp.exp(logits), 0.0)
        return weight / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1e-30)

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        p = chances(jnp.exp(middle))
        too_wide = -jnp.sum(p * jnp.log(jnp.maximum(p, 1e-30)), axis=1) > entropy
        return jnp.where(too_wide, middle, low), jnp.where(too_wide, high, middle)

    bounds = jnp.full(len(squared), -10.0), jnp.full(len(squared), 30.0)
    return chances(jnp.exp(jax.lax.fori_loop(0, _HALVINGS, halve, bounds)[0]))


_LAY_OUT = kept_jit(_lay_out)
