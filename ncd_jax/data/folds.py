"""Folds that hide known classes, so that methods can be tuned without a novel label.

Each fold takes the labels of some known classes away and treats their rows as if they
were novel; how well these rows are clustered tells how good a candidate is (Troisemaine
et al., *A Practical Approach to Novel Class Discovery in Tabular Data*, DMKD 2024,
arXiv 2311.05440, section 4). The table's rows are the same in every fold. Only labels
and masks differ, so folds can be one batch axis of a compiled program.

Throughout, `y` is `i32[n]`, the known class of every row, or `UNLABELLED`, and `group` is `i[n]`,
the group of every row. Equal arguments give equal folds.
"""

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from ncd_jax.errors import UserError
from ncd_jax.types import UNLABELLED

__all__ = [
    "Folds",
    "GateFolds",
    "hold_out",
    "known_fold",
    "make_folds",
    "make_gate_folds",
    "make_judged_folds",
    "pad_rows",
    "sample_hidden",
    "take_away",
]

_HELD_OUT = 0.5
_FEWEST_LABELLED = 2
"""Rows with a label below which a class is hidden altogether."""
_N_ONE, _N_NONE, _N_NCD = 2, 2, 3

A = TypeVar("A")


class Folds(NamedTuple, Generic[A]):
    """`F` folds over a table of `n` rows and `C` known classes.

    `make_folds` gives NumPy arrays, `Folds[np.ndarray]`; the sweep takes the same on the device.

    Row lists are padded with row 0 to the length of the longest fold, or further; their mask is
    false and their class 0 there.

    Attributes:
        y: `i32[F, n]`, the labels that a fold may train on; `UNLABELLED` on hidden and novel
            rows.
        hidden: `bool[F, C]`, the classes that a fold hides.
        hidden_rows: `i32[F, m]`, rows of the hidden classes.
        hidden_mask: `bool[F, m]`.
        hidden_y: `i32[F, m]`, their class, counted `0..h-1` among the fold's hidden classes.
    """

    y: A
    hidden: A
    hidden_rows: A
    hidden_mask: A
    hidden_y: A


