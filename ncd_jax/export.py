"""A model as bytes that need nothing but JAX to run."""

from collections.abc import Sequence

import jax
import jax.export
import jax.numpy as jnp

from ncd_jax.discovery.familiarity import familiarity_of
from ncd_jax.discovery.hyperparameters import make_method
from ncd_jax.discovery.model import Model, apply, places
from ncd_jax.types import Array

__all__ = ["export_assign"]


def export_assign(model: Model, platforms: Sequence[str] = ("cpu", "cuda")) -> bytes:
    """`model.assign` for encoded rows as a program that any process with JAX can load.

    `jax.export.deserialize(data).call(x)` takes `x: f32[n, d]`, any number of rows, encoded
    by `Model.encoder` and scaled by `Model.scaler`. It gives the index into `Model.classes`,
    `i32[n]`, and the confidence, `f32[n]`. The weights are inside; neither this package nor
    Flax is needed. JAX reads what releases of up to six months ago wrote.

    Args:
        model: the model.
        platforms: where it may run.
    """
    method = make_method(model.method, model.spec)
    state, where = jax.tree.map(jnp.asarray, (model.state, places(model)))
    class_of_row = jnp.zeros(len(model.means), int).at[model.rows].set(jnp.arange(len(model.rows)))
    margins, sure = (jnp.asarray(knots, jnp.float32) for knots in model.calibration)

    @jax.jit
    @jax.vmap  # methods may ask for the length of a table, which is open here; of one row it is 1
    def assign(row: Array) -> tuple[Array, Array]:
        applied = apply(method, state, where, row[None])
        label = class_of_row[applied.labels[0]].astype(jnp.int32)
        confidence = jnp.interp(applied.margin[0], margins, sure)
        if model.reference is not None:
            confidence *= familiarity_of(model.reference, row, applied.z[0], label)
        return label, confidence

    (n,) = jax.export.symbolic_shape("n")
    rows = jax.ShapeDtypeStruct((n, model.spec.n_features), jnp.float32)
    exported = jax.export.export(assign, platforms=platforms)(rows)
    return bytes(exported.serialize())
