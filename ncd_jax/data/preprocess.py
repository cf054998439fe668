"""Columns on a common scale, and the record of how, for rows that come later; which are equal."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ncd_jax.data.scale import measure, scaled
from ncd_jax.data.table import Table

__all__ = ["Standardiser", "fingerprints", "first_of_equals"]

_ROWS = 4096
"""Rows that are scaled at once, so that in float64 a table is never there a second time."""


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Shifts and scales columns by what the training rows say; see `scale`.

    Attributes:
        mean: `f64[d]`.
        scale: `f64[d]`, the standard deviation (divisor `n`); 1 for constant columns.
        low: `f64[d]`, what lies below counts as this; by default nothing does.
        high: `f64[d]`, what lies above counts as this.
    """

    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray | float = -np.inf
    high: np.ndarray | float = np.inf

    @classmethod
    def fit(cls, table: Table) -> "Standardiser":
        """Measures all training rows, known and unlabelled alike.

        The result changes nothing where the table is not to be standardised.
        """
        d = table.x.shape[1]
        if not table.standardise:
            return cls(np.zeros(d), np.ones(d))
        return cls(*np.array([measure(column) for column in table.x.T]).T)

    def apply(self, x: np.ndarray) -> np.ndarray:
        """Raw rows `f64[n, d]`, or encoded ones, to standardised rows `f32[n, d]`."""
        x = np.asarray(x)
        if np.isinf(self.low).all() and not self.mean.any() and (self.scale == 1).all():
            return x if x.dtype == np.float32 else x.astype(np.float32)
        out = np.empty(x.shape, np.float32)
        for start in range(0, len(x), _ROWS):
            rows = slice(start, start + _ROWS)
            out[rows] = scaled(x[rows], self.mean, self.scale, self.low, self.high)
        return out

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The form in which it is stored with a model."""
        return {f.name: np.asarray(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Standardiser":
        """Undoes `to_arrays`; models of before 0.3 had no bounds."""
        return cls(**{name: np.asarray(array) for name, array in arrays.items()})


def fingerprints(x: np.ndarray) -> np.ndarray:
    """A number `u64[n]` of every scaled row `f32[n, d]`: equal rows have equal ones.

    Multiplied and shifted as in SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
    """
    bits = np.ascontiguousarray(x + np.float32(0), np.float32).view(np.uint32)  # -0 is 0
    key = np.full(len(x), 0x9E3779B97F4A7C15, np.uint64)
    for column in bits.T:
        key = (key ^ column) * np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(29)
    return key


def first_of_equals(keys: np.ndarray, unlabelled: np.ndarray) -> np.ndarray:
    """For every row the one that answers for all that are equal to it, `i[n]`: an unlabelled one.

    Args:
        keys: `u64[n]`, fingerprints of the rows.
        unlabelled: `bool[n]`.
    """
    order = np.argsort(~unlabelled, kind="stable")
    _, at, which = np.unique(keys[order], return_index=True, return_inverse=True)
    first = np.empty(len(keys), int)
    first[order] = order[at[which]]
    return first
