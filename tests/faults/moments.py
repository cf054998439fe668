"""What a killed process leaves: every state that a folder goes through while it is written.

A kill leaves the disk as it is at that moment, so that it is enough to look at the folder before
each call that changes it. What lies between two calls is a file of which only a part has come to
the disk: such states are made from the whole one.
"""

import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"}
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_watchers: list[tuple[str, Callable[[str], None]]] = []
_within = threading.local()

State = tuple[tuple[str, bytes | None], ...]
"""Paths below a folder, each with the digest of its content; a folder has none."""


def _tell(event: str, path: object) -> None:
    if getattr(_within, "telling", False):
        return
    root, told = _watchers[-1]  # those of a folder in a test, one at a time
    if isinstance(path, str | os.PathLike) and os.path.abspath(path).startswith(root):
        _within.telling = True
        try:
            told(event)
        finally:
            _within.telling = False


def _hook(event: str, args: tuple) -> None:
    writes = event == "open" and isinstance(args[2], int) and args[2] & _TO_WRITE
    if _watchers and (writes or event in _CHANGES):
        _tell(event, args[0])


@contextmanager
def watched(root: Path, told: Callable[[str], None]) -> Iterator[None]:
    """Calls `told` with its name before each call in this block that changes what is below a root.

    What it raises, that call raises. Calls of other threads count too.
    """
    if not hasattr(sys, "_ncd_jax_faults"):  # a hook stays for as long as the process
        sys._ncd_jax_faults = True
        sys.addaudithook(_hook)
    fsync = os.fsync

    def synced(fd: int) -> None:
        _tell("os.fsync", os.path.realpath(f"/proc/self/fd/{fd}"))
        fsync(fd)

    _watchers.append((str(root), told))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", synced)
        try:
            yield
        finally:
            _watchers.pop()


class Moments:
    """The different states of a folder, in the order in which they came.

    Attributes:
        states: each with the call that was next; `torn` where a file is there in part.
        calls: all that changed something, by their names, in the order in which they came.
    """

    def __init__(self, root: Path):
        self.root = root
        self.states: dict[State, str] = {}
        self.calls: list[str] = []
        self._contents: dict[bytes, bytes] = {}
        self._last: State | None = None
        self._lock = threading.Lock()

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Records the states of the folder in this block, its last one too."""
        self._last = self._now()
        with watched(self.root, self._called):
            yield
        self._look("end")

    def restore(self, state: State, root: Path) -> None:
        """Makes a folder as it was."""
        for name, digest in state:
            path = root / name
            if digest is None:
                path.mkdir(parents=True)
            else:
                path.write_bytes(self._contents[digest])

    def _called(self, event: str) -> None:
        self.calls.append(event)
        self._look(event)

    def _look(self, event: str) -> None:
        with self._lock:
            state = self._now()
            if state == self._last:
                return
            for torn in self._torn(state):
                self.states.setdefault(torn, "torn")
            self.states.setdefault(state, event)
            self._last = state

    def _now(self) -> State:
        if not self.root.exists():
            return ()
        found: list[tuple[str, bytes | None]] = [(".", None)]
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            try:
                found.append((name, None if path.is_dir() else self._keep(path.read_bytes())))
            except FileNotFoundError:  # another thread has moved it
                continue
        return tuple(found)

    def _keep(self, content: bytes) -> bytes:
        digest = hashlib.blake2b(content, digest_size=16).digest()
        self._contents[digest] = content
        return digest

    def _torn(self, state: State) -> Iterator[State]:
        """States in which a file that was written since the last one is there in part."""
        before = dict(self._last or ())
        there = set(before.values())
        for i, (name, digest) in enumerate(state):
            if digest is None or digest in there:  # a folder, or a file that was only moved
                continue
            content, old = self._contents[digest], self._contents.get(before.get(name) or b"", b"")
            start = len(old) if content.startswith(old) else 0
            cuts = {(start + len(content)) // 2}
            if not name.endswith(".tmp"):  # nobody reads those, but a journal
                cuts |= {start, start + 1, len(content) - 1}
            for cut in sorted(cuts):
                if start <= cut < len(content):
                    part = self._keep(content[:cut])
                    yield (*state[:i], (name, part), *state[i + 1 :])
