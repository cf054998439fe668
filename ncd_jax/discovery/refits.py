"""From the best candidate to the answer: refits, the number of classes, the partition."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.tuning.devices import spread_over_devices
from ncd_jax.tuning.k_estimation import KSearch, estimate_k
from ncd_jax.tuning.train import train
from ncd_jax.types import Array, Clusters, Goal, KEstimate, Method, NCDData, PyTree

__all__ = [
    "Refits",
    "agreement",
    "assign_novel",
    "centroid_distances",
    "margin",
    "partition",
    "refit",
]


class Refits(NamedTuple):
    """Trainings on all known classes, stacked on a leading axis `[S]` of seeds.

    Attributes:
        state: of the method.
        loss: `f32[S, epochs]`.
        z: `f32[S, u, L]`, latents of the novel rows.
        estimate: number of novel classes in each, or none where it is given.
        finite: `bool[S]`, which did not diverge; the latents of the others are zero.
    """

    state: PyTree
    loss: Array
    z: Array
    estimate: KEstimate | None
    finite: Array


def refit(
    keys: Array,
    method: Method,
    data: NCDData,
    goal: Goal,
    hparams: PyTree,
    *,
    epochs: int,
    batch_size: int,
    k_search: KSearch | None,
) -> Refits:
    """Trains from every seed on all known classes and looks for the number of novel ones.

    Args:
        keys: random keys `[S]`.
        method: the method.
        data: all rows with all known labels.
        goal: the unlabelled rows.
        hparams: of each training, stacked on a leading axis `[S]`.
        epochs: passes over all rows.
        batch_size: most rows in a step.
        k_search: how to look for the number in the representation; none where it is given.
    """
    # Without training there is nothing to repeat: equal hyperparameters make equal states.
    shared_key = None if method.stages else jax.random.split(keys[0])[0]

    def one(key: Array, hparams: PyTree) -> Refits:
        key_train, key_k = jax.random.split(key)
        if shared_key is not None:
            key_train = shared_key
        state, info = train(
            key_train, method, data, goal, hparams, epochs=epochs, batch_size=batch_size
        )

        def see(x: Array) -> Array:
            z = method.represent(state, x)
            return jnp.where(jnp.isfinite(z), z, 0.0)

        z = method.represent(state, data.x[goal.rows])
        finite = jnp.all(jnp.isfinite(info["loss"])) & jnp.all(jnp.isfinite(z))
        z = jnp.where(finite, z, 0.0)
        found = None
        if k_search is not None:
            found = estimate_k(key_k, see, data, goal, z, k_search)
        return Refits(state, info["loss"], z, found, finite)

    return spread_over_devices(lambda items: jax.vmap(one)(*items), (keys, hparams))


def partition(key: Array, method: Method, refits: Refits, k: Array, mask: Array) -> Clusters:
    """Groups the unmasked rows in the representation of every refit, into `k` clusters each."""

    def one(key: Array, state: PyTree, z: Array) -> Clusters:
        return method.cluster(key, state, z, k, mask)

    return jax.vmap(one)(jax.random.split(key, len(refits.z)), refits.state, refits.z)


def assign_novel(
    method: Method, state: PyTree, z: Array, centroids: Array, slots: np.ndarray
) -> Array:
    """The novel class `i32[n]` of rows that the partition did not see, none of them known.

    Args:
        method: the method.
        state: its state.
        z: `f32[n, L]`, the rows in its representation.
        centroids: `f32[k, L]` of the novel classes.
        slots: `i[k]`, the slot that each novel class has in the method.
    """
    n_slots = method.max_clusters
    in_slots = jnp.zeros((n_slots, centroids.shape[1]), centroids.dtype).at[slots].set(centroids)
    active = jnp.zeros(n_slots, bool).at[slots].set(True)
    class_of_slot = (
        jnp.zeros(n_slots, jnp.int32).at[slots].set(jnp.arange(len(slots), dtype=jnp.int32))
    )
    return class_of_slot[method.assign(state, z, in_slots, active)]


@functools.partial(jax.jit, static_argnames="n_labels")
def agreement(labels: Array, mask: Array, n_labels: int) -> Array:
    """Adjusted Rand index `f32[S, S]` between all pairs of partitions `i32[S, u]`.

    Only rows count that the mask, `bool[u]`, lets through.
    """

    def ari(a: Array, b: Array) -> Array:
        table = contingency(a, b, n_labels=n_labels, n_classes=n_labels, mask=mask)
        return clustering_scores(table).ari

    return jax.vmap(jax.vmap(ari, (None, 0)), (0, None))(labels, labels)


@jax.jit
def centroid_distances(z: Array, centroids: Array) -> Array:
    """Distances `f32[S, u, k]` of the rows `f32[S, u, L]` to the centroids `f32[S, k, L]`."""
    return jnp.sqrt(jnp.sum((z[:, :, None] - centroids[:, None]) ** 2, axis=3))


@jax.jit
def margin(z: Array, centroids: Array) -> Array:
    """How clearly each row belongs to the nearest of its centroids, `f32[u]` between 0 and 1.

    One minus the ratio of the distances to the nearest and the second nearest centroid: 0
    on the border between two clusters, 1 on a centroid or where there is one cluster only.

    Args:
        z: `f32[u, L]`.
        centroids: `f32[k, L]`, all in use.
    """
    if len(centroids) == 1:
        return jnp.ones(len(z))
    squared = jnp.sum((z[:, None, :] - centroids[None]) ** 2, axis=2)
    two_nearest = -jax.lax.top_k(-squared, 2)[0]
    ratio = jnp.where(two_nearest[:, 1] > 0, two_nearest[:, 0] / two_nearest[:, 1], 1.0)
    return 1.0 - jnp.sqrt(ratio)
