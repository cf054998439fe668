"""Random keys of a run: those that JAX makes of its seed, for any device."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from ncd_jax.config import RunConfig
from ncd_jax.discovery.fit import purpose_key, purpose_keys
from ncd_jax.kept_programs import keep_traced_programs


@pytest.fixture(params=[False, True], ids=["traced", "kept"])
def _kept(request, tmp_path):
    keep_traced_programs(tmp_path if request.param else None)
    yield
    keep_traced_programs(None)


@pytest.mark.usefixtures("_kept")
@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_are_those_of_jax_and_bound_to_no_device(seed):
    config = replace(RunConfig(), seed=seed)
    alone, several = purpose_key(config, "cut"), purpose_keys(config, "refit", 3)
    expected = jax.random.fold_in(jax.random.key(seed), 6)
    several_expected = jax.random.split(jax.random.fold_in(jax.random.key(seed), 1), 3)
    for keys, of_jax in ((alone, expected), (several, several_expected)):
        data = jax.random.key_data(keys)
        np.testing.assert_array_equal(data, jax.random.key_data(of_jax))
        on_second = jax.device_put(np.zeros(data.shape, np.uint32), jax.devices()[1])
        assert (jax.jit(jax.numpy.add)(data, on_second) == data).all()
