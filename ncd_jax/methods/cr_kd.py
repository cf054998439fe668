"""Class-relation knowledge distillation on top of a unified objective, for tables.

First a classifier of the known classes; then one softmax over known classes and novel clusters,
trained with swapped prediction on two views of every row. A frozen copy of the first stage keeps
what it knew about the likeness of novel rows to known classes. Views of table rows, clusters of
unequal size and the reconstruction term are ours.

Sources: Gu, Zhang, Xu, He, "Class-relation knowledge distillation for novel class discovery",
ICCV 2023, arXiv 2307.09158; Fini et al., "A unified objective for novel class discovery",
ICCV 2021.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import class_means
from ncd_jax.methods import spaces
from ncd_jax.methods.parts import (
    adamw,
    descend,
    in_training,
    present_classes,
    variables_of,
)
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.networks.augmentation import two_views
from ncd_jax.networks.joint_heads import JointHeadsNet
from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error
from ncd_jax.networks.relation import TEMPERATURE, head_losses, masked_mean
from ncd_jax.types import UNLABELLED, Array, Batch, Clusters, Goal, Method, NCDData, Stage

__all__ = ["INFO", "Distillation", "HParams", "State", "cr_kd"]

PRETRAIN = 0.3
"""Share of the epochs in which only known classes are learnt."""

PENALTY = {"relaxed": 0.075, "equal": math.inf}
"""On clusters of unequal size, by variant; `ncd_jax.networks.relation.sinkhorn` says what it means.

Heads that have learnt nothing lean to one cluster with all rows alike. Targets then lean by
`1 / (penalty + epsilon)` times as much, predictions by `1 / TEMPERATURE`: above
`TEMPERATURE - epsilon = 0.05` the lean dies out, below it all rows end in one cluster.
"""

MEMORY = 0.99
"""Weight of the past in the running loss by which the best head is told."""


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar; `spaces` says what they mean."""

    lr: Array
    dropout: Array
    latent_dim: Array
    alpha: Array
    mask_rate: Array
    noise: Array
    reconstruction: Array


