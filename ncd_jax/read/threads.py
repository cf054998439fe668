"""Columns side by side: NumPy and Arrow let go of the interpreter while they compute."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ncd_jax.errors import UserError
from ncd_jax.read.names import gathered

__all__ = ["each_in_threads", "usable_cores"]

A = TypeVar("A")
B = TypeVar("B")
_FEWEST = 1000
"""Rows from which threads may be worth it: of few, most of the work is the interpreter's own, which
threads only hand to each other."""


def each_in_threads(work: Callable[[A], B], items: Iterable[A], n_rows: int) -> list[B]:
    """What comes of each, in their order; several of many rows are worked on at a time.

    Raises:
        UserError: mistakes were made of some; all of them are told.
    """

    def tried(item: A) -> B | UserError:
        try:
            return work(item)
        except UserError as error:
            return error

    if n_rows < _FEWEST:
        done = [tried(item) for item in items]
    else:
        with ThreadPoolExecutor(usable_cores()) as pool:
            done = list(pool.map(tried, items))
    if errors := [each for each in done if isinstance(each, UserError)]:
        raise gathered(errors)
    return [each for each in done if not isinstance(each, UserError)]


def usable_cores() -> int:
    """CPU cores that this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
