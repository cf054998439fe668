"""Being stopped: Ctrl-C and SIGTERM end the program soon and with a line, whatever it is at.

Python raises what a signal means in its main thread and between two of its own steps. A program of
XLA is none, so that would wait for it; and JAX calls back into Python where whatever is raised is
dropped, and the run would go on. So a thread hears the signal too, and ends the process where it
has not ended by itself within a moment. Records are whole at any time, as after a kill.
"""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType
from typing import NoReturn

__all__ = ["Interrupted", "ended_by_signals"]

_PATIENCE = 1.0
"""Seconds from the signal to the end."""
_SHOW_CURSOR = "\x1b[?25h"


class Interrupted(KeyboardInterrupt):
    """Somebody stopped the program.

    Attributes:
        status: its exit status, by which shells tell the signal.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


@contextmanager
def ended_by_signals(line: str) -> Iterator[None]:
    """Raises `Interrupted` inside, or else ends the process with its status.

    Args:
        line: what is said on stderr where it has to be ended.
    """
    if current_thread() is not main_thread():  # others hear no signal
        yield
        return
    heard: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        heard.append(number)
        raise Interrupted(number)

    ear, mouth = socket.socketpair()
    mouth.setblocking(False)
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    descriptor = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
    Thread(target=_end_late, args=(ear, line), daemon=True).start()
    try:
        yield
    except BaseException as error:
        if heard:  # whatever it has become on its way
            raise Interrupted(heard[0]) from error
        raise
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in before.items():
            signal.signal(number, handler)
        mouth.close()


def _end_late(ear: socket.socket, line: str) -> None:
    """Waits for a signal, then for the end; a second signal, or too long a wait, is the end."""
    with ear:
        if not (heard := ear.recv(1)):
            return
        ear.settimeout(_PATIENCE)
        try:
            if not ear.recv(1):
                return
        except TimeoutError:
            pass
    # Not by `print`: whoever is ended may hold the lock of the stream.
    ahead = f"{_SHOW_CURSOR}\n" if sys.stderr.isatty() else ""
    os.write(2, f"{ahead}{line}\n".encode(errors="replace"))
    os._exit(128 + heard[0])
