"""Methods that train an encoder and a classifier of the known classes, and cluster latents.

They differ in their network and their loss; the rest is here.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ncd_jax.methods.parts import assign_to_nearest, cluster_by_kmeans, present_classes
from ncd_jax.methods.spec import Spec
from ncd_jax.networks.projection import unit_rows
from ncd_jax.types import Array, Batch, Goal, Interval, Method, NCDData, Stage

__all__ = ["WEIGHT_DECAY", "State", "encoder_method", "encoder_space"]

WEIGHT_DECAY = 0.01


class State(NamedTuple):
    """What the next step needs.

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


def encoder_space(n_features: int) -> dict[str, Interval]:
    """Ranges of `lr`, `dropout` and `latent_dim` for a table of `n_features` columns."""
    widest = min(max(n_features, 32), 512)
    return {
        "lr": Interval(1e-4, 1e-2, log=True, valid=(1e-12, 1e12), meaning="learning rate"),
        "dropout": Interval(
            0.0, 0.6, valid=(0.0, 0.99), meaning="share of units that are switched off in training"
        ),
        "latent_dim": Interval(
            min(8, n_features),
            widest,
            log=True,
            integer=True,
            valid=(1, 10_000),
            meaning="columns of the latent space",
        ),
    }


def encoder_method(spec: Spec, net: Any, loss: Callable[..., dict[str, Array]]) -> Method:
    """A method from a network and a loss, trained by AdamW.

    Args:
        spec: static facts.
        net: a network that is called as `(x, latent_dim, dropout, train=)` and returns a named
            tuple with at least `latent` and `logits`.
        loss: `(out, batch, present, hparams) -> info`, a dict of scalars for people; its
            `loss` is what is minimised. `out` is what the network returned.

    The method's hyperparameters have at least `lr`, `dropout` and `latent_dim`.
    """

    def init(key: Array, data: NCDData, goal: Goal, hparams: Any) -> State:
        del goal
        variables = net.init(key, data.x[:1], hparams.latent_dim, jnp.float32(0.0), train=False)
        params = variables["params"]
        present = present_classes(data.y, spec.n_known)
        opt = optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY).init(params)
        latent_dim = jnp.asarray(hparams.latent_dim, jnp.int32)
        return State(params, variables["batch_stats"], opt, present, latent_dim)

    def step(
        key: Array, state: State, batch: Batch, hparams: Any
    ) -> tuple[State, dict[str, Array]]:
        def objective(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
            out, updated = net.apply(
                {"params": params, "batch_stats": state.batch_stats},
                batch.x,
                hparams.latent_dim,
                hparams.dropout,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            info = loss(out, batch, state.present, hparams)
            return info["loss"], (info, updated["batch_stats"])

        (_, (info, batch_stats)), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
        optimiser = optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY)
        updates, opt = optimiser.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        return state._replace(params=params, batch_stats=batch_stats, opt=opt), info

    def evaluate(state: State, x: Array) -> Any:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        return net.apply(variables, x, state.latent_dim, 0.0, train=False)

    def represent(state: State, x: Array) -> Array:
        latent = evaluate(state, x).latent
        return unit_rows(latent) if spec.normalise else latent

    def known_logits(state: State, x: Array) -> Array:
        return jnp.where(state.present, evaluate(state, x).logits, -1e9)

    return Method(
        init,
        (Stage(step),),
        represent,
        known_logits,
        cluster_by_kmeans(spec),
        assign_to_nearest,
        spec.max_clusters,
    )
