"""Successive halving, against trainings that know nothing of it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import few

from ncd_jax.tuning.cross_validation import Protocol, SweepData, cross_validate
from ncd_jax.tuning.halving import Climb, Rung, compile_rungs, plan_rungs, what_varies
from ncd_jax.types import Clusters, Stage

F, S, EPOCHS = 3, 2, 8
KEYS = jax.random.split(jax.random.key(0), S)
LR = np.array([1e-4, 0.03, 1e-3, 0.01, 3e-3])


@pytest.mark.parametrize(
    ("arguments", "plan"),
    [
        ((8, 0, 200, 3), [(8, 50), (4, 100), (2, 200)]),
        ((16, 0, 200, 1), [(16, 200)]),
        ((5, 0, 8, 3), [(5, 2), (3, 4), (2, 8)]),
        ((3, 0, 8, 3), [(3, 2), (2, 4), (1, 8)]),
        # There is nothing to halve, or not enough to halve it.
        ((1, 0, 8, 3), [(1, 8)]),
        ((2, 0, 8, 3), [(2, 2), (1, 8)]),
        ((8, 0, 1, 3), [(8, 1)]),
        # The first 100 epochs are another stage.
        ((4, 100, 200, 2), [(4, 150), (2, 200)]),
    ],
)
def test_plan(arguments, plan):
    assert plan_rungs(*arguments) == [Rung(*each) for each in plan]


def protocol_of(epochs, rungs, lanes=40):
    return Protocol(epochs, batch_size=40, n_hidden=2, lanes=lanes, k_search=None, rungs=rungs)


@pytest.fixture(scope="module")
def striped_toy(toy):
    """The toy, whose clusters take no k-means and hang on every step: no candidate is like another.

    K-means is most of its programs, and says the same of nearly all candidates.
    """

    def cluster(key, state, z, k, mask):
        stripes = jnp.floor(40 * jnp.sum(z, axis=1)).astype(jnp.int32)
        return Clusters(jnp.zeros((toy.max_clusters, z.shape[1])), stripes % k)

    return toy._replace(cluster=cluster)


@pytest.fixture(scope="module")
def data(table, folds):
    for_judge = np.zeros(F, np.float32), np.zeros(1, np.int32)
    data = SweepData(KEYS, table[0].x, folds, np.full(F, 2, np.int32), *for_judge)
    return jax.device_put(data)


@pytest.fixture(scope="module")
def until(striped_toy, data, toy_hparams):
    """All candidates trained until an epoch, by one program for each."""

    @functools.cache
    def run(epochs):
        hparams = toy_hparams({"lr": LR})
        sweep = jax.jit(
            lambda: cross_validate(striped_toy, data, hparams, protocol_of(epochs, 1), len(LR))
        )
        return jax.tree.map(np.asarray, sweep())

    return run


def worth(result):
    return result.accuracy.mean((1, 2), np.float64)


@pytest.mark.parametrize("lanes", few([40, 1], 40))
def test_equals_trainings_that_stop_there(lanes, striped_toy, data, toy_hparams, until, rtol):
    """Who goes on is chosen by hand here, from trainings of 2, 4 and 8 epochs of their own."""
    hparams = toy_hparams({"lr": LR})
    climb = compile_rungs(striped_toy, data, hparams, protocol_of(EPOCHS, 3, lanes), len(LR))
    result, epochs = climb(hparams, len(LR))

    assert len(set(worth(until(2)))) == len(LR), "else it would not matter who goes on"
    left, expected = np.arange(len(LR)), np.zeros(len(LR), int)
    for end, n in ((2, 3), (4, 2), (8, 2)):
        expected[left] = end
        left = np.sort(left[np.argsort(-worth(until(end))[left], kind="stable")[:n]])
    np.testing.assert_array_equal(epochs, expected)
    assert sorted(epochs) == [2, 2, 4, 8, 8]
    for a, end in enumerate(epochs):
        alone = jax.tree.map(lambda leaf, a=a: leaf[a], until(int(end)))
        here = jax.tree.map(lambda leaf, a=a: np.asarray(leaf)[a], result)
        np.testing.assert_array_equal(here.loss[..., end:], 0)
        here = here._replace(loss=here.loss[..., :end])
        close = functools.partial(np.testing.assert_allclose, rtol=100 * rtol, atol=1e-5)
        jax.tree.map(close, here, alone)


def test_what_fills_up_a_batch_takes_no_place(striped_toy, data, toy_hparams):
    """Of the last batch of a search only the first candidates are asked."""
    hparams = toy_hparams({"lr": LR})
    climb = compile_rungs(striped_toy, data, hparams, protocol_of(EPOCHS, 3), len(LR))
    result, epochs = climb(hparams, 3)
    assert len(result.k) == 3
    assert sorted(epochs) == [2, 4, 8]
    first = toy_hparams({"lr": np.concatenate([LR[:3], LR[2:3], LR[2:3]])})
    jax.tree.map(np.testing.assert_array_equal, climb(first, 3), Climb(result, epochs))


def test_rungs_are_in_the_last_stage(striped_toy, data, toy_hparams):
    """Stages before it belong to everybody, and it is entered once."""
    (last,) = striped_toy.stages
    entered = last._replace(share=0.5, enter=lambda state: state._replace(opt=state.opt + 1000))

    def count(key, state, batch, hparams):
        return state._replace(opt=state.opt + 1), {"loss": state.opt * 1.0}

    def tell(key, state, batch, hparams):
        return state._replace(opt=state.opt + 1), {"loss": state.opt * 1.0}

    method = striped_toy._replace(stages=(Stage(count, 0.5), entered._replace(step=tell)))
    hparams = toy_hparams({"lr": LR})
    climb = compile_rungs(method, data, hparams, protocol_of(EPOCHS, 2), len(LR))
    result, epochs = climb(hparams, len(LR))
    assert sorted(epochs) == [6, 6, 8, 8, 8]
    n_steps = -(-len(data.x) // 40)
    steps = np.arange(EPOCHS) * n_steps + (n_steps - 1) / 2 + 1000 * (np.arange(EPOCHS) >= 4)
    for a, end in enumerate(epochs):
        np.testing.assert_allclose(result.loss[a, :, :, :end], steps[:end] + np.zeros((F, S, end)))


def test_what_runs_share_is_found(striped_toy, data, toy_hparams):
    """Of the toy's state only the count of steps; its scale begins alike and then differs."""
    found = what_varies(striped_toy, data, toy_hparams({"lr": LR}), protocol_of(EPOCHS, 3))
    state, loss = jax.tree.unflatten(*found)
    assert state == (True, False)
    assert loss


def test_who_diverges_does_not_go_on(striped_toy, data, toy_hparams):
    hparams = toy_hparams({"lr": np.array([np.nan, 1e-3, 1e-2, np.inf, 1e-4])})
    climb = compile_rungs(striped_toy, data, hparams, protocol_of(EPOCHS, 3), 5)
    result, epochs = climb(hparams, 5)
    assert result.diverged[[0, 3]].all()
    assert not result.diverged[[1, 2, 4]].any()
    np.testing.assert_array_equal(epochs[[0, 3]], 2)
