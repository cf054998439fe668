import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from ncd_jax.networks.relation import (
    joint_logits,
    joint_targets,
    masked_mean,
    relation_distillation,
    swapped_prediction,
)

N, C, K = 12, 4, 5
TAU, T = 0.1, 4
EVERY_CLASS, EVERY_SLOT = np.ones(C, bool), np.ones(K, bool)
ROWS = np.arange(N) % 3 > 0


@pytest.fixture(scope="module")
def cosines():
    """Of the teacher, of the student with known classes, and with clusters."""
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, size=(N, w)).astype(np.float32) for w in (C, C, K)]


@pytest.fixture(scope="module")
def value_and_grads():
    """Of the relation loss by teacher, student and clusters."""
    run = jax.jit(jax.value_and_grad(relation_distillation, (0, 1, 2)))
    return lambda *arguments: jax.tree.map(np.asarray, run(*arguments))


def numpy_relation(teacher, student, novel):
    """METHODS of the paper, equation by equation; float64."""
    log_q = log_softmax(teacher.astype(np.float64) / (TAU * T), axis=1)
    log_p = log_softmax(student.astype(np.float64) / (TAU * T), axis=1)
    both = np.concatenate([student, novel], axis=1).astype(np.float64)
    g = softmax(both / (TAU * T), axis=1)[:, : student.shape[1]].sum(axis=1)
    w = g / g.mean()
    return T**2 * np.mean(w * np.sum(np.exp(log_q) * (log_q - log_p), axis=1))


def test_relation_is_its_definition(cosines, value_and_grads, rtol):
    everyone = np.ones(N, bool)
    value, _ = value_and_grads(*cosines, everyone, EVERY_CLASS, EVERY_SLOT)
    np.testing.assert_allclose(value, numpy_relation(*cosines), rtol=10 * rtol)


def test_relation_of_masked_equals_subset(cosines, value_and_grads, rtol):
    present, slots = np.array([True, False, True, True]), np.arange(K) < 3
    teacher, student, novel = (a.copy() for a in cosines)
    for array, used in ((teacher, present), (student, present), (novel, slots)):
        array[:, ~used] = 50
        array[~ROWS] = 7
    value, grads = value_and_grads(teacher, student, novel, ROWS, present, slots)
    subset = [a[ROWS][:, used] for a, used in zip(cosines, (present, present, slots), strict=True)]
    np.testing.assert_allclose(value, numpy_relation(*subset), rtol=10 * rtol)
    for grad, used in zip(grads, (present, present, slots), strict=True):
        np.testing.assert_array_equal(grad[:, ~used], 0)
        np.testing.assert_array_equal(grad[~ROWS], 0)


def test_the_weight_has_a_gradient_too(cosines, value_and_grads):
    """By central differences in float64, for a known and for a novel cosine."""
    everyone = np.ones(N, bool)
    _, grads = value_and_grads(*cosines, everyone, EVERY_CLASS, EVERY_SLOT)
    for which in (1, 2):
        moved = [a.astype(np.float64) for a in cosines]
        moved[which][2, 1] += 1e-5
        above = numpy_relation(*moved)
        moved[which][2, 1] -= 2e-5
        slope = (above - numpy_relation(*moved)) / 2e-5
        assert abs(slope) > 1e-4
        np.testing.assert_allclose(grads[which][2, 1], slope, rtol=1e-2)


def test_relation_of_a_student_that_agrees_is_zero(cosines, value_and_grads):
    teacher, _, novel = cosines
    value, grads = value_and_grads(teacher, teacher, novel, ROWS, EVERY_CLASS, EVERY_SLOT)
    np.testing.assert_allclose(value, 0, atol=1e-5)
    np.testing.assert_allclose(grads[1], 0, atol=1e-5)


@pytest.mark.parametrize("nothing", ["rows", "classes"])
def test_relation_of_nothing_is_zero(cosines, value_and_grads, nothing):
    rows = ROWS & (nothing != "rows")
    present = EVERY_CLASS & (nothing != "classes")
    value, grads = value_and_grads(*cosines, rows, present, EVERY_SLOT)
    assert value == 0
    for grad in grads:
        np.testing.assert_array_equal(grad, 0)


def test_swapped_prediction_by_hand(rtol):
    """Softmax (1/2, 1/4, 1/4) in one view and (1/8, 1/8, 3/4) in the other.

    The target of the first view is asked of the second one: log 8; and the other way round
    (log 2 + log 4) / 2.
    """
    logits = TAU * np.log([[[2.0, 1.0, 1.0]], [[1.0, 1.0, 6.0]]])
    targets = np.float32([[[1, 0, 0]], [[0.5, 0.5, 0]]])
    expected = (np.log(8) + (np.log(2) + np.log(4)) / 2) / 2
    loss = jax.jit(swapped_prediction)(logits.astype(np.float32), targets)
    np.testing.assert_allclose(loss, [expected], rtol=10 * rtol)


def test_joint_of_known_classes_and_clusters():
    known, novel = np.ones((2, 3), np.float32), np.full((2, 2), 2, np.float32)
    present, slots = np.array([True, False, True]), np.array([True, False])
    logits = jax.jit(joint_logits)(known, novel, present, slots)
    np.testing.assert_array_equal(logits, 2 * [np.float32([1, -1e9, 1, 2, -1e9])])
    shares = np.float32([[0.25, 0.75], [0.5, 0.5]])
    targets = jax.jit(joint_targets, static_argnums=2)(np.array([2, -1]), shares, 3)
    np.testing.assert_array_equal(targets, [[0, 0, 1, 0, 0], [0, 0, 0, 0.5, 0.5]])


def test_absent_classes_and_free_slots_take_no_part(cosines, rtol):
    """The same loss and gradient as with their outputs cut out."""
    _, known, novel = cosines
    present, slots = np.array([True, False, True, True]), np.arange(K) < 3
    y = np.where(np.arange(N) % 2, 0, -1)
    shares = np.where(slots, 1 / 3, 0) * np.ones((N, 1))

    def loss(known, novel, present, slots, shares):
        present, slots = jnp.asarray(present), jnp.asarray(slots)
        logits = joint_logits(known, novel, present, slots)
        targets = joint_targets(jnp.asarray(y), jnp.asarray(shares), known.shape[1])
        return jnp.sum(swapped_prediction(jnp.stack([logits] * 2), jnp.stack([targets] * 2)))

    both = jax.jit(jax.value_and_grad(loss, (0, 1)))
    value, grads = jax.tree.map(np.asarray, both(known, novel, present, slots, shares))
    cut, cut_grads = both(
        known[:, present], novel[:, slots], np.ones(3, bool), np.ones(3, bool), shares[:, slots]
    )
    np.testing.assert_allclose(value, cut, rtol=10 * rtol)
    for grad, cut_grad, used in zip(grads, cut_grads, (present, slots), strict=True):
        np.testing.assert_allclose(grad[:, used], cut_grad, rtol=100 * rtol, atol=1e-5)
        np.testing.assert_array_equal(grad[:, ~used], 0)


def test_mean_of_rows_that_count():
    values, mean = np.float32([1, 2, np.nan]), jax.jit(masked_mean)
    assert mean(values, np.array([True, True, False])) == 1.5
    assert mean(values, np.zeros(3, bool)) == 0
