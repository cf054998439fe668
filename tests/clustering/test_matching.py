import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from ncd_jax.clustering.matching import adjusted_rand, clustering_accuracy, count_pairs

SLOTS = 6


@pytest.fixture(scope="module")
def accuracy():
    """Of labels `[n]` against classes, both in `0..5`; tables of any counts have one length."""
    run = jax.jit(functools.partial(clustering_accuracy, n_slots=SLOTS))

    def call(labels, classes, mask=None):
        labels, classes = np.asarray(labels, np.int32), np.asarray(classes, np.int32)
        mask = np.ones(len(labels), bool) if mask is None else np.asarray(mask)
        labels, classes, mask = (np.pad(a, (0, 1000 - len(a))) for a in (labels, classes, mask))
        return float(run(labels, classes, mask=mask))

    return call


def tables(shape, n=30):
    """Random tables: dense, sparse with ties, and with empty rows and columns."""
    rng = np.random.default_rng(shape[0] * 10 + shape[1])
    dense = rng.integers(0, 80, (n, *shape))
    sparse = rng.integers(0, 3, (n, *shape)) * (rng.random((n, *shape)) < 0.5)
    return np.concatenate([dense, sparse])


def labels_of(table):
    """Labels and classes whose contingency is `table`."""
    rows, columns = np.indices(table.shape)
    counts = table.ravel()
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


@pytest.mark.parametrize("shape", [(1, 4), (3, 3), (2, 6), (6, 2)])
def test_against_scipy(shape, accuracy, rtol):
    """Of no rows it is 0."""
    for table in tables(shape):
        expected = best_match(table) / max(table.sum(), 1)
        np.testing.assert_allclose(accuracy(*labels_of(table)), expected, rtol=rtol)


def test_surplus_clusters_are_errors(accuracy):
    """A class split in two: only one of its halves counts as found."""
    split = np.array([[6, 0, 0], [0, 4, 0], [0, 3, 0]])
    assert accuracy(*labels_of(split)) == np.float32(10 / 13)


def test_names_of_clusters_do_not_matter(accuracy, rtol):
    for table in tables((3, 3), n=5):
        labels, classes = labels_of(table)
        renamed = accuracy(np.array([5, 0, 3])[labels], np.array([1, 4, 2])[classes])
        np.testing.assert_allclose(accuracy(labels, classes), renamed, rtol=rtol)


def test_masked_equals_subset(accuracy):
    rng = np.random.default_rng(0)
    labels, classes = rng.integers(0, SLOTS, (2, 60))
    mask = rng.random(60) < 0.5
    assert accuracy(labels, classes, mask) == accuracy(labels[mask], classes[mask])
    assert accuracy(range(6), range(6), np.arange(6) == 3) == 1
    assert accuracy(range(6), range(6), np.zeros(6, bool)) == 0


def test_vmap_equals_loop(accuracy):
    labels, classes = np.random.default_rng(1).integers(0, SLOTS, (2, 3, 1000))
    masks = np.random.default_rng(2).random((3, 1000)) < 0.5
    lanes = jax.vmap(lambda a, b, mask: clustering_accuracy(a, b, n_slots=SLOTS, mask=mask))
    together = jax.jit(lanes)(jnp.asarray(labels), jnp.asarray(classes), masks)
    alone = [accuracy(*each) for each in zip(labels, classes, masks, strict=True)]
    np.testing.assert_array_equal(together, np.float32(alone))


def test_counts_by_a_loop():
    labels, classes = np.random.default_rng(0).integers(0, 4, (2, 50))
    expected = np.zeros((5, 4), int)
    for pair in zip(labels, classes, strict=True):
        expected[pair] += 1
    np.testing.assert_array_equal(count_pairs(labels, classes, 5, 4), expected)


def test_agreement_against_scikit_learn():
    """To the last bit: the central one of several partitions is chosen by it."""
    random = np.random.default_rng(0)
    for n in (*range(1, 20), 1000):
        a, b = (random.integers(0, k, n) for k in random.integers(1, 7, 2))
        assert adjusted_rand(a, b) == adjusted_rand_score(a, b)
    assert adjusted_rand(["x", "y", "y"], [4, 2, 2]) == 1
