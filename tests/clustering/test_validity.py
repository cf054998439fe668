import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import (
    calinski_harabasz_score,
    davies_bouldin_score,
    pairwise_distances,
    silhouette_score,
)

from ncd_jax.clustering.validity import INDICES

N, SLOTS = 40, 8
X = np.random.default_rng(0).normal(size=(N, 3)).astype(np.float32)
ALL = np.ones(N, bool)
EPS = np.finfo(np.float32).eps


def brute_force_dunn(x, labels):
    clusters = [x[labels == c] for c in np.unique(labels)]
    separation = min(cdist(a, b).min() for a, b in itertools.combinations(clusters, 2))
    return separation / max(cdist(a, a).max() for a in clusters)


ORACLES = {
    "silhouette": silhouette_score,
    "davies_bouldin": davies_bouldin_score,
    "calinski_harabasz": calinski_harabasz_score,
    "dunn": brute_force_dunn,
}


def rows_for(name, x):
    return pairwise_distances(x).astype(np.float32) if INDICES[name].on_distances else x


@pytest.fixture(scope="module", params=INDICES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def ours(name):
    """The index of rows `[N, d]`, compiled once."""
    measure = jax.jit(functools.partial(INDICES[name].measure, max_clusters=SLOTS))
    return lambda x, labels, mask=ALL: measure(rows_for(name, x), labels, mask=mask)


def test_every_index_has_an_oracle():
    assert ORACLES.keys() == INDICES.keys()


@pytest.mark.parametrize("slots", [[0, 1], [0, 1, 2], [7, 3], range(8)])
@pytest.mark.parametrize("share", [1.0, 0.6])
def test_against_oracle(slots, share, name, ours, rtol):
    """Labels need not be contiguous; masked rows have places and labels that must not count."""
    rng = np.random.default_rng(len(slots))
    labels = rng.choice(np.array(slots, np.int32), N)
    mask = rng.random(N) < share
    labels = np.where(mask, labels, rng.integers(0, SLOTS, N).astype(np.int32))
    # Masked rows are far away or on top of others.
    elsewhere = np.where(np.arange(N)[:, None] % 2, 100 * X, X[::-1])
    x = np.where(mask[:, None], X, elsewhere)
    expected = ORACLES[name](X[mask], labels[mask])
    np.testing.assert_allclose(ours(x, labels, mask), expected, rtol=10 * rtol, atol=1e-5)


def test_clusters_of_one_row(name, ours, rtol):
    labels = np.array([0, 1, 2] + [3] * (N - 3), np.int32)
    np.testing.assert_allclose(ours(X, labels), ORACLES[name](X, labels), rtol=10 * rtol, atol=1e-6)


def test_far_from_the_origin(name, ours):
    labels = np.arange(N, dtype=np.int32) % 3
    np.testing.assert_allclose(ours(X + 1000, labels), ours(X, labels), rtol=1e-2, atol=1e-3)


def test_scale_does_not_matter(name, ours, rtol):
    """So a mean can be taken over latent spaces."""
    labels = np.arange(N, dtype=np.int32) % 3
    np.testing.assert_allclose(ours(1e-4 * X, labels), ours(X, labels), rtol=10 * rtol, atol=1e-5)


def test_rows_on_one_spot(name, ours):
    """Clusters without any extent or distance: nothing is separated, and 0 / 0 is no NaN."""
    labels = (np.arange(N, dtype=np.int32) % 7) // 3
    value = ours(np.full((N, 3), 3.7, np.float32), labels)
    assert value == (np.inf if name == "davies_bouldin" else 0)


def test_clusters_on_one_spot_each(name, ours):
    """As good as it gets, and finite; a wrong partition of the spots is worse."""
    classes = np.arange(N, dtype=np.int32) % 4
    spots = np.eye(4, 3, dtype=np.float32)[classes]
    good, bad = ours(spots, classes), ours(spots, classes // 2)
    best = {
        "silhouette": 1,
        "davies_bouldin": 0,
        "calinski_harabasz": (N - 4) / 3 / EPS,
        "dunn": 1 / EPS,
    }
    np.testing.assert_allclose(good, best[name], rtol=1e-3, atol=1e-6)
    assert INDICES[name].sign * good > INDICES[name].sign * bad


@pytest.mark.parametrize("case", ["one cluster", "one row", "no row", "second is masked", "single"])
def test_no_grouping_is_infinitely_bad(case, name, ours):
    labels, mask = np.zeros(N, np.int32), ALL.copy()
    if case == "one row":
        mask[1:] = False
    elif case == "no row":
        mask[:] = False
    elif case == "second is masked":
        labels[:5], mask[:5] = 1, False
    elif case == "single":
        labels[:], mask[SLOTS:] = np.arange(N) % SLOTS, False
    for x in (X, np.ones_like(X)):
        assert ours(x, labels, mask) == -INDICES[name].sign * np.inf


def test_vmap_equals_loop(name, ours, rtol):
    """Lanes differ in labels and mask; the second has one cluster only."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, SLOTS, (4, N)).astype(np.int32)
    labels[1] = 3
    masks = rng.random((4, N)) < 0.8
    rows = jnp.asarray(rows_for(name, X))
    lane = functools.partial(INDICES[name].measure, rows, max_clusters=SLOTS)
    together = jax.jit(jax.vmap(lambda labels, mask: lane(labels, mask=mask)))(labels, masks)
    alone = [ours(X, *pair) for pair in zip(labels, masks, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=rtol, atol=1e-6)
