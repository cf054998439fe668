"""Parts that methods share: clusters by k-means, and the training of networks by AdamW.

Source of the encoders: Troisemaine et al., "A Practical Approach to Novel Class Discovery in
Tabular Data", 2024, arXiv 2311.05440, section 3.4.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.lloyd import nearest
from ncd_jax.clustering.rows import unit_rows
from ncd_jax.clustering.starts import Power
from ncd_jax.methods.spec import Spec
from ncd_jax.types import (
    Array,
    Batch,
    ClusterFn,
    Clusters,
    Goal,
    Method,
    NCDData,
    PyTree,
    Stage,
)

if TYPE_CHECKING:  # Optax and Flax take time, and most methods train no network
    import optax

    from ncd_jax.networks.projection import ProjectionNet

__all__ = [
    "PAPER",
    "WEIGHT_DECAY",
    "EncoderState",
    "NoHParams",
    "adamw",
    "assign_to_nearest",
    "cluster_by_kmeans",
    "descend",
    "encoder_method",
    "in_training",
    "present_classes",
    "variables_of",
]

PAPER = (
    "C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical Approach "
    "to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, 2024. "
    "arXiv 2311.05440."
)
"""The citation of several methods."""
WEIGHT_DECAY = 0.01


class NoHParams(NamedTuple):
    """There is nothing to tune."""


def present_classes(y: Array, n_known: int) -> Array:
    """Known classes that have a labelled row, `bool[C]`, from labels `i32[n]`."""
    return jnp.any(y[:, None] == jnp.arange(n_known)[None, :], axis=0)


def cluster_by_kmeans(spec: Spec, power: Power = 2) -> ClusterFn:
    """`Method.cluster` of methods that leave it to k-means on their representation."""

    def cluster(key: Array, state: PyTree, z: Array, k: Array | int, mask: Array) -> Clusters:
        del state
        most, restarts = spec.max_clusters, spec.restarts
        found = kmeans(key, z, k, max_clusters=most, mask=mask, power=power, restarts=restarts)
        return Clusters(found.centroids, found.labels)

    return cluster


def assign_to_nearest(state: PyTree, z: Array, centroids: Array, active: Array) -> Array:
    """`Method.assign` of methods whose clusters are their centroids."""
    del state
    return nearest(z, centroids, active)


def adamw(lr: Array | float) -> "optax.GradientTransformation":
    """The optimiser of all networks."""
    import optax

    return optax.adamw(lr, weight_decay=WEIGHT_DECAY)


def variables_of(state: Any) -> dict[str, Any]:
    """Weights and running statistics of a state that has `params` and `batch_stats`."""
    return {"params": state.params, "batch_stats": state.batch_stats}


def in_training(
    net: Any, params: Any, state: Any, key: Array, *arguments: Array, part: str = "__call__"
) -> tuple[Any, Any]:
    """What a part of a network says in training, and the new running statistics.

    Args:
        net: the network.
        params: its weights.
        state: has `batch_stats`.
        key: of dropout.
        arguments: of the network.
        part: name of its method.
    """
    variables = {"params": params, "batch_stats": state.batch_stats}
    rngs = {"dropout": key}
    out, updated = net.apply(
        variables, *arguments, train=True, method=part, rngs=rngs, mutable=["batch_stats"]
    )
    return out, updated["batch_stats"]


def descend(
    loss: Callable[[Any], tuple[dict[str, Array], Any]], state: Any, moments: Any, lr: Array
) -> tuple[Any, Any, dict[str, Array]]:
    """One step of AdamW.

    Args:
        loss: `params -> (info, batch_stats)`, of which `info["loss"]` is minimised.
        state: has `params` and `batch_stats`.
        moments: state of the optimiser.
        lr: learning rate.

    Returns:
        The state with new weights and running statistics, that of the optimiser, and the info.
    """

    def objective(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
        info, batch_stats = loss(params)
        return info["loss"], (info, batch_stats)

    (_, (info, batch_stats)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, moments = adamw(lr).update(grads, moments, state.params)
    import optax

    params = optax.apply_updates(state.params, updates)
    return state._replace(params=params, batch_stats=batch_stats), moments, info


class EncoderState(NamedTuple):
    """What the next step of an encoder needs.

    Attributes:
        params: weights.
        batch_stats: running statistics of BatchNorm.
        opt: state of the optimiser.
        present: `bool[C]`, known classes with a labelled row in the training data.
        latent_dim: scalar i32, latent columns in use.
    """

    params: Any
    batch_stats: Any
    opt: Any
    present: Array
    latent_dim: Array


def encoder_method(
    spec: Spec, net: "ProjectionNet", loss: Callable[..., dict[str, Array]]
) -> Method:
    """A method that trains an encoder and a classifier of known classes, and clusters latents.

    Args:
        spec: static facts.
        net: its network.
        loss: `(out, batch, present, hparams) -> info`, a dict of scalars for people; its
            `loss` is what is minimised. `out` is what the network returned.

    The method's hyperparameters have at least `lr`, `dropout` and `latent_dim`.
    """

    def init(key: Array, data: NCDData, goal: Goal, hparams: Any) -> EncoderState:
        del goal
        variables = net.init(key, data.x[:1], hparams.latent_dim, jnp.float32(0.0), train=False)
        return EncoderState(
            **variables,
            opt=adamw(hparams.lr).init(variables["params"]),
            present=present_classes(data.y, spec.n_known),
            latent_dim=jnp.asarray(hparams.latent_dim, jnp.int32),
        )

    def step(
        key: Array, state: EncoderState, batch: Batch, hparams: Any
    ) -> tuple[EncoderState, dict[str, Array]]:
        def of_weights(params: Any) -> tuple[dict[str, Array], Any]:
            inputs = batch.x, hparams.latent_dim, hparams.dropout
            out, batch_stats = in_training(net, params, state, key, *inputs)
            return loss(out, batch, state.present, hparams), batch_stats

        state, moments, info = descend(of_weights, state, state.opt, hparams.lr)
        return state._replace(opt=moments), info

    def represent(state: EncoderState, x: Array) -> Array:
        out: Any = net.apply(variables_of(state), x, state.latent_dim, 0.0, train=False)
        return unit_rows(out.latent) if spec.normalise else out.latent

    cluster = cluster_by_kmeans(spec)
    return Method(init, (Stage(step),), represent, cluster, assign_to_nearest, spec.max_clusters)
