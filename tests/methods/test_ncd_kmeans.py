import functools

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from ncd_jax.clustering.starts import draw_starts
from ncd_jax.methods.ncd_kmeans import State, ncd_kmeans

K, C, N = 4, 3, 100
KEY = jax.random.key(0)
POWERS = pytest.mark.parametrize("power", [1, 2])


@pytest.fixture(scope="module")
def problem():
    """Overlapping known and new groups: rows, class means, true new classes."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 2.0, (6, 3))
    classes = np.repeat(np.arange(6), [25, 20, 30, 40, 25, 35])
    rows = (centres[classes] + rng.normal(0, 0.9, (len(classes), 3))).astype(np.float32)
    known = classes < C
    means = np.stack([rows[classes == c].mean(axis=0) for c in range(C)])
    return rows[~known], means, classes[~known] - C


@functools.partial(jax.jit, static_argnames="power")
def fit(key, x, k, means, present, mask, power):
    known = State(means, present, ())
    return ncd_kmeans(key, x, k, known, max_clusters=K, mask=mask, power=power, restarts=4)


def run(x, k, means, *, present=None, mask=None, power=2):
    """One compilation for each shape of the rows and each power."""
    present = np.ones(len(means), bool) if present is None else present
    mask = np.ones(len(x), bool) if mask is None else mask
    return jax.tree.map(np.asarray, fit(KEY, x, np.int32(k), means, present, mask, power))


def run_small(x, k, means, *, present=None, mask=None, power=2):
    """`run` for few rows, behind masked ones and with columns of zeros, as all share a program."""
    n, d = x.shape
    present = np.ones(len(means), bool) if present is None else present
    rows, counted = np.zeros((N, C), np.float32), np.zeros(N, bool)
    rows[-n:, :d], counted[-n:] = x, np.ones(n, bool) if mask is None else mask
    known, there = np.zeros((C, C), np.float32), np.zeros(C, bool)
    known[: len(means), :d], there[: len(means)] = means, present
    return run(rows, k, known, present=there, mask=counted, power=power)


def converge(x, new, power):
    """The definition once more: loops over rows and centroids, float64."""
    x, new = x.astype(np.float64), new.astype(np.float64)
    while True:
        distance = cdist(x, new)
        nearest, before = distance.argmin(axis=1), new.copy()
        for j in set(nearest):
            new[j] = x[nearest == j].mean(axis=0)
        if np.abs(new - before).max() < 1e-9:
            return new, nearest, (distance.min(axis=1) ** power).sum()


draw_once = jax.jit(draw_starts, static_argnames=("max_clusters", "power"))


def starts(x, k, means, power=2):
    """The draws of `run`, made again; their distribution has a test of its own."""
    away = cdist(x, means, "sqeuclidean").min(axis=1).astype(np.float32)
    ones = np.ones(len(x), np.float32)
    for key in jax.random.split(KEY, 4):
        yield np.asarray(draw_once(key, x, ones, away, k, max_clusters=K, power=power))[:k]


@POWERS
def test_it_is_its_definition(power, problem):
    """From the same draws, a loop finds the same centroids; the lowest inertia wins."""
    x, means, _ = problem
    results = []
    for k in (2, 3):
        found = run(x, k, means, power=power)
        ends = [converge(x, new, power) for new in starts(x, k, means, power)]
        inertias = [inertia for *_, inertia in ends]
        centroids, labels, inertia = ends[int(np.argmin(inertias))]
        np.testing.assert_allclose(found.inertia, inertia, rtol=1e-3)
        np.testing.assert_allclose(found.centroids[:k], centroids, atol=0.02)
        np.testing.assert_array_equal(found.centroids[k:], 0)
        # The tolerance may leave a row or two on the border.
        assert np.mean(found.labels != labels) <= 0.02
        assert found.converged
        results.append(np.ptp(inertias) / np.min(inertias))
    assert max(results) > 0.01, "else any restart would do"


@POWERS
def test_draws_are_away_from_known_centroids(power):
    """Frequencies of the first draw against its probabilities, and of the second after it."""
    x = np.array([[0.0], [1.0], [3.0], [6.0]], np.float32)
    known = np.array([[0.0], [9.0]], np.float32)  # of rows 0 and 6: distances 0 1 3 3
    draws = 4000
    weight = np.array([1.0, 1.0, 1.0, 0.0], np.float32)
    away = cdist(x, known, "sqeuclidean").min(axis=1).astype(np.float32)
    draw = functools.partial(draw_starts, max_clusters=2, power=power)
    many = jax.jit(jax.vmap(draw, in_axes=(0, None, None, None, None)))
    new = many(jax.random.split(KEY, draws), x, weight, away, 2)[:, :, 0]
    first = 3.0**power / (1 + 3.0**power)
    error = 4 * np.sqrt(0.25 / draws)
    np.testing.assert_allclose(np.mean(new[:, 0] == 3), first, atol=error)
    np.testing.assert_allclose(np.mean(new[:, 0] == 1), 1 - first, atol=error)
    # Only the other of the two rows is then away from every centroid.
    np.testing.assert_array_equal(new[:, 1], np.where(new[:, 0] == 3, 1, 3))


def test_without_known_classes_as_good_as_scikit_learn(problem):
    x, means, _ = problem
    for k in (2, 4):
        found = run(x, k, means, present=np.zeros(C, bool))
        theirs = KMeans(k, n_init=10, random_state=0).fit(x)
        np.testing.assert_allclose(found.inertia, theirs.inertia_, rtol=5e-3)


def test_plain_distances_choose_another_restart():
    """Two partitions: one has the lowest sum of squares, the other the lowest sum of distances."""
    # A far pair, and two groups of many rows: squares spend a cluster on the pair.
    x = np.concatenate([np.zeros(40), np.full(40, 1.0), [9.0, 9.0]])[:, None].astype(np.float32)
    far = np.full((1, 1), -1e3, np.float32)
    plain = run_small(x, 2, far, power=1)
    squared = run_small(x, 2, far)
    np.testing.assert_allclose(np.sort(plain.centroids[:2, 0]), [0.0, 58 / 42], atol=1e-4)
    np.testing.assert_allclose(np.sort(squared.centroids[:2, 0]), [0.5, 9.0], atol=1e-4)


@POWERS
def test_masked_equals_subset(power, problem):
    """Masked rows and absent classes change nothing, to the last bit, wherever they stand."""
    x, means, _ = problem
    mask = np.arange(len(x)) % 3 > 0
    present = np.array([True, False, True])

    def masked(junk):
        return run(
            np.where(mask[:, None], x, junk),
            3,
            np.where(present[:, None], means, junk),
            present=present,
            mask=mask,
            power=power,
        )

    a, b = masked(np.float32(0)), masked(np.float32(-700))
    np.testing.assert_array_equal(a.centroids, b.centroids)
    np.testing.assert_array_equal(a.inertia, b.inertia)
    np.testing.assert_array_equal(a.labels[mask], b.labels[mask])
    subset = run_small(x[mask], 3, means[present], power=power)
    np.testing.assert_allclose(a.inertia, subset.inertia, rtol=1e-3)
    np.testing.assert_allclose(
        cdist(a.centroids[:3], subset.centroids[:3]).min(axis=0), 0, atol=0.1
    )


def test_k_is_traced_and_lanes_equal_a_loop(problem, rtol):
    """Lanes differ in number, mask and classes, as folds do; the rows are shared."""
    x, means, _ = problem
    ks = np.array([1, 4, 2], np.int32)
    masks = np.random.default_rng(0).random((3, len(x))) < 0.8
    present = np.eye(3) == 0
    lanes = jax.vmap(functools.partial(fit, power=2), (None, None, 0, None, 0, 0))
    together = jax.jit(lanes)(KEY, x, ks, means, present, masks)
    for i, k in enumerate(ks):
        alone = run(x, k, means, present=present[i], mask=masks[i])
        np.testing.assert_array_equal(together.labels[i], alone.labels)
        np.testing.assert_allclose(together.inertia[i], alone.inertia, rtol=10 * rtol)
        np.testing.assert_allclose(together.centroids[i], alone.centroids, rtol=rtol, atol=1e-5)


DEGENERATE = {
    "empty mask": (np.eye(8, 2), 3, np.zeros(8, bool)),
    "one row": (np.arange(16.0).reshape(8, 2), 3, np.arange(8) == 5),
    "more clusters than rows": (np.arange(16.0).reshape(8, 2), 4, np.arange(8) < 3),
    "identical rows": (np.full((8, 2), 3.7), 3, np.ones(8, bool)),
    "rows on a known centroid": (np.zeros((8, 2)), 2, np.ones(8, bool)),
}


@POWERS
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate(case, power):
    x, k, mask = DEGENERATE[case]
    x = x.astype(np.float32)
    means = np.zeros((2, 2), np.float32)
    for present in ([True, True], [False, False]):
        found = run_small(x, k, means, present=np.array(present), mask=mask, power=power)
        assert np.isfinite(found.centroids).all()
        assert np.isfinite(found.inertia)
        np.testing.assert_array_equal(found.centroids[k:], 0)
        assert 0 <= found.labels.min() <= found.labels.max() < k
        assert found.converged


def test_finds_the_new_blobs(blobs):
    x, classes = blobs([30, 20, 10, 40, 25, 35], C)
    means = np.stack([x[classes == c].mean(axis=0) for c in range(C)])
    new = classes >= C
    found = run(x[new], 3, means)
    assert adjusted_rand_score(found.labels, classes[new]) == 1
