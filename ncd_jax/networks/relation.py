"""Losses over known classes and novel clusters at once, as pure functions of cosines.

Targets of novel rows are soft assignments that do not collapse: entropic optimal transport.

Sources: Fini et al., "A unified objective for novel class discovery", ICCV 2021 (one softmax over
both, swapped prediction); Gu et al., "Class-relation knowledge distillation for novel class
discovery", ICCV 2023, arXiv 2307.09158 (relation distillation and its weight); Cuturi, "Sinkhorn
distances", 2013; Caron et al., "Unsupervised learning of visual features by contrasting cluster
assignments", 2020 (equal cluster sizes, few iterations); Chizat et al., "Scaling algorithms for
unbalanced optimal transport problems", 2018 (a penalty in place of the constraint on sizes).
"""

import chex
import jax
import jax.numpy as jnp

from ncd_jax.types import UNLABELLED, Array

__all__ = [
    "TEMPERATURE",
    "head_losses",
    "joint_logits",
    "joint_targets",
    "masked_mean",
    "relation_distillation",
    "sinkhorn",
    "swapped_prediction",
]

TEMPERATURE = 0.1
"""Of the softmax over cosines."""

SOFTER = 4.0
"""Factor on the temperature in relation distillation."""


def masked_mean(values: Array, rows: Array) -> Array:
    """Mean of `f32[n]` over the rows that count; 0 where none does."""
    return jnp.sum(jnp.where(rows, values, 0.0)) / jnp.maximum(jnp.sum(rows), 1)


def joint_logits(known: Array, novel: Array, present: Array, slots: Array) -> Array:
    """Known and novel cosines as one row of logits `f32[n, C + K]`, before the temperature.

    Args:
        known: `f32[n, C]`.
        novel: `f32[n, K]`.
        present: `bool[C]`, known classes that have a labelled row; the others cannot be chosen.
        slots: `bool[K]`, clusters in use; the others cannot be chosen.
    """
    can_be = jnp.concatenate([present, slots])
    return jnp.where(can_be, jnp.concatenate([known, novel], axis=1), -1e9)


def joint_targets(y: Array, shares: Array, n_known: int) -> Array:
    """Targets `f32[n, C + K]`: the class of labelled rows, the cluster shares of the others.

    Args:
        y: `i32[n]`, known class or `UNLABELLED`.
        shares: `f32[n, K]`.
        n_known: known classes `C`.
    """
    labelled = (y != UNLABELLED)[:, None]
    return jnp.concatenate(
        [jax.nn.one_hot(y, n_known, dtype=shares.dtype), jnp.where(labelled, 0.0, shares)], axis=1
    )


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

    def scale(_: int, scales: tuple[Array, Array]) -> tuple[Array, Array]:
        of_slot = (unit * _inverse(scales[0] @ kernel)) ** power
        return _inverse(kernel @ of_slot), of_slot

    ones = jnp.ones(len(scores), scores.dtype), jnp.ones(len(slots), scores.dtype)
    of_row, of_slot = jax.lax.fori_loop(0, n_iter, scale, ones, unroll=3)
    return of_row[:, None] * kernel * of_slot[None, :]


def _inverse(x: Array) -> Array:
    """One over `x`, and 0 for 0."""
    return jnp.where(x > 0, 1.0 / jnp.where(x > 0, x, 1.0), 0.0)


def swapped_prediction(logits: Array, targets: Array) -> Array:
    """Cross-entropy `f32[n]` of each view's prediction with the target of the other view.

    Args:
        logits: `f32[2, n, C + K]`, before the temperature.
        targets: `f32[2, n, C + K]`.
    """
    chex.assert_equal_shape([logits, targets])
    log_p = jax.nn.log_softmax(logits / TEMPERATURE)
    each = -jnp.sum(jnp.where(targets > 0, targets * log_p[::-1], 0.0), axis=2)
    return jnp.mean(each, axis=0)


def relation_distillation(
    teacher: Array, student: Array, novel: Array, rows: Array, present: Array, slots: Array
) -> Array:
    """How far the student's view of rows as mixtures of known classes left the teacher's.

    The mean over rows of the divergence KL(teacher || student) between softened predictions over
    the known classes, each row weighted by how much of it the student gives to known classes
    at all. That weight has a gradient too.

    Args:
        teacher: `f32[n, C]`, cosines with the known classes before discovery.
        student: `f32[n, C]`, the same now.
        novel: `f32[n, K]`, cosines with the clusters.
        rows: `bool[n]`, rows that count; without one the result is 0.
        present: `bool[C]`, known classes that have a labelled row.
        slots: `bool[K]`, clusters in use.
    """
    chex.assert_equal_shape([teacher, student])
    n_known, softness = len(present), TEMPERATURE * SOFTER
    log_q = jax.nn.log_softmax(jnp.where(present, teacher, -1e9) / softness)
    log_p = jax.nn.log_softmax(jnp.where(present, student, -1e9) / softness)
    divergence = jnp.sum(jnp.where(present, jnp.exp(log_q) * (log_q - log_p), 0.0), axis=1)
    joint = jax.nn.softmax(joint_logits(student, novel, present, slots) / softness)
    to_known = jnp.sum(joint[:, :n_known], axis=1)
    weight = to_known / jnp.maximum(masked_mean(to_known, rows), 1e-12)
    return SOFTER**2 * masked_mean(weight * divergence, rows)


def head_losses(
    teacher: Array,
    known: Array,
    novel: Array,
    y: Array,
    wanted: Array,
    present: Array,
    slots: Array,
    penalty: Array | float,
) -> tuple[Array, Array]:
    """What one head of clusters loses on two views of `n` rows.

    Args:
        teacher: `f32[2n, C]`, cosines with known classes before discovery, a view after the other.
        known: `f32[2n, C]`, the same now.
        novel: `f32[2n, K]`, cosines with the clusters of this head.
        y: `i32[n]`, known class or `UNLABELLED`.
        wanted: `bool[n]`, rows that the clusters are to share among them.
        present: `bool[C]`, known classes that have a labelled row.
        slots: `bool[K]`, clusters in use.
        penalty: on clusters of unequal size, see `sinkhorn`.

    Returns:
        Swapped prediction `f32[n]`, 0 where a row has neither label nor share, and the scalar of
        relation distillation.
    """
    logits = joint_logits(known, novel, present, slots).reshape(2, len(y), -1)
    shares = [sinkhorn(view, wanted, slots, penalty=penalty) for view in jnp.split(novel, 2)]
    targets = jnp.stack([joint_targets(y, share, len(present)) for share in shares])
    both = jnp.tile(wanted, 2)
    relation = relation_distillation(teacher, known, novel, both, present, slots)
    return swapped_prediction(logits, targets), relation
