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


@pytest.fixture(scope="module")
def loss_and_grad():
    return jax.jit(jax.value_and_grad(pair_cross_entropy))


@pytest.fixture(scope="module")
def similar():
    return jax.jit(similar_pairs)


@pytest.mark.parametrize("n_nearest", [0, 1, 3, int(MASK.sum()) - 1, 1000])
def test_similar_pairs_against_sorting(n_nearest, similar):
    rows = np.flatnonzero(MASK)
    similarity = cosine_similarity(Z[rows].astype(np.float64))
    np.fill_diagonal(similarity, -2)
    nearest = np.argsort(-similarity, axis=1)[:, : min(n_nearest, len(rows) - 1)]
    expected = np.zeros((N, N), bool)
    for i, others in zip(rows, rows[nearest], strict=True):
        expected[i, others] = expected[others, i] = True
    found = similar(jnp.asarray(Z), jnp.asarray(MASK), n_nearest)
    np.testing.assert_array_equal(found, expected)


def test_equal_rows_are_similar_and_none_of_none(similar):
    """Rows on one spot tie, so all belong together; but none where none is asked for."""
    z, mask = jnp.zeros((6, L)).at[:, 0].set(1.0), jnp.arange(6) < 4
    expected = np.outer(mask, mask) & ~np.eye(6, dtype=bool)
    np.testing.assert_array_equal(similar(z, mask, 1), expected)
    assert not similar(z, mask, 0).any()
    assert not similar(z, jnp.zeros(6, bool), 3).any()
    assert not similar(z, jnp.arange(6) == 2, 3).any()


def test_pair_cross_entropy_against_scikit_learn(loss_and_grad, rtol):
    loss, _ = loss_and_grad(jnp.asarray(LOGITS), jnp.asarray(TOGETHER), jnp.asarray(MASK))
    p = np.exp(np.float64(LOGITS))
    p /= p.sum(axis=1, keepdims=True)
    i, j = np.triu_indices(int(MASK.sum()), k=1)
    same = (p[MASK] @ p[MASK].T)[i, j]
    expected = log_loss(TOGETHER[np.ix_(MASK, MASK)][i, j], same)
    np.testing.assert_allclose(loss, expected, rtol=10 * rtol)


def test_pair_cross_entropy_by_hand(rtol):
    """Softmaxes (3/4, 1/4) and (1/2, 1/2): the same cluster with probability 1/2."""
    logits = jnp.log(jnp.array([[3.0, 1.0], [1.0, 1.0], [9.0, 1.0]]))
    mask = jnp.array([True, True, False])
    for together in (True, False):
        loss = pair_cross_entropy(logits, jnp.full((3, 3), together), mask)
        np.testing.assert_allclose(loss, np.log(2), rtol=10 * rtol)


def test_rows_behind_the_mask_have_no_gradient(loss_and_grad):
    _, grad = loss_and_grad(jnp.asarray(LOGITS), jnp.asarray(TOGETHER), jnp.asarray(MASK))
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

    logits = jnp.asarray(scale * LOGITS)
    _, grad = loss_and_grad(logits, jnp.asarray(TOGETHER), jnp.asarray(MASK))
    expected = jax.grad(definition)(logits)
    np.testing.assert_allclose(grad, expected, atol=100 * rtol * np.abs(expected).max())


@pytest.mark.parametrize("n_rows", [0, 1])
def test_without_a_pair_the_loss_is_0(n_rows, loss_and_grad):
    mask = jnp.arange(N) < n_rows
    loss, grad = loss_and_grad(jnp.asarray(LOGITS), jnp.asarray(TOGETHER), mask)
    assert loss == 0
    np.testing.assert_array_equal(grad, 0)


@pytest.mark.parametrize("together", [True, False])
def test_certain_rows_stay_finite(together, loss_and_grad):
    """Probabilities of exactly 0 and 1, whose squares may add up to more than 1 when rounded."""
    logits = jnp.where(jnp.eye(N, K), 1e4, -1e4).at[N // 2 :].set(0.0)
    loss, grad = loss_and_grad(logits, jnp.full((N, N), together), jnp.ones(N, bool))
    assert np.isfinite(loss)
    assert np.isfinite(grad).all()


def test_certain_and_wrong_costs_what_epsilon_allows(rtol):
    logits = jnp.array([[50.0, -50.0]] * 2)
    loss = pair_cross_entropy(logits, jnp.zeros((2, 2), bool), jnp.ones(2, bool))
    np.testing.assert_allclose(loss, -np.log(1e-7), rtol=10 * rtol)


def test_disagreement_is_a_mean_over_what_counts(rtol):
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, N, K)).astype(np.float32)
    columns = np.array([True, False, True, True])
    found = disagreement(*map(jnp.asarray, (a, b, MASK, columns)))
    expected = np.square(a - b)[MASK][:, columns].mean()
    np.testing.assert_allclose(found, expected, rtol=10 * rtol)
    none = jnp.zeros(N, bool)
    assert disagreement(*map(jnp.asarray, (a, b, none, columns))) == 0


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        pair_cross_entropy(jnp.ones((2, 3)), jnp.ones((3, 3), bool), jnp.ones(3, bool))
    with pytest.raises(AssertionError):
        disagreement(jnp.ones((2, 3)), jnp.ones((2, 1)), jnp.ones(2, bool), jnp.ones(3, bool))
