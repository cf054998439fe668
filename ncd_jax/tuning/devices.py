"""Using every device for a leading axis of independent work."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from ncd_jax.types import PyTree

__all__ = ["fitting_lanes", "in_shares", "spread_over_devices"]

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
    iterations, and nothing crosses from one to another before somebody asks for it.

    Args:
        work: as for `spread_over_devices`.
        items: likewise, of length `n`; the same in every process.
        devices: those to use; all of them where there are several processes.

    Returns:
        Results whose leading axis is the next multiple of the number of devices, sharded.
    """
    if len(devices) == 1:
        return work(items)
    mesh = jax.make_mesh((len(devices),), ("share",), axis_types=(AxisType.Auto,), devices=devices)
    padding = -_length(items) % len(devices)
    padded = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], padding, 0)]), items)
    padded = jax.lax.with_sharding_constraint(padded, NamedSharding(mesh, PartitionSpec()))
    # Values that `work` closes over are the same everywhere, which the check for varying
    # values cannot see through a scan that starts from them.
    spread = jax.shard_map(work, mesh=mesh, in_specs=SHARE, out_specs=SHARE, check_vma=False)
    return jax.lax.with_sharding_constraint(spread(padded), NamedSharding(mesh, SHARE))


def fitting_lanes() -> int:
    """Trainings that run side by side on a device of this kind.

    A core is fastest where a batch of all of them stays in its cache: see docs/speed.md. Other
    devices want many, and nobody has measured them.
    """
    return 20 if jax.default_backend() == "cpu" else 40


def _length(items: PyTree) -> int:
    return jax.tree.leaves(items)[0].shape[0]
