"""Refits: each is a training of its own, and what all share is there once."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from ncd_jax.clustering.n_clusters import KSearch
from ncd_jax.discovery.fit import Training, cut, refit, refit_all
from ncd_jax.discovery.problem import prepare
from ncd_jax.tuning.train import train

S, EPOCHS, SLOTS = 3, 2, 5
KEYS = jax.random.split(jax.random.key(0), S)
KNOWN = np.arange(5)


@pytest.fixture(scope="module")
def refits(toy, table, goal, toy_hparams):
    """Three refits on two devices, with and without a search for the number of classes."""
    search = KSearch(max_clusters=SLOTS, n_known=5, index="silhouette", restarts=3, max_rows=100)
    training = Training(toy, EPOCHS, 32, search)
    compiled = jax.jit(functools.partial(refit, training))

    def run(lr):
        hparams = toy_hparams({"lr": np.full(S, lr)})
        return compiled(KEYS, table[0], goal, hparams, KNOWN)

    return run


@pytest.fixture(scope="module")
def searched(refits):
    return refits(0.01)


def test_refits_equal_single_trainings(searched, toy, table, goal, toy_hparams, rtol):
    data = table[0]
    x, novel = np.asarray(data.x), np.asarray(goal.rows)
    hparams = toy_hparams({"lr": 0.01})
    run = jax.jit(lambda key: train(key, toy, data, goal, hparams, epochs=EPOCHS, batch_size=32))
    for i, key in enumerate(KEYS):
        state, info = run(jax.random.split(key)[0])
        np.testing.assert_allclose(searched.state.scale[i], state.scale, rtol=10 * rtol)
        np.testing.assert_allclose(searched.loss[i], info["loss"], rtol=10 * rtol)
        z = x * np.asarray(state.scale)  # as the toy represents rows
        np.testing.assert_allclose(searched.z[i], z[novel], rtol=10 * rtol, atol=1e-6)
        np.testing.assert_allclose(searched.known[i], z[KNOWN], rtol=10 * rtol, atol=1e-6)


def test_states_are_taken_out_on_the_host(searched):
    """Refits are spread over devices; none of them has to wait for another."""
    states = searched.states(slice(1, 3))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(states))
    np.testing.assert_array_equal(states.scale, np.asarray(searched.state.scale)[1:3])
    assert states.opt is None


def test_refits_find_the_number_of_novel_classes(searched, goal):
    assert searched.z.shape == (S, len(goal.rows), 4)
    assert searched.loss.shape == (S, EPOCHS)
    assert searched.finite.all()
    np.testing.assert_array_equal(searched.estimate.k, [2] * S)
    assert searched.estimate.values.shape == searched.estimate.ks.shape == (S, SLOTS - 1)


def test_divergence_is_seen(refits):
    result = refits(np.inf)
    assert not result.finite.any()
    np.testing.assert_array_equal(result.z, 0)


def test_without_training_all_refits_share_one_state(toy, table, goal, toy_hparams):
    """And a number that is given is not looked for."""
    hparams, method = toy_hparams({"lr": np.full(S, 0.01)}), toy._replace(stages=())
    training = Training(method, EPOCHS, 32, None)
    result = jax.jit(lambda: refit(training, KEYS, table[0], goal, hparams, KNOWN))()
    np.testing.assert_array_equal(result.loss, np.zeros((S, 1)))
    assert result.finite.all()
    z = np.asarray(result.z)
    np.testing.assert_array_equal(z, np.broadcast_to(z[0], z.shape))
    assert result.estimate is None


HPARAMS = {"lr": 1e-3, "noise": 0.0}


@pytest.fixture(scope="module")
def ready(overlapping, quick, toy_method):
    return prepare(dataclasses.replace(quick, method=toy_method, hparams=HPARAMS), overlapping, 2)


def test_refits_take_turns_with_the_candidates(ready):
    """Each refit is what it would be if its candidate were the only one."""
    hparams, other = HPARAMS, HPARAMS | {"lr": 0.1}
    both = refit_all(ready, [hparams, other] * 2).z
    for turn, alone in enumerate((hparams, other)):
        z = refit_all(ready, [alone] * 4).z
        np.testing.assert_allclose(both[turn::2], z[turn::2], rtol=1e-4, atol=1e-5)
    assert not np.allclose(both[0], both[1], atol=1e-3)


def test_refits_that_all_diverged_are_said(ready):
    with pytest.raises(FloatingPointError, match="every refit diverged; give a smaller"):
        refit_all(ready, [HPARAMS | {"lr": np.inf}] * 4)


def test_cuts_differ_by_where_they_start_alone(run_of):
    """Rows that are far apart stay apart, however often they are cut."""
    _, _, solution = run_of("judge", "ncd")
    problem = solution.winner.problem
    scenes = cut(problem, refit_all(problem, problem.candidates), 3)
    labels = [np.asarray(scene.labels)[problem.target_mask] for scene in scenes]
    assert {len(each) for each in labels} == {115}
    assert not np.array_equal(labels[0], labels[1])
    assert not np.array_equal(labels[1], labels[2])
    for scene, own in zip(scenes, labels, strict=True):
        sizes = np.bincount(own, minlength=len(scene.sizes))
        np.testing.assert_array_equal(scene.sizes, sizes)
