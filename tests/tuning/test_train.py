import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.tuning.train import epoch_order, train
from ncd_jax.types import NCDData

KEY = jax.random.key(3)


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "shape"),
    [(10, 4, (3, 4)), (9, 8, (2, 5)), (12, 4, (3, 4)), (7, 100, (1, 7)), (1, 2, (1, 1))],
)
def test_epoch_order(n_rows, batch_size, shape):
    """Every row in every epoch, batches of one size, at most one more a batch than needed."""
    order = np.asarray(epoch_order(KEY, n_rows, batch_size))
    assert order.shape == shape
    assert set(order.ravel()) == set(range(n_rows))
    assert order.size < n_rows + len(order)
    for batch in order:
        assert len(set(batch)) == len(batch)


def test_epochs_have_their_own_order():
    a, b = (epoch_order(jax.random.fold_in(KEY, i), 50, 10) for i in range(2))
    assert (a != b).any()


@pytest.fixture(scope="module")
def trained(toy, table, toy_hparams):
    run = functools.partial(train, epochs=3, batch_size=32)
    hparams = toy_hparams({"lr": 0.05})
    return jax.jit(lambda data: run(KEY, toy, data, hparams))(table[0]), hparams


def test_equals_a_plain_loop(trained, toy, table, rtol):
    """The same steps, one by one."""
    (state, info), hparams = trained
    data, _ = table
    key_init, key_order, key_step = jax.random.split(KEY, 3)
    step = jax.jit(toy.step)
    expected, losses = toy.init(key_init, data, hparams), []
    for epoch in range(3):
        order = epoch_order(jax.random.fold_in(key_order, epoch), len(data.x), 32)
        keys = jax.random.split(jax.random.fold_in(key_step, epoch), len(order))
        of_epoch = []
        for key, rows in zip(keys, order, strict=True):
            batch = NCDData(data.x[rows], data.y[rows])
            expected, values = step(key, expected, batch, hparams)
            of_epoch.append(values["loss"])
        losses.append(np.mean(of_epoch))
    assert state.opt == 3 * 3
    np.testing.assert_allclose(state.scale, expected.scale, rtol=rtol)
    np.testing.assert_allclose(info["loss"], losses, rtol=10 * rtol)


def test_loss_goes_down(toy, table, toy_hparams):
    """In every epoch, where a batch holds all rows and there is no noise."""
    hparams = toy_hparams({"lr": 0.05, "noise": 0.0})
    run = functools.partial(train, epochs=8, batch_size=100)
    _, info = jax.jit(lambda data: run(KEY, toy, data, hparams))(table[0])
    assert info["loss"].shape == (8,)
    assert (jnp.diff(info["loss"]) < 0).all()


def test_only_labels_that_are_given_matter(trained, toy, table, toy_hparams):
    """Hiding a class changes training; the key does too."""
    (state, _), hparams = trained
    data, _ = table
    run = jax.jit(lambda key, data: train(key, toy, data, hparams, epochs=3, batch_size=32)[0])
    hidden = data._replace(y=jnp.where(data.y == 1, -1, data.y))
    assert not np.allclose(run(KEY, hidden).scale, state.scale)
    assert not np.allclose(run(jax.random.key(4), data).scale, state.scale)
    np.testing.assert_array_equal(run(KEY, data).scale, state.scale)
