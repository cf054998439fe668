"""From the best candidate to the answer: refits, the number of classes, the partition."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.clustering.n_clusters import estimate_n_clusters
from ncd_jax.tuning.devices import spread_over_devices
from ncd_jax.tuning.train import train
from ncd_jax.types import Array, KEstimate, KMeansResult, Method, NCDData, PyTree

__all__ = ["KSearch", "Refits", "agreement", "confidence", "partition", "refit"]


@dataclass(frozen=True)
class KSearch:
    """Static facts of how the number of novel classes is looked for.

    Attributes:
        max_clusters: largest number considered.
        index: name of the validity index.
        restarts: k-means restarts for each number.
        max_rows: rows the index is measured on at most.
    """

    max_clusters: int
    index: str
    restarts: int
    max_rows: int


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
    novel_rows: Array,
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
        novel_rows: `i32[u]`, the unlabelled rows.
        hparams: of the candidate that won.
        epochs: passes over all rows.
        batch_size: most rows in a step.
        k_search: how to look for the number; none where it is given.
    """

    def one(key: Array) -> Refits:
        key_train, key_k = jax.random.split(key)
        state, info = train(key_train, method, data, hparams, epochs=epochs, batch_size=batch_size)
        z = method.represent(state, data.x[novel_rows], hparams)
        finite = jnp.all(jnp.isfinite(info["loss"])) & jnp.all(jnp.isfinite(z))
        z = jnp.where(finite, z, 0.0)
        estimate = None
        if k_search is not None:
            estimate = estimate_n_clusters(
                key_k,
                z,
                max_clusters=k_search.max_clusters,
                index=k_search.index,
                restarts=k_search.restarts,
                max_rows=k_search.max_rows,
            )
        return Refits(state, info["loss"], z, estimate, finite)

    return spread_over_devices(jax.vmap(one), keys)


def partition(key: Array, z: Array, k: Array, *, max_clusters: int, restarts: int) -> KMeansResult:
    """Clusters the latents of every refit, `f32[S, u, L]`, into `k[S]` clusters each."""
    cluster = functools.partial(kmeans, max_clusters=max_clusters, restarts=restarts)
    return jax.vmap(cluster)(jax.random.split(key, len(z)), z, k)


@functools.partial(jax.jit, static_argnames="n_labels")
def agreement(labels: Array, n_labels: int) -> Array:
    """Adjusted Rand index `f32[S, S]` between all pairs of partitions `i32[S, u]`."""

    def ari(a: Array, b: Array) -> Array:
        return clustering_scores(contingency(a, b, n_labels=n_labels, n_classes=n_labels)).ari

    return jax.vmap(jax.vmap(ari, (None, 0)), (0, None))(labels, labels)


@jax.jit
def confidence(z: Array, centroids: Array) -> Array:
    """How clearly each row belongs to its cluster, `f32[u]` between 0 and 1.

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
