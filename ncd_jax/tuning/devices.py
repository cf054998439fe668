"""Using every device for a leading axis of independent work."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec

from ncd_jax.types import PyTree

__all__ = ["spread_over_devices"]

T = TypeVar("T")


def spread_over_devices(work: Callable[[PyTree], T], items: PyTree) -> T:
    """Computes `work(items)` in equal shares of the leading axis, one a device.

    Each device runs its own loops, so none waits for another's iterations. Where the axis
    does not divide, its last item is repeated and the copies are dropped.

    Args:
        work: a function that treats the items of the leading axis independently and keeps
            that axis in front of every output.
        items: a pytree with one leading axis.
    """
    n = jax.tree.leaves(items)[0].shape[0]
    n_devices = min(jax.device_count(), n)
    if n_devices == 1:
        return work(items)
    padding = -n % n_devices
    padded = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], padding, 0)]), items)
    mesh = jax.make_mesh(
        (n_devices,), ("share",), axis_types=(AxisType.Auto,), devices=jax.devices()[:n_devices]
    )
    share = PartitionSpec("share")
    # Values that `work` closes over are the same everywhere, which the check for varying
    # values cannot see through a scan that starts from them.
    spread = jax.shard_map(work, mesh=mesh, in_specs=share, out_specs=share, check_vma=False)
    return jax.tree.map(lambda a: a[:n], spread(padded))
