"""The map of rows: neighbours stay together, and it is what the formulas say."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.manifold import trustworthiness
from sklearn.metrics import pairwise_distances

from ncd_jax.clustering.neighbour_map import _chances, neighbour_map, principal_axes


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:250], y[:250]


@pytest.fixture(scope="module")
def laid_out(digits):
    return neighbour_map(digits[0], 20.0)


def test_neighbours_in_the_plane_are_neighbours_in_the_table(digits, laid_out):
    """Scikit-learn's map of these rows has 0.994, as ours; two principal axes have 0.85."""
    assert laid_out.shape == (250, 2)
    assert trustworthiness(digits[0], laid_out, n_neighbors=10) > 0.985
    assert trustworthiness(digits[0], principal_axes(digits[0]), n_neighbors=10) < 0.9


def test_classes_are_islands(digits, laid_out):
    nearest = np.argsort(pairwise_distances(laid_out), axis=1)[:, 1:6]
    assert (digits[1][nearest] == digits[1][:, None]).mean() > 0.9


def test_rows_choose_as_many_neighbours_as_asked_for(digits):
    squared = pairwise_distances(digits[0][:60]) ** 2
    pairs = ~np.eye(60, dtype=bool)
    chances = np.asarray(_chances(squared / squared.max(), pairs, np.log(12.0)), np.float64)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-5)
    assert not chances.diagonal().any()
    entropy = -(chances * np.log(np.maximum(chances, 1e-30))).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), 12, rtol=1e-3)


def test_the_same_rows_give_the_same_map(digits, laid_out):
    np.testing.assert_array_equal(neighbour_map(digits[0], 20.0), laid_out)


def test_copies_of_a_row_lie_together():
    x = np.repeat(np.random.default_rng(0).normal(size=(12, 3)), 4, axis=0)
    y = neighbour_map(x, 3.0)
    assert np.isfinite(y).all()
    own = pairwise_distances(y)[:4, :4].max()
    assert own < pairwise_distances(y[:1], y[4:]).min()
