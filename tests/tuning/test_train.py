import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import hypergeom

from ncd_jax.tuning.train import epoch_order, most_wanted, train
from ncd_jax.types import Batch, Goal, Stage

KEY = jax.random.key(3)
ORDER = jax.jit(epoch_order, static_argnums=(1, 2))


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "shape"),
    [(10, 4, (3, 4)), (9, 8, (2, 5)), (12, 4, (3, 4)), (7, 100, (1, 7)), (1, 2, (1, 1))],
)
def test_epoch_order(n_rows, batch_size, shape):
    """Every row in every epoch, batches of one size, at most one more a batch than needed."""
    order = np.asarray(ORDER(KEY, n_rows, batch_size))
    assert order.shape == shape
    assert set(order.ravel()) == set(range(n_rows))
    assert order.size < n_rows + len(order)
    for batch in order:
        assert len(set(batch)) == len(batch)


def test_epochs_have_their_own_order():
    a, b = (np.asarray(ORDER(jax.random.fold_in(KEY, i), 50, 10)) for i in range(2))
    assert (a != b).any()


@pytest.mark.parametrize("n_wanted", [0, 1, 30, 1500, 7000, 7494])
def test_hardly_any_batch_has_more_wanted_rows(n_wanted):
    """By the distribution of rows drawn without replacement; and room is not wasted."""
    most = most_wanted(n_wanted, 7494, 500)
    assert hypergeom.sf(most, 7494, n_wanted, 500) <= 1e-10
    assert most <= min(n_wanted, 500)
    assert n_wanted > 1500 or most < 220


def test_lists_of_wanted_rows_may_be_filled_up_beyond_the_table():
    assert most_wanted(128, 121, 61) == most_wanted(121, 121, 61) == 61


def test_steps_are_told_where_the_wanted_rows_are(toy, table, goal, toy_hparams):
    data, _ = table

    def step(key, state, batch, hparams):
        there = jnp.arange(len(batch.places)) < jnp.sum(batch.wanted)
        times = jnp.zeros(len(batch.x), jnp.int32).at[batch.places].add(there)
        off = jnp.sum(times != batch.wanted)
        return state, {"loss": off.astype(jnp.float32), "room": jnp.float32(len(batch.places))}

    few = Goal(*jax.device_put((np.asarray(goal.rows)[:6], np.ones(6, bool), np.int32(2))))
    method = toy._replace(stages=(Stage(step),))
    run = functools.partial(train, epochs=3, batch_size=32)
    _, info = jax.jit(lambda data: run(KEY, method, data, few, toy_hparams({"lr": 0.1})))(data)
    assert (info["room"] == 6).all()
    assert (info["loss"] == 0).all()


@pytest.fixture(scope="module")
def trained(toy, table, goal, toy_hparams):
    run = functools.partial(train, epochs=3, batch_size=32)
    hparams = toy_hparams({"lr": 0.05})
    train_it = jax.jit(lambda key, data: run(key, toy, data, goal, hparams))
    return train_it(KEY, table[0]), hparams, train_it


def test_equals_a_plain_loop(trained, toy, table, goal, rtol):
    """The same steps, one by one."""
    (state, info), hparams, _ = trained
    data, _ = table
    x, y = map(np.asarray, data[:2])
    key_init, key_order, key_step = jax.random.split(KEY, 3)
    step = jax.jit(toy.stages[0].step)
    expected, losses = jax.jit(toy.init)(key_init, data, goal, hparams), []
    for epoch in range(3):
        order = ORDER(jax.random.fold_in(key_order, epoch), len(x), 32)
        keys = jax.random.split(jax.random.fold_in(key_step, epoch), len(order))
        of_epoch = []
        for key, rows in zip(keys, np.asarray(order), strict=True):
            batch = Batch(x[rows], y[rows], y[rows] == -1)
            expected, values = step(key, expected, batch, hparams)
            of_epoch.append(values["loss"])
        losses.append(np.mean(of_epoch))
    assert state.opt == 3 * 3
    np.testing.assert_allclose(state.scale, expected.scale, rtol=rtol)
    np.testing.assert_allclose(info["loss"], losses, rtol=10 * rtol)


def test_loss_goes_down(toy, table, goal, toy_hparams):
    """In every epoch, where a batch holds all rows and there is no noise."""
    hparams = toy_hparams({"lr": 0.05, "noise": 0.0})
    run = functools.partial(train, epochs=8, batch_size=100)
    _, info = jax.jit(lambda data: run(KEY, toy, data, goal, hparams))(table[0])
    assert info["loss"].shape == (8,)
    assert (np.diff(info["loss"]) < 0).all()


def test_only_labels_that_are_given_matter(trained, table):
    """Hiding a class changes training; the key does too."""
    (state, _), _, run = trained
    data, _ = table
    hidden = data._replace(y=np.where(np.asarray(data.y) == 1, -1, data.y))
    assert not np.allclose(run(KEY, hidden)[0].scale, state.scale)
    assert not np.allclose(run(jax.random.key(4), data)[0].scale, state.scale)
    np.testing.assert_array_equal(run(KEY, data)[0].scale, state.scale)


def test_stages_follow_each_other(toy, table, goal, toy_hparams):
    """Two stages share the epochs, the second begins with what `enter` makes of the state."""

    def stage(number, share, enter=lambda state: state):
        def step(key, state, batch, hparams):
            return state._replace(opt=state.opt + 1), {
                "loss": jnp.float32(number),
                f"only_{number}": 0.0,
            }

        return Stage(step, share, enter)

    stages = (stage(1, 0.3), stage(2, 0.7, lambda state: state._replace(opt=state.opt + 1000)))
    method = toy._replace(stages=stages)
    data, _ = table
    run = jax.jit(
        lambda hparams: train(KEY, method, data, goal, hparams, epochs=10, batch_size=100)
    )
    state, info = run(toy_hparams({"lr": 0.05}))
    assert state.opt == 10 + 1000
    assert set(info) == {"loss"}
    np.testing.assert_array_equal(info["loss"], [1] * 3 + [2] * 7)


def test_without_stages_nothing_is_trained(toy, table, goal, toy_hparams):
    hparams = toy_hparams({"lr": 0.05})
    method = toy._replace(stages=())
    state, info = jax.jit(
        lambda data: train(KEY, method, data, goal, hparams, epochs=10, batch_size=100)
    )(table[0])
    expected = jax.jit(toy.init)(jax.random.split(KEY, 3)[0], table[0], goal, hparams)
    np.testing.assert_array_equal(state.scale, expected.scale)
    np.testing.assert_array_equal(info["loss"], [0])


def test_a_step_is_told_which_rows_are_wanted(toy, table, toy_hparams):
    """Rows of the goal, once each; padding, here a repeated first row, adds none."""
    data, _ = table
    rows, mask = np.array([3, 5, 8, 3], np.int32), np.array([False, True, True, False])
    goal = jax.device_put(Goal(rows, mask, np.int32(2)))

    def step(key, state, batch, hparams):
        seen = jnp.sum(jnp.where(batch.wanted, batch.x[:, 0], 0.0))
        return state, {"loss": seen, "n": 1.0 * jnp.sum(batch.wanted)}

    method = toy._replace(stages=(Stage(step),))
    hparams = toy_hparams({"lr": 0.05})
    run = functools.partial(train, epochs=1, batch_size=len(data.x))
    _, info = jax.jit(lambda data: run(KEY, method, data, goal, hparams))(data)
    assert info["n"] == 2
    x = np.asarray(data.x)
    np.testing.assert_allclose(info["loss"], x[5, 0] + x[8, 0], rtol=1e-5)
