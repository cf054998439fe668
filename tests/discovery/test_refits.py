import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from ncd_jax.discovery.refits import (
    agreement,
    assign_novel,
    centroid_distances,
    margin,
    partition,
    refit,
)
from ncd_jax.tuning.k_estimation import KSearch
from ncd_jax.tuning.train import train

S, EPOCHS, SLOTS = 3, 2, 5
KEYS = jax.random.split(jax.random.key(0), S)


@pytest.fixture(scope="module")
def refits(toy, table, goal, toy_hparams):
    """Three refits on two devices, with and without a search for the number of classes."""
    data, classes = table

    def run(lr, k_search):
        hparams = toy_hparams({"lr": np.full(S, lr)})
        options = {"epochs": EPOCHS, "batch_size": 32, "k_search": k_search}
        return jax.jit(lambda: refit(KEYS, toy, data, goal, hparams, **options))()

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


def test_partition(searched, refits, toy):
    """Every refit into the same number of clusters, with room for more."""
    _, novel = refits
    run = jax.jit(partition, static_argnames="method")
    mask = jnp.ones(len(novel), bool)
    result = run(jax.random.key(1), toy, searched, 2, mask)
    assert result.labels.shape == (S, len(novel))
    assert result.centroids.shape == (S, SLOTS, 4)
    assert [adjusted_rand_score(novel, labels) for labels in result.labels] == [1] * S


def test_assign_novel_counts_classes_and_not_slots(toy):
    """Three classes in the slots 4, 0 and 2 of five: rows on their centroids, and near them."""
    centroids = jnp.array([[9.0, 0.0], [0.0, 0.0], [0.0, 9.0]])
    z = jnp.array([[0.0, 8.0], [0.0, 0.0], [9.0, 0.0], [6.0, 1.0]])
    found = assign_novel(toy, None, z, centroids, np.array([4, 0, 2]))
    np.testing.assert_array_equal(found, [2, 1, 0, 0])


def test_without_training_all_refits_share_one_state(toy, table, goal, toy_hparams):
    hparams, method = toy_hparams({"lr": np.full(S, 0.01)}), toy._replace(stages=())
    options = {"epochs": EPOCHS, "batch_size": 32, "k_search": None}
    result = jax.jit(lambda: refit(KEYS, method, table[0], goal, hparams, **options))()
    np.testing.assert_array_equal(result.loss, np.zeros((S, 1)))
    assert result.finite.all()
    np.testing.assert_array_equal(result.z, jnp.broadcast_to(result.z[0], result.z.shape))


def test_agreement_against_scikit_learn(rtol):
    labels = np.random.default_rng(0).integers(0, 4, (5, 40))
    labels[1] = (labels[0] + 1) % 4
    mask = np.arange(40) % 4 > 0
    ours = agreement(jnp.asarray(labels), jnp.asarray(mask), 6)
    expected = [[adjusted_rand_score(a[mask], b[mask]) for b in labels] for a in labels]
    np.testing.assert_allclose(ours, expected, rtol=rtol, atol=1e-6)


def test_margin():
    """On a centroid, halfway to the border, on the border, and a third centroid far away."""
    centroids = jnp.array([[0.0, 0.0], [4.0, 0.0], [0.0, 100.0]])
    z = jnp.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [-4.0, 0.0]])
    np.testing.assert_allclose(margin(z, centroids), [1, 2 / 3, 0, 1, 1 / 2], rtol=1e-6)
    np.testing.assert_array_equal(margin(z, centroids[:1]), 1)


def test_margin_is_a_share_for_any_rows():
    rng = np.random.default_rng(0)
    z, centroids = rng.normal(size=(50, 3)), rng.normal(size=(6, 3))
    values = margin(jnp.asarray(z), jnp.asarray(centroids))
    distance = np.sort(np.linalg.norm(z[:, None] - centroids, axis=2), axis=1)
    np.testing.assert_allclose(values, 1 - distance[:, 0] / distance[:, 1], rtol=1e-4, atol=1e-6)
    assert values.min() >= 0
    assert values.max() <= 1
    same = margin(jnp.zeros((2, 3)), jnp.zeros((2, 3)))
    np.testing.assert_array_equal(same, 0)


def test_centroid_distances_against_scipy():
    rng = np.random.default_rng(0)
    z, centroids = rng.normal(size=(2, 7, 3)), rng.normal(size=(2, 4, 3))
    ours = centroid_distances(jnp.asarray(z), jnp.asarray(centroids))
    np.testing.assert_allclose(
        ours, [cdist(*pair) for pair in zip(z, centroids, strict=True)], 1e-5
    )
