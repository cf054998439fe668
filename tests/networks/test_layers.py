import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.networks.layers import Dense, Dropout, Perceptron

KEY = jax.random.key(0)
H = np.random.default_rng(0).normal(1.0, 2.0, (64, 5)).astype(np.float32)


@pytest.fixture(scope="module")
def drop(count_traces):
    def apply(key, h, rate):
        return Dropout().apply({}, h, rate, train=True, rngs={"dropout": key})

    counted = count_traces(apply)
    compiled = jax.jit(counted)
    compiled.counted = counted
    return compiled


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate, drop):
    """By the law of large numbers: a share `rate` is zero, and the rest makes up for it."""
    ones = np.ones((500, 400), np.float32)
    out = np.asarray(drop(KEY, ones, rate))
    deviation = np.sqrt(rate * (1 - rate) / ones.size)
    assert abs(np.mean(out == 0) - rate) < 5 * deviation
    assert abs(out.mean() - 1) < 5 * deviation / (1 - rate)
    np.testing.assert_allclose(out[out != 0], 1 / (1 - rate), rtol=1e-6)


def test_dropout_at_rate_zero_and_in_evaluation_is_the_identity(drop):
    np.testing.assert_array_equal(drop(KEY, H, 0.0), H)
    np.testing.assert_array_equal(Dropout().apply({}, H, 0.5, train=False), H)


def test_dropout_rate_is_no_new_compilation(drop):
    drop(KEY, H, 0.2)
    before = drop.counted.traces
    for rate in (0.3, 0.4, 0.5):
        drop(KEY, H, rate)
    assert drop.counted.traces == before


def test_rates_share_their_noise(drop):
    """What a low rate drops, a higher rate drops too; other keys drop other values."""
    low, high = np.asarray(drop(KEY, H, 0.2)) == 0, np.asarray(drop(KEY, H, 0.6)) == 0
    assert (high >= low).all()
    assert high.sum() > low.sum() > 0
    assert (np.asarray(drop(jax.random.key(1), H, 0.2) == 0) != low).any()


def test_initial_weights_are_uniform_in_the_fan_in():
    """The fan-in is the number that is given, not the width of the array."""
    variables = jax.jit(Dense(300).init)(KEY, jnp.ones((64, 1)), 16.0)["params"]
    for leaf in (variables["kernel"], variables["bias"]):
        assert jnp.abs(leaf).max() <= 0.25
        np.testing.assert_allclose(leaf.std(), 0.25 / np.sqrt(3), rtol=0.1)


@pytest.fixture(scope="module")
def perceptron():
    """A net with one hidden layer, its variables, and its two modes."""
    net = Perceptron((4, 3))
    variables = jax.jit(functools.partial(net.init, train=False))(KEY, H.T, 5, 0.0)

    @jax.jit
    def train(variables, h, rate, key=KEY):
        out, updated = net.apply(
            variables, h.T, 5, rate, train=True, rngs={"dropout": key}, mutable=["batch_stats"]
        )
        return out.T, updated

    @jax.jit
    def evaluate(variables, h):
        return net.apply(variables, h.T, 5, 0.5, train=False).T

    return variables, train, evaluate


def by_hand(variables, h, mean=None, variance=None):
    """The same net in NumPy; batch statistics where none are given."""
    params, h, mean, variance = jax.tree.map(np.asarray, (variables["params"], h, mean, variance))
    first, second, norm = params["Dense_0"], params["Dense_1"], params["BatchNorm_0"]
    hidden = np.maximum(h @ first["kernel"] + first["bias"], 0)
    mean = hidden.mean(axis=0) if mean is None else mean
    variance = hidden.var(axis=0) if variance is None else variance
    normed = (hidden - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"]
    return normed @ second["kernel"] + second["bias"], hidden


def test_training_uses_and_records_batch_statistics(perceptron, rtol):
    variables, train, _ = perceptron
    out, updated = train(variables, H, 0.0)
    expected, hidden = by_hand(variables, H)
    np.testing.assert_allclose(out, expected, rtol=10 * rtol, atol=1e-4)
    running = updated["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(running["mean"], 0.1 * hidden.mean(axis=0), rtol=10 * rtol)
    np.testing.assert_allclose(running["var"], 0.9 + 0.1 * hidden.var(axis=0), rtol=10 * rtol)


def test_evaluation_uses_running_statistics_and_no_noise(perceptron, rtol):
    """A row's output does not depend on the rows beside it."""
    variables, train, evaluate = perceptron
    _, updated = train(variables, H, 0.0)
    variables = {**variables, **updated}
    running = updated["batch_stats"]["BatchNorm_0"]
    expected, _ = by_hand(variables, H, running["mean"], running["var"])
    out = evaluate(variables, H)
    np.testing.assert_allclose(out, expected, rtol=10 * rtol, atol=1e-4)
    np.testing.assert_array_equal(evaluate(variables, H), out)
    np.testing.assert_allclose(evaluate(variables, H[:7]), out[:7], rtol=rtol, atol=1e-5)


def test_training_is_noisy_by_its_key_alone(perceptron):
    variables, train, _ = perceptron
    a, b, c = (train(variables, H, 0.5, jax.random.key(i))[0] for i in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c)
