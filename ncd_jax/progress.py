"""What a procedure tells of itself while it goes on; silent unless somebody overrides it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Phase", "Reporter", "Stopwatch"]


class Phase:
    """A phase in progress. This one is silent; the others override it."""

    def advance(self, n: int = 1) -> None:
        """Says that `n` more units of the phase's total are done."""

    def note(self, text: str) -> None:
        """Says something worth knowing, such as the best score so far."""


class Reporter:
    """Tells of the phases of a run. This one is silent: for library use and tests."""

    def say(self, text: str) -> None:
        """Says something about the run as a whole."""

    @contextmanager
    def phase(self, name: str, detail: str = "", total: int | None = None) -> Iterator[Phase]:
        """Announces a phase for as long as the block runs.

        Args:
            name: one word.
            detail: a few words more.
            total: units of work, where they can be counted.

        Yields:
            What to tell the phase's progress to.
        """
        yield Phase()


class Stopwatch:
    """Wall time by phase, in seconds, from when it is made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Measures the block."""
        start = time.perf_counter()
        yield
        self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        """Adds time that was measured elsewhere."""
        self._seconds[phase] = round(self._seconds.get(phase, 0.0) + seconds, 3)

    def total(self) -> dict[str, float]:
        """Seconds of every phase, and of all together."""
        return self._seconds | {"total": round(time.perf_counter() - self._start, 3)}
