import functools
import operator

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from ncd_jax.judge import micro as module
from ncd_jax.judge.micro import (
    MicroClusters,
    class_scale,
    micro_clusters,
    n_micro_clusters,
)
from ncd_jax.types import KMeansResult

M = 6
KEY = jax.random.key(0)
COUNT = jax.jit(n_micro_clusters, static_argnums=2)


@pytest.fixture(scope="module")
def cut(count_traces):
    """`micro_clusters`, compiled once for each shape of the rows."""
    counted = count_traces(functools.partial(micro_clusters, max_micro=M))
    compiled = jax.jit(counted)

    def run(z, n_clusters, mask):
        return jax.tree.map(np.asarray, compiled(KEY, z, np.int32(n_clusters), mask=mask))

    run.counted = counted
    return run


def check_consistent(micro, mask):
    """Slots are filled from the first on, and hold the unmasked rows."""
    np.testing.assert_array_equal(micro.labels == -1, ~mask)
    np.testing.assert_array_equal(micro.sizes, np.bincount(micro.labels[mask], minlength=M)[:M])
    filled = micro.sizes > 0
    np.testing.assert_array_equal(filled, np.sort(filled)[::-1])


def test_rows_are_with_the_nearest_centroid(cut, blobs):
    z, _ = blobs([40, 25, 30], 3)
    mask = np.random.default_rng(0).random(len(z)) < 0.7
    for n_clusters in range(1, M + 1):
        micro = cut(z, n_clusters, mask)
        check_consistent(micro, mask)
        assert np.sum(micro.sizes > 0) == n_clusters
        centroids = np.stack([z[micro.labels == i].mean(axis=0) for i in range(n_clusters)])
        again = cdist(z[mask], centroids).argmin(axis=1)
        # k-means stops when its centroids hardly move.
        assert np.mean(again == micro.labels[mask]) > 0.95
    assert cut.counted.traces == 1


def test_masked_equals_subset(cut, blobs):
    """The classes of the subset are found, whatever the other rows are."""
    z, classes = blobs([30, 20, 25], 3)
    rows = np.concatenate([z, np.full((20, 3), 60, np.float32)])
    order = np.random.default_rng(1).permutation(len(rows))
    mask = (np.arange(len(rows)) < len(z))[order]
    masked = cut(rows[order], 3, mask)
    check_consistent(masked, mask)
    assert adjusted_rand_score(masked.labels[mask], classes[order[mask]]) == 1


def test_all_rows_count_by_default(monkeypatch):
    found = KMeansResult(None, np.array([0, 2, 1, 0]), None, None, None)
    monkeypatch.setattr(module, "kmeans", lambda *args, mask, **kwargs: found)
    micro = jax.jit(functools.partial(micro_clusters, max_micro=M))(KEY, np.zeros((4, 2)), 3)
    np.testing.assert_array_equal(micro.labels, [0, 2, 1, 0])
    np.testing.assert_array_equal(micro.sizes, [2, 1, 1, 0, 0, 0])


def test_few_distinct_rows_leave_no_hole(cut):
    z = np.repeat(np.eye(3, dtype=np.float32), [5, 1, 89], axis=0)
    mask = np.full(len(z), True)
    micro = cut(z, M, mask)
    check_consistent(micro, mask)
    assert np.sum(micro.sizes > 0) == 3
    assert adjusted_rand_score(micro.labels, z.argmax(axis=1)) == 1


def test_slots_move_over_empty_ones(monkeypatch):
    found = KMeansResult(None, np.array([5, 1, 3, 5, 3, 3]), None, None, None)
    monkeypatch.setattr(module, "kmeans", lambda *args, **kwargs: found)
    mask = np.array([True, False, True, True, True, True])
    run = jax.jit(functools.partial(micro_clusters, max_micro=M))
    micro = run(KEY, np.zeros((6, 2)), M, mask=mask)
    np.testing.assert_array_equal(micro.labels, [1, -1, 0, 1, 0, 0])
    np.testing.assert_array_equal(micro.sizes, [3, 2, 0, 0, 0, 0])


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_hardly_any_row(cut, n_rows):
    z = np.random.default_rng(0).normal(size=(95, 3)).astype(np.float32)
    mask = np.arange(len(z)) < n_rows
    micro = cut(z, max(n_rows, 1), mask)
    check_consistent(micro, mask)
    assert np.sum(micro.sizes > 0) == n_rows


def test_batched_equals_single(cut, blobs):
    z, _ = blobs([40, 25, 30], 3)
    masks = np.random.default_rng(0).random((3, len(z))) < 0.7
    numbers = np.array([2, 3, 5], np.int32)
    one = functools.partial(micro_clusters, KEY, max_micro=M)

    @jax.jit
    def look(micro):
        return micro.member, micro.pairs

    @jax.jit
    def lanes(numbers, masks):
        many = jax.vmap(lambda k, mask: one(z, k, mask=mask))(numbers, masks)
        return many, (many.member, many.pairs)

    many, seen = jax.tree.map(np.asarray, lanes(numbers, masks))
    for lane, (k, mask) in enumerate(zip(numbers, masks, strict=True)):
        np.testing.assert_array_equal(many.labels[lane], cut(z, k, mask).labels)
        micro, here = jax.tree.map(operator.itemgetter(lane), (many, seen))
        jax.tree.map(np.testing.assert_array_equal, here, look(micro))


def test_members_and_pairs():
    micro = MicroClusters(np.array([1, -1, 0, 1]), np.array([1, 2, 0]))
    member, pairs = jax.jit(lambda micro: (micro.member, micro.pairs))(micro)
    np.testing.assert_array_equal(member, [[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(pairs, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize(
    ("n_rows", "size", "expected"),
    [
        (900, 600, 30),  # 30 rows each at most
        (1500, 600, 40),  # as many as there are slots
        (450, 60, 15),  # half of a known class each
        (479, 60, 15),
        (300, 20, 30),
        (100, 12, 16),
        (100, 6, 20),  # 5 rows each at least
        (100, 600, 4),
        (3, 600, 3),
        (0, 600, 1),
    ],
)
def test_how_many(n_rows, size, expected):
    assert COUNT(n_rows, size, 40) == expected


def test_extent_of_a_known_class():
    rng = np.random.default_rng(0)
    n_known = 5
    y = rng.permutation(np.repeat([0, 2, 3, 4, -1], [5, 1, 12, 8, 30])).astype(np.int32)
    z = (5 + rng.normal(size=(len(y), 3))).astype(np.float32)

    def extents(known):
        for c in known:
            apart = z[y == c] - z[y == c].mean(axis=0)
            yield np.sqrt((apart**2).sum(axis=1).mean())

    measure = jax.jit(lambda z, y: class_scale(z, y, n_known))
    extent = measure(z, y)
    np.testing.assert_allclose(extent, np.median(list(extents([0, 2, 3, 4]))), rtol=1e-5)

    hidden = np.where((y == 3) | (y == 2), -1, y)
    extent = measure(z, hidden)
    np.testing.assert_allclose(extent, np.median(list(extents([0, 4]))), rtol=1e-5)
    both = jax.jit(jax.vmap(measure, in_axes=(None, 0)))(z, np.stack([y, hidden]))
    np.testing.assert_allclose(both, [measure(z, y), extent], rtol=1e-6)

    assert 0 < measure(np.ones_like(z), y) < 1e-6
    assert np.isnan(measure(z, np.full_like(y, -1)))
