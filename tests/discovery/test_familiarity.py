"""Rows that are like no class of a run, and rows that are like one."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ncd_jax.discovery.familiarity import familiarity, familiarity_of, make_reference


@pytest.fixture
def reference():
    """Two classes, the second ten times as wide, and as unit vectors in the representation."""
    x, classes = draw(400, seed=0)
    return make_reference(x, on_sphere(x), classes, 2, seed=0)


def draw(n, seed):
    rng = np.random.default_rng(seed)
    classes = np.arange(n) % 2
    x = rng.normal(size=(n, 4)) * np.where(classes, 5.0, 0.5)[:, None] + 30 * classes[:, None]
    return x.astype(np.float32), classes


def on_sphere(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_limits_are_those_of_each_class(reference):
    x, classes = draw(400, seed=0)
    apart = cdist(x, x)
    np.fill_diagonal(apart, np.inf)
    third = np.sort(apart, axis=1)[:, 2]
    for c in range(2):
        expected = np.sort(third[classes == c])[int(0.995 * 199)]
        assert reference.limits[0, c] == pytest.approx(expected, rel=1e-4)
    assert reference.limits[0, 1] > 5 * reference.limits[0, 0]


def test_new_rows_of_a_class_are_familiar_and_far_ones_are_not(reference):
    x, classes = draw(2000, seed=1)
    share = familiarity(reference, x, on_sphere(x), classes)
    assert np.mean(share < 1) < 0.04
    for away in (100.0, 1e6):
        far = x + np.float32(away)
        share = familiarity(reference, far, on_sphere(far), classes)
        assert share.max() < 0.2 * (100 / away)


def test_a_row_in_no_known_direction_is_not_familiar(reference):
    """It is as near to the others as they are to each other, in the columns."""
    x = np.array([[30.0, 30, 30, 30]], np.float32)
    usual, turned = on_sphere(x), -on_sphere(x)
    one = np.ones(1, int)
    assert familiarity(reference, x, usual, one)[0] == 1
    assert familiarity(reference, x, turned, one)[0] < 0.3


def test_small_classes_take_the_limit_of_all():
    x, classes = draw(400, seed=0)
    classes = np.where(np.arange(400) < 6, 2, classes)
    reference = make_reference(x, x, classes, 4, seed=0)
    assert reference.limits[0, 2] == reference.limits[0, 3] >= reference.limits[0, :2].min()


def test_equal_rows_are_familiar_and_anything_else_is_not():
    x = np.ones((50, 3), np.float32)
    reference = make_reference(x, x, np.zeros(50, int), 1, seed=0)
    rows = np.array([[1, 1, 1], [1, 1, 1.1]], np.float32)
    np.testing.assert_allclose(
        familiarity(reference, rows, rows, np.zeros(2, int)), [1, 0], atol=1e-6
    )


def test_of_one_row_the_same(reference):
    x, classes = draw(40, seed=2)
    x[::3] += 60
    z = on_sphere(x)
    rows = zip(*map(jnp.asarray, (x, z, classes)), strict=True)
    one_by_one = [familiarity_of(reference, *row) for row in rows]
    np.testing.assert_allclose(one_by_one, familiarity(reference, x, z, classes), rtol=1e-4)


def test_many_rows_are_a_sample():
    x = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    assert len(make_reference(x, x, np.zeros(3000, int), 1, seed=0).x) == 2000
