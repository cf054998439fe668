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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ncd_jax.methods.parts import class_means, present_classes
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.methods.training import WEIGHT_DECAY, encoder_space
from ncd_jax.networks.joint_heads import JointHeadsNet
from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error
from ncd_jax.networks.relation import TEMPERATURE, head_losses, masked_mean
from ncd_jax.networks.views import two_views
from ncd_jax.types import UNLABELLED, Array, Batch, Clusters, Goal, Interval, Method, NCDData, Stage

__all__ = ["INFO", "HParams", "State", "Training", "cr_kd", "space"]

PRETRAIN = 0.3
"""Share of the epochs in which only known classes are learnt."""

PENALTY = {"relaxed": 0.075, "equal": math.inf}
"""On clusters of unequal size, by variant; `ncd_jax.networks.sinkhorn` says what it means.

Heads that have learnt nothing lean to one cluster with all rows alike. Targets then lean by
`1 / (penalty + epsilon)` times as much, predictions by `1 / TEMPERATURE`: above
`TEMPERATURE - epsilon = 0.05` the lean dies out, below it all rows end in one cluster.
"""

MEMORY = 0.99
"""Weight of the past in the running loss by which the best head is told."""


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar.

    Attributes:
        lr: learning rate of AdamW.
        dropout: dropout rate in encoder and decoder.
        latent_dim: latent columns in use.
        alpha: weight of relation distillation.
        mask_rate: share of a view's entries that come from other rows.
        noise: standard deviation of a view's noise, as a multiple of the column's.
        reconstruction: weight of the reconstruction error.
    """

    lr: Array
    dropout: Array
    latent_dim: Array
    alpha: Array
    mask_rate: Array
    noise: Array
    reconstruction: Array


class Training(NamedTuple):
    """What only training needs.

    Attributes:
        adamw: state of the optimiser.
        teacher: encoder and known head as the first stage left them.
    """

    adamw: Any
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
    opt: Any
    present: Array
    k: Array
    head_loss: Array
    latent_dim: Array


def space(n_features: int) -> dict[str, Interval]:
    """Ranges that are searched for a table of `n_features` columns."""
    return encoder_space(n_features) | {
        "alpha": Interval(
            0.0, 1.0, valid=(0.0, 1e6), meaning="weight of keeping the likeness to known classes"
        ),
        "mask_rate": Interval(
            0.1, 0.6, meaning="share of a row's entries that a view takes from other rows"
        ),
        "noise": Interval(
            0.0, 0.3, valid=(0.0, 1e6), meaning="noise of a view, in standard deviations"
        ),
        "reconstruction": Interval(
            1e-3, 1.0, log=True, valid=(0.0, 1e6), meaning="weight of rebuilding the row"
        ),
    }


def cr_kd(spec: Spec) -> Method:
    """Class-relation distillation as pure functions for the shapes in `spec`.

    The latent has norm 1 whatever the specification says: the heads see it so.
    """
    net = JointHeadsNet(spec.n_features, spec.n_known, spec.latent_width, spec.max_clusters)
    penalty = PENALTY[spec.variant or "relaxed"]

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        variables = net.init(key, data.x[:1], hparams.latent_dim, jnp.float32(0.0), train=False)
        params, batch_stats = variables["params"], variables["batch_stats"]
        opt = Training(
            adamw=optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY).init(params),
            teacher=_recogniser(params, batch_stats),
        )
        present = present_classes(data.y, spec.n_known)
        k = jnp.asarray(goal.k, jnp.int32)
        latent_dim = jnp.asarray(hparams.latent_dim, jnp.int32)
        return State(
            params, batch_stats, opt, present, k, jnp.zeros(net.n_heads, jnp.float32), latent_dim
        )

    def recognise(variables: Any, x: Array, latent_dim: Array) -> Any:
        """Latents and known cosines, outside of training."""
        return net.apply(variables, x, latent_dim, 0.0, train=False, method="recognise")

    def apply(params: Any, state: State, x: Array, hparams: HParams, key: Array, part: str) -> Any:
        """What a part of the network says in training, and the new running statistics."""
        out, updated = net.apply(
            {"params": params, "batch_stats": state.batch_stats},
            x,
            hparams.latent_dim,
            hparams.dropout,
            train=True,
            method=part,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        return out, updated["batch_stats"]

    def descend(loss: Any, state: State, hparams: HParams) -> tuple[State, dict[str, Array]]:
        """One step of AdamW down `loss: params -> (value, (info, batch_stats))`."""
        (_, (info, batch_stats)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        optimiser = optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY)
        updates, adamw = optimiser.update(grads, state.opt.adamw, state.params)
        params = optax.apply_updates(state.params, updates)
        opt = state.opt._replace(adamw=adamw)
        return state._replace(params=params, batch_stats=batch_stats, opt=opt), info

    def pretrain(
        key: Array, state: State, batch: Batch, hparams: HParams
    ) -> tuple[State, dict[str, Array]]:
        def loss(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
            out, batch_stats = apply(params, state, batch.x, hparams, key, "describe")
            _, known, reconstruction = out
            cross_entropy = known_cross_entropy(known / TEMPERATURE, batch.y, state.present)
            rebuild = reconstruction_error(reconstruction, batch.x, spec.blocks)
            total = cross_entropy + hparams.reconstruction * rebuild
            info = {"loss": total, "cross_entropy": cross_entropy, "reconstruction": rebuild}
            return total, (info, batch_stats)

        return descend(loss, state, hparams)

    def freeze_teacher(state: State) -> State:
        """The teacher is what was learnt so far; the optimiser begins anew."""
        # The rate plays no part in the first state of the optimiser.
        adamw = optax.adamw(0.0, weight_decay=WEIGHT_DECAY).init(state.params)
        teacher = _recogniser(state.params, state.batch_stats)
        return state._replace(opt=state.opt._replace(adamw=adamw, teacher=teacher))

    def discover(
        key: Array, state: State, batch: Batch, hparams: HParams
    ) -> tuple[State, dict[str, Array]]:
        key_views, key_dropout = jax.random.split(key)
        views = two_views(key_views, batch.x, hparams.mask_rate, hparams.noise, spec.blocks)
        x = views.reshape(-1, spec.n_features)
        labelled = batch.y != UNLABELLED
        wanted = ~labelled & batch.wanted
        _, teacher = recognise(state.opt.teacher, x, state.latent_dim)
        slots = jnp.arange(spec.max_clusters) < state.k

        def loss(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
            out, batch_stats = apply(params, state, x, hparams, key_dropout, "__call__")
            each, relation = jax.vmap(head_losses, (None, None, 0) + 5 * (None,))(
                teacher, out.known, out.novel, batch.y, wanted, state.present, slots, penalty
            )
            swapped = masked_mean(jnp.mean(each, axis=0), labelled | wanted)
            relation = jnp.mean(relation)
            rows = jnp.tile(batch.x, (2, 1))
            rebuild = reconstruction_error(out.reconstruction, rows, spec.blocks)
            total = swapped + hparams.alpha * relation + hparams.reconstruction * rebuild
            info = {
                "loss": total,
                "swapped": swapped,
                "relation": relation,
                "reconstruction": rebuild,
                "head_loss": jax.vmap(masked_mean, (0, None))(each, wanted),
            }
            return total, (info, batch_stats)

        state, info = descend(loss, state, hparams)
        recent = info.pop("head_loss")
        return state._replace(head_loss=MEMORY * state.head_loss + (1 - MEMORY) * recent), info

    def represent(state: State, x: Array) -> Array:
        return recognise(_recogniser(state.params, state.batch_stats), x, state.latent_dim)[0]

    def known_logits(state: State, x: Array) -> Array:
        recogniser = _recogniser(state.params, state.batch_stats)
        _, cosines = recognise(recogniser, x, state.latent_dim)
        return jnp.where(state.present, cosines / TEMPERATURE, -1e9)

    def assign(state: State, z: Array, centroids: Array, active: Array) -> Array:
        """The cluster that the best head sees each row in; it needs no centroids."""
        del centroids
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        heads: Any = net.apply(variables, z, method="discover")
        cosines = heads[jnp.argmin(state.head_loss)]
        return jnp.argmax(jnp.where(active, cosines, -jnp.inf), axis=1).astype(jnp.int32)

    def cluster(key: Array, state: State, z: Array, k: Array | int, mask: Array) -> Clusters:
        """The clusters that were learnt, at most `k` of them; nothing is random any more."""
        del key
        active = jnp.arange(spec.max_clusters) < jnp.minimum(k, state.k)
        labels = assign(state, z, z, active)
        counted = jnp.where(mask, labels, -1)
        return Clusters(class_means(z, counted, spec.max_clusters), labels)

    stages = (
        Stage(pretrain, share=PRETRAIN),
        Stage(discover, share=1.0 - PRETRAIN, enter=freeze_teacher),
    )
    return Method(init, stages, represent, known_logits, cluster, assign, spec.max_clusters)


def _recogniser(params: Any, batch_stats: Any) -> Any:
    """Variables of encoder and known head."""
    return {
        "params": {name: params[name] for name in ("encoder", "known_head")},
        "batch_stats": {"encoder": batch_stats["encoder"]},
    }


INFO = MethodInfo(
    title="CR-KD",
    make=cr_kd,
    hparams=HParams,
    state=State,
    space=space,
    citation="P. Gu, C. Zhang, R. Xu, X. He: Class-relation Knowledge Distillation for Novel Class "
    "Discovery. ICCV, 2023. arXiv 2307.09158.",
    variants=("relaxed", "equal"),
    needs_k=True,
)
