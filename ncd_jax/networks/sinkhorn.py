"""Soft cluster assignments that do not collapse: entropic optimal transport, row by row.

Sources: Cuturi, "Sinkhorn distances", 2013; Caron et al., "Unsupervised learning of visual
features by contrasting cluster assignments", 2020 (equal cluster sizes, few iterations);
Chizat et al., "Scaling algorithms for unbalanced optimal transport problems", 2018 (a penalty in
place of the constraint on sizes).
"""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["sinkhorn"]


def sinkhorn(
    scores: Array,
    rows: Array,
    slots: Array,
    *,
    penalty: Array | float = jnp.inf,
    epsilon: float = 0.05,
    n_iter: int = 3,
) -> Array:
    """Shares `f32[n, K]` of every row in the clusters, rows with sum 1, no gradient.

    They maximise mean score plus `epsilon` times the entropy, where all clusters are to be
    equally large. An infinite penalty makes equal sizes a constraint, met up to the number of
    iterations; a finite one is the weight of the Kullback-Leibler divergence of the sizes from
    equal ones, so sizes may differ where the scores insist; at 0 sizes are free.

    Args:
        scores: `f32[n, K]`, cosines: a range beyond 80 `epsilon` would underflow.
        rows: `bool[n]`, rows that count; the others get zeros.
        slots: `bool[K]`, clusters in use; the others get zeros.
        penalty: on unequal sizes, in units of the score.
        epsilon: weight of the entropy.
        n_iter: iterations.
    """
    chex.assert_shape(scores, (*rows.shape, *slots.shape))
    scores = jax.lax.stop_gradient(scores)
    counts = rows[:, None] & slots[None, :]
    highest = jnp.max(scores, where=counts, initial=-jnp.inf)
    kernel = jnp.exp(jnp.where(counts, scores - highest, -jnp.inf) / epsilon)
    # A cluster is scaled by its inverse size to this power: 1 where equal sizes are a constraint.
    power = 1.0 / (1.0 + epsilon / jnp.float32(penalty))
    # The unit of size cancels when rows are scaled to sum 1; this one keeps the scales near 1.
    unit = jnp.sum(rows, dtype=scores.dtype) / jnp.maximum(jnp.sum(slots), 1)
    of_row = jnp.ones(len(scores), scores.dtype)
    of_slot = jnp.ones(len(slots), scores.dtype)
    for _ in range(n_iter):
        of_slot = (unit * _inverse(of_row @ kernel)) ** power
        of_row = _inverse(kernel @ of_slot)
    return of_row[:, None] * kernel * of_slot[None, :]


def _inverse(x: Array) -> Array:
    """One over `x`, and 0 for 0."""
    return jnp.where(x > 0, 1.0 / jnp.where(x > 0, x, 1.0), 0.0)
