"""Parts that methods share."""

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans, nearest, squared_distances
from ncd_jax.clustering.precise import dot
from ncd_jax.methods.spec import Spec
from ncd_jax.types import Array, ClusterFn, Clusters, PyTree

__all__ = [
    "assign_to_nearest",
    "class_means",
    "cluster_by_kmeans",
    "mean_logits",
    "present_classes",
]


def present_classes(y: Array, n_known: int) -> Array:
    """Known classes that have a labelled row, `bool[C]`, from labels `i32[n]`."""
    return jnp.any(y[:, None] == jnp.arange(n_known)[None, :], axis=0)


def class_means(x: Array, y: Array, n_known: int) -> Array:
    """Means `f32[C, d]` of the rows `f32[n, d]` of each known class; zero where it has none."""
    member = jax.nn.one_hot(y, n_known, dtype=x.dtype)
    return dot(member.T, x) / jnp.maximum(jnp.sum(member, axis=0), 1.0)[:, None]


def mean_logits(z: Array, means: Array, present: Array) -> Array:
    """Logits `f32[n, C]` of the nearest class mean: minus half the squared distance."""
    return jnp.where(present, -0.5 * squared_distances(z, means), -1e9)


def cluster_by_kmeans(spec: Spec) -> ClusterFn:
    """`Method.cluster` of methods that leave it to k-means on their representation."""

    def cluster(key: Array, state: PyTree, z: Array, k: Array | int, mask: Array) -> Clusters:
        del state
        found = kmeans(key, z, k, max_clusters=spec.max_clusters, mask=mask, restarts=spec.restarts)
        return Clusters(found.centroids, found.labels)

    return cluster


def assign_to_nearest(state: PyTree, z: Array, centroids: Array, active: Array) -> Array:
    """`Method.assign` of methods whose clusters are their centroids."""
    del state
    return nearest(z, centroids, active)
