import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from ncd_jax.networks.relation import sinkhorn

N, K = 40, 5
PENALTIES = [np.inf, 0.2, 0.0]
ALL_ROWS, ALL_SLOTS = np.ones(N, bool), np.ones(K, bool)


@functools.cache
def compiled(**options):
    run = jax.jit(functools.partial(sinkhorn, **options))
    return lambda *arguments: np.asarray(run(*arguments))


@pytest.fixture(scope="module")
def scores():
    """Cosines that lean to the first cluster."""
    rng = np.random.default_rng(0)
    lean = 0.3 * (np.arange(K) == 0)
    return np.clip(0.3 * rng.normal(size=(N, K)) + lean, -1, 1).astype(np.float32)


def reference(scores, n_iter=3, epsilon=0.05):
    """Equal clusters as in UNO: columns and rows of one matrix are rescaled in turn; float64."""
    q = np.exp(scores.astype(np.float64) / epsilon)
    q /= q.sum()
    for _ in range(n_iter):
        q /= q.sum(axis=0) * q.shape[1]
        q /= q.sum(axis=1, keepdims=True) * len(q)
    return q * len(q)


def test_equal_sizes_against_numpy(scores, rtol):
    shares = compiled()(scores, ALL_ROWS, ALL_SLOTS)
    np.testing.assert_allclose(shares, reference(scores), rtol=100 * rtol, atol=1e-6)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_rows_sum_to_one(scores, penalty, rtol):
    shares = compiled(penalty=penalty)(scores, ALL_ROWS, ALL_SLOTS)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=rtol)


def test_equal_sizes_are_met_with_many_iterations(scores):
    few = compiled()(scores, ALL_ROWS, ALL_SLOTS).sum(axis=0)
    many = compiled(n_iter=200)(scores, ALL_ROWS, ALL_SLOTS).sum(axis=0)
    np.testing.assert_allclose(many, N / K, rtol=1e-3)
    assert few.std() > many.std()


def test_a_penalty_is_optimal(scores):
    """Nothing near the answer is better in mean score, entropy and penalty; float64."""
    penalty, epsilon = 0.2, 0.05
    cosines = scores.astype(np.float64)
    shares = np.asarray(compiled(penalty=penalty, n_iter=300)(scores, ALL_ROWS, ALL_SLOTS))
    shares = shares.astype(np.float64) / shares.sum(axis=1, dtype=np.float64, keepdims=True)

    def value(q):
        size = q.sum(axis=0) / N
        entropy = -np.sum(q * np.log(q)) / N
        return (
            np.sum(q * cosines) / N + epsilon * entropy - penalty * np.sum(size * np.log(size * K))
        )

    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-2, 1e-1, 1.0):
        for towards in rng.dirichlet(np.ones(K), size=(20, N)):
            assert value((1 - size) * shares + size * towards) < value(shares)
    # Steps along the sizes as well, where a wrong penalty would show first.
    for j in range(K):
        for size in (-0.05, 0.05):
            q = shares * (1 + size * (np.arange(K) == j))
            assert value(q / q.sum(axis=1, keepdims=True)) < value(shares)


def test_the_penalty_lies_between_equal_and_free_sizes(scores, rtol):
    largest = [compiled(penalty=p)(scores, ALL_ROWS, ALL_SLOTS).sum(axis=0)[0] for p in PENALTIES]
    assert largest == sorted(largest)
    assert largest[0] + 1 < largest[1] < largest[2] - 1
    free = softmax(scores / 0.05, axis=1)
    np.testing.assert_allclose(
        compiled(penalty=0.0)(scores, ALL_ROWS, ALL_SLOTS), free, rtol=100 * rtol, atol=1e-6
    )


@pytest.mark.parametrize("penalty", [0.02, 0.2])
def test_a_lean_that_all_rows_share_is_damped(penalty, rtol):
    """Log-odds are the difference of scores over penalty plus epsilon: no collapse rests on it."""
    lean = np.tile(np.float32([0.1, 0.0]), (N, 1))
    shares = compiled(penalty=penalty, n_iter=100)(lean, ALL_ROWS, np.ones(2, bool))
    odds = np.log(shares[:, 0] / shares[:, 1])
    np.testing.assert_allclose(odds, 0.1 / (penalty + 0.05), rtol=100 * rtol)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_masked_equals_subset(scores, penalty, rtol):
    rows = np.random.default_rng(2).random(N) < 0.5
    slots = np.array([True, True, False, True, False])
    extreme = np.where(rows[:, None] & slots, scores, 1e4).astype(np.float32)
    shares = np.asarray(compiled(penalty=penalty)(extreme, rows, slots))
    subset = scores[rows][:, slots]
    alone = compiled(penalty=penalty)(subset, np.ones(rows.sum(), bool), np.ones(3, bool))
    np.testing.assert_allclose(shares[rows][:, slots], alone, rtol=100 * rtol, atol=1e-6)
    np.testing.assert_array_equal(shares[~rows], 0)
    np.testing.assert_array_equal(shares[:, ~slots], 0)


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("case", ["no row", "one row", "one slot", "constant", "opposite"])
def test_degenerate(scores, penalty, case):
    rows, slots = ALL_ROWS, ALL_SLOTS
    if case == "no row":
        rows = ~rows
    if case == "one row":
        rows = np.arange(N) == 3
    if case == "one slot":
        slots = np.arange(K) == 0
    if case == "constant":
        scores = np.zeros_like(scores)
    if case == "opposite":
        # As far apart as cosines get: every row insists on the first cluster.
        scores = np.where(np.arange(K) == 0, 1, -np.ones((N, K))).astype(np.float32)
    shares = compiled(penalty=penalty)(scores, rows, slots)
    np.testing.assert_allclose(shares.sum(axis=1), rows, rtol=1e-5)
    assert (shares >= 0).all()


def test_no_gradient(scores):
    first = jax.grad(lambda s: jnp.sum(sinkhorn(s, ALL_ROWS, ALL_SLOTS)[:, 0]))
    np.testing.assert_array_equal(jax.jit(first)(scores), 0)


def test_vmap_equals_loop(scores, rtol):
    slots = np.arange(K)[None, :] < np.arange(1, K + 1)[:, None]
    together = np.asarray(jax.jit(jax.vmap(sinkhorn, (None, None, 0)))(scores, ALL_ROWS, slots))
    for lane, alone in zip(together, slots, strict=True):
        np.testing.assert_allclose(
            lane, compiled()(scores, ALL_ROWS, alone), rtol=100 * rtol, atol=1e-6
        )
