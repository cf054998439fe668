"""Columns on a common scale that a few cells cannot move.

A cell that is a thousand times too large, as where a point was lost, would take nearly all of a
column's standard deviation for itself. So values are clipped first, at four times the distance
from the median that all but a few values keep to on that side. In a normal column that is ten
standard deviations away, and nothing is clipped; tails of a log-normal one keep their order but
for some in a thousand.

Scaled values are rounded to multiples of 2**-14, so that centimetres and inches give the same
bytes, and with them the same classes.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["Scale", "measure", "rounded", "scaled"]

_REACH = 4.0
"""Bounds are so many times as far from the median as all but a few values."""
_FEW = 0.005
"""Share of the rows that are few on one side, and two of them at least."""
_STEPS = 2.0**14
"""Steps of a standard deviation."""
_MOST = 1e30
"""Standard deviations that are told apart from more; beyond them multiplying overflows."""


class Scale(NamedTuple):
    """What brings a column to mean 0 and variance 1.

    Attributes:
        mean: of the values within the bounds.
        scale: their standard deviation (divisor `n`); 1 where they are all alike.
        low: the lower bound.
        high: the upper one.
    """

    mean: float
    scale: float
    low: float
    high: float


def measure(values: np.ndarray, *, clip: bool = True) -> Scale:
    """Measures a column.

    Args:
        values: `f64[n]`, all finite, at least one.
        clip: whether there are bounds.
    """
    if values.min() == values.max():  # rounding gives a constant 0.1 a tiny deviation
        return Scale(float(values[0]), 1.0, -np.finfo(float).max, np.finfo(float).max)
    # Squares of large numbers may overflow. A power of two changes no digit.
    unit = 2.0 ** (np.frexp(np.abs(values).max())[1] - 1)
    values = values / unit
    low, high = _bounds(values) if clip else (-np.inf, np.inf)
    values = np.clip(values, low, high)
    mean = values.mean()
    scale = np.sqrt(np.mean((values - mean) ** 2))
    if scale <= len(values) * np.finfo(float).eps * abs(mean):  # nothing but rounding
        scale = 1.0 / unit
    most = np.finfo(float).max
    with np.errstate(over="ignore"):
        low, high = np.clip([low * unit, high * unit], -most, most)
    return Scale(float(mean * unit), float(scale * unit), float(low), float(high))


def scaled(values: np.ndarray, mean: Any, scale: Any, low: Any, high: Any) -> np.ndarray:
    """Values `f[..., d]` on the scales of their columns, `f[d]` or one for all; see `Scale`."""
    with np.errstate(over="ignore"):  # what is beyond all numbers is bounded by `rounded`
        on_scale = (np.clip(values, low, high) - mean) / scale
    return np.asarray(rounded(on_scale))


def rounded(values: Any, numpy: Any = np) -> Any:
    """Scaled values as multiples of 2**-14, finite ones as finite numbers.

    Args:
        values: an array of any shape.
        numpy: the module that it is of, NumPy or `jax.numpy`.
    """
    return numpy.rint(numpy.clip(values, -_MOST, _MOST) * _STEPS) / _STEPS


def _bounds(values: np.ndarray) -> tuple[float, float]:
    """What values are clipped to; a side on which nothing lies takes the bound of the other."""
    values = np.sort(values)
    middle = values[(len(values) - 1) // 2 : len(values) // 2 + 1].mean()
    # How far all but a few of those values lie away that lie on one side.
    few = max(2, int(np.ceil(_FEW * len(values))))
    low = values[: np.searchsorted(values, middle)]
    high = values[np.searchsorted(values, middle, "right") :]
    below = middle - low[min(few, len(low) // 4)] if len(low) else 0.0
    above = high[-1 - min(few, len(high) // 4)] - middle if len(high) else 0.0
    return float(middle - _REACH * (below or above)), float(middle + _REACH * (above or below))
