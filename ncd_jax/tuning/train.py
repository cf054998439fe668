"""One training as one scan: no Python in the loop."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.types import Array, Batch, Goal, Method, NCDData, PyTree, Stage

__all__ = ["Task", "begin", "epoch_order", "go_on", "last_stage", "most_wanted", "train"]


class Task(NamedTuple):
    """All that decides a training.

    The order of rows and the noise depend on `key` alone. Under `vmap` over candidates and
    folds they are drawn and gathered once for all lanes, which pairs the comparison.

    Attributes:
        key: random key.
        method: the method.
        data: all rows.
        goal: which of them are to be told apart.
        hparams: of the method.
        epochs: passes over all rows, shared out among the method's stages.
        batch_size: most rows in a step.
    """

    key: Array
    method: Method
    data: NCDData
    goal: Goal
    hparams: PyTree
    epochs: int
    batch_size: int


def epoch_order(key: Array, n_rows: int, batch_size: int) -> Array:
    """Rows of every step of one epoch, `i32[steps, rows]`, each row at least once.

    Batches are equally large, so none is ragged: as many steps as `batch_size` asks for,
    filled up with the first rows of the order where the division leaves a remainder.
    """
    n_steps = -(-n_rows // batch_size)
    rows_per_step = -(-n_rows // n_steps)
    # Equal draws are rare and harmless; `jax.random.permutation` sorts again because of them.
    order = jnp.argsort(jax.random.bits(key, (n_rows,)))
    return jnp.resize(order, (n_steps, rows_per_step))


def most_wanted(n_wanted: int, n_rows: int, rows_per_step: int) -> int:
    """So many of `n_wanted` among `n_rows` rows that a batch hardly ever has more.

    By Bernstein's inequality it is one batch in 10^10; the rows that are left over there are told
    apart in another epoch.
    """
    n_wanted = min(n_wanted, n_rows)  # lists of rows are filled up
    mean, odds = rows_per_step * n_wanted / n_rows, math.log(1e10)
    spread = math.sqrt(2 * odds * mean * (1 - n_wanted / n_rows) + (odds / 3) ** 2)
    return min(math.ceil(mean + odds / 3 + spread), n_wanted, rows_per_step)


def train(
    key: Array,
    method: Method,
    data: NCDData,
    goal: Goal,
    hparams: PyTree,
    *,
    epochs: int,
    batch_size: int,
) -> tuple[PyTree, dict[str, Array]]:
    """Trains a method on all rows of `data`, or fits it where it needs no training.

    Arguments are as those of `Task`.

    Returns:
        The last state, and the method's info as `f32[epochs]`, means over the steps: what
        all its stages report, `loss` at least. Without training it is one loss of 0: sweeps
        cannot stack what has no size.
    """
    task = Task(key, method, data, goal, hparams, epochs, batch_size)
    state = method.init(jax.random.split(key, 3)[0], data, goal, hparams)
    if not method.stages:
        return state, {"loss": jnp.zeros(1)}

    infos = []
    ends = _ends(method, epochs)
    for stage, first, end in zip(method.stages, [0, *ends], ends, strict=False):
        epoch = _epoch(task, stage)
        state, info = jax.lax.scan(epoch, stage.enter(state), jnp.arange(first, end))
        infos.append(info)
    shared = set.intersection(*(set(info) for info in infos))
    return state, {name: jnp.concatenate([info[name] for info in infos]) for name in shared}


def begin(task: Task) -> tuple[PyTree, Array]:
    """`train` as far as its last stage, to `go_on` from.

    Returns:
        The state with which the last stage begins, and the losses `f32[epochs]` until then, with
        zeros for epochs to come.
    """
    *earlier, last = task.method.stages
    method = task.method._replace(stages=tuple(earlier))
    state, info = train(**task._replace(method=method)._asdict())
    loss = jnp.zeros(task.epochs)
    if earlier:
        loss = loss.at[: len(info["loss"])].set(info["loss"])
    return last.enter(state), loss


def go_on(
    task: Task, begun: tuple[PyTree, Array], span: tuple[Array | int, Array | int]
) -> tuple[PyTree, Array]:
    """More epochs of the last stage: as many as one likes at a time, `train` has them at once.

    From what `begin` or this function returned. The span is the first of these epochs and the first
    that is none of them; it may be traced.
    """
    epoch = _epoch(task, task.method.stages[-1])

    def one(i: Array, so_far: tuple[PyTree, Array]) -> tuple[PyTree, Array]:
        state, info = epoch(so_far[0], i)
        return state, so_far[1].at[i].set(info["loss"])

    return jax.lax.fori_loop(*span, one, begun)


def last_stage(method: Method, epochs: int) -> int:
    """The epoch with which the last stage of a training begins."""
    return int(_ends(method, epochs)[-2]) if len(method.stages) > 1 else 0


def _ends(method: Method, epochs: int) -> np.ndarray:
    """The first epoch after each stage."""
    return np.rint(np.cumsum([stage.share for stage in method.stages]) * epochs).astype(int)


def _epoch(task: Task, stage: Stage) -> Callable[[PyTree, Array], tuple[PyTree, dict[str, Array]]]:
    """The function from a state and the number of an epoch to the next state and its info."""
    data, goal = task.data, task.goal
    # The first of the three is that of `init`, and every stage has the others.
    _, key_order, key_step = jax.random.split(jax.random.clone(task.key), 3)
    wanted = jnp.zeros(len(data.x), bool).at[goal.rows].max(goal.mask)

    def epoch(state: PyTree, i: Array) -> tuple[PyTree, dict[str, Array]]:
        order = epoch_order(jax.random.fold_in(key_order, i), len(data.x), task.batch_size)
        keys = jax.random.split(jax.random.fold_in(key_step, i), len(order))

        def one(state: PyTree, inputs: tuple[Array, Array]) -> tuple[PyTree, dict[str, Array]]:
            key, rows = inputs
            most = most_wanted(len(goal.rows), len(data.x), len(rows))
            (places,) = jnp.nonzero(wanted[rows], size=most, fill_value=0)
            batch = Batch(data.x[rows], data.y[rows], wanted[rows], places)
            return stage.step(key, state, batch, task.hparams)

        state, info = jax.lax.scan(one, state, (keys, order))
        return state, jax.tree.map(jnp.mean, info)

    return epoch
