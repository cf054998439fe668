"""One program in several processes: what the first one says, and what all have computed.

Process 0 leads: it alone talks to the user, the disk and the search's storage. The others run
the same code and get from `share` what it knows. Where there is one process only, nothing is
exchanged.

Whoever ends early closes its connections, at which the others' next exchange fails.
"""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from ncd_jax.errors import Dismissed
from ncd_jax.tuning.devices import in_shares
from ncd_jax.types import PyTree

__all__ = ["dismiss", "gather", "is_leader", "meet", "share"]

_END = "end"


def is_leader() -> bool:
    """Whether this is the process that reads and writes for all."""
    return jax.process_index() == 0


def meet() -> None:
    """Opens the connections of `share` and `gather`.

    Where they are there already, a process may wait for another as long as it takes, and notices
    at once when it has ended; while they are made, CPU processes wait for 30 seconds.
    """
    share()
    everywhere = jnp.arange(jax.device_count())
    gather(jax.jit(lambda x: in_shares(lambda mine: mine, x, jax.devices()))(everywhere))


def share(message: Any = None) -> Any:
    """What process 0 gives, in every process.

    Args:
        message: anything that JSON can say; looked at in process 0 alone.

    Raises:
        Dismissed: process 0 gave an exit status instead.
        JaxRuntimeError: a process has ended or cannot be reached.
    """
    if jax.process_count() == 1:
        return message
    text = np.frombuffer(json.dumps(message).encode(), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    # Every shape is a program of its own: powers of two are few.
    room = np.zeros(1 << max(length - 1, 0).bit_length(), np.uint8)
    if is_leader():
        room[:length] = text
    told = json.loads(multihost_utils.broadcast_one_to_all(room)[:length].tobytes())
    if isinstance(told, dict) and _END in told and not is_leader():
        raise Dismissed(told[_END])
    return told


def dismiss(status: int) -> None:
    """Ends the other processes with this exit status; to be called in process 0."""
    share({_END: status})


def gather(tree: PyTree) -> PyTree:
    """Results on the host, whole in every process, wherever their parts were computed."""
    if jax.process_count() == 1:
        return jax.tree.map(np.asarray, tree)
    # Devices that wait for others of their process inside a collective are taken for stuck.
    return multihost_utils.process_allgather(jax.block_until_ready(tree), tiled=True)
