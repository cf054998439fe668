"""Becoming one of several processes of a run, and ending with the others.

What takes JAX is imported where it is used: most runs are one process, and whoever makes a mistake
in the command line does not wait for it.
"""

import os
import socket
import sys
import time
import traceback
from typing import NoReturn

from ncd_jax.errors import UserError

__all__ = ["fail_alone", "join", "leads", "leave"]

_PATIENCE = 300
"""Seconds that the processes wait for each other in the beginning."""


def join(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Makes this process number `process` of `processes`, if it is told to be one of several.

    They count from 0; the coordinator is `host:port` at which the first one listens.

    Raises:
        UserError: what is told does not fit together, or nobody listens there.
    """
    told = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [flag for flag, value in told.items() if value is None]
    if len(missing) == len(told):
        return
    if coordinator is None or processes is None or process is None:
        raise UserError(f"{', '.join(told)} belong together; give {' and '.join(missing)} too")
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise UserError(f"--coordinator={coordinator} is no address; give HOST:PORT of process 0")
    if processes < 2 or not 0 <= process < processes:
        raise UserError(
            f"--process={process} of --processes={processes}: they count from 0, and there are at"
            " least two"
        )
    if process > 0:
        _wait_for(host.strip("[]"), int(port))
    import jax

    from ncd_jax.tuning.processes import meet

    try:
        jax.distributed.initialize(
            coordinator, processes, process, initialization_timeout=_PATIENCE
        )
    except jax.errors.JaxRuntimeError as error:
        raise UserError(
            f"process {process} cannot use --coordinator={coordinator}"
            f" ({str(error).splitlines()[0]}); choose another port"
        ) from error
    if jax.local_device_count() * processes != jax.device_count():
        raise UserError(
            f"process {process} has {jax.local_device_count()} of {jax.device_count()} devices;"
            " give every process as many"
        )
    meet()


def leads() -> bool:
    """Whether others wait for what this process says."""
    if not _are_several():
        return False
    from ncd_jax.tuning.processes import is_leader

    return is_leader()


def leave(status: int, in_step: bool) -> None:
    """Ends with the other processes, which are told the status; nothing where there are none.

    Where they are not in step, so that nobody listens or has said that he ends, they notice that
    this process is gone.
    """
    if not _are_several():
        return
    import jax

    from ncd_jax.tuning.processes import dismiss, is_leader

    try:
        if in_step and is_leader():
            dismiss(status)
        if in_step:
            jax.distributed.shutdown()
            return
    except jax.errors.JaxRuntimeError:
        pass
    _end(status)


def fail_alone() -> None:
    """Ends at once with a traceback where others wait for this process."""
    if _are_several():
        traceback.print_exc()
        _end(1)


def _are_several() -> bool:
    jax = sys.modules.get("jax")
    return jax is not None and jax.distributed.is_initialized()


def _end(status: int) -> NoReturn:
    # An orderly end would wait for those that are not there any more.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _wait_for(host: str, port: int) -> None:
    """Until process 0 listens: JAX would end this process without a word of advice."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            socket.create_connection((host, port), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > end:
                raise UserError(
                    f"no process 0 at --coordinator={host}:{port} within {_PATIENCE} seconds"
                    f" ({error}); start it, or check the address"
                ) from None
        time.sleep(0.2)
