"""Nearest rows, against SciPy's tree and by hand."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ncd_jax.clustering import nearest as module
from ncd_jax.clustering.nearest import nearest

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("n_numbers", [1 << 21, 70])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_equals_a_tree(n_numbers, offset, monkeypatch):
    """In one piece and row by row, and where all rows are far from the origin."""
    monkeypatch.setattr(module, "_NUMBERS", n_numbers)
    x, among = (RNG.normal(size=(n, 5)).astype(np.float32) + offset for n in (40, 60))
    found = nearest(x, among, 3)
    distance, at = cKDTree(among).query(x, k=3)
    np.testing.assert_array_equal(found.at, at)
    np.testing.assert_allclose(found.distance, distance, rtol=1e-6)


def test_no_row_is_a_neighbour_of_its_own():
    x = RNG.normal(size=(30, 2))
    found = nearest(x, x, 2)
    np.testing.assert_array_equal(found.at, cKDTree(x).query(x, k=3)[1][:, 1:])
    np.testing.assert_array_equal(nearest(x.copy(), x, 1).at[:, 0], np.arange(30))


def test_of_equally_near_rows_the_first_come_first():
    among = np.array([[3.0], [1.0], [1.0], [-1.0], [1.0]])
    found = nearest(np.array([[0.0], [1.0]]), among, 4)
    assert found.at.tolist() == [[1, 2, 3, 4], [1, 2, 4, 0]]
    assert found.distance.tolist() == [[1, 1, 1, 1], [0, 0, 0, 2]]


def test_nobody_asks():
    assert nearest(np.zeros((0, 2)), np.zeros((4, 2)), 3).at.shape == (0, 3)