class Distillation(NamedTuple):
    """What only training needs.

    Attributes:
        moments: state of the optimiser.
        teacher: encoder and known head as the first stage left them.
    """

    moments: Any
    teacher: Any


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: weights.
        batch_stats: running statistics of BatchNorm.
        opt: what only training needs.
        present: `bool[C]`, known classes with a labelled row in the training data.
        k: scalar i32, number of novel clusters.
        head_loss: `f32[H]`, running loss of every novel head; the lowest one answers.
        latent_dim: scalar i32, latent columns in use.
    """

    params: Any
    batch_stats: Any
    opt: Distillation
    present: Array
    k: Array
    head_loss: Array
    latent_dim: Array


def cr_kd(spec: Spec) -> Method:
    """Class-relation distillation as pure functions for the shapes in `spec`.

    The latent has norm 1 whatever the specification says: the heads see it so.
    """
    net = JointHeadsNet(spec.n_features, spec.n_known, spec.latent_width, spec.max_clusters)
    its = _Functions(spec, net, PENALTY[spec.variant or "relaxed"])
    first = Stage(its.pretrain, share=PRETRAIN)
    second = Stage(its.discover, share=1.0 - PRETRAIN, enter=_freeze_teacher)
    return Method(
        its.init, (first, second), its.represent, its.cluster, its.assign, spec.max_clusters
    )


@dataclass(frozen=True)
class _Functions:
    """The functions of the method.

    Attributes:
        spec: static facts.
        net: the network.
        penalty: on clusters of unequal size.
    """

    spec: Spec
    net: JointHeadsNet
    penalty: float

    def init(self, key: Array, data: NCDData, goal: Goal, hparams: HParams, /) -> State:
        variables: Any = self.net.init(
            key, data.x[:1], hparams.latent_dim, jnp.float32(0.0), train=False
        )
        return State(
            **variables,
            opt=Distillation(adamw(hparams.lr).init(variables["params"]), _recogniser(variables)),
            present=present_classes(data.y, self.spec.n_known),
            k=jnp.asarray(goal.k, jnp.int32),
            head_loss=jnp.zeros(self.net.n_heads, jnp.float32),
            latent_dim=jnp.asarray(hparams.latent_dim, jnp.int32),
        )

    def pretrain(
        self, key: Array, state: State, batch: Batch, hparams: HParams, /
    ) -> tuple[State, dict[str, Array]]:
        """A step of the first stage: known classes, and rebuilding of all rows."""

        def loss(params: Any) -> tuple[dict[str, Array], Any]:
            inputs = batch.x, hparams.latent_dim, hparams.dropout
            out, batch_stats = in_training(self.net, params, state, key, *inputs, part="describe")
            _, known, reconstruction = out
            cross_entropy = known_cross_entropy(known / TEMPERATURE, batch.y, state.present)
            rebuild = reconstruction_error(reconstruction, batch.x, self.spec.blocks)
            total = cross_entropy + hparams.reconstruction * rebuild
            info = {"loss": total, "cross_entropy": cross_entropy, "reconstruction": rebuild}
            return info, batch_stats

        return _descend(loss, state, hparams)

    def discover(
        self, key: Array, state: State, batch: Batch, hparams: HParams, /
    ) -> tuple[State, dict[str, Array]]:
        """A step of the second stage: two views of every row, and the teacher's opinion."""
        key_views, key_dropout = jax.random.split(key)
        views = two_views(
            key_views, batch.x, hparams.mask_rate, hparams.noise, self.spec.blocks
        ).reshape(-1, self.spec.n_features)
        labelled = batch.y != UNLABELLED
        wanted = ~labelled & batch.wanted
        _, teacher = self.recognise(state.opt.teacher, views, state.latent_dim)
        slots = jnp.arange(self.spec.max_clusters) < state.k

        def loss(params: Any) -> tuple[dict[str, Array], Any]:
            inputs = views, hparams.latent_dim, hparams.dropout
            out, batch_stats = in_training(self.net, params, state, key_dropout, *inputs)
            each, relation = jax.vmap(head_losses, (None, None, 0) + 5 * (None,))(
                teacher, out.known, out.novel, batch.y, wanted, state.present, slots, self.penalty
            )
            swapped = masked_mean(jnp.mean(each, axis=0), labelled | wanted)
            relation = jnp.mean(relation)
            rows = jnp.tile(batch.x, (2, 1))
            rebuild = reconstruction_error(out.reconstruction, rows, self.spec.blocks)
            info = {
                "loss": swapped + hparams.alpha * relation + hparams.reconstruction * rebuild,
                "swapped": swapped,
                "relation": relation,
                "reconstruction": rebuild,
                "head_loss": jax.vmap(masked_mean, (0, None))(each, wanted),
            }
            return info, batch_stats

        state, info = _descend(loss, state, hparams)
        recent = info.pop("head_loss")
        return state._replace(head_loss=MEMORY * state.head_loss + (1 - MEMORY) * recent), info

    def recognise(self, variables: Any, x: Array, latent_dim: Array) -> Any:
        """Latents and known cosines, outside of training."""
        return self.net.apply(variables, x, latent_dim, 0.0, train=False, method="recognise")

    def represent(self, state: State, x: Array, /) -> Array:
        latent: Array
        latent, _ = self.recognise(_recogniser(variables_of(state)), x, state.latent_dim)
        return latent

    def assign(self, state: State, z: Array, centroids: Array, active: Array, /) -> Array:
        """The cluster that the best head sees each row in; it needs no centroids."""
        del centroids
        heads: Any = self.net.apply(variables_of(state), z, method="discover")
        cosines = heads[jnp.argmin(state.head_loss)]
        return jnp.argmax(jnp.where(active, cosines, -jnp.inf), axis=1).astype(jnp.int32)

    def cluster(
        self, key: Array, state: State, z: Array, k: Array | int, mask: Array, /
    ) -> Clusters:
        """The clusters that were learnt, at most `k` of them; nothing is random any more."""
        del key
        active = jnp.arange(self.spec.max_clusters) < jnp.minimum(k, state.k)
        labels = self.assign(state, z, z, active)
        return Clusters(class_means(z, jnp.where(mask, labels, -1), len(active)), labels)


def _freeze_teacher(state: State) -> State:
    """The teacher is what was learnt so far; the optimiser begins anew."""
    # The rate plays no part in the first state of the optimiser.
    moments = adamw(0.0).init(state.params)
    return state._replace(opt=Distillation(moments, _recogniser(variables_of(state))))


def _descend(loss: Any, state: State, hparams: HParams) -> tuple[State, dict[str, Array]]:
    state, moments, info = descend(loss, state, state.opt.moments, hparams.lr)
    return state._replace(opt=state.opt._replace(moments=moments)), info


def _recogniser(variables: Any) -> Any:
    """Those of encoder and known head alone."""
    return {
        "params": {name: variables["params"][name] for name in ("encoder", "known_head")},
        "batch_stats": {"encoder": variables["batch_stats"]["encoder"]},
    }


INFO = MethodInfo(
    title="CR-KD",
    make=cr_kd,
    hparams=HParams,
    state=State,
    space=spaces.cr_kd,
    citation="P. Gu, C. Zhang, R. Xu, X. He: Class-relation Knowledge Distillation for Novel Class "
    "Discovery. ICCV, 2023. arXiv 2307.09158.",
    variants=("relaxed", "equal"),
    needs_k=True,
)
