"""A method that is trained and takes no time to compile, as a plugin."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.methods import MethodInfo
from ncd_jax.methods.parts import assign_to_nearest, cluster_by_kmeans
from ncd_jax.types import Array, Interval, Method, Stage


class HParams(NamedTuple):
    lr: Array


class State(NamedTuple):
    scale: Array
    opt: tuple[()]


def scales(spec):
    """Learns a scale for every column, by which known classes can be told from a sum."""

    def init(key, data, goal, hparams):
        return State(1 + 0.1 * jax.random.normal(key, data.x.shape[1:]), ())

    def step(key, state, batch, hparams):
        def loss(scale):
            return jnp.mean(jnp.where(batch.y >= 0, batch.x @ scale - batch.y, 0.0) ** 2)

        value, grad = jax.value_and_grad(loss)(state.scale)
        return state._replace(scale=state.scale - hparams.lr * grad), {"loss": value}

    def represent(state, x):
        return x * state.scale[None, :]

    cluster = cluster_by_kmeans(spec)
    return Method(init, (Stage(step),), represent, cluster, assign_to_nearest, spec.max_clusters)


def space(n_features):
    return {"lr": Interval(0.001, 0.01, log=True, meaning="length of a step")}


INFO = MethodInfo("Scales", scales, HParams, State, space, "Nobody: Unpublished, 2026.", width=None)
