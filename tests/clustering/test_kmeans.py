import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score
from tiers import few

from ncd_jax.clustering import lloyd as module
from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.lloyd import Chunks, lloyd, nearest
from ncd_jax.clustering.rows import squared_distances

K, ROWS = 6, 115
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def fit(count_traces):
    """k-means into at most `K` clusters, compiled once for each shape of the rows."""
    counted = count_traces(functools.partial(kmeans, max_clusters=K, restarts=4))
    compiled = jax.jit(counted)

    def run(x, k, mask=None, key=KEY):
        mask = np.ones(len(x), bool) if mask is None else mask
        return jax.tree.map(np.asarray, compiled(key, x, np.int32(k), mask=mask))

    run.counted = counted
    return run


def check_consistent(x, k, mask, result, rtol):
    """What must hold for any input, said again with loops and float64."""
    x, centroids = np.asarray(x, np.float64), np.asarray(result.centroids, np.float64)
    labels = np.asarray(result.labels)
    assert np.isfinite(centroids).all()
    np.testing.assert_array_equal(centroids[k:], 0)
    assert labels.min() >= 0
    assert labels.max() < k
    distances = cdist(x, centroids[:k], "sqeuclidean")
    chosen = distances[np.arange(len(x)), labels]
    scale = np.square(x - x.mean(axis=0)).sum(axis=1).max() + 1e-6
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=rtol, atol=10 * rtol * scale)
    expected = chosen[mask].sum()
    np.testing.assert_allclose(result.inertia, expected, rtol=10 * rtol, atol=rtol * scale)


def test_as_good_as_scikit_learn_for_every_k_in_one_compilation(count_traces, rtol):
    x = load_digits().data[:400].astype(np.float32)
    counted = count_traces(functools.partial(kmeans, max_clusters=20, restarts=10))
    fit = jax.jit(counted)
    for k in (1, 2, 5, 10, 20):
        ours = [fit(jax.random.key(seed), x, k) for seed in range(4)]
        theirs = [KMeans(k, n_init=10, random_state=seed).fit(x).inertia_ for seed in range(4)]
        assert np.mean([result.inertia for result in ours]) <= 1.01 * np.mean(theirs)
        for result in ours:
            check_consistent(x, k, np.full(len(x), True), result, rtol)
            assert result.converged
            assert 1 <= result.n_iter < 100
    assert counted.traces == 1


