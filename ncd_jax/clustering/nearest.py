"""The nearest of a few rows, on the host: for any number of rows, without a program for each."""

from typing import NamedTuple

import numpy as np

__all__ = ["Nearest", "nearest"]

_NUMBERS = 1 << 17
"""Distances that are there at once, a megabyte: a core's own memory holds them."""


class Nearest(NamedTuple):
    """The `q` nearest rows of each of `u`, the nearest first; of equally near ones the first.

    Attributes:
        at: `i64[u, q]`, which they are.
        distance: `f64[u, q]`, how far.
    """

    at: np.ndarray
    distance: np.ndarray


def nearest(x: np.ndarray, among: np.ndarray, n_nearest: int) -> Nearest:
    """Looks for the nearest rows by Euclidean distance, by brute force.

    Args:
        x: `f[u, d]`, rows; where these are the very array `among`, none is a neighbour of its own.
        among: `f[m, d]`, a few thousand at most.
        n_nearest: `q`, no more than there are; each is a pass over all distances.
    """
    # About their middle, in double precision: distances from products are accurate there.
    middle = among.mean(axis=0, dtype=np.float64)
    others = among - middle
    half = np.sum(others**2, axis=1) / 2
    at, distance = np.zeros((len(x), n_nearest), np.int64), np.zeros((len(x), n_nearest))
    length = max(_NUMBERS // max(len(among), 1), 1)
    for start in range(0, len(x), length):
        rows = x[start : start + length] - middle
        place, norm = np.arange(len(rows)), np.sum(rows**2, axis=1)
        further = half[None] - rows @ others.T  # half of what the squares differ by from `norm`
        if x is among:
            further[place, start + place] = np.inf
        for q in range(n_nearest):
            near = further.argmin(axis=1)
            squared = norm + 2 * further[place, near]
            at[start + place, q] = near
            distance[start + place, q] = np.sqrt(np.maximum(squared, 0.0))
            further[place, near] = np.inf
    return Nearest(at, distance)
