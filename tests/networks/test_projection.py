import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.clustering.rows import unit_rows
from ncd_jax.networks.projection import ProjectionNet

KEY = jax.random.key(0)
D, C, WIDE, NARROW = 8, 3, 16, 5
X = np.random.default_rng(0).normal(size=(10, D)).astype(np.float32)


def test_unit_rows():
    h = np.float32([[3, 4], [-1e-6, 0], [1e12, 0], [0, 0]])
    np.testing.assert_allclose(
        jax.jit(unit_rows)(h), [[0.6, 0.8], [-1, 0], [1, 0], [0, 0]], rtol=1e-6
    )


def test_unit_rows_has_a_finite_gradient_everywhere():
    """Also at a row of zeros; elsewhere the gradient has no part along the row."""
    h = np.float32([[3, 4], [0, 0], [1e-3, 2e-3]])
    grad = jax.jit(jax.grad(lambda h: jnp.sum(unit_rows(h) * np.float32([[1, 2]]))))(h)
    grad = np.asarray(grad)
    assert np.isfinite(grad).all()
    np.testing.assert_allclose(
        grad[0], (np.array([1, 2]) - 2.2 * np.array([0.6, 0.8])) / 5, rtol=1e-5
    )


@pytest.fixture(scope="module")
def nets():
    """A net with room for 16 latent columns, and one with five and the same weights for them."""
    wide, narrow = ProjectionNet(D, C, WIDE), ProjectionNet(D, C, NARROW)
    init = jax.jit(functools.partial(wide.init, train=False))
    variables = jax.tree.map(np.asarray, init(KEY, X, np.int32(NARROW), np.float32(0)))
    params = variables["params"]
    encoder, decoder = params["Perceptron_0"], params["Perceptron_1"]
    cut = {
        **params,
        "Perceptron_0": {
            **encoder,
            "Dense_2": jax.tree.map(lambda leaf: leaf[..., :NARROW], encoder["Dense_2"]),
        },
        "Dense_0": {**params["Dense_0"], "kernel": params["Dense_0"]["kernel"][:NARROW]},
        "Perceptron_1": {
            **decoder,
            "Dense_0": {**decoder["Dense_0"], "kernel": decoder["Dense_0"]["kernel"][:NARROW]},
        },
    }

    def run(net):
        def total(params, latent_dim):
            out, _ = net.apply(
                {**variables, "params": params},
                X,
                latent_dim,
                0.3,
                train=True,
                rngs={"dropout": KEY},
                mutable=["batch_stats"],
            )
            return jnp.sum(out.logits**2) + jnp.sum((out.reconstruction - X) ** 2), out

        compiled = jax.jit(jax.value_and_grad(total, has_aux=True))
        return lambda *arguments: jax.tree.map(np.asarray, compiled(*arguments))

    return (run(wide), params), (run(narrow), cut)


def test_latent_dim_masked_equals_subset(nets, rtol):
    """Five of sixteen latent columns give the outputs of a net with five, and its gradients."""
    (wide, params), (narrow, cut) = nets
    (_, masked), grads = wide(params, NARROW)
    (_, subset), cut_grads = narrow(cut, NARROW)
    np.testing.assert_array_equal(masked.latent[:, NARROW:], 0)
    np.testing.assert_allclose(masked.latent[:, :NARROW], subset.latent, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(masked.logits, subset.logits, rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(
        masked.reconstruction, subset.reconstruction, rtol=100 * rtol, atol=1e-5
    )
    used, unused = np.split(grads["Perceptron_0"]["Dense_2"]["kernel"], [NARROW], axis=1)
    expected = cut_grads["Perceptron_0"]["Dense_2"]["kernel"]
    np.testing.assert_allclose(used, expected, rtol=100 * rtol, atol=1e-3)
    np.testing.assert_array_equal(unused, 0)


def test_fan_in_is_what_is_left_of_the_latent(nets):
    """Layers that read the latent start as wide as for a latent of that size."""
    (_, params), _ = nets
    for layer in (params["Dense_0"], params["Perceptron_1"]["Dense_0"]):
        largest = np.abs(layer["kernel"]).max()
        assert 0.8 / np.sqrt(NARROW) < largest <= 1 / np.sqrt(NARROW)


def test_all_latent_sizes_in_one_program_are_finite(nets):
    (wide, params), _ = nets
    for latent_dim in (1, 2, WIDE):
        (loss, out), grads = wide(params, latent_dim)
        used = np.any(out.latent != 0, axis=0)
        np.testing.assert_array_equal(used, np.arange(WIDE) < latent_dim)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((loss, out, grads)))


@pytest.mark.parametrize("n_features", [1, 2, 3])
def test_narrow_tables_have_a_network(n_features):
    net = ProjectionNet(n_features, C, 2)
    init = functools.partial(net.init, train=False)
    x = np.ones((4, n_features), np.float32)
    shapes = jax.eval_shape(init, KEY, x, jnp.int32(2), jnp.float32(0))
    assert all(leaf.size for leaf in jax.tree.leaves(shapes))
    out = jax.eval_shape(
        functools.partial(net.apply, train=False), shapes, x, jnp.int32(2), jnp.float32(0)
    )
    assert (out.latent.shape, out.logits.shape, out.reconstruction.shape) == (
        (4, 2),
        (4, C),
        (4, n_features),
    )
