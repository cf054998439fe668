"""One training as one scan: no Python in the loop."""

import jax
import jax.numpy as jnp

from ncd_jax.types import Array, Method, NCDData, PyTree

__all__ = ["epoch_order", "train"]


def epoch_order(key: Array, n_rows: int, batch_size: int) -> Array:
    """Rows of every step of one epoch, `i32[steps, rows]`, each row at least once.

    Batches are equally large, so none is ragged: as many steps as `batch_size` asks for,
    filled up with the first rows of the order where the division leaves a remainder.
    """
    n_steps = -(-n_rows // batch_size)
    rows_per_step = -(-n_rows // n_steps)
    order = jax.random.permutation(key, n_rows)
    return jnp.resize(order, (n_steps, rows_per_step))


def train(
    key: Array,
    method: Method,
    data: NCDData,
    hparams: PyTree,
    *,
    epochs: int,
    batch_size: int,
) -> tuple[PyTree, dict[str, Array]]:
    """Trains a method on all rows of `data`.

    The order of rows and the noise depend on `key` alone. Under `vmap` over candidates and
    folds they are drawn and gathered once for all lanes, which pairs the comparison.

    Returns:
        The last state, and the method's info as `f32[epochs]`, means over the steps.
    """
    key_init, key_order, key_step = jax.random.split(key, 3)

    def epoch(state: PyTree, i: Array) -> tuple[PyTree, dict[str, Array]]:
        order = epoch_order(jax.random.fold_in(key_order, i), len(data.x), batch_size)
        keys = jax.random.split(jax.random.fold_in(key_step, i), len(order))

        def step(state: PyTree, inputs: tuple[Array, Array]) -> tuple[PyTree, dict[str, Array]]:
            key, rows = inputs
            batch = NCDData(data.x[rows], data.y[rows])
            return method.step(key, state, batch, hparams)

        state, info = jax.lax.scan(step, state, (keys, order))
        return state, jax.tree.map(jnp.mean, info)

    state = method.init(key_init, data, hparams)
    return jax.lax.scan(epoch, state, jnp.arange(epochs))
