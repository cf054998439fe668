"""PBN, projection-based novel class discovery.

A latent space that tells the known classes apart (cross-entropy on labelled rows) and still
describes every row (reconstruction of all rows); novel rows are clustered in it.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.4.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from ncd_jax.methods.spec import Spec
from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error
from ncd_jax.networks.projection import ProjectionNet, unit_rows
from ncd_jax.types import Array, Interval, Method, NCDData

__all__ = ["HParams", "State", "pbn", "space"]

WEIGHT_DECAY = 0.01


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar.

    Attributes:
        lr: learning rate of AdamW.
        w: share of the cross-entropy in the loss; the rest is reconstruction.
        dropout: dropout rate in encoder and decoder.
        latent_dim: latent columns in use.
    """

    lr: Array
    w: Array
    dropout: Array
    latent_dim: Array


class State(NamedTuple):
    """What the next step needs.

    Attributes:
        params: weights.
        batch_stats: running statistics of BatchNorm.
        opt: state of the optimiser.
        present: `bool[C]`, known classes with a labelled row in the training data.
    """

    params: Any
    batch_stats: Any
    opt: Any
    present: Array


def space(n_features: int) -> dict[str, Interval]:
    """Ranges that are searched for a table of `n_features` columns."""
    widest = min(max(n_features, 32), 512)
    return {
        "lr": Interval(1e-4, 1e-2, log=True, valid=(1e-12, 1e12)),
        "w": Interval(0.0, 1.0),
        "dropout": Interval(0.0, 0.6, valid=(0.0, 0.99)),
        "latent_dim": Interval(
            min(8, n_features), widest, log=True, integer=True, valid=(1, 10_000)
        ),
    }


def pbn(spec: Spec) -> Method:
    """PBN as pure functions for the shapes in `spec`."""
    net = ProjectionNet(spec.n_features, spec.n_known, spec.latent_width)

    def init(key: Array, data: NCDData, hparams: HParams) -> State:
        variables = net.init(key, data.x[:1], hparams.latent_dim, jnp.float32(0.0), train=False)
        params = variables["params"]
        present = jnp.any(data.y[:, None] == jnp.arange(spec.n_known), axis=0)
        opt = optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY).init(params)
        return State(params, variables["batch_stats"], opt, present)

    def step(
        key: Array, state: State, batch: NCDData, hparams: HParams
    ) -> tuple[State, dict[str, Array]]:
        def loss(params: Any) -> tuple[Array, tuple[dict[str, Array], Any]]:
            out, updated = net.apply(
                {"params": params, "batch_stats": state.batch_stats},
                batch.x,
                hparams.latent_dim,
                hparams.dropout,
                train=True,
                rngs={"dropout": key},
                mutable=["batch_stats"],
            )
            known = known_cross_entropy(out.logits, batch.y, state.present)
            rebuild = reconstruction_error(out.reconstruction, batch.x)
            total = hparams.w * known + (1.0 - hparams.w) * rebuild
            info = {"loss": total, "cross_entropy": known, "reconstruction": rebuild}
            return total, (info, updated["batch_stats"])

        (_, (info, batch_stats)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
        optimiser = optax.adamw(hparams.lr, weight_decay=WEIGHT_DECAY)
        updates, opt = optimiser.update(grads, state.opt, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(params, batch_stats, opt, state.present), info

    def evaluate(state: State, x: Array, hparams: HParams) -> Any:
        return net.apply(
            {"params": state.params, "batch_stats": state.batch_stats},
            x,
            hparams.latent_dim,
            hparams.dropout,
            train=False,
        )

    def represent(state: State, x: Array, hparams: HParams) -> Array:
        latent = evaluate(state, x, hparams).latent
        return unit_rows(latent) if spec.normalise else latent

    def known_logits(state: State, x: Array, hparams: HParams) -> Array:
        return jnp.where(state.present, evaluate(state, x, hparams).logits, -1e9)

    return Method(init, step, represent, known_logits)
