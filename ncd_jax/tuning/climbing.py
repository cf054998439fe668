"""The programs of successive halving: trainings that begin, go on and change their places.

What differs from run to run is kept for each. What is the same in all runs on one seed, such as
rows of earlier batches, is kept once for each device: `vmap` computes what follows from it once
for all lanes, which it would do for each lane if every run brought a copy of its own.
"""

from typing import Any, NamedTuple

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
from ncd_jax.tuning.devices import deal, devices_for, in_shares, on_devices
from ncd_jax.tuning.train import begin, go_on, last_stage
from ncd_jax.types import Array, Method, PyTree, RunResult

__all__ = ["Begun", "How", "Slots", "climb", "form_of", "make_slots", "regroup", "start"]


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


class Form(NamedTuple):
    """What a training consists of: its state and its losses.

    Attributes:
        tree: their structure.
        varies: of every leaf, whether it may differ between runs on one seed.
    """

    tree: Any
    varies: tuple[bool, ...]

    def apart(self, leaves: list[Array]) -> tuple[list[Array], list[Array]]:
        """The leaves that vary, and the others."""
        own = [leaf for leaf, varies in zip(leaves, self.varies, strict=True) if varies]
        return own, [leaf for leaf, varies in zip(leaves, self.varies, strict=True) if not varies]

    def together(self, own: list[Array], shared: list[Array]) -> PyTree:
        """The training from both."""
        mine, others = iter(own), iter(shared)
        leaves = [next(mine) if varies else next(others) for varies in self.varies]
        return jax.tree.unflatten(self.tree, leaves)


class How(NamedTuple):
    """The static facts of the programs."""

    method: Method
    protocol: Protocol
    slots: Slots
    form: Form


class Begun(NamedTuple):
    """Trainings that may go on: the leaves of their states and losses.

    Attributes:
        own: those that vary, `[slots, S, ...]`.
        shared: the others, `[devices, S, ...]`.
    """

    own: list[Array]
    shared: list[Array]


