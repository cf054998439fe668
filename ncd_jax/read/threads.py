"""Columns side by side: NumPy and Arrow let go of the interpreter while they compute."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ncd_jax.errors import UserError

__all__ = ["each_in_threads", "usable_cores"]

A = TypeVar("A")
B = TypeVar("B")
_FEWEST = 1000
"""Rows from which threads may be worth it: of few, most of the work is the interpreter's own, which
threads only hand to each other."""


def each_in_threads(
    work: Callable[[A], B], items: Iterable[A], n_rows: int
) -> tuple[list[B], list[UserError]]:
    """What comes of each, in their order, and the mistakes that were made of others.

    Args:
        work: called with each, several at a time.
        items: the columns, or what stands for them.
        n_rows: cells of each.
    """

    def tried(item: A) -> tuple[list[B], list[UserError]]:
        try:
            return [work(item)], []
        except UserError as error:
            return [], [error]

    if n_rows < _FEWEST:
        done = [tried(item) for item in items]
    else:
        with ThreadPoolExecutor(usable_cores()) as pool:
            done = list(pool.map(tried, items))
    return [each for found, _ in done for each in found], [e for _, wrong in done for e in wrong]


def usable_cores() -> int:
    """CPU cores that this process may use, which may be fewer than there are."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
