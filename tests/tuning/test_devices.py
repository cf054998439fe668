import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.tuning.devices import spread_over_devices


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_equals_plain_work(n):
    """A tree of items, keys among them, whose work is a loop of its own length."""
    weight = jnp.arange(4.0)
    items = {
        "key": jax.random.split(jax.random.key(0), n),
        "x": jnp.arange(4.0 * n).reshape(n, 4),
        "steps": jnp.arange(n),
    }

    def one(item):
        noisy = item["x"] * weight + jax.random.normal(item["key"], (4,))
        return {"sum": noisy.sum(), "loop": jax.lax.fori_loop(0, item["steps"], jnp.add, 1.0)}

    expected = jax.jit(jax.vmap(one))(items)
    actual = jax.jit(lambda items: spread_over_devices(jax.vmap(one), items))(items)
    assert actual["sum"].shape == (n,)
    for name, values in expected.items():
        np.testing.assert_allclose(actual[name], values, rtol=1e-6)


def test_every_device_has_its_share():
    seen = []

    def work(x):
        seen.append(x.shape[0])
        return x * 2

    n = jax.device_count()
    jax.jit(lambda x: spread_over_devices(work, x))(jnp.arange(3 * n - 1))
    assert set(seen) == {3 * n - 1 if n == 1 else 3}
