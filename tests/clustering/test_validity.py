import functools

import jax
import numpy as np
import pytest
from sklearn.metrics import pairwise_distances, silhouette_score

from ncd_jax.clustering.validity import silhouette

N, SLOTS = 40, 8
X = np.random.default_rng(0).normal(size=(N, 3))
DISTANCES = pairwise_distances(X).astype(np.float32)
ALL = np.ones(N, bool)


@pytest.fixture(scope="module")
def ours():
    return jax.jit(functools.partial(silhouette, max_clusters=SLOTS))


@pytest.mark.parametrize("slots", [[0, 1], [0, 1, 2], [7, 3], range(8)])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_against_scikit_learn(slots, share, ours, rtol):
    """Labels need not be contiguous; masked rows have labels that must not count."""
    rng = np.random.default_rng(len(slots))
    labels = rng.choice(np.array(slots, np.int32), N)
    mask = rng.random(N) < share
    labels = np.where(mask, labels, rng.integers(0, SLOTS, N).astype(np.int32))
    expected = silhouette_score(X[mask], labels[mask])
    np.testing.assert_allclose(ours(DISTANCES, labels, mask=mask), expected, rtol=rtol, atol=1e-5)


def test_clusters_of_one_row(ours, rtol):
    labels = np.array([0, 1, 2] + [3] * (N - 3), np.int32)
    expected = silhouette_score(X, labels)
    np.testing.assert_allclose(ours(DISTANCES, labels, mask=ALL), expected, rtol=rtol, atol=1e-6)


def test_rows_on_one_spot(ours):
    """Clusters without any extent or distance: 0, not 0 / 0."""
    labels = np.arange(N, dtype=np.int32) % 2
    assert ours(np.zeros_like(DISTANCES), labels, mask=ALL) == 0


@pytest.mark.parametrize("case", ["one cluster", "one row", "no row", "second is masked"])
def test_undefined_is_the_worst_value(case, ours):
    labels, mask = np.zeros(N, np.int32), ALL.copy()
    if case == "one row":
        mask[1:] = False
    elif case == "no row":
        mask[:] = False
    elif case == "second is masked":
        labels[:5], mask[:5] = 1, False
    assert ours(DISTANCES, labels, mask=mask) == -1
