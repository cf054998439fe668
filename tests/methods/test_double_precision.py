"""Every method where the user has switched JAX to 64 bits: it runs, and stays in 32.

And where JAX looks for tracers that outlive their trace, and for results that are no numbers.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import few

from ncd_jax.discovery.problem import make_hparams, middle
from ncd_jax.methods import METHODS, Spec
from ncd_jax.methods.parts import assign_to_nearest
from ncd_jax.types import Batch, Goal, NCDData

N, D, C, SLOTS, K = 24, 4, 3, 4, 2


@pytest.mark.parametrize("name", few(METHODS, "baseline", "rca"))
def test_every_method_runs_in_64_bits(name):
    rng = np.random.default_rng(0)
    y = np.where(np.arange(N) % 5 < C, np.arange(N) % 5, -1).astype(np.int32)
    novel = np.flatnonzero(y == -1)
    info, space = METHODS[name], METHODS[name].space(D)
    values = middle(space)
    width = int(values[info.width]) if info.width else D

    with jax.enable_x64(True), jax.checking_leaks(), jax.debug_nans(True):
        assert jnp.ones(1).dtype == jnp.float64
        data = NCDData(jnp.asarray(rng.normal(size=(N, D)), jnp.float32), jnp.asarray(y))
        goal = Goal(jnp.asarray(novel), jnp.ones(len(novel), bool), jnp.int32(K))
        hparams = make_hparams(name, values)
        method = info.make(Spec(D, C, width, max_clusters=SLOTS, restarts=2))

        @jax.jit
        def run(key):
            state = method.init(key, data, goal, hparams)
            batch = Batch(data.x, data.y, data.y == -1)
            for stage in method.stages:
                # A scan carries no state whose form changes.
                state, _ = jax.lax.scan(
                    lambda state, key, step=stage.step: step(key, state, batch, hparams),
                    stage.enter(state),
                    jax.random.split(key, 2),
                )
            z = method.represent(state, data.x)
            if method.assign is assign_to_nearest and name != "rca":
                return z, None, None  # by k-means, as RCA
            found = method.cluster(key, state, z, K, data.y == -1)
            active = jnp.arange(SLOTS) < K
            return z, found, method.assign(state, z, found.centroids, active)

        z, found, again = run(jax.random.key(0))
    for array in (z,) if found is None else (z, found.centroids):
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
    if found is not None:
        assert found.labels.dtype == again.dtype == np.int32
        np.testing.assert_array_equal(found.labels, again)
