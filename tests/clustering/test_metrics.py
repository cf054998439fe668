import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from ncd_jax.clustering.metrics import clustering_scores, contingency

SHAPES = [(1, 4), (3, 3), (2, 6), (6, 2)]


@pytest.fixture(scope="module")
def scores():
    return jax.jit(jax.vmap(clustering_scores))


@pytest.fixture(scope="module")
def of_labels():
    """Scores of labels `[n]` in `0..5` against classes in `0..5`."""

    @jax.jit
    def run(labels, classes, mask):
        return clustering_scores(contingency(labels, classes, n_labels=6, n_classes=6, mask=mask))

    def call(labels, classes, mask=None):
        labels, classes = np.asarray(labels, np.int32), np.asarray(classes, np.int32)
        return run(labels, classes, np.ones(len(labels), bool) if mask is None else mask)

    return call


def tables(shape, n=30):
    """Random tables: dense, sparse with ties, and with empty rows and columns."""
    rng = np.random.default_rng(shape[0] * 10 + shape[1])
    dense = rng.integers(0, 100, (n, *shape))
    sparse = rng.integers(0, 3, (n, *shape)) * (rng.random((n, *shape)) < 0.5)
    return np.concatenate([dense, sparse]).astype(np.float32)


def labels_of(table):
    """Labels and classes whose contingency is `table`."""
    rows, columns = np.indices(table.shape)
    counts = table.astype(int).ravel()
    return np.repeat(rows.ravel(), counts), np.repeat(columns.ravel(), counts)


def best_match(table):
    """Rows under the best one-to-one match, twice: SciPy, and all permutations if few."""
    square = np.zeros((max(table.shape),) * 2)
    square[: table.shape[0], : table.shape[1]] = table
    found = square[linear_sum_assignment(square, maximize=True)].sum()
    if len(square) <= 4:
        everything = itertools.permutations(range(len(square)))
        assert found == max(square[range(len(square)), list(p)].sum() for p in everything)
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_against_scipy_and_scikit_learn(shape, scores, rtol):
    many = tables(shape)
    ours = scores(many)
    for i, table in enumerate(many):
        if not table.any():
            assert (ours.acc[i], ours.nmi[i], ours.ari[i]) == (0, 0, 0)
            continue
        labels, classes = labels_of(table)
        n = table.sum()
        np.testing.assert_allclose(ours.acc[i], best_match(table) / n, rtol=rtol)
        nmi = normalized_mutual_info_score(classes, labels)
        np.testing.assert_allclose(ours.nmi[i], nmi, rtol=rtol, atol=1e-5)
        ari = adjusted_rand_score(classes, labels)
        np.testing.assert_allclose(ours.ari[i], ari, rtol=10 * rtol, atol=1e-5)


def test_surplus_clusters_are_errors(scores):
    """A class split in two: only one of its halves counts as found."""
    split = jnp.array([[[6.0, 0, 0], [0, 4.0, 0], [0, 3.0, 0]]])
    assert scores(split).acc[0] == np.float32(10 / 13)


def test_empty_slots_change_nothing(scores, rtol):
    table = tables((3, 3))
    padded = np.zeros((len(table), 6, 5), np.float32)
    padded[:, ::2, 1:4] = table
    for a, b in zip(scores(table), scores(padded), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def test_names_of_clusters_do_not_matter(scores, rtol):
    table = tables((3, 3))
    renamed = table[:, [2, 0, 1]][:, :, [1, 0, 2]]
    for a, b in zip(scores(table), scores(renamed), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def test_vmap_equals_loop(scores, rtol):
    table = tables((3, 3), n=3)
    one = jax.jit(clustering_scores)
    for i, alone in enumerate(map(one, table)):
        for a, b in zip(scores(table), alone, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=rtol, atol=1e-6)


DEGENERATE = {
    "one cluster, one class": ([2] * 6, [4] * 6),
    "one cluster, many classes": ([0] * 6, [0, 1, 2, 0, 1, 2]),
    "many clusters, one class": ([0, 1, 2, 0, 1, 2], [3] * 6),
    "all alone in both": (range(6), [3, 5, 1, 0, 2, 4]),
    "all alone, one class": (range(6), [0] * 6),
    "all alone, many classes": (range(6), [0, 0, 0, 1, 1, 1]),
    "perfect": ([0, 0, 1, 1, 2, 2], [5, 5, 3, 3, 1, 1]),
    "worse than chance": ([0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2]),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate(case, of_labels, rtol):
    labels, classes = map(np.array, DEGENERATE[case])
    ours = of_labels(labels, classes)
    nmi = normalized_mutual_info_score(classes, labels)
    np.testing.assert_allclose(ours.nmi, nmi, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(ours.ari, adjusted_rand_score(classes, labels), rtol=rtol, atol=1e-6)


def test_one_row_and_none(of_labels):
    mask = np.arange(6) == 3
    assert tuple(map(float, of_labels(range(6), range(6), mask))) == (1, 1, 1)
    assert tuple(map(float, of_labels(range(6), range(6), np.zeros(6, bool)))) == (0, 0, 0)


def test_masked_equals_subset(of_labels, rtol):
    rng = np.random.default_rng(0)
    labels, classes = rng.integers(0, 6, (2, 60))
    mask = rng.random(60) < 0.5
    subset = of_labels(labels[mask], classes[mask])
    for a, b in zip(of_labels(labels, classes, mask), subset, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6)


def test_contingency_by_a_loop():
    rng = np.random.default_rng(0)
    labels, classes = rng.integers(0, 4, 50), rng.integers(0, 3, 50)
    mask = rng.random(50) < 0.7
    expected = np.zeros((5, 3))
    for row, column, counts in zip(labels, classes, mask, strict=True):
        expected[row, column] += counts
    table = contingency(
        jnp.asarray(labels), jnp.asarray(classes), n_labels=5, n_classes=3, mask=mask
    )
    np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize(
    "table",
    [
        [[1e6, 2e5, 0], [3e4, 2e6, 7], [1, 0, 5e5]],
        [[1e6, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[4e5, 1, 0], [4e5, 0, 0], [4e5, 0, 1]],
    ],
)
def test_millions_of_rows(table, scores, rtol):
    """Float32 holds the counts, and the shares of pairs, though not the numbers of pairs."""
    table = np.asarray(table, np.float32)
    labels, classes = labels_of(table)
    ours = scores(table[None])
    np.testing.assert_allclose(ours.acc[0], best_match(table) / table.sum(), rtol=rtol)
    nmi = normalized_mutual_info_score(classes, labels)
    np.testing.assert_allclose(ours.nmi[0], nmi, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        ours.ari[0], adjusted_rand_score(classes, labels), rtol=1e-3, atol=1e-5
    )
