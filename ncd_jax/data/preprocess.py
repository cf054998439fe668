"""Columns on a common scale, and the record of how, for rows that come later."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ncd_jax.data.table import Table

__all__ = ["Standardiser"]

_ROWS = 4096
"""Rows that are scaled at once, so that in float64 a table is never there a second time."""


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Shifts and scales columns by what the training rows say.

    Attributes:
        mean: `f64[d]`.
        scale: `f64[d]`, the standard deviation (divisor `n`); 1 for constant columns.
    """

    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, table: Table) -> "Standardiser":
        """Measures all training rows, known and unlabelled alike.

        The result changes nothing where the table is not to be standardised.
        """
        d = table.x.shape[1]
        if not table.standardise:
            return cls(np.zeros(d), np.ones(d))
        # Rounding gives a constant column such as 0.1 a tiny deviation, so ask for its range.
        constant = table.x.min(axis=0) == table.x.max(axis=0)
        mean = np.where(constant, table.x[0], table.x.mean(axis=0))
        # Squares are taken of numbers up to 1: those of large integers may overflow.
        centred = table.x - mean
        peak = np.where(constant, 1.0, np.abs(centred).max(axis=0))
        scale = peak * np.sqrt(np.mean((centred / peak) ** 2, axis=0))
        return cls(mean, np.where(constant, 1.0, scale))

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Raw rows `f64[n, d]`, or encoded ones, to standardised rows `f32[n, d]`."""
        x = np.asarray(x)
        if x.dtype == np.float32 and not self.mean.any() and (self.scale == 1).all():
            return x  # encoded already: not a copy more than needed
        out = np.empty(x.shape, np.float32)
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = (x[rows] - self.mean) / self.scale
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The form in which it is stored with a model."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Standardiser":
        """Undoes `to_arrays`."""
        return cls(mean=np.asarray(arrays["mean"]), scale=np.asarray(arrays["scale"]))
