"""Folds that hide known classes, so that methods can be tuned without a novel label.

Each fold takes the labels of some known classes away and treats their rows as if they
were novel; how well these rows are clustered tells how good a candidate is (Troisemaine
et al., *A Practical Approach to Novel Class Discovery in Tabular Data*, DMKD 2024,
arXiv 2311.05440, section 4). The table's rows are the same in every fold. Only labels
and masks differ, so folds can be one batch axis of a compiled program.
"""

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from ncd_jax.errors import UserError
from ncd_jax.types import UNLABELLED

__all__ = ["Folds", "known_fold", "make_folds"]


A = TypeVar("A")


class Folds(NamedTuple, Generic[A]):
    """`F` folds over a table of `n` rows and `C` known classes.

    `make_folds` gives NumPy arrays, `Folds[np.ndarray]`; the sweep takes the same on the device.

    Row lists are padded with row 0 to the length of the longest fold; their mask is false
    and their class 0 there.

    Attributes:
        y: `i32[F, n]`, the labels that a fold may train on; `UNLABELLED` on hidden,
            held-out and novel rows.
        hidden: `bool[F, C]`, the classes that a fold hides.
        hidden_rows: `i32[F, m]`, rows of the hidden classes.
        hidden_mask: `bool[F, m]`.
        hidden_y: `i32[F, m]`, their class, counted `0..h-1` among the fold's hidden classes.
        held_out_rows: `i32[F, q]`, rows of the other classes whose label is held out.
        held_out_mask: `bool[F, q]`.
        held_out_y: `i32[F, q]`, their known class.
    """

    y: A
    hidden: A
    hidden_rows: A
    hidden_mask: A
    hidden_y: A
    held_out_rows: A
    held_out_mask: A
    held_out_y: A


def make_folds(y: np.ndarray, n_folds: int, seed: int, held_out: float) -> Folds[np.ndarray]:
    """Draws folds, no two of which hide the same classes.

    They hide between a third and two thirds of the classes, at least two, as clustering one class
    says nothing. Not all folds hide as many: else a candidate that always finds two classes, say,
    would be right in each of them, and be chosen for that.

    Args:
        y: `i32[n]`, known class of every row, or `UNLABELLED`. Each of the codes `0..C-1`
            must occur.
        n_folds: folds wanted; all choices of classes are taken where there are fewer.
        seed: of all draws; equal arguments give equal folds.
        held_out: share of the rows of every visible class, in `[0, 1)`, that lose their label
            so that accuracy on known classes can be measured. At least one row (unless the
            share is 0), and never the last labelled one.

    Raises:
        UserError: fewer than three known classes.
    """
    y = np.asarray(y, np.int32)
    n_classes = int(y.max(initial=UNLABELLED)) + 1
    if n_classes < 3:
        raise UserError(
            f"tuning hides two known classes and needs one to train on, but there are {n_classes}"
            " known classes; label rows of at least 3"
        )
    rng = np.random.default_rng(seed)
    hidden = _draw_hidden(rng, n_classes, _numbers_to_hide(n_folds, n_classes))
    return _folds(y, hidden, ~hidden, held_out, rng)


def known_fold(y: np.ndarray, seed: int, held_out: float) -> Folds[np.ndarray]:
    """One fold that asks for all known classes at once, and hides none.

    For methods that never look at a label: how well the known classes come out as clusters
    is a score without any class hidden.

    Args:
        y: `i32[n]`, known class of every row, or `UNLABELLED`.
        seed: of the draw.
        held_out: share of the rows of every class that lose their label.
    """
    y = np.asarray(y, np.int32)
    everyone = np.ones((1, int(y.max(initial=UNLABELLED)) + 1), bool)
    return _folds(y, everyone, everyone, held_out, np.random.default_rng(seed), hide=False)


def _folds(
    y: np.ndarray,
    wanted: np.ndarray,
    visible: np.ndarray,
    held_out: float,
    rng: np.random.Generator,
    *,
    hide: bool = True,
) -> Folds[np.ndarray]:
    """Folds that ask for the classes `wanted: bool[F, C]` and hold out rows of the `visible`."""
    labels, wanted_rows, wanted_y, held_out_rows = [], [], [], []
    for classes, seen in zip(wanted, visible, strict=True):
        rows = np.flatnonzero((y != UNLABELLED) & classes[y])
        wanted_rows.append(rows)
        wanted_y.append((np.cumsum(classes) - 1)[y[rows]])
        held = [_draw_held_out(rng, np.flatnonzero(y == c), held_out) for c in np.flatnonzero(seen)]
        held_out_rows.append(np.sort(np.concatenate(held)))
        shown = y.copy()
        if hide:
            shown[rows] = UNLABELLED
        shown[held_out_rows[-1]] = UNLABELLED
        labels.append(shown)

    rows, mask = _pad(wanted_rows)
    held_rows, held_mask = _pad(held_out_rows)
    return Folds(
        y=np.stack(labels),
        hidden=wanted,
        hidden_rows=rows,
        hidden_mask=mask,
        hidden_y=_pad(wanted_y)[0],
        held_out_rows=held_rows,
        held_out_mask=held_mask,
        held_out_y=_pad([y[r] for r in held_out_rows])[0],
    )


def _numbers_to_hide(n_folds: int, n_classes: int) -> list[int]:
    """How many classes each fold hides, ascending; as many folds as there are choices at most."""
    fewest = max(2, round(n_classes / 3))
    most = max(fewest, round(2 * n_classes / 3))
    left = {h: math.comb(n_classes, h) for h in range(fewest, most + 1)}
    numbers = []
    for wanted in np.linspace(fewest, most, min(n_folds, sum(left.values()))):
        # The nearest number of which not all choices are taken.
        h = min((h for h in left if left[h]), key=lambda h: abs(h - wanted))
        left[h] -= 1
        numbers.append(h)
    return sorted(numbers)


def _draw_hidden(rng: np.random.Generator, n_classes: int, numbers: list[int]) -> np.ndarray:
    """Distinct subsets of the classes of given sizes, each class in about equally many.

    Returns:
        `bool[F, C]`, one fold a row.
    """
    hidden = np.zeros((len(numbers), n_classes), bool)
    for fold, n_hidden in enumerate(numbers):
        times_hidden = hidden.sum(axis=0)
        slack = 1.0
        while True:
            # Noise below 1 only breaks ties among the least hidden classes. Where these
            # lead to a subset that is taken, more noise gives way a little in balance.
            order = np.argsort(times_hidden + slack * rng.random(n_classes))
            subset = np.isin(np.arange(n_classes), order[:n_hidden])
            if not (hidden[:fold] == subset).all(axis=1).any():
                break
            slack *= 1.1
        hidden[fold] = subset
    return hidden


def _draw_held_out(rng: np.random.Generator, rows: np.ndarray, share: float) -> np.ndarray:
    wanted = max(1, round(share * len(rows))) if share > 0 else 0
    return rng.choice(rows, size=min(wanted, len(rows) - 1), replace=False)


def _pad(ragged: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Stacks ragged rows: values `i32[F, longest]`, 0 where padded, and their mask."""
    lengths = np.array([len(row) for row in ragged])
    mask = np.arange(lengths.max()) < lengths[:, None]
    values = np.zeros(mask.shape, np.int32)
    values[mask] = np.concatenate(ragged)
    return values, mask
