"""Successive halving: after a quarter and a half of the epochs the worse candidates stop.

All candidates of a batch climb the same rungs. At each they find the hidden classes with what they
have learned so far, and the worse half is not trained any further; three rungs are half the work.
Those that stop keep the score of their last rung, and cannot win.

The programs are trainings that begin, go on and change their places. What differs from run to run
is kept for each. What is the same in all runs on one seed, such as rows of earlier batches, is kept
once for each device: `vmap` computes what follows from it once for all lanes, which it would do for
each lane if every run brought a copy of its own.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.tuning.cross_validation import (
    Protocol,
    SweepData,
    by_candidate,
    measure,
    of_pair,
    task_of,
)
from ncd_jax.tuning.devices import devices_for, in_shares, on_devices, permute
from ncd_jax.tuning.processes import gather
from ncd_jax.tuning.train import Task, begin, go_on, last_stage
from ncd_jax.tuning.trials import worth
from ncd_jax.types import Array, Method, PyTree, RunResult

__all__ = ["Climb", "Rung", "compile_rungs", "plan_rungs", "what_varies"]


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


def plan_rungs(candidates: int, first: int, epochs: int, rungs: int) -> list[Rung]:
    """Half as many candidates on each rung, until twice as far into the last stage of a training.

    That begins with epoch `first`. There are fewer rungs where there is nothing to halve.
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

    The method is one that is trained, other arguments are those of `cross_validate`. The same
    programs serve all rungs and all batches: runs go side by side as many at a time as the last
    rung has for each device, and how many times is traced. Which candidates go on is decided on the
    host while no device is at work: one that is done need not wait for others inside a program.
    """
    n_folds, first = len(data.ks), last_stage(method, protocol.epochs)
    on_last = plan_rungs(n_candidates, first, protocol.epochs, protocol.rungs)[-1].candidates
    slots = _make_slots(n_candidates * n_folds, on_last * n_folds, protocol.lanes)
    how = _Static(method, protocol, slots, what_varies(method, data, hparams, protocol))

    def pairs_of(candidates: np.ndarray) -> np.ndarray:
        """Candidate and fold of every slot, `i32[n, 2]`."""
        folds = np.tile(np.arange(n_folds), len(candidates))
        return slots.hand_out(np.stack([np.repeat(candidates, n_folds), folds], 1).astype(np.int32))

    # What is compiled next is told by an example where the states lie.
    pairs, plan = pairs_of(np.arange(n_candidates)), (np.int32(0),) * 3
    start = _START.lower(data, hparams, pairs, how).compile()
    begun = start(data, hparams, pairs)
    climb = _CLIMB.lower(data, hparams, pairs, begun, plan, how).compile()
    change = _REGROUP.lower(begun, slots.places, how).compile()

    def run(hparams: PyTree, n_asked: int) -> Climb:
        candidates, end, epochs = np.arange(n_asked), first, np.zeros(n_asked, int)
        begun, ranked_by = start(data, hparams, pairs_of(candidates)), np.zeros(n_asked)
        result: RunResult | None = None
        for n, next_end in plan_rungs(n_asked, first, protocol.epochs, protocol.rungs):
            if n < len(candidates):
                going_on = np.sort(np.argsort(-ranked_by, kind="stable")[:n])
                runs = going_on[:, None] * n_folds + np.arange(n_folds)
                begun = change(begun, slots.hand_out(slots.places[runs.ravel()]))
                candidates = candidates[going_on]
            plan = np.int32(end), np.int32(next_end), slots.rounds_of(n * n_folds)
            begun, shares = climb(data, hparams, pairs_of(candidates), begun, plan)
            pairs = jax.tree.map(lambda shares: shares[slots.places], gather(shares))
            found = by_candidate(pairs, n, n_folds)
            result = found if result is None else result
            for whole, part in zip(*map(jax.tree.leaves, (result, found)), strict=True):
                whole[candidates] = part
            means = (np.mean(a, (1, 2), np.float64) for a in (found.accuracy, found.log_loss))
            ranked_by, end, epochs[candidates] = worth(*means), next_end, next_end
        assert result is not None
        return Climb(result, epochs)

    return run


def what_varies(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol
) -> tuple[Any, tuple[bool, ...]]:
    """What a training consists of, its state and its losses.

    Returns:
        The structure of both, and of every leaf whether it may differ between runs on one seed: of
        these `vmap` says so.
    """
    structure, varies = [], []

    @jax.custom_batching.custom_vmap
    def look(leaves: list[Array]) -> list[Array]:
        return leaves

    @look.def_vmap
    def _(size: int, batched: list[list[bool]], leaves: list[Array]) -> tuple[Any, Any]:
        varies.append(tuple(batched[0]))
        return leaves, batched[0]

    def trained(data: SweepData, hparams: PyTree, pairs: Array) -> list[Array]:
        def one(pair: Array) -> list[Array]:
            run, candidate = of_pair(data, hparams, pair, data.keys[0])
            task = task_of(method, run, candidate, protocol)
            span = last_stage(method, protocol.epochs), protocol.epochs
            leaves, tree = jax.tree.flatten(go_on(task, begin(task), span))
            structure.append(tree)
            varies.append((False,) * len(leaves))  # where not even one does, nobody asks
            return look(leaves)

        return jax.vmap(one)(pairs)

    jax.eval_shape(trained, data, hparams, np.zeros((2, 2), np.int32))
    return structure[-1], varies[-1]


class _Slots(NamedTuple):
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


def _make_slots(n_runs: int, on_last: int, lanes: int) -> _Slots:
    """Slots for all runs, as many side by side as the last rung has for each device, or fewer."""
    devices = len(devices_for(n_runs))
    lanes = min(-(-on_last // devices), lanes)
    return _Slots(devices, lanes, -(-n_runs // (devices * lanes)))


class _Static(NamedTuple):
    """The static facts of the programs; `parts` is what `what_varies` found."""

    method: Method
    protocol: Protocol
    slots: _Slots
    parts: tuple[Any, tuple[bool, ...]]

    def apart(self, leaves: list[Array]) -> tuple[list[Array], list[Array]]:
        """The leaves of a training that vary, and the others."""
        flagged = list(zip(leaves, self.parts[1], strict=True))
        own = [leaf for leaf, varies in flagged if varies]
        return own, [leaf for leaf, varies in flagged if not varies]

    def together(self, own: list[Array], shared: list[Array]) -> PyTree:
        """The training from both."""
        tree, flags = self.parts
        mine, others = iter(own), iter(shared)
        leaves = [next(mine) if varies else next(others) for varies in flags]
        return jax.tree.unflatten(tree, leaves)

    def task(
        self, data: SweepData, hparams: PyTree, pair: Array, key: Array
    ) -> tuple[SweepData, Task]:
        """That of a candidate and a fold, `i32[2]`, from one seed, and the sweep of it alone."""
        run, candidate = of_pair(data, hparams, pair, key)
        return run, task_of(self.method, run, candidate, self.protocol)


class _Begun(NamedTuple):
    """Trainings that may go on: the leaves of their states and losses.

    Attributes:
        own: those that vary, `[slots, S, ...]`.
        shared: the others, `[devices, S, ...]`.
    """

    own: list[Array]
    shared: list[Array]


def _start(data: SweepData, hparams: PyTree, pairs: Array, how: _Static) -> _Begun:
    """Trainings of all pairs `i32[n, 2]` of a candidate and a fold as far as their last stage."""

    def share(pairs: Array) -> _Begun:
        def of_seed(key: Array) -> list[Array]:
            def one(pair: Array) -> list[Array]:
                return jax.tree.leaves(begin(how.task(data, hparams, pair, key)[1]))

            return jax.lax.map(one, pairs, batch_size=how.slots.lanes)

        own, shared = how.apart(_seeds_second(jax.lax.map(of_seed, data.keys)))
        return _Begun(own, [leaf[:1] for leaf in shared])

    return in_shares(share, pairs, devices_for(how.slots.devices))


def _climb(
    data: SweepData,
    hparams: PyTree,
    pairs: Array,
    begun: _Begun,
    plan: tuple[Array, Array, Array],
    how: _Static,
) -> tuple[_Begun, RunResult]:
    """More epochs of the pairs `i32[n, 2]`, and what they find then.

    The plan is the first of these epochs, the first that is none of them, and how many rounds of
    slots take part.
    """
    *span, rounds = plan

    def side_by_side(pairs: Array, own: list[Array], shared: list[Array]) -> Any:
        def of_seed(inputs: Any) -> Any:
            key, own, shared = inputs

            def one(pair: Array, own: list[Array]) -> Any:
                run, task = how.task(data, hparams, pair, key)
                begun = go_on(task, how.together(own, shared), (span[0], span[1]))
                found = measure(how.method, run, *begun, how.protocol)
                return *how.apart(jax.tree.leaves(begun)), found

            return jax.vmap(one, out_axes=(0, None, 0))(pairs, own)

        # One seed after the other, as in `run_pairs`.
        own, shared, found = jax.lax.map(of_seed, (data.keys, _seeds_second(own), shared))
        return _seeds_second(own), shared, _seeds_second(found)

    def share(mine: tuple[Array, _Begun]) -> tuple[_Begun, RunResult]:
        pairs, begun = mine
        shared, lanes = [leaf[0] for leaf in begun.shared], how.slots.lanes

        def one_round(i: Array, so_far: Any) -> Any:
            def take(a: Array) -> Array:
                return jax.lax.dynamic_slice_in_dim(a, i * lanes, lanes)

            def put(a: Array, new: Array) -> Array:
                return jax.lax.dynamic_update_slice_in_dim(a, new, i * lanes, 0)

            own, _, found = so_far
            # All rounds begin with the same, and come to the same.
            new, ahead, news = side_by_side(take(pairs), jax.tree.map(take, own), shared)
            return jax.tree.map(put, own, new), ahead, jax.tree.map(put, found, news)

        found = jax.eval_shape(side_by_side, pairs, begun.own, shared)[2]
        empty = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), found)
        own, shared, found = jax.lax.fori_loop(0, rounds, one_round, (begun.own, shared, empty))
        return _Begun(own, [leaf[None] for leaf in shared]), found

    return on_devices(share, (pairs, begun), devices_for(how.slots.devices))


def _regroup(begun: _Begun, order: Array, how: _Static) -> _Begun:
    """Other slots for some of the runs: slot `i` gets what was in slot `order[i]`."""
    return begun._replace(own=permute(begun.own, order, devices_for(how.slots.devices)))


def _seeds_second(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), tree)


_START = jax.jit(_start, static_argnames="how")
_CLIMB = jax.jit(_climb, static_argnames="how", donate_argnames="begun")
_REGROUP = jax.jit(_regroup, static_argnames="how", donate_argnames="begun")
