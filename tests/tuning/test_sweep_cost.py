"""What a training costs, counted and not timed: matrix products."""

import functools
import math

import jax
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from ncd_jax.methods import Spec
from ncd_jax.methods.baseline import HParams, baseline
from ncd_jax.tuning.train import train
from ncd_jax.types import Goal, NCDData

N, D = 60, 6


def product_flops(jaxpr):
    """Of all matrix products, those in a scan as often as it takes a step."""
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            rows = equation.invars[0].aval.shape
            inner = [rows[axis] for axis in contracted]
            total += 2 * equation.outvars[0].aval.size * math.prod(inner)
        times = equation.params["length"] if equation.primitive.name == "scan" else 1
        total += times * sum(map(product_flops, jaxprs_in_params(equation.params)))
    return total


@functools.cache
def flops_of(n_candidates, epochs, n_rows=N):
    method = baseline(Spec(n_features=D, n_known=3, latent_width=8))
    data = NCDData(np.ones((n_rows, D), np.float32), np.zeros(n_rows, np.int32))
    goal = Goal(np.arange(4), np.ones(4, bool), np.int32(2))
    data, goal = jax.device_put((data, goal))

    def one(hparams):
        run = train(jax.random.key(0), method, data, goal, hparams, epochs=epochs, batch_size=20)
        return run[1]["loss"]

    scalars = np.full(n_candidates, 1e-3, np.float32)
    hparams = HParams(scalars, scalars, np.full(n_candidates, 8, np.int32))
    return product_flops(jax.make_jaxpr(jax.vmap(one))(hparams).jaxpr)


@pytest.mark.parametrize("grown", [(20, 2, N), (2, 20, N), (2, 2, 10 * N)])
def test_cost_is_linear_in_candidates_epochs_and_rows(grown):
    """Ten times as many cost ten times as much, within 15 per cent."""
    assert flops_of(*grown) == pytest.approx(10 * flops_of(2, 2), rel=0.15)
