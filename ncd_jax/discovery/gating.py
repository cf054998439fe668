"""Which unlabelled rows are of known classes, and which of none."""

from typing import NamedTuple

import numpy as np

from ncd_jax.types import UNLABELLED

__all__ = ["GateTrust", "Gated"]


class GateTrust(NamedTuple):
    """What the gate did where it is known: labels that were held out, and classes that were hidden.

    Attributes:
        precision: share of the rows called known that are.
        recall: share of the rows of known classes that were called known.
        class_accuracy: share of the rows of known classes that were given their class.
        swallowed: share of the rows of hidden classes that were called known.
    """

    precision: float
    recall: float
    class_accuracy: float
    swallowed: float


class Gated(NamedTuple):
    """What is said of every unlabelled row: which known class it is of, or that it is of none.

    Attributes:
        is_open: whether rows of known classes were looked for and found; else all rows are new.
        known: `i[u]`, the known class of each row; `UNLABELLED` where it is new.
        p_known: `f64[u]`, how likely it is of a known class.
        p_class: `f64[u]`, how likely it is of `known`, if it is of a known class at all.
        trust: none where no class could be hidden.
    """

    is_open: bool
    known: np.ndarray
    p_known: np.ndarray
    p_class: np.ndarray
    trust: GateTrust | None

    @property
    def is_new(self) -> np.ndarray:
        """`bool[u]`, rows of no known class."""
        return self.known == UNLABELLED

    def confidence(self, of_new: np.ndarray) -> np.ndarray:
        """How sure the class of every row is, `f64[u]`.

        Args:
            of_new: `f64[v]`, that of the new rows if they are new.
        """
        if not self.is_open:
            return of_new
        sure = self.p_known * self.p_class
        sure[self.is_new] = (1 - self.p_known[self.is_new]) * of_new
        return sure


def pass_gate(winner, table):  # type: ignore[no-untyped-def]
    return None
