"""Folds that teach known from new: they hide classes, and labels of the others."""

from typing import NamedTuple

import numpy as np

from ncd_jax.data.folds import draw_hidden, numbers_to_hide, take_away
from ncd_jax.types import UNLABELLED

__all__ = ["GateFolds", "make_gate_folds"]

HELD_OUT = 0.5
FEWEST_LABELLED = 2
"""Rows with a label below which a class is hidden altogether."""
N_ONE, N_NONE, N_NCD = 2, 2, 3


class GateFolds(NamedTuple):
    """`F` folds over a table of `n` rows.

    Attributes:
        y: `i32[F, n]`, the labels that are left.
        kinds: of each: `many` classes hidden and half of the other labels, `one` class and half of
            the other labels, `none` and half of all labels, or `ncd`: many classes and no other
            label.
    """

    y: np.ndarray
    kinds: tuple[str, ...]


def make_gate_folds(
    y: np.ndarray, n_folds: int, seed: int, *, group: np.ndarray | None = None
) -> GateFolds:
    """Draws folds of all kinds. With one known class no class can be hidden.

    Args:
        y: `i32[n]`, known class of every row, or `UNLABELLED`.
        n_folds: how many hide several classes; fewer where there are not as many choices.
        seed: of all draws.
        group: `i[n]`, the group of every row; these lose their labels whole.
    """
    y, rng = np.asarray(y, np.int32), np.random.default_rng(seed)
    n_classes = int(y.max(initial=UNLABELLED)) + 1
    alone = [np.arange(n_classes) == c for c in rng.permutation(n_classes)]
    many = alone if n_classes == 2 else []
    if n_classes > 2:
        many = list(draw_hidden(rng, n_classes, numbers_to_hide(n_folds, n_classes)))
    plan = [("many", hidden, HELD_OUT) for hidden in many]
    plan += [("one", hidden, HELD_OUT) for hidden in alone[:N_ONE] if n_classes > 2]
    plan += [("none", np.zeros(n_classes, bool), HELD_OUT)] * N_NONE
    plan += [("ncd", hidden, 0.0) for hidden in many[:N_NCD]]
    folds = []
    for _, hidden, share in plan:
        off = rng.random(len(y)) < share
        if share and group is not None:
            off = take_away(y, share, rng, group)
        folds.append(_without(y, hidden, off))
    return GateFolds(np.stack(folds), tuple(kind for kind, *_ in plan))


def _without(y: np.ndarray, hidden: np.ndarray, off: np.ndarray) -> np.ndarray:
    off = off | hidden[y]
    left = np.bincount(y[(y != UNLABELLED) & ~off], minlength=len(hidden))
    # A class that would keep hardly a row keeps all: somebody must be known.
    poor = (left < FEWEST_LABELLED) & ~hidden
    off &= ~poor[y]
    return np.where(off, UNLABELLED, y).astype(np.int32)
