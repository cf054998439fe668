import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.metrics.pairwise import cosine_similarity

from ncd_jax.networks.losses import disagreement, pair_cross_entropy, similar_pairs

N, L, K = 30, 5, 4
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(N, L)).astype(np.float32)
LOGITS = (2 * RNG.normal(size=(N, K))).astype(np.float32)
MASK = RNG.random(N) < 0.6
TOGETHER = np.triu(RNG.random((N, N)) < 0.3)
TOGETHER |= TOGETHER.T


compiled_disagreement = jax.jit(disagreement)


@pytest.fixture(scope="module")
def loss_and_grad():
    run = jax.jit(jax.value_and_grad(pair_cross_entropy))
    return lambda *arguments: jax.tree.map(np.asarray, run(*arguments))


@pytest.fixture(scope="module")
def similar():
    run = jax.jit(similar_pairs)
    return lambda *arguments: np.asarray(run(*arguments))


@pytest.mark.parametrize("n_nearest", [0, 1, 3, int(MASK.sum()) - 1, 1000])
def test_similar_pairs_against_sorting(n_nearest, similar):
    rows = np.flatnonzero(MASK)
    similarity = cosine_similarity(Z[rows].astype(np.float64))
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, : min(n_nearest, len(rows) - 1)]
    expected = np.zeros((N, N), bool)
    for i, others in zip(rows, rows[nearest], strict=True):
        expected[i, others] = expected[others, i] = True
    found = similar(Z, MASK, n_nearest)
    np.testing.assert_array_equal(found, expected)


def test_equal_rows_are_similar_and_none_of_none(similar):
    """Rows on one spot tie, so all belong together; but none where none is asked for."""
    z, mask = np.eye(1, L, dtype=np.float32).repeat(6, axis=0), np.arange(6) < 4
    expected = np.outer(mask, mask) & ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(similar(z, mask, 1), expected)
    assert not similar(z, mask, 0).any()
    assert not similar(z, np.zeros(6, bool), 3).any()
    assert not similar(z, np.arange(6) == 2, 3).any()


def test_pair_cross_entropy_against_scikit_learn(loss_and_grad, rtol):
    loss, _ = loss_and_grad(LOGITS, TOGETHER, MASK)
    p = np.exp(np.float64(LOGITS))
    p /= p.sum(axis=1, keepdims=True)
    i, j = np.triu_indices(int(MASK.sum()), k=1)
    same = (p[MASK] @ p[MASK].T)[i, j]
    expected = log_loss(TOGETHER[np.ix_(MASK, MASK)][i, j], same)
    np.testing.assert_allclose(loss, expected, rtol=10 * rtol)


def test_pair_cross_entropy_by_hand(loss_and_grad, rtol):
    """Softmaxes (3/4, 1/4) and (1/2, 1/2): the same cluster with probability 1/2."""
    logits = np.log(np.float32([[3, 1], [1, 1], [9, 1]]))
    mask = np.array([True, True, False])
    for together in (True, False):
        loss, _ = loss_and_grad(logits, np.full((3, 3), together), mask)
        np.testing.assert_allclose(loss, np.log(2), rtol=10 * rtol)


def test_rows_behind_the_mask_have_no_gradient(loss_and_grad):
    _, grad = loss_and_grad(LOGITS, TOGETHER, MASK)
    np.testing.assert_array_equal(np.asarray(grad)[~MASK], 0)
    assert (np.asarray(grad)[MASK] != 0).any(axis=1).all()


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_slope_of_pair_cross_entropy_by_differentiating_its_definition(scale, loss_and_grad, rtol):
    def definition(logits):
        p = jax.nn.softmax(logits[MASK])
        same = jnp.matmul(p, p.T, precision="highest")
        i, j = np.triu_indices(len(p), k=1)
        together = TOGETHER[np.ix_(MASK, MASK)][i, j]
        return -jnp.mean(jnp.log(jnp.where(together, same[i, j], 1.0 - same[i, j]) + 1e-7))

    logits = np.float32(scale) * LOGITS
    _, grad = loss_and_grad(logits, TOGETHER, MASK)
    expected = np.asarray(jax.jit(jax.grad(definition))(logits))
    np.testing.assert_allclose(grad, expected, atol=100 * rtol * np.abs(expected).max())


@pytest.mark.parametrize("n_rows", [0, 1])
def test_without_a_pair_the_loss_is_0(n_rows, loss_and_grad):
    loss, grad = loss_and_grad(LOGITS, TOGETHER, np.arange(N) < n_rows)
    assert loss == 0
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("together", [True, False])
def test_certain_rows_stay_finite(together, loss_and_grad):
    """Probabilities of exactly 0 and 1, whose squares may add up to more than 1 when rounded."""
    logits = np.where(np.eye(N, K), 1e4, -1e4).astype(np.float32)
    logits[N // 2 :] = 0
    loss, grad = loss_and_grad(logits, np.full((N, N), together), np.ones(N, bool))
    assert np.isfinite(loss)
    assert np.isfinite(grad).all()


def test_certain_and_wrong_costs_what_epsilon_allows(loss_and_grad, rtol):
    logits = np.float32([[50, -50]] * 2)
    loss, _ = loss_and_grad(logits, np.zeros((2, 2), bool), np.ones(2, bool))
    np.testing.assert_allclose(loss, -np.log(1e-7), rtol=10 * rtol)


def test_disagreement_is_a_mean_over_what_counts(rtol):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, N, K)).astype(np.float32)
    columns = np.array([True, False, True, True])
    found = compiled_disagreement(a, b, MASK, columns)
    expected = np.square(a - b)[MASK][:, columns].mean()
    np.testing.assert_allclose(found, expected, rtol=10 * rtol)
    assert compiled_disagreement(a, b, np.zeros(N, bool), columns) == 0


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        pair_cross_entropy(np.ones((2, 3)), np.ones((3, 3), bool), np.ones(3, bool))
    with pytest.raises(AssertionError):
        disagreement(np.ones((2, 3)), np.ones((2, 1)), np.ones(2, bool), np.ones(3, bool))
