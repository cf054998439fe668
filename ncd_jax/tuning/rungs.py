"""Successive halving: after a quarter and a half of the epochs the worse candidates stop.

All candidates of a batch climb the same rungs. At each they find the hidden classes with what they
have learned so far, and the worse half is not trained any further; three rungs are half the work.
Those that stop keep the score of their last rung, and cannot win.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.tuning.cross_validation import (
    Protocol,
    SweepData,
    alone,
    measure,
    task_of,
    training_key,
)
from ncd_jax.tuning.devices import deal, in_shares, on_devices
from ncd_jax.tuning.processes import gather
from ncd_jax.tuning.train import begin, go_on, last_stage
from ncd_jax.types import Array, Method, PyTree, RunResult

__all__ = ["Climb", "Rung", "compile_rungs", "plan_rungs"]

Begun = tuple[PyTree, Array]
"""States of trainings, and their losses so far."""


class Rung(NamedTuple):
    """How many candidates are trained until which epoch."""

    candidates: int
    end: int


class Climb(NamedTuple):
    """What a batch of candidates comes to.

    Attributes:
        result: of each on its last rung, with leading axes `[A, F, S]`.
        epochs: `i[A]`, how long each was trained.
    """

    result: RunResult
    epochs: np.ndarray


class Slots(NamedTuple):
    """Where runs are kept: run `p` on device `p % devices`, so that few are shared out evenly too.

    Attributes:
        devices: how many.
        lanes: runs side by side on a device.
        rounds: how often so many, where all runs take part.
    """

    devices: int
    lanes: int
    rounds: int

    @property
    def places(self) -> np.ndarray:
        """The slot of every run, `i[n]`."""
        each = self.lanes * self.rounds
        return np.arange(self.devices * each).reshape(self.devices, each).T.ravel()

    def hand_out(self, items: np.ndarray) -> np.ndarray:
        """An item for every slot; the last one is repeated where there are fewer."""
        places = self.places
        handed = np.empty((len(places), *items.shape[1:]), items.dtype)
        handed[places] = items[np.minimum(np.arange(len(places)), len(items) - 1)]
        return handed

    def rounds_of(self, n_runs: int) -> np.int32:
        """How often the lanes are filled with the first so many runs."""
        return np.int32(-(-n_runs // (self.devices * self.lanes)))


def plan_rungs(candidates: int, first: int, epochs: int, rungs: int) -> list[Rung]:
    """Half as many candidates on each rung, until twice as far into the last stage of a training.

    Args:
        candidates: how many begin.
        first: the epoch with which the last stage begins.
        epochs: the end.
        rungs: most of them; fewer where there is nothing to halve.
    """
    plan: list[Rung] = []
    for i in range(rungs):
        n = -(-candidates // 2**i)
        end = first + max(round((epochs - first) / 2 ** (rungs - 1 - i)), 1)
        if plan and n == plan[-1].candidates:
            plan[-1] = Rung(n, end)
        elif not plan or end > plan[-1].end:
            plan.append(Rung(n, end))
    return plan


def compile_rungs(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol, n_candidates: int
) -> Callable[[PyTree, int], Climb]:
    """The function from hyperparameters `[A]`, and how many of them count, to what they come to.

    The same programs serve all rungs and all batches: runs go side by side as many at a time as
    the last rung has for each device, and how many times is traced. Which candidates go on is
    decided on the host while no device is at work: one that is done need not wait for others
    inside a program.

    Args:
        method: one that is trained.
        data: what the candidates share.
        hparams: of any candidates, stacked on a leading axis `[A]`.
        protocol: static facts.
        n_candidates: static length `A`.
    """
    n_folds, first = len(data.ks), last_stage(method, protocol.epochs)
    slots = _make_slots(n_candidates, n_folds, protocol)
    static = {"method": method, "protocol": protocol, "slots": slots}

    def pairs_of(candidates: np.ndarray) -> np.ndarray:
        """Candidate and fold of every slot, `i32[n, 2]`."""
        folds = np.tile(np.arange(n_folds), len(candidates))
        return slots.hand_out(np.stack([np.repeat(candidates, n_folds), folds], 1).astype(np.int32))

    # What is compiled next is told by an example where the states lie.
    pairs, span = pairs_of(np.arange(n_candidates)), (np.int32(0), np.int32(0))
    start = _START.lower(data, hparams, pairs, **static).compile()
    begun = start(data, hparams, pairs)
    climb = _CLIMB.lower(data, hparams, pairs, begun, span, np.int32(0), **static).compile()
    regroup = _REGROUP.lower(begun, slots.places, slots=slots).compile()

    def to_candidates(shares: np.ndarray, n: int) -> np.ndarray:
        """The first so many candidates of what lies in slots, `[n, F, ...]`."""
        return shares[slots.places[: n * n_folds]].reshape(n, n_folds, *shares.shape[1:])

    def run(hparams: PyTree, n_asked: int) -> Climb:
        candidates, end, epochs = np.arange(n_asked), first, np.zeros(n_asked, int)
        begun, worth = start(data, hparams, pairs_of(candidates)), epochs
        result: RunResult | None = None
        for n, next_end in plan_rungs(n_asked, first, protocol.epochs, protocol.rungs):
            if n < len(candidates):
                going_on = np.sort(np.argsort(-worth, kind="stable")[:n])
                runs = going_on[:, None] * n_folds + np.arange(n_folds)
                begun = regroup(begun, slots.hand_out(slots.places[runs.ravel()]))
                candidates = candidates[going_on]
            span, rounds = (np.int32(end), np.int32(next_end)), slots.rounds_of(n * n_folds)
            begun, shares = climb(data, hparams, pairs_of(candidates), begun, span, rounds)
            found = jax.tree.map(functools.partial(to_candidates, n=n), gather(shares))
            result = found if result is None else _put(result, candidates, found)
            worth, end, epochs[candidates] = _worth(found), next_end, next_end
        assert result is not None
        return Climb(result, epochs)

    return run


def _put(everything: RunResult, places: np.ndarray, some: RunResult) -> RunResult:
    """Everything with other values in these places."""
    come_from = np.arange(len(everything.k))
    come_from[places] = len(come_from) + np.arange(len(places))
    return jax.tree.map(lambda a, b: np.concatenate([a, b])[come_from], everything, some)


def _make_slots(n_candidates: int, n_folds: int, protocol: Protocol) -> Slots:
    devices = len(_devices(n_candidates * n_folds))
    on_last = -(-n_candidates // 2 ** (protocol.rungs - 1)) * n_folds
    lanes = min(-(-on_last // devices), protocol.lanes)
    return Slots(devices, lanes, -(-n_candidates * n_folds // (devices * lanes)))


def _devices(n_runs: int) -> list[jax.Device]:
    return jax.devices() if jax.process_count() > 1 else jax.devices()[:n_runs]


def _worth(found: RunResult) -> np.ndarray:
    """What candidates are ranked by, `f64[A]`: see `Trial.worth`."""
    log_loss, acc = (np.mean(a, (1, 2), np.float64) for a in (found.log_loss, found.scores.acc))
    return np.where(np.isnan(log_loss), acc, -log_loss)


def _start(
    data: SweepData, hparams: PyTree, pairs: Array, method: Method, protocol: Protocol, slots: Slots
) -> Begun:
    """Trainings of all pairs `i32[n, 2]` as far as their last stage, `[n, S, ...]`."""

    def one(pair: Array, key: Array) -> Begun:
        run, candidate = _of_pair(data, hparams, pair, key)
        return begin(
            training_key(run),
            method,
            *task_of(run),
            candidate,
            epochs=protocol.epochs,
            batch_size=protocol.batch_size,
        )

    def share(pairs: Array) -> Begun:
        def of_seed(key: Array) -> Begun:
            return jax.lax.map(lambda pair: one(pair, key), pairs, batch_size=slots.lanes)

        return _seeds_second(jax.lax.map(of_seed, data.keys))

    return in_shares(share, pairs, _devices(slots.devices))


def _climb(
    data: SweepData,
    hparams: PyTree,
    pairs: Array,
    begun: Begun,
    span: tuple[Array, Array],
    rounds: Array,
    method: Method,
    protocol: Protocol,
    slots: Slots,
) -> tuple[Begun, RunResult]:
    """More epochs of the pairs in the first so many rounds, and what they find then."""

    def one(pair: Array, begun: Begun, key: Array) -> tuple[Begun, RunResult]:
        run, candidate = _of_pair(data, hparams, pair, key)
        begun = go_on(
            training_key(run),
            method,
            begun,
            *task_of(run),
            candidate,
            span=span,
            batch_size=protocol.batch_size,
        )
        return begun, measure(method, run, *begun, protocol)

    def side_by_side(pairs: Array, begun: Begun) -> tuple[Begun, RunResult]:
        def of_seed(inputs: tuple[Array, Begun]) -> tuple[Begun, RunResult]:
            key, begun = inputs
            return jax.vmap(lambda pair, begun: one(pair, begun, key))(pairs, begun)

        # One seed after the other, as in `run_pairs`.
        return _seeds_second(jax.lax.map(of_seed, (data.keys, _seeds_second(begun))))

    def share(mine: tuple[Array, Begun]) -> tuple[Begun, RunResult]:
        def take(tree: PyTree, i: Array) -> PyTree:
            start, n = i * slots.lanes, slots.lanes
            return jax.tree.map(lambda a: jax.lax.dynamic_slice_in_dim(a, start, n), tree)

        def one_round(i: Array, so_far: tuple[Begun, RunResult]) -> tuple[Begun, RunResult]:
            new = side_by_side(take(mine[0], i), take(so_far[0], i))
            return jax.tree.map(
                lambda a, b: jax.lax.dynamic_update_slice_in_dim(a, b, i * slots.lanes, 0),
                so_far,
                new,
            )

        like = jax.eval_shape(side_by_side, *mine)[1]
        empty = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), like)
        return jax.lax.fori_loop(0, rounds, one_round, (mine[1], empty))

    return on_devices(share, (pairs, begun), _devices(slots.devices))


def _regroup(begun: Begun, order: Array, slots: Slots) -> Begun:
    """Other slots for some of the runs: slot `i` gets what was in slot `order[i]`."""
    return deal(begun, order, _devices(slots.devices))


def _of_pair(data: SweepData, hparams: PyTree, pair: Array, key: Array) -> tuple[SweepData, PyTree]:
    return alone(data, key, pair[1]), jax.tree.map(lambda leaf: leaf[pair[0]], hparams)


def _seeds_second(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), tree)


_STATIC = ("method", "protocol", "slots")
_START = jax.jit(_start, static_argnames=_STATIC)
_CLIMB = jax.jit(_climb, static_argnames=_STATIC, donate_argnames="begun")
_REGROUP = jax.jit(_regroup, static_argnames="slots", donate_argnames="begun")
