"""What a compiled sweep costs, counted and not timed: products, and visits to the host."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from ncd_jax.methods import Spec
from ncd_jax.methods.pbn import HParams, pbn
from ncd_jax.tuning.cross_validation import Protocol, SweepData, cross_validate
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
    method = pbn(Spec(n_features=D, n_known=3, latent_width=8))
    data = NCDData(jnp.ones((n_rows, D)), jnp.zeros(n_rows, jnp.int32))
    goal = Goal(jnp.arange(4), jnp.ones(4, bool), jnp.int32(2))

    def one(hparams):
        run = train(jax.random.key(0), method, data, goal, hparams, epochs=epochs, batch_size=20)
        return run[1]["loss"]

    scalars = jnp.full(n_candidates, 1e-3)
    hparams = HParams(scalars, scalars, scalars, jnp.full(n_candidates, 8))
    return product_flops(jax.make_jaxpr(jax.vmap(one))(hparams).jaxpr)


@pytest.mark.parametrize("grown", [(20, 2, N), (2, 20, N), (2, 2, 10 * N)])
def test_cost_is_linear_in_candidates_epochs_and_rows(grown):
    """Ten times as many cost ten times as much, within 15 per cent."""
    assert flops_of(*grown) == pytest.approx(10 * flops_of(2, 2), rel=0.15)


def test_the_sweep_never_visits_the_host(toy, table, folds, toy_hparams):
    """No callback, feed or transfer in the program, and none to call it."""
    hidden = (2, 2, 3)
    data = SweepData(
        jax.random.split(jax.random.key(0), 1),
        table[0].x,
        jax.tree.map(jnp.asarray, folds),
        jnp.array(hidden),
        jnp.zeros(len(hidden)),
        jnp.zeros(1, jnp.int32),
    )
    protocol = Protocol(epochs=2, batch_size=32, n_hidden=3, lanes=4, k_search=None)
    hparams = toy_hparams({"lr": jnp.array([0.001, 0.003])})
    sweep = jax.jit(lambda data, hparams: cross_validate(toy, data, hparams, protocol, 2))
    program = sweep.lower(data, hparams).compile()
    assert not re.findall(r"callback|infeed|outfeed|\bsend\(|\brecv\(", program.as_text())
    placed = jax.device_put((data, hparams), program.input_shardings[0])
    with jax.transfer_guard("disallow"):
        result = jax.block_until_ready(program(*placed))
    assert result.accuracy.shape == (2, len(hidden), 1)
