"""How much each feature of a pair says: a logistic regression drawn to a prior.

Hidden classes teach it: of their micro clusters it is known which pairs are of one class. Where
they are few the prior speaks, which other tables taught; see `judge.prior`.
"""

from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import dot
from ncd_jax.types import Array

__all__ = ["balanced", "log_odds", "logistic", "same_class"]

RAREST = 0.4
"""Share of the pairs that an answer is taken to have at least. Where folds hide one class hardly a
pair is of two classes, and those few would weigh as much as all the others."""
STEPS = 12
HALVINGS = 10


def same_class(member: Array, y: Array, n_classes: int) -> Array:
    """The chance `f32[M, M]` that a row of the one and a row of the other are of one class.

    0 where a micro cluster is empty.

    Args:
        member: `f32[n, M]`, 1 where a row is in a micro cluster.
        y: `i32[n]`, the true class of every row.
        n_classes: static number of classes.
    """
    chex.assert_equal_shape([member[:, 0], y])
    rows = dot(member.T, jax.nn.one_hot(y, n_classes))
    share = rows / jnp.maximum(jnp.sum(rows, axis=1, keepdims=True), 1.0)
    return dot(share, share.T)


def balanced(same: Array, pairs: Array) -> tuple[Array, Array]:
    """Weights and targets with which both answers, one class and two, weigh a half.

    An answer that few pairs give weighs less: no pair counts for more than it would if two of five
    gave its answer.

    Args:
        same: `f32[...]`, chance of each pair to be of one class.
        pairs: `bool[...]`, pairs that count.

    Returns:
        Weights `f32[...]` that add up to 1, 0 where a pair does not count, and targets in `[0, 1]`
        of the same shape. The weights add up to less where one answer is rare.
    """
    chex.assert_equal_shape([same, pairs])
    one = jnp.where(pairs, same, 0.0)
    two = jnp.where(pairs, 1.0 - same, 0.0)
    least = RAREST * jnp.maximum(jnp.sum(one) + jnp.sum(two), 1e-9)
    one *= 0.5 / jnp.maximum(jnp.sum(one), least)
    two *= 0.5 / jnp.maximum(jnp.sum(two), least)
    weight = one + two
    return weight, one / jnp.where(weight > 0, weight, 1.0)


def log_odds(features: Array, weights: Array) -> Array:
    """Log-odds `f32[...]` of one class, from features `f32[..., F]` and weights `f32[F + 1]`.

    The last weight is the intercept.
    """
    return dot(features, weights[:-1]) + weights[-1]


def logistic(
    features: Array, target: Array, weight: Array, prior: Array, strength: Array | float
) -> Array:
    """Weights `f32[F + 1]`, the intercept last, of a logistic regression drawn to a prior.

    The weighted sum of the cross-entropies, and half the strength times the squared distance of
    the weights to the prior, is least at them.

    Args:
        features: `f32[P, F]` of each pair, standardised.
        target: `f32[P]`, in `[0, 1]`.
        weight: `f32[P]`, 0 for pairs that do not count.
        prior: `f32[F + 1]`.
        strength: positive scalar.
    """
    chex.assert_rank([features, prior], [2, 1])
    chex.assert_equal_shape([features[:, 0], target, weight])
    features = jnp.where(weight[:, None] > 0, features, 0.0)
    inputs = jnp.concatenate([features, jnp.ones_like(features[:, :1])], axis=1)
    identity = jnp.eye(len(prior))

    def step(_: Array, weights: Array) -> Array:
        logits = dot(inputs, weights)
        p = jax.nn.sigmoid(logits)
        gradient = dot(weight * (p - target), inputs) + strength * (weights - prior)
        curvature = dot(inputs.T, (weight * p * (1.0 - p))[:, None] * inputs) + strength * identity
        newton = _solve(curvature, gradient)
        change = dot(inputs, newton)

        def goes_down(part: Array) -> Array:
            """Whether the loss still falls after this part of the step."""
            error = weight * (jax.nn.sigmoid(logits - part * change) - target)
            pull = strength * (weights - part * newton - prior)
            return dot(error, change) + dot(pull, newton) >= 0

        # Far from the minimum a whole step may lead up; the loss is convex, so there is one lowest
        # place on the way. By slopes, as float32 cannot tell losses near the minimum apart.
        return weights - _last(goes_down) * newton

    return jax.lax.fori_loop(0, STEPS, step, prior)


def _last(holds: Callable[[Array], Array]) -> Array:
    """The largest scalar in `[0, 2)` up to which something holds, by halving."""

    def halve(_: Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        enough = holds(middle)
        return jnp.where(enough, middle, low), jnp.where(enough, high, middle)

    return jax.lax.fori_loop(0, HALVINGS, halve, (jnp.float32(0.0), jnp.float32(2.0)))[0]


def _solve(matrix: Array, vector: Array) -> Array:
    """Solves `matrix @ x = vector`, positive definite, by Gauss and Jordan's elimination.

    For a dozen unknowns; plain array operations, as batches of LAPACK's decompositions on several
    CPU devices at once may wait for each other and never end.
    """

    def eliminate(i: Array, rows: Array) -> Array:
        pivot = rows[i] / rows[i, i]
        return (rows - rows[:, i, None] * pivot[None]).at[i].set(pivot)

    rows = jnp.concatenate([matrix, vector[:, None]], axis=1)
    return jax.lax.fori_loop(0, len(vector), eliminate, rows)[:, -1]
