"""Using every device for a leading axis of independent work."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ncd_jax.types import Array, PyTree

__all__ = [
    "devices_for",
    "fitting_lanes",
    "fitting_rungs",
    "in_shares",
    "on_devices",
    "permute",
    "spread_over_devices",
]

T = TypeVar("T")
SHARE = PartitionSpec("share")


def spread_over_devices(work: Callable[[PyTree], T], items: PyTree) -> T:
    """Computes `work(items)` in equal shares of the leading axis, one a device of this process.

    Where the axis does not divide, its last item is repeated and the copies are dropped. Devices
    wait for one another in the end, when their shares are put together.

    Args:
        work: a function that treats the items of the leading axis independently and keeps
            that axis in front of every output.
        items: a pytree with one leading axis.
    """
    n = _length(items)
    shares = in_shares(work, items, jax.local_devices()[:n])
    return jax.tree.map(lambda a: a[:n], shares)


def in_shares(work: Callable[[PyTree], T], items: PyTree, devices: list[jax.Device]) -> T:
    """The same on these devices, of other processes too, with the repeated copies at its end.

    Each device runs its own loops and keeps its own results: none waits for another's
    iterations, and nothing crosses from one to another before somebody asks for it. Several
    processes give the same items and all devices.

    Returns:
        Results whose leading axis is the next multiple of the number of devices, sharded.
    """
    if len(devices) == 1:
        return work(items)
    padding = -_length(items) % len(devices)
    padded = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], padding, 0)]), items)
    everywhere = NamedSharding(_mesh(devices), PartitionSpec())
    return on_devices(work, jax.lax.with_sharding_constraint(padded, everywhere), devices)


def on_devices(work: Callable[[PyTree], T], shares: PyTree, devices: list[jax.Device]) -> T:
    """The same where items, as many for each, lie on their devices, as results of this do."""
    if len(devices) == 1:
        return work(shares)
    # Values that `work` closes over are the same everywhere, which the check for varying
    # values cannot see through a scan that starts from them.
    spread = jax.shard_map(
        work, mesh=_mesh(devices), in_specs=SHARE, out_specs=SHARE, check_vma=False
    )
    return _shared_out(spread(shares), devices)


def devices_for(n_items: int) -> list[jax.Device]:
    """Those to share so many items out to: all there are where several processes run together."""
    return jax.devices() if jax.process_count() > 1 else jax.devices()[:n_items]


def permute(items: PyTree, order: Array, devices: list[jax.Device]) -> PyTree:
    """Shares in another order: items `order` of all devices together, handed out anew."""
    return _shared_out(jax.tree.map(lambda a: a[order], items), devices)


def _shared_out(items: T, devices: list[jax.Device]) -> T:
    if len(devices) == 1:
        return items
    return jax.lax.with_sharding_constraint(items, NamedSharding(_mesh(devices), SHARE))


def _mesh(devices: list[jax.Device]) -> Mesh:
    return jax.make_mesh((len(devices),), ("share",), axis_types=(AxisType.Auto,), devices=devices)


def fitting_lanes() -> int:
    """Trainings that run side by side on a device of this kind.

    A core is fastest where a batch of all of them stays in its cache: see docs/speed.md. Other
    devices want many, and nobody has measured them.
    """
    return 20 if jax.default_backend() == "cpu" else 40


def fitting_rungs() -> int:
    """How often candidates are looked at on a device of this kind: see `ncd_jax.tuning.halving`.

    A core has no room for more than it does, so that what is not trained is time saved. Other
    devices train many side by side for the price of few; nobody has measured them.
    """
    return 3 if jax.default_backend() == "cpu" else 1


def _length(items: PyTree) -> int:
    return jax.tree.leaves(items)[0].shape[0]
