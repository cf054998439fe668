import functools

import jax
import numpy as np
import pytest
from sklearn.metrics import silhouette_score
from tiers import few

from ncd_jax.clustering.n_clusters import KSearch, best_number, estimate_by_validity
from ncd_jax.clustering.validity import INDICES

N, ROOM, MAX = 120, 400, 10
KEY = jax.random.key(1)
BEST = jax.jit(best_number, static_argnums=(1, 2))


def estimate_n_clusters(key, x, mask, index="silhouette", most=MAX, **how):
    return estimate_by_validity(key, x, mask, KSearch(most, 0, index, **{"restarts": 4} | how))


@pytest.fixture(scope="module")
def counted(count_traces):
    return count_traces(estimate_n_clusters)


@pytest.fixture(scope="module")
def program_of(counted):
    """`program_of(index)` is the estimate by it, compiled once."""
    return functools.cache(lambda index: jax.jit(functools.partial(counted, index=index)))


@pytest.fixture(scope="module")
def estimate(program_of):
    """One compilation for every table of four columns: masked rows fill it up."""

    def run(x, mask=None):
        mask = np.ones(len(x), bool) if mask is None else mask
        counts = np.append(mask, np.zeros(ROOM - len(x), bool))
        found = program_of("silhouette")(KEY, np.resize(x, (ROOM, 4)), counts)
        return jax.tree.map(np.asarray, found)

    return run


@pytest.mark.parametrize("k", [2, 3, 5, 8])
def test_counts_blobs(k, estimate, counted, blobs):
    x, _ = blobs([N // k] * (k - 1) + [N - N // k * (k - 1)], 4, seed=k)
    result = estimate(x)
    assert result.k == k
    np.testing.assert_array_equal(result.ks, np.arange(2, MAX + 1))
    assert result.values.shape == result.ks.shape
    assert counted.traces == 1


@pytest.mark.parametrize("index", few(INDICES, "silhouette", "davies_bouldin", "dunn"))
def test_every_index_counts_blobs_and_holds_few_copies_of_the_distances(index, blobs, program_of):
    """Three spots too, of which more clusters than spots cannot be made, or than rows be asked."""
    program = (
        program_of(index).lower(KEY, np.zeros((ROOM, 4), np.float32), np.ones(ROOM, bool)).compile()
    )
    assert program.memory_analysis().temp_size_in_bytes < 6 * 4 * ROOM**2
    for k in (2, 4, 7):
        x, _ = blobs([N // k] * (k - 1) + [N - N // k * (k - 1)], 4, seed=k)
        result = program(KEY, np.resize(x, (ROOM, 4)), np.arange(ROOM) < N)
        assert result.k == k
        assert np.isfinite(result.values).all()
    spots = np.eye(3, 4, dtype=np.float32)[np.arange(ROOM) % 3]
    result = program(KEY, spots, np.arange(ROOM) < 6)
    assert result.k == 3
    worst = -INDICES[index].sign * np.inf
    np.testing.assert_array_equal(result.values == worst, result.ks >= 6)


def test_index_is_the_silhouette_of_the_blobs(estimate, blobs, rtol):
    x, classes = blobs([50, 40, 30], 4)
    index = estimate(x).values
    np.testing.assert_allclose(index[1], silhouette_score(x, classes), rtol=10 * rtol)
    assert index.argmax() == 1


def test_masked_rows_do_not_count(estimate, blobs):
    """Eight blobs in all; the rows of five of them are masked away."""
    x, classes = blobs([15] * 8, 4)
    mask = classes < 3
    result = estimate(x, mask)
    assert result.k == 3
    other = np.where(mask[:, None], x, 100 - 3 * x)
    np.testing.assert_array_equal(estimate(other, mask).values, result.values)


def test_fewer_rows_than_clusters(estimate, blobs):
    """Three pairs; as many clusters as rows, or more, are no clustering."""
    x, classes = blobs([40, 40, 40], 4, spread=0.01)
    mask = np.zeros(N, bool)
    for c in range(3):
        mask[np.flatnonzero(classes == c)[:2]] = True
    result = estimate(x, mask)
    assert result.k == 3
    np.testing.assert_array_equal(result.values[result.ks >= 6], -np.inf)


@pytest.mark.parametrize("rows", [0, 1, 2, N])
def test_nothing_to_tell_apart(rows, estimate):
    result = estimate(np.full((N, 4), 1.5, np.float32), np.arange(N) < rows)
    np.testing.assert_array_equal(result.values, -np.inf)
    assert 2 <= result.k <= MAX


@pytest.fixture(scope="module")
def sampled():
    """By a sample, and with a tolerance."""
    return jax.jit(functools.partial(estimate_n_clusters, max_rows=80, tolerance=0.1))


def test_sample_of_many_rows(blobs, sampled):
    """A third of the unmasked rows tell the number; masked ones are not drawn for it."""
    x, classes = blobs([60] * 6, 4)
    mask = classes < 4
    result = sampled(KEY, x, mask)
    assert result.k == 4
    assert np.max(result.values) > 0.8
    least = sampled(KEY, x, mask & (np.arange(len(x)) < 60))
    assert least.k == 4


@pytest.mark.parametrize(
    ("values", "sign", "tolerance", "position"),
    [
        ([0.50, 0.60, 0.59], 1, 0.0, 1),
        ([0.50, 0.57, 0.60], 1, 0.07, 1),  # 0.558 is enough
        ([0.50, 0.55, 0.60], 1, 0.07, 2),
        ([1.20, 1.06, 1.00], -1, 0.07, 1),  # 1.07 is enough
        ([1.20, 1.08, 1.00], -1, 0.07, 2),
        ([-0.40, -0.10, -0.106], 1, 0.07, 1),
        ([-0.106, -0.10, -0.40], 1, 0.07, 0),
        ([-np.inf, 0.3, 0.3], 1, 0.07, 1),
        ([-np.inf, -np.inf], 1, 0.07, 0),
        ([np.inf, np.inf], -1, 0.0, 0),
    ],
)
def test_smallest_number_that_is_about_as_good_as_the_best(values, sign, tolerance, position):
    assert BEST(np.float32(values), sign, tolerance) == position


def test_tolerance_takes_the_smaller_of_numbers_that_are_level(sampled):
    """Four clusters in two pairs: four have the higher silhouette, two a lower one."""
    rng = np.random.default_rng(0)
    x = 0.35 * rng.normal(size=(360, 4)).astype(np.float32)
    x[:, 0] += np.repeat([0, 6, 20, 26], 90)
    two, four = (silhouette_score(x, np.arange(360) // width) for width in (180, 90))
    assert 0.9 * four < two < 0.97 * four
    found = sampled(KEY, x, np.ones(360, bool))
    assert found.k == 2
    for tolerance in (0.0, 0.03):
        assert found.ks[BEST(found.values, 1, tolerance)] == 4
