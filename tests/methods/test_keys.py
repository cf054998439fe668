"""No random key serves twice, but where the code says by `jax.random.clone` that it is meant to.

JAX looks for that while it traces, so that nothing has to be compiled.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import few

from ncd_jax.clustering.n_clusters import KSearch
from ncd_jax.data.folds import make_folds
from ncd_jax.discovery.problem import make_hparams, middle
from ncd_jax.methods import METHODS, Spec
from ncd_jax.tuning.cross_validation import Protocol, SweepData, cross_validate

N, D, C, SLOTS = 40, 4, 4, 4
Y = np.where(np.arange(N) % 5 < C, np.arange(N) % 5, -1).astype(np.int32)
LOOK = KSearch(SLOTS, C, "silhouette", restarts=2)


@pytest.mark.parametrize("name", few(METHODS, "kmeans"))
@pytest.mark.parametrize("k_search", [None, LOOK], ids=["given", "looked for"])
def test_no_key_serves_twice(name, k_search):
    info, values = METHODS[name], middle(METHODS[name].space(D))
    width = int(values[info.width]) if info.width else D
    method = info.make(Spec(D, C, width, max_clusters=SLOTS, restarts=2))
    folds = make_folds(Y, n_folds=2, seed=0)
    n_hidden = folds.hidden.sum(axis=1)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(N, D)), jnp.float32)
    keys = jax.random.split(jax.random.key(0), 2)
    sweep = SweepData(keys, x, jax.tree.map(jnp.asarray, folds), ks=jnp.asarray(n_hidden))
    shape = Protocol(2, 20, int(n_hidden.max()), lanes=4, k_search=k_search)
    hparams = make_hparams(name, {name: np.full(2, value) for name, value in values.items()})

    def find(sweep, hparams):
        return cross_validate(method, sweep, hparams, shape, n_candidates=2)

    with jax.debug_key_reuse(True):
        assert jax.jit(find).eval_shape(sweep, hparams).accuracy.shape == (2, 2, 2)


def test_a_key_that_serves_twice_is_seen():
    def twice(key):
        return jax.random.normal(key) + jax.random.normal(key)

    with jax.debug_key_reuse(True), pytest.raises(jax.errors.KeyReuseError):
        jax.jit(twice).eval_shape(jax.random.key(0))
