import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.tuning.devices import in_shares, spread_over_devices


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


def test_shares_are_put_together_by_nobody():
    """No collective operation: a device that is done waits for no other, also where n is odd."""

    def work(x):
        return {"double": x * 2, "rows": jnp.ones((len(x), 3)) * x[:, None]}

    n = 2 * jax.device_count() - 1
    spread = jax.jit(lambda x: in_shares(work, x, jax.devices()))
    text = spread.lower(jnp.arange(float(n))).compile().as_text()
    assert not re.findall(r"all-gather|all-reduce|all-to-all|collective-permute", text)
    shares = spread(jnp.arange(float(n)))
    assert shares["rows"].shape == (-(-n // jax.device_count()) * jax.device_count(), 3)
    np.testing.assert_array_equal(shares["double"][:n], 2 * np.arange(n))


EIGHT = """
import dataclasses, os
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_disable_most_optimizations", True)
from ncd_jax.startup import keep_compiled_programs
keep_compiled_programs(os.environ["NCD_JAX_TEST_PROGRAMS"])
from ncd_jax.methods import METHODS, Spec
from ncd_jax.data.folds import make_folds
from ncd_jax.tuning.cross_validation import Protocol, SweepData, by_candidate, run_pairs
from ncd_jax.tuning.processes import gather

assert jax.device_count() == 8
rng = np.random.default_rng(0)
classes = np.repeat(np.arange(5), 20)
x = (rng.normal(size=(100, 4)) + 3 * rng.normal(size=(5, 4))[classes]).astype(np.float32)
folds = make_folds(classes.astype(np.int32), n_folds=3, seed=0)
rca = METHODS["rca"]
method = rca.make(Spec(n_features=4, n_known=5, latent_width=4))
ks = jnp.asarray(folds.hidden.sum(axis=1), jnp.int32)
data = SweepData(jax.random.split(jax.random.key(0), 1), x, jax.tree.map(jnp.asarray, folds), ks)
data = data._replace(class_sizes=jnp.zeros(3), known_rows=jnp.zeros(1, jnp.int32))
protocol = Protocol(epochs=1, batch_size=50, n_hidden=int(ks.max()), lanes=40, k_search=None)
hparams = rca.hparams(*([jnp.linspace(0.01, 0.5, 3)] * len(rca.hparams._fields)))
all_devices = jax.devices()
results = []
for n in (8, 1):
    jax.devices = lambda n=n: all_devices[:n]
    sweep = jax.jit(lambda d, h: run_pairs(method, d, h, protocol, 3))
    flat = sweep(data, hparams)
    results.append(by_candidate(gather(flat), 3, 3))
    assert len(flat.k.sharding.device_set) == n
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *results)
assert results[0].accuracy.shape == (3, 3, 1)

from ncd_jax.tuning.halving import compile_rungs
from tests.toy_fixtures import HParams, make_toy

protocol = dataclasses.replace(protocol, epochs=4, rungs=2)
hparams = HParams(jnp.asarray([1e-4, 3e-2, 1e-2]), jnp.full(3, 0.5))
climbs = []
for n in (8, 1):
    jax.devices = lambda n=n: all_devices[:n]
    climbs.append(compile_rungs(make_toy(), data, hparams, protocol, 3)(hparams, 3))
jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *climbs)
assert sorted(climbs[0].epochs) == [2, 4, 4]
"""


@pytest.mark.thorough
def test_eight_devices_find_what_one_finds():
    """Nine pairs of candidates and folds, in two on each device and one on the last."""
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", EIGHT]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr


def test_every_device_has_its_share():
    seen = []

    def work(x):
        seen.append(x.shape[0])
        return x * 2

    n = jax.device_count()
    jax.jit(lambda x: spread_over_devices(work, x))(jnp.arange(3 * n - 1))
    assert set(seen) == {3 * n - 1 if n == 1 else 3}
