import functools

import jax
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans

from ncd_jax.clustering.n_clusters import KM_ACC, KSearch, estimate_by_known_accuracy

N, C, MAX = 160, 4, 5
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def counted(count_traces):
    return count_traces(
        lambda key, x, y, mask, max_rows=2000: estimate_by_known_accuracy(
            key, x, y, mask, KSearch(MAX, C, KM_ACC, restarts=4, max_rows=max_rows)
        )
    )


@pytest.fixture(scope="module")
def estimate(counted):
    """One compilation for every table of `N` rows and three columns."""
    compiled = jax.jit(counted)

    def run(x, y, mask=None):
        mask = np.ones(N, bool) if mask is None else mask
        return jax.tree.map(np.asarray, compiled(KEY, x, y.astype(np.int32), mask=mask))

    return run


def oracle(x, y, ks):
    """Accuracy on labelled rows of scikit-learn's clusters, matched by SciPy."""
    labelled = y >= 0
    codes, classes = np.unique(y[labelled], return_inverse=True)
    values = []
    for k in ks:
        labels = KMeans(len(codes) + int(k), n_init=10, random_state=0).fit(x).labels_[labelled]
        table = np.zeros((len(codes) + k, len(codes)))
        np.add.at(table, (labels, classes), 1)
        values.append(table[linear_sum_assignment(-table)].sum() / labelled.sum())
    return values


def pairs(n_novel):
    """Known classes that come in two close halves, and novel blobs of the same kind.

    Below the true number known classes merge; above it halves come apart.
    """
    rng = np.random.default_rng(n_novel)
    n_classes = C + n_novel
    # Closer to each other than novel ones are: too few clusters merge known classes first.
    centres = np.zeros((n_classes, 3))
    centres[:C, 0] = 4.0 * np.arange(C)
    centres[C:, 1] = 30.0 * (1 + np.arange(n_novel))
    classes = np.arange(N) % n_classes
    known = classes < C
    half = np.where(known, rng.choice([-0.7, 0.7], N), 0.0)
    x = centres[classes] + rng.normal(0, 0.1, (N, 3))
    x[:, 2] += half
    return x.astype(np.float32), np.where(known, classes, -1)


@pytest.mark.parametrize("n_novel", [1, 2, 3, 4])
def test_counts_the_novel_classes(n_novel, estimate, counted):
    x, y = pairs(n_novel)
    result = estimate(x, y)
    assert result.k == n_novel
    np.testing.assert_array_equal(result.ks, np.arange(1, MAX + 1))
    assert result.values.shape == result.ks.shape
    assert result.values.max() == 1
    assert counted.traces == 1


def test_against_scikit_learn_and_scipy(estimate):
    """On separate blobs each number has one best partition; a class in pieces is an error."""
    x, y = pairs(3)
    ours = estimate(x, y)
    np.testing.assert_allclose(ours.values, oracle(x, y, ours.ks), atol=0.02)
    assert len(np.unique(ours.values)) >= 4


def test_the_smallest_number_wins_a_tie(estimate):
    """Every class on a spot of its own: clusters beyond the number of spots stay empty."""
    _, y = pairs(2)
    spots = np.array([[0, 0, 0], [4, 0, 0], [8, 0, 0], [12, 0, 0], [0, 30, 0], [0, 60, 0]])
    result = estimate(spots[np.arange(N) % 6].astype(np.float32), y)
    np.testing.assert_array_equal(result.values == 1, result.ks >= 2)
    assert result.k == 2


def test_an_absent_class_and_masked_rows_do_not_count(estimate):
    """As in a fold: rows of a class are hidden, others are left out altogether."""
    x, y = pairs(3)
    mask = np.ones(N, bool)
    mask[y == 2] = False  # a known class of which no row is left
    hidden = np.where(y == 3, -1, y)  # and one that is novel now
    result = estimate(x, hidden, mask)
    np.testing.assert_allclose(result.values, oracle(x[mask], hidden[mask], result.ks), atol=0.02)
    junk = np.where(mask[:, None], x, 7 - 3 * x)
    np.testing.assert_array_equal(estimate(junk, hidden, mask).values, result.values)


@pytest.mark.thorough
def test_vmap_over_labels_and_masks_equals_a_loop(counted, estimate):
    """Folds side by side; the rows are shared."""
    x, y = pairs(2)
    hidden = np.stack([np.where(y == c, -1, y) for c in range(3)]).astype(np.int32)
    masks = np.random.default_rng(0).random((3, N)) < 0.9
    lanes = jax.jit(jax.vmap(functools.partial(counted, KEY), (None, 0, 0)))
    together = jax.tree.map(np.asarray, lanes(x, hidden, masks))
    for i in range(3):
        alone = estimate(x, hidden[i], masks[i])
        np.testing.assert_allclose(together.values[i], alone.values, atol=1e-6)
        assert together.k[i] == alone.k


def test_sample_of_many_rows(counted):
    """A third of the unmasked rows tell the number; masked ones are not drawn for it."""
    x, y = pairs(3)
    x, y = np.tile(x, (2, 1)), np.tile(y, 2).astype(np.int32)
    mask = np.arange(2 * N) < N
    run = jax.jit(functools.partial(counted, max_rows=90))
    result = run(KEY, x, y, mask=mask)
    assert result.k == 3
    other = np.where(mask[:, None], x, 500.0).astype(np.float32)
    np.testing.assert_array_equal(run(KEY, other, y, mask=mask).values, result.values)
    ten = run(KEY, x, y, mask=np.arange(2 * N) < 10)
    assert np.isfinite(ten.values).all(), "all ten rows are needed for nine clusters"


def test_undefined_is_infinitely_bad(estimate):
    """Without a label, or where there are not more rows than clusters."""
    x, y = pairs(2)
    result = estimate(x, np.full(N, -1))
    np.testing.assert_array_equal(result.values, -np.inf)
    assert 1 <= result.k <= MAX
    few = np.zeros(N, bool)
    few[:7] = True  # classes 0 to 3, two novel rows and class 0 again
    result = estimate(x, y, few)
    np.testing.assert_array_equal(result.values == -np.inf, result.ks >= 3)