def make_folds(y: np.ndarray, n_folds: int, seed: int) -> Folds[np.ndarray]:
    """Draws folds, no two of which hide the same classes.

    They hide between a third and two thirds of the classes, at least two, as clustering one class
    says nothing. Not all folds hide as many: else a candidate that always finds two classes, say,
    would be right in each of them, and be chosen for that.

    Args:
        y: each of the codes `0..C-1` must occur.
        n_folds: folds wanted; all choices of classes are taken where there are fewer.
        seed: of all draws.

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
    return _hiding(y, _draw_hidden(rng, n_classes, _numbers_to_hide(n_folds, n_classes)))


def make_judged_folds(y: np.ndarray, n_folds: int, seed: int) -> Folds[np.ndarray]:
    """Draws folds that teach the judge: some hide several classes, as many hide one.

    There are `n_folds` of each kind, or fewer where there are not as many choices. With two known
    classes there are only folds that hide one, with one class there is none.
    """
    y = np.asarray(y, np.int32)
    n_classes = int(y.max(initial=UNLABELLED)) + 1
    rng = np.random.default_rng(seed)
    hidden = np.zeros((0, n_classes), bool)
    if n_classes > 2:
        hidden = _draw_hidden(rng, n_classes, _numbers_to_hide(n_folds, n_classes))
    if n_classes > 1:
        alone = rng.permutation(n_classes)[:n_folds]
        hidden = np.concatenate([hidden, np.eye(n_classes, dtype=bool)[alone]])
    return _hiding(y, hidden)


def known_fold(y: np.ndarray) -> Folds[np.ndarray]:
    """One fold that asks for all known classes at once, and hides no label.

    For methods that never look at a label: how well the known classes come out as clusters
    is a score without any class hidden.
    """
    y = np.asarray(y, np.int32)
    return _asking_for(y, np.ones((1, int(y.max(initial=UNLABELLED)) + 1), bool))


def hold_out(
    y: np.ndarray, share: float, seed: int, *, group: np.ndarray | None = None
) -> np.ndarray:
    """Rows `bool[n]` that lose their label, so that it can be seen who finds it again.

    They are a share in `[0, 1)` of the rows of every known class: at least one row, unless the
    share is 0, and never the last one; of groups, see `take_away`.
    """
    y, rng = np.asarray(y, np.int32), np.random.default_rng(seed)
    held = np.zeros(len(y), bool)
    if group is not None:
        held = take_away(y, share, rng, group)
    for c in range(int(y.max(initial=UNLABELLED)) + 1):
        rows = np.flatnonzero(y == c)
        wanted = max(1, round(share * len(rows))) if share > 0 else 0
        if not 0 < held[rows].sum() < len(rows):
            held[rows] = False
            held[rng.choice(rows, size=min(wanted, len(rows) - 1), replace=False)] = True
    return held


def take_away(
    y: np.ndarray, share: float, rng: np.random.Generator, group: np.ndarray
) -> np.ndarray:
    """About a share of the labelled rows, `bool[n]`, that lose their label, groups of them whole.

    Where fewer than two groups have a label, rows of every class are drawn.
    """
    groups, sizes = np.unique(group[y != UNLABELLED], return_counts=True)
    if len(groups) > 1:
        order = rng.permutation(len(groups))
        before = np.cumsum(sizes[order]) - sizes[order] / 2
        gone = order[before < share * sizes.sum()]
        # One group at least goes, and one stays.
        gone = gone[: len(groups) - 1] if len(gone) else order[:1]
        return (y != UNLABELLED) & np.isin(group, groups[gone])
    off = np.zeros(len(y), bool)
    for c in range(int(y.max(initial=UNLABELLED)) + 1):
        rows = rng.permutation(np.flatnonzero(y == c))
        off[rows[: round(share * len(rows))]] = True
    return off


def pad_rows(rows: np.ndarray, length: int) -> np.ndarray:
    """A row list, or lists of one fold each, `[..., length]`: 0, or false, behind its end."""
    width = [(0, 0)] * (rows.ndim - 1) + [(0, length - rows.shape[-1])]
    return np.pad(rows, width)


def sample_hidden(folds: Folds[np.ndarray], most: int, seed: int) -> Folds[np.ndarray]:
    """Folds that ask for at most that many of their hidden rows, drawn at random."""
    rng, lists = np.random.default_rng(seed), (folds.hidden_rows, folds.hidden_mask, folds.hidden_y)
    length = min(most, folds.hidden_rows.shape[1])
    # Rows that count come first, in random order; a sample is in the order of the table.
    keys = rng.random(folds.hidden_mask.shape) + ~folds.hidden_mask
    chosen = np.sort(np.argsort(keys, axis=1)[:, :length], axis=1)
    rows, mask, y = (np.take_along_axis(each, chosen, axis=1) for each in lists)
    return folds._replace(hidden_rows=rows, hidden_mask=mask, hidden_y=y)


def _hiding(y: np.ndarray, hidden: np.ndarray) -> Folds[np.ndarray]:
    """Folds that hide the classes `hidden: bool[F, C]`."""
    folds = _asking_for(y, hidden)
    return folds._replace(y=np.where(hidden[:, y] & (y != UNLABELLED), UNLABELLED, folds.y))


def _asking_for(y: np.ndarray, wanted: np.ndarray) -> Folds[np.ndarray]:
    """Folds that ask for the classes `wanted: bool[F, C]`, with every label there is."""
    of_fold = [np.flatnonzero((y != UNLABELLED) & classes[y]) for classes in wanted]
    codes = [(np.cumsum(c) - 1)[y[rows]] for c, rows in zip(wanted, of_fold, strict=True)]
    longest = max(map(len, of_fold), default=0)
    rows, mask, y_hidden = (
        np.zeros((len(wanted), longest), kind) for kind in (np.int32, bool, np.int32)
    )
    for f, (of_one, code) in enumerate(zip(of_fold, codes, strict=True)):
        n = len(of_one)
        rows[f, :n], mask[f, :n], y_hidden[f, :n] = of_one, True, code
    return Folds(np.tile(y, (len(wanted), 1)), wanted, rows, mask, y_hidden)


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
    """Distinct subsets `bool[F, C]` of given sizes, each class in about as many of them."""
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
    """Draws folds of all kinds, `n_folds` or fewer that hide several classes, none with one class.

    They teach known from new: they hide classes, and labels of the others; groups lose them whole.
    """
    y, rng = np.asarray(y, np.int32), np.random.default_rng(seed)
    n_classes = int(y.max(initial=UNLABELLED)) + 1
    alone = [np.arange(n_classes) == c for c in rng.permutation(n_classes)]
    many = alone if n_classes == 2 else []
    if n_classes > 2:
        many = list(_draw_hidden(rng, n_classes, _numbers_to_hide(n_folds, n_classes)))
    plan = [("many", hidden, _HELD_OUT) for hidden in many]
    plan += [("one", hidden, _HELD_OUT) for hidden in alone[:_N_ONE] if n_classes > 2]
    plan += [("none", np.zeros(n_classes, bool), _HELD_OUT)] * _N_NONE
    plan += [("ncd", hidden, 0.0) for hidden in many[:_N_NCD]]
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
    poor = (left < _FEWEST_LABELLED) & ~hidden
    off &= ~poor[y]
    return np.where(off, UNLABELLED, y).astype(np.int32)
