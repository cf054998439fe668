"""A method small enough to compile in no time, and a table it can be tuned on."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.data.folds import make_folds
from ncd_jax.methods import METHODS, MethodInfo, Spec, register
from ncd_jax.methods.parts import assign_to_nearest, cluster_by_kmeans
from ncd_jax.types import Clusters, Goal, Interval, Method, NCDData, Stage

N_KNOWN, N_NOVEL, SLOTS = 5, 2, 5


class HParams(NamedTuple):
    lr: Any
    noise: Any


class State(NamedTuple):
    scale: Any
    opt: Any


SPEC = Spec(4, N_KNOWN, 4, max_clusters=SLOTS, restarts=2)


def make_toy(spec=SPEC):
    """Learns a scale for every column; labels, batches, keys and hyperparameters all matter."""

    def init(key, data, goal, hparams):
        scale = 1 + 0.1 * jax.random.normal(key, data.x.shape[1:])
        return State(scale, jnp.int32(0))

    def step(key, state, batch, hparams):
        def loss(scale):
            labelled = jnp.mean(jnp.where(batch.y >= 0, batch.x @ scale - batch.y, 0.0) ** 2)
            noise = hparams.noise * jax.random.normal(key, scale.shape) @ scale
            return (
                0.1 * labelled + jnp.mean((batch.x * scale[None, :] - batch.x) ** 2) + 0.1 * noise
            )

        value, grad = jax.value_and_grad(loss)(state.scale)
        scale = state.scale - hparams.lr * grad
        return state._replace(scale=scale, opt=state.opt + 1), {"loss": value}

    def represent(state, x):
        return x * state.scale[None, :]

    cluster = cluster_by_kmeans(spec)
    return Method(init, (Stage(step),), represent, cluster, assign_to_nearest, spec.max_clusters)


def make_sorting_toy(spec=SPEC):
    """The toy without k-means, which is most of its programs: clusters are parts of a line."""

    def cluster(key, state, z, k, mask):
        """As large as each other, by the sum of the latents."""
        total = jnp.where(mask, jnp.sum(z, axis=1), jnp.inf)
        rank = jnp.argsort(jnp.argsort(total))
        labels = jnp.minimum(rank * k // jnp.maximum(jnp.sum(mask), 1), k - 1).astype(jnp.int32)
        slots = jnp.arange(spec.max_clusters)
        member = (labels[None, :] == slots[:, None]) & mask[None, :]
        centroids = member @ z / jnp.maximum(jnp.sum(member, axis=1), 1)[:, None]
        return Clusters(centroids, labels)

    return make_toy(spec)._replace(cluster=cluster)


INFO = MethodInfo(
    title="Toy",
    make=make_sorting_toy,
    hparams=HParams,
    state=State,
    space=lambda n_features: {"lr": Interval(1e-4, 1e-2, log=True), "noise": Interval(0.0, 1.0)},
    citation="",
    width=None,
)


@pytest.fixture(scope="module")
def toy_method():
    """The name of the toy among the methods, for runs where something is to be trained."""
    register(INFO, "toy")
    yield "toy"
    METHODS._others.pop("toy", None)


@pytest.fixture(scope="session")
def toy():
    return make_toy()


@pytest.fixture(scope="session")
def sorting_toy():
    return make_sorting_toy()


@pytest.fixture(scope="session")
def toy_hparams():
    """Hyperparameters from numbers or arrays by name; the noise is 0.5 unless given."""

    def make(values):
        lr = np.float32(values["lr"])
        noise = np.float32(values.get("noise", np.full(lr.shape, 0.5)))
        return jax.device_put(HParams(lr, noise))

    return make


@pytest.fixture(scope="session")
def table(blobs):
    """Five known classes, two novel ones, of unequal sizes."""
    x, classes = blobs([9, 12, 10, 8, 11, 14, 9], 4)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = np.where(classes < N_KNOWN, classes, -1).astype(np.int32)
    return jax.device_put(NCDData(x, y)), classes


@pytest.fixture(scope="session")
def folds(table):
    data, _ = table
    return make_folds(np.asarray(data.y), 3, 0)


@pytest.fixture(scope="session")
def goal(table):
    """All novel rows."""
    rows = np.flatnonzero(np.asarray(table[0].y) == -1).astype(np.int32)
    return jax.device_put(Goal(rows, np.ones(len(rows), bool), np.int32(N_NOVEL)))
