import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.clustering.n_clusters import KSearch
from ncd_jax.discovery.refits import Training, refit
from ncd_jax.tuning.train import train

S, EPOCHS, SLOTS = 3, 2, 5
KEYS = jax.random.split(jax.random.key(0), S)


@pytest.fixture(scope="module")
def refits(toy, table, goal, toy_hparams):
    """Three refits on two devices, with and without a search for the number of classes."""
    data, classes = table

    def run(lr, k_search):
        hparams = toy_hparams({"lr": np.full(S, lr)})
        training = Training(toy, EPOCHS, 32, k_search, 5)
        return jax.jit(lambda: refit(training, KEYS, data, goal, hparams))()

    return run, classes[np.asarray(goal.rows)]


@pytest.fixture(scope="module")
def searched(refits):
    run, _ = refits
    return run(
        0.01, KSearch(max_clusters=SLOTS, n_known=5, index="silhouette", restarts=3, max_rows=100)
    )


def test_refits_equal_single_trainings(searched, toy, table, goal, toy_hparams, rtol):
    data, _ = table
    hparams = toy_hparams({"lr": 0.01})
    run = jax.jit(lambda key: train(key, toy, data, goal, hparams, epochs=EPOCHS, batch_size=32))
    for i, key in enumerate(KEYS):
        state, info = run(jax.random.split(key)[0])
        np.testing.assert_allclose(searched.state.scale[i], state.scale, rtol=10 * rtol)
        np.testing.assert_allclose(searched.loss[i], info["loss"], rtol=10 * rtol)
        z = toy.represent(state, data.x[data.y == -1])
        np.testing.assert_allclose(searched.z[i], z, rtol=10 * rtol, atol=1e-6)


def test_a_state_is_taken_out_on_the_host(searched):
    """Refits are spread over devices; none of them has to wait for another."""
    state = searched.state_of(1)
    assert all(isinstance(leaf, np.ndarray | np.generic) for leaf in jax.tree.leaves(state))
    np.testing.assert_array_equal(state.scale, np.asarray(searched.state.scale)[1])


def test_refits_find_the_number_of_novel_classes(searched, refits):
    _, novel = refits
    assert searched.z.shape == (S, len(novel), 4)
    assert searched.loss.shape == (S, EPOCHS)
    assert searched.finite.all()
    np.testing.assert_array_equal(searched.estimate.k, [2] * S)
    assert searched.estimate.values.shape == searched.estimate.ks.shape == (S, SLOTS - 1)


def test_number_that_is_given_is_not_looked_for_and_divergence_is_seen(refits):
    run, _ = refits
    result = run(np.inf, None)
    assert result.estimate is None
    assert not result.finite.any()
    np.testing.assert_array_equal(result.z, 0)


def test_without_training_all_refits_share_one_state(toy, table, goal, toy_hparams):
    hparams, method = toy_hparams({"lr": np.full(S, 0.01)}), toy._replace(stages=())
    training = Training(method, EPOCHS, 32, None, 5)
    result = jax.jit(lambda: refit(training, KEYS, table[0], goal, hparams))()
    np.testing.assert_array_equal(result.loss, np.zeros((S, 1)))
    assert result.finite.all()
    np.testing.assert_array_equal(result.z, jnp.broadcast_to(result.z[0], result.z.shape))
