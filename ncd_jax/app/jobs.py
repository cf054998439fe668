"""Runs as processes of the same command, one at a time; others wait for their turn.

A page that is closed stops nothing: the process is the program's. A run survives being stopped at
any moment: what is finished is kept, and the same command goes on. What it says goes into a file,
from which screens read how far it is.
"""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from typing import NamedTuple

from ncd_jax.app.folder import CONSOLE, Run

__all__ = ["Jobs", "Step", "command", "complaint", "steps"]

_PATIENCE = 10.0
"""Seconds that a process has to end by itself."""


class Step(NamedTuple):
    """A phase of a run.

    Attributes:
        name: one word.
        text: how far it is, and what is left.
        share: of it that is done, where that was counted.
        is_done: whether it is behind us.
    """

    name: str
    text: str
    share: float | None
    is_done: bool


def command(run: Run) -> list[str]:
    """The command of a run, as a process takes it."""
    return [sys.executable, "-m", "ncd_jax", *run.flags()]


def steps(console: str) -> tuple[list[Step], list[str]]:
    """Phases of a run, and what was said of it as a whole, from what its process has written."""
    found: dict[str, Step] = {}
    said: list[str] = []
    for line in console.splitlines():
        if not line.strip() or line.startswith("ncd-jax:"):
            break  # what follows is the summary, or why it ended
        match = re.fullmatch(r"([a-z]+): (.*)", line)
        if match is None:
            said.append(line)
            continue
        name, text = match.groups()
        done = re.match(r"done in [\d.]+ s", text)
        part = re.match(r"(\d+)/(\d+),", text)
        share = int(part[1]) / max(int(part[2]), 1) if part else None
        found[name] = Step(name, text, 1.0 if done else share, bool(done))
    return list(found.values()), said


def complaint(console: str) -> str:
    """The one line in which a run says why it has ended; empty where there is none."""
    lines = [line for line in console.splitlines() if line.strip()]
    for line in reversed(lines):
        if line.startswith("ncd-jax: "):
            return line.removeprefix("ncd-jax: ")
    return lines[-1] if lines else ""


class Jobs:
    """Who is running, and who waits."""

    def __init__(self) -> None:
        """Starts with nobody."""
        self._waiting: deque[Run] = deque()
        self._running: tuple[Run, subprocess.Popen[bytes]] | None = None
        self._watcher: threading.Thread | None = None
        self._lock, self._closed = threading.RLock(), False

    def start(self, run: Run) -> None:
        """Puts a run at the end of the line, unless it is there already.

        Raises:
            UserError: it was made on the command line.
        """
        run.flags()
        with self._lock:
            if self.state(run.name):
                return
            run.say_status(None)
            (run.own / CONSOLE).write_bytes(b"")
            self._waiting.append(run)
            self._next()

    def stop(self, name: str) -> None:
        """Takes a run out of the line, or ends its process; what is finished is kept."""
        with self._lock:
            for run in [run for run in self._waiting if run.name == name]:
                self._waiting.remove(run)
                run.say_status(130)
            if self._running is not None and self._running[0].name == name:
                _stop(self._running[1])

    def state(self, name: str) -> str:
        """`running`, `waiting`, or nothing where it is neither."""
        with self._lock:
            if self._running is not None and self._running[0].name == name:
                return "running"
            return "waiting" if any(run.name == name for run in self._waiting) else ""

    def close(self) -> None:
        """Stops them all, as the program ends."""
        with self._lock:
            self._closed = True
            for run in [*self._waiting, *([self._running[0]] if self._running else [])]:
                self.stop(run.name)
            watcher = self._watcher
        if watcher is not None:
            watcher.join()

    def _next(self) -> None:
        if self._closed or self._running is not None or not self._waiting:
            return
        run = self._waiting.popleft()
        with (run.own / CONSOLE).open("wb") as console:
            process = subprocess.Popen(
                command(run),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "COLUMNS": "100"},
                # An interrupt in the terminal is for the program, which then stops its runs.
                start_new_session=True,
            )
        self._running = run, process
        self._watcher = threading.Thread(target=self._wait, args=(run, process), daemon=True)
        self._watcher.start()

    def _wait(self, run: Run, process: "subprocess.Popen[bytes]") -> None:
        status = process.wait()
        with self._lock:
            run.say_status(130 if status < 0 else status)
            self._running = None
            self._next()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()

    def insist() -> None:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()

    threading.Thread(target=insist, daemon=True).start()