def test_masked_equals_subset(fit, blobs, rtol):
    """Scikit-learn is given the subset."""
    x, classes = blobs([20, 15, 30, 20], 3)
    rng = np.random.default_rng(1)
    junk = rng.normal(50, 30, (ROWS - len(x), 3)).astype(np.float32)
    order = rng.permutation(len(x) + len(junk))
    rows = np.concatenate([x, junk])[order]
    mask = (np.arange(len(rows)) < len(x))[order]
    masked = fit(rows, 4, mask)
    theirs = KMeans(4, n_init=10, random_state=0).fit(rows[mask])

    true = np.append(classes, np.full(len(junk), -1))[order][mask]
    assert adjusted_rand_score(masked.labels[mask], theirs.labels_) == 1
    assert adjusted_rand_score(masked.labels[mask], true) == 1
    np.testing.assert_allclose(masked.inertia, theirs.inertia_, rtol=1e-4)
    apart = cdist(masked.centroids[:4], theirs.cluster_centers_)
    np.testing.assert_allclose(apart.min(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(apart.min(axis=1), 0, atol=1e-4)
    check_consistent(rows, 4, mask, masked, rtol)


def test_masked_rows_have_no_influence(fit, blobs):
    """Whatever a masked row holds, the result is the same to the last bit."""
    x, _ = blobs([30, 20, 40, 25], 3, spread=2.0)
    mask = np.arange(len(x)) % 3 > 0
    other = np.where(mask[:, None], x, -x[::-1] * 1000)
    a, b = fit(x, 5, mask), fit(other, 5, mask)
    np.testing.assert_array_equal(a.centroids, b.centroids)
    np.testing.assert_array_equal(a.inertia, b.inertia)
    np.testing.assert_array_equal(a.labels[mask], b.labels[mask])


def test_the_restart_with_the_lowest_inertia_wins():
    """Groups of unequal size in a line: a single start often ends in a poor optimum."""
    rng = np.random.default_rng(0)
    centres = np.repeat([0.0, 4.0, 5.0, 9.0, 9.6], [40, 5, 40, 10, 30])
    x = (centres + rng.normal(0, 0.15, len(centres)))[:, None].astype(np.float32)
    theirs = [KMeans(5, init="random", n_init=1, random_state=i).fit(x) for i in range(60)]
    single = np.array([each.inertia_ for each in theirs])
    assert np.mean(single > 1.2 * single.min()) > 0.25, "the data must be hard"
    often = jax.jit(functools.partial(kmeans, max_clusters=5, trials=1, restarts=30))
    assert often(KEY, x, 5).inertia <= single.min() * 1.001


@pytest.mark.thorough
def test_jit_equals_no_jit(rtol):
    x = np.random.default_rng(0).normal(size=(9, 2)).astype(np.float32)
    run = functools.partial(kmeans, max_clusters=3, restarts=2, max_iter=5)
    compiled = jax.jit(run)(KEY, x, 2)
    with jax.disable_jit():
        plain = run(KEY, jnp.asarray(x), 2)
    np.testing.assert_array_equal(compiled.labels, plain.labels)
    np.testing.assert_array_equal(compiled.n_iter, plain.n_iter)
    np.testing.assert_allclose(compiled.centroids, plain.centroids, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(compiled.inertia, plain.inertia, rtol=rtol)


def test_vmap_equals_loop(fit, blobs, rtol):
    """Lanes differ in key, number of clusters and mask, and stop after unequal iterations."""
    x, _ = blobs([30, 20, 40, 25], 3, spread=2.0)
    keys = jax.random.split(KEY, 4)
    ks = np.array([1, 3, 6, 4])
    masks = np.random.default_rng(0).random((4, len(x))) < [[0.3], [0.6], [0.9], [1.0]]
    run = functools.partial(kmeans, max_clusters=K, restarts=4)
    lanes = jax.jit(jax.vmap(run, in_axes=(0, None, 0)))
    together = jax.tree.map(np.asarray, lanes(keys, x, ks, mask=masks))
    for i in range(4):
        alone = fit(x, ks[i], masks[i], keys[i])
        np.testing.assert_array_equal(together.n_iter[i], alone.n_iter)
        np.testing.assert_array_equal(together.labels[i], alone.labels)
        np.testing.assert_allclose(together.inertia[i], alone.inertia, rtol=rtol)
        np.testing.assert_allclose(together.centroids[i], alone.centroids, rtol=rtol, atol=1e-5)


def test_the_lowest_index_wins_a_tie_among_active_centroids():
    x = np.array([[0, 0], [2, 0]], np.float32)
    centroids = np.array([[9, 0], [0, 1], [0, -1], [1, 0], [0, 0]], np.float32)
    find = jax.jit(nearest)
    np.testing.assert_array_equal(find(x, centroids, np.arange(5) < 4), [1, 3])
    np.testing.assert_array_equal(find(x, centroids, np.arange(5) < 3), [1, 1])


def test_squared_distances_against_scipy(rtol):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.normal(size=(4, 5))
    y[1] = x[3]
    ours = jax.jit(squared_distances)(x.astype(np.float32), y.astype(np.float32))
    np.testing.assert_allclose(ours, cdist(x, y, "sqeuclidean"), rtol=rtol, atol=1e-5)
    assert ours.min() >= 0


DEGENERATE = {
    "empty mask": (np.eye(8, 2), 3, np.zeros(8, bool), 0.0),
    "one row": (np.arange(16.0).reshape(8, 2), 3, np.arange(8) == 5, 0.0),
    "more clusters than rows": (np.arange(16.0).reshape(8, 2), 6, np.arange(8) < 3, 0.0),
    "more clusters than distinct rows": (np.repeat(np.eye(2), 4, 0), 5, np.ones(8, bool), 0.0),
    "identical rows": (np.full((8, 2), 3.7), 4, np.ones(8, bool), 0.0),
    "constant column": (np.stack([np.arange(8) % 2, np.full(8, 5)], 1), 2, np.ones(8, bool), 0.0),
    "one cluster": (np.stack([np.arange(8), np.zeros(8)], 1), 1, np.ones(8, bool), 42.0),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate(case, fit, rtol):
    """Behind masked rows, so that all are of one program."""
    small, k, small_mask, inertia = DEGENERATE[case]
    x, mask = np.full((ROWS, 3), 3.7, np.float32), np.arange(ROWS) < 0
    x[-8:, :2], mask[-8:] = small, small_mask
    result = fit(x, k, mask)
    check_consistent(x, k, mask, result, rtol)
    np.testing.assert_allclose(result.inertia, inertia, rtol=rtol, atol=1e-5)
    assert result.converged
    if mask.any():
        # Empty clusters too lie where rows are, as they started there.
        centroids = np.asarray(result.centroids)[:k]
        away = cdist(centroids, x[mask]).min(axis=1)
        np.testing.assert_allclose(away[k == 1 :], 0, atol=1e-5)


def test_one_cluster_has_the_mean_as_centroid(fit, blobs, rtol):
    x, _ = blobs([30, 20, 40, 25], 3)
    np.testing.assert_allclose(fit(x, 1).centroids[0], x.mean(axis=0), rtol=rtol)


def test_far_from_the_origin(fit, blobs):
    x, classes = blobs([30, 20, 40, 25], 3)
    near, far = fit(x, 4), fit(x + np.float32(1e4), 4)
    assert adjusted_rand_score(classes, far.labels) == 1
    np.testing.assert_allclose(far.inertia, near.inertia, rtol=1e-2)


def test_the_order_of_rows_does_not_matter(fit, blobs, rtol):
    x, _ = blobs([30, 20, 40, 25], 3)
    order = np.random.default_rng(0).permutation(len(x))
    a, b = fit(x, 4), fit(x[order], 4)
    np.testing.assert_allclose(a.inertia, b.inertia, rtol=10 * rtol)
    assert adjusted_rand_score(a.labels[order], b.labels) == 1


def test_a_sample_is_enough_to_start_from(rtol):
    """With many rows the restarts compete on some of them, the winner goes on with all."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 2.0, (5, 3))
    x = (centres[rng.integers(5, size=3000)] + rng.normal(size=(3000, 3))).astype(np.float32)
    mask = np.arange(3000) % 4 > 0
    run = jax.jit(functools.partial(kmeans, max_clusters=8, restarts=10, max_start_rows=500))
    found = run(KEY, x, 5, mask=mask)
    theirs = KMeans(5, n_init=10, random_state=0).fit(x[mask])
    np.testing.assert_allclose(found.inertia, theirs.inertia_, rtol=1e-3)
    check_consistent(x, 5, mask, found, rtol)
    assert found.converged
    other = run(KEY, np.where(mask[:, None], x, -50 * x), 5, mask=mask)
    np.testing.assert_array_equal(other.centroids, found.centroids)


def test_rows_in_chunks_are_all_rows(rtol, monkeypatch):
    """Three that do not divide them; an iteration is not enough to converge."""
    monkeypatch.setattr(module, "_CHUNK_ROWS", (8, 64))
    run = jax.jit(functools.partial(kmeans, max_clusters=3, restarts=1, max_iter=1, trials=1))
    x = np.random.default_rng(0).normal(size=(151, 2)).astype(np.float32)
    chunks = jax.eval_shape(lambda: module.in_chunks(x, np.zeros(151), 3))
    assert len(chunks.x) == 3
    found = run(KEY, x, 1)
    assert not found.converged
    assert found.n_iter == 1
    np.testing.assert_allclose(found.centroids[0], x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found.inertia, x.var(axis=0).sum() * 151, rtol=10 * rtol)
    assert found.labels.shape == (151,)


def is_program(value):
    return hasattr(value, "eqns") or hasattr(value, "jaxpr")


def largest_array(jaxpr):
    """Numbers in the largest array that a program holds, inner programs included."""
    sizes = [0]
    for equation in jaxpr.eqns:
        sizes += [out.aval.size for out in equation.outvars if hasattr(out.aval, "size")]
        for value in jax.tree.leaves(equation.params, is_leaf=is_program):
            if is_program(value):
                sizes.append(largest_array(getattr(value, "jaxpr", value)))
    return max(sizes)


@pytest.fixture(scope="module")
def of_a_million_rows():
    """How many rows of one column there are, into how many clusters, and k-means as traced."""
    n, k = 1_000_000, 24
    run = jax.jit(functools.partial(kmeans, max_clusters=k, restarts=10))
    return n, k, run.trace(KEY, jax.ShapeDtypeStruct((n, 1), jnp.float32), k)


def test_nothing_of_rows_times_clusters_is_held(of_a_million_rows):
    n, k, traced = of_a_million_rows
    assert largest_array(traced.jaxpr.jaxpr) < n * k


@pytest.mark.thorough
def test_a_few_copies_of_the_rows_are_held(of_a_million_rows):
    n, _, traced = of_a_million_rows
    held = traced.lower().compile().memory_analysis().temp_size_in_bytes
    assert held < n * 4 * 20


SIZES = [(6, 3), (10, 3), (11, 3), (12, 3), (13, 3), (30, 3), (70, 3), (70, 130)]


@pytest.mark.parametrize(("slots", "d"), few(SIZES, (10, 3), (11, 3), (13, 3), (70, 130)))
def test_slots_in_blocks_are_all_slots(slots, d, rtol):
    """One Lloyd step against NumPy, for all ways to take slots and to add rows up.

    A masked row counts in no slot, and slots beyond the number of clusters stay as they are.
    """
    rng = np.random.default_rng(slots)
    x = rng.normal(size=(300, d)).astype(np.float32)
    weight = (np.arange(300) % 5 > 0).astype(np.float32)
    starts = rng.normal(size=(slots, d)).astype(np.float32)
    starts[1] = starts[0]  # a tie, which the first wins
    step = jax.jit(functools.partial(lloyd, max_iter=1, tol=jnp.float32(0), power=2))
    rows = Chunks((x * weight[:, None])[None], weight[None])
    for k in sorted({1, 2, slots // 2, slots // 2 + 1, slots}):
        labels = cdist(x, starts[:k]).argmin(axis=1)
        expected = starts.copy()
        for c in np.unique(labels[weight > 0]):
            expected[c] = x[(labels == c) & (weight > 0)].mean(axis=0)
        found = step(rows, starts, n_clusters=np.int32(k))
        np.testing.assert_allclose(found.centroids, expected, rtol=10 * rtol, atol=1e-5)
        inertia = cdist(x[weight > 0], expected[:k], "sqeuclidean").min(axis=1).sum()
        np.testing.assert_allclose(found.inertia, inertia, rtol=10 * rtol)


MANY = 13
"""Slots that are in two blocks, and on a CPU rows are added up in one by one."""


@pytest.fixture(scope="module")
def fit_many():
    return jax.jit(functools.partial(kmeans, max_clusters=MANY, restarts=2, max_iter=4))


def test_sums_of_both_kinds_are_equal(fit, fit_many, rtol):
    """Few slots are multiplied and many added up on a CPU: spare slots change no result."""
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    least, many = fit(x, 1), fit_many(KEY, x, np.int32(1))
    np.testing.assert_allclose(many.centroids[0], least.centroids[0], atol=1e-6)
    np.testing.assert_allclose(many.inertia, least.inertia, rtol=rtol)


@pytest.mark.thorough
def test_vmap_over_numbers_of_clusters_equals_loop(fit_many, rtol):
    """As folds are scored: each lane has its own number of blocks."""
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    keys, ks = jax.random.split(KEY, 3), np.array([3, 8, MANY], np.int32)
    together = jax.jit(jax.vmap(fit_many, in_axes=(0, None, 0)))(keys, x, ks)
    together = jax.tree.map(np.asarray, together)
    for i in range(3):
        one = fit_many(keys[i], x, ks[i])
        np.testing.assert_array_equal(together.labels[i], one.labels)
        np.testing.assert_allclose(together.centroids[i], one.centroids, rtol=rtol, atol=1e-5)