def make_slots(n_runs: int, on_last: int, lanes: int) -> Slots:
    """Slots for all runs, as many side by side as the last rung has for each device.

    Args:
        n_runs: all of them.
        on_last: those on the last rung.
        lanes: most side by side.
    """
    devices = len(devices_for(n_runs))
    lanes = min(-(-on_last // devices), lanes)
    return Slots(devices, lanes, -(-n_runs // (devices * lanes)))


def form_of(method: Method, data: SweepData, hparams: PyTree, protocol: Protocol) -> Form:
    """What trainings consist of; what `vmap` gives an axis to varies from run to run."""
    found: list[Form] = []

    @jax.custom_batching.custom_vmap
    def look(leaves: list[Array]) -> list[Array]:
        return leaves

    @look.def_vmap
    def _(size: int, batched: list[list[bool]], leaves: list[Array]) -> tuple[Any, Any]:
        found.append(Form(found.pop().tree, tuple(batched[0])))
        return leaves, batched[0]

    def trained(data: SweepData, hparams: PyTree, pairs: Array) -> list[Array]:
        def one(pair: Array) -> list[Array]:
            run, candidate = _of_pair(data, hparams, pair, data.keys[0])
            key, task, size = training_key(run), task_of(run), protocol.batch_size
            begun = begin(key, method, *task, candidate, epochs=protocol.epochs, batch_size=size)
            span = last_stage(method, protocol.epochs), protocol.epochs
            begun = go_on(key, method, begun, *task, candidate, span=span, batch_size=size)
            leaves, tree = jax.tree.flatten(begun)
            found.append(Form(tree, ()))
            return look(leaves)

        return jax.vmap(one)(pairs)

    jax.eval_shape(trained, data, hparams, np.zeros((2, 2), np.int32))
    return found[0]


def start(data: SweepData, hparams: PyTree, pairs: Array, how: How) -> Begun:
    """Trainings of all pairs `i32[n, 2]` of a candidate and a fold as far as their last stage."""

    def one(pair: Array, key: Array) -> list[Array]:
        run, candidate = _of_pair(data, hparams, pair, key)
        begun = begin(
            training_key(run),
            how.method,
            *task_of(run),
            candidate,
            epochs=how.protocol.epochs,
            batch_size=how.protocol.batch_size,
        )
        return jax.tree.leaves(begun)

    def share(pairs: Array) -> Begun:
        def of_seed(key: Array) -> list[Array]:
            return jax.lax.map(lambda pair: one(pair, key), pairs, batch_size=how.slots.lanes)

        own, shared = how.form.apart(_seeds_second(jax.lax.map(of_seed, data.keys)))
        return Begun(own, [leaf[:1] for leaf in shared])

    return in_shares(share, pairs, devices_for(how.slots.devices))


def climb(
    data: SweepData,
    hparams: PyTree,
    pairs: Array,
    begun: Begun,
    span: tuple[Array, Array],
    rounds: Array,
    how: How,
) -> tuple[Begun, RunResult]:
    """More epochs of the pairs in the first so many rounds, and what they find then."""
    method, protocol, slots, form = how

    def one(pair: Array, own: list[Array], shared: list[Array], key: Array) -> Any:
        run, candidate = _of_pair(data, hparams, pair, key)
        begun = go_on(
            training_key(run),
            method,
            form.together(own, shared),
            *task_of(run),
            candidate,
            span=span,
            batch_size=protocol.batch_size,
        )
        return *form.apart(jax.tree.leaves(begun)), measure(method, run, *begun, protocol)

    def side_by_side(pairs: Array, own: list[Array], shared: list[Array]) -> Any:
        def of_seed(inputs: Any) -> Any:
            key, own, shared = inputs
            lanes = jax.vmap(lambda pair, own: one(pair, own, shared, key), out_axes=(0, None, 0))
            return lanes(pairs, own)

        # One seed after the other, as in `run_pairs`.
        own, shared, found = jax.lax.map(of_seed, (data.keys, _seeds_second(own), shared))
        return _seeds_second(own), shared, _seeds_second(found)

    def share(mine: tuple[Array, Begun]) -> tuple[Begun, RunResult]:
        pairs, begun = mine
        shared = [leaf[0] for leaf in begun.shared]

        def one_round(i: Array, so_far: Any) -> Any:
            def take(a: Array) -> Array:
                return jax.lax.dynamic_slice_in_dim(a, i * slots.lanes, slots.lanes)

            def put(a: Array, new: Array) -> Array:
                return jax.lax.dynamic_update_slice_in_dim(a, new, i * slots.lanes, 0)

            own, _, found = so_far
            # All rounds begin with the same, and come to the same.
            new, ahead, news = side_by_side(take(pairs), jax.tree.map(take, own), shared)
            return jax.tree.map(put, own, new), ahead, jax.tree.map(put, found, news)

        found = jax.eval_shape(side_by_side, pairs, begun.own, shared)[2]
        empty = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), found)
        own, shared, found = jax.lax.fori_loop(0, rounds, one_round, (begun.own, shared, empty))
        return Begun(own, [leaf[None] for leaf in shared]), found

    return on_devices(share, (pairs, begun), devices_for(slots.devices))


def regroup(begun: Begun, order: Array, how: How) -> Begun:
    """Other slots for some of the runs: slot `i` gets what was in slot `order[i]`."""
    return begun._replace(own=deal(begun.own, order, devices_for(how.slots.devices)))


def _of_pair(data: SweepData, hparams: PyTree, pair: Array, key: Array) -> tuple[SweepData, PyTree]:
    return alone(data, key, pair[1]), jax.tree.map(lambda leaf: leaf[pair[0]], hparams)


def _seeds_second(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda a: jnp.swapaxes(a, 0, 1), tree)
