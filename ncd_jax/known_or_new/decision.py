"""Known or new: which unlabelled rows are of known classes, decided by what folds teach."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncd_jax.known_or_new.gate_weights import (
    LOOKING,
    SORTING,
    GatePrior,
    GateWeights,
    Observed,
    class_chances,
    gate_logits,
    learn_gate,
    share_features,
)
from ncd_jax.types import UNLABELLED

__all__ = ["IN_DOUBT", "Decided", "FoldRows", "GateTrust", "Gated", "Observations", "decide"]

IN_DOUBT = 0.3
"""Log-odds by which a row may look new and is still given to a known class."""
STRAY = 0.1
"""Mean chance to be known from which on a small group of new rows is none."""
FAR = 0.02
"""Largest chance to be known of rows far from every labelled one."""
SURELY_NOTHING = 2.0
"""Log-odds from which on nothing is new."""
DOUBT = 0.75
"""Log-odds that some rows are of known classes, on either side of which `auto` knows."""


class GateTrust(NamedTuple):
    """What the gate did where it is known: labels that were held out, and classes that were hidden.

    Attributes:
        precision: share of the rows called known that are.
        recall: share of the rows of known classes that were called known.
        class_accuracy: share of the rows of known classes that were given their class.
        missed: share of the rows of hidden classes that were called known.
    """

    precision: float
    recall: float
    class_accuracy: float
    missed: float


class Decided(NamedTuple):
    """A fold, and what is said of its unlabelled rows by what others teach.

    Attributes:
        fold: the fold.
        is_new: `bool[u]`.
        p_known: `f64[u]`.
        likeliest: `i[u]`, the known class that each row would be of.
        p_class: `f64[u]`, how likely it is of that one.
    """

    fold: "FoldRows"
    is_new: np.ndarray
    p_known: np.ndarray
    likeliest: np.ndarray
    p_class: np.ndarray


class Gated(NamedTuple):
    """What is said of every unlabelled row: which known class it is of, or that it is of none.

    Attributes:
        is_open: whether rows of known classes were looked for and found; else all rows are new.
        is_new: `bool[u]`, rows of no known class.
        likeliest: `i[u]`, the known class that each row would be of.
        p_known: `f64[u]`, how likely it is of a known class.
        p_class: `f64[u]`, how likely it is of `likeliest`, if it is of a known class at all.
        trust: none where no class could be hidden.
        folds: those that hide classes, each decided by what the others teach.
        in_doubt: whether `auto` could not tell if any row is of a known class.
    """

    is_open: bool
    is_new: np.ndarray
    likeliest: np.ndarray
    p_known: np.ndarray
    p_class: np.ndarray
    trust: GateTrust | None
    folds: Sequence[Decided] = ()
    in_doubt: bool = False

    @property
    def known(self) -> np.ndarray:
        """`i[u]`, the known class of each row; `UNLABELLED` where it is new."""
        return np.where(self.is_new, UNLABELLED, self.likeliest)

    def of_rows(self, rows: np.ndarray) -> "Gated":
        """What is said of the unlabelled rows `i[v]`, in this order."""
        fields = ("is_new", "likeliest", "p_known", "p_class")
        return self._replace(**{name: getattr(self, name)[rows] for name in fields})

    def without_strays(self, groups: np.ndarray, fewest: float) -> "Gated":
        """New rows that make a small group, and may well be known, given to their known class.

        A few rows that the gate let through by mistake would be a class of their own.

        Args:
            groups: `i[v]`, the group of every new row.
            fewest: rows of a group that stays whatever the doubt.
        """
        doubt, sizes = self.p_known[self.is_new], np.bincount(groups)
        in_doubt = np.bincount(groups, doubt) / np.maximum(sizes, 1) > STRAY
        is_new = self.is_new.copy()
        is_new[self.is_new] = ~((sizes < fewest) & in_doubt)[groups]
        return self._replace(is_new=is_new)


class FoldRows(NamedTuple):
    """The unlabelled rows of a fold that teaches known from new.

    Attributes:
        observed: what is seen of them.
        y: `i[n]`, the labels that the fold leaves.
        rows: `i[u]`, which rows of the table they are.
        true: `i[u]`, the class of each, hidden or not.
        hidden: `bool[C]`, the classes that it hides.
    """

    observed: Observed
    y: np.ndarray
    rows: np.ndarray
    true: np.ndarray
    hidden: np.ndarray

    def without(self, hidden: np.ndarray) -> Observed:
        """What is seen of them, where rows of some classes, `bool[C]`, may not teach."""
        return self.observed._replace(teaches=~hidden[self.true])


class Observations(NamedTuple):
    """What is seen of a table.

    Attributes:
        folds: of known rows, with what is true of them.
        table: a sample of the unlabelled rows among labelled ones.
        sampled: `i[s]`, positions of the sample among the unlabelled rows.
        like: `i[u, 3]`, for every unlabelled row the ones of the sample that it does as.
        far: `bool[u]`, unlabelled rows far from every labelled one; see `far_rows`. None where
            nobody looked.
    """

    folds: list[FoldRows]
    table: Observed
    sampled: np.ndarray
    like: np.ndarray
    far: np.ndarray | None = None

    def beside(self, other: "Observations") -> "Observations":
        """What is seen of the same rows in two ways: the mean."""
        folds = [
            each._replace(observed=each.observed.beside(its.observed))
            for each, its in zip(self.folds, other.folds, strict=True)
        ]
        return self._replace(folds=folds, table=self.table.beside(other.table))


def decide(seen: Observations, prior: GatePrior, setting: str, n_novel: int | None = None) -> Gated:
    """Learns from the folds, drawn to what other tables taught, and decides.

    Args:
        seen: of a table.
        prior: of other tables.
        setting: `gcd`, or `auto` to close the gate where no more rows look known than hidden ones.
            In doubt it is open, as then some rows are wrong and not all, and gives away fewer.
        n_novel: the number of new classes where it is given: so many rows are new at least.
    """
    folds = [(each.observed, 1.0) for each in seen.folds]
    some = _log_odds_of_some(seen, prior) if setting == "auto" else np.inf
    in_doubt = bool(abs(some) < DOUBT)
    drawn_to = prior.looking if in_doubt else prior.sorting
    weights = learn_gate(folds, SORTING, drawn_to)
    of_sample = gate_logits(seen.table, weights)
    nothing, _ = share_features(of_sample)
    like = np.searchsorted(seen.sampled, seen.like)
    logits = of_sample[like].mean(axis=1)
    chances = class_chances(seen.table, weights)[like].mean(axis=1)
    is_new, p_known = logits < -IN_DOUBT, 1 / (1 + np.exp(-logits))
    is_open = bool(some > -DOUBT)
    if n_novel is not None:
        newest = np.argsort(logits, kind="stable")[: n_novel * (not is_new.sum() >= n_novel)]
        is_new[newest] = True
    elif nothing @ weights.nothing[:-1] + weights.nothing[-1] > SURELY_NOTHING:
        is_new[:], p_known = False, np.maximum(p_known, 0.5)
    if seen.far is not None:
        is_new |= seen.far
        p_known[seen.far] = np.minimum(p_known[seen.far], FAR)
    if not is_open:
        is_new[:], p_known = True, np.zeros_like(p_known)
    decided = [_decided(i, seen.folds, drawn_to) for i in range(len(seen.folds))]
    hiding = [each for each in decided if each is not None]
    return Gated(
        is_open=is_open,
        is_new=is_new,
        likeliest=chances.argmax(axis=1),
        p_known=p_known,
        p_class=chances.max(axis=1),
        trust=_trust(hiding) if hiding else None,
        folds=hiding,
        in_doubt=in_doubt,
    )


def _log_odds_of_some(seen: Observations, prior: GatePrior) -> float:
    """Log-odds that more rows look known than in folds in which none is."""
    weights = learn_gate([(each.observed, 1.0) for each in seen.folds], LOOKING, prior.looking)
    _, some = share_features(gate_logits(seen.table, weights))
    return float(some @ weights.some[:-1] + weights.some[-1])


def _decided(i: int, folds: Sequence[FoldRows], drawn_to: GateWeights) -> Decided | None:
    """A fold that hides classes, by what the others teach without these classes; else none."""
    fold = folds[i]
    if fold.observed.kind not in ("many", "one"):
        return None
    others = [(each.without(fold.hidden), 1.0) for j, each in enumerate(folds) if j != i]
    weights = learn_gate(others, SORTING, drawn_to)
    logits, chances = gate_logits(fold.observed, weights), class_chances(fold.observed, weights)
    return Decided(
        fold=fold,
        is_new=logits < -IN_DOUBT,
        p_known=1 / (1 + np.exp(-logits)),
        likeliest=chances.argmax(axis=1),
        p_class=chances.max(axis=1),
    )


def _trust(folds: Sequence[Decided]) -> GateTrust:
    said = np.concatenate([~each.is_new for each in folds])
    label = np.concatenate([each.likeliest for each in folds])
    true = np.concatenate([each.fold.observed.truth for each in folds])
    of_known = true >= 0
    return GateTrust(
        precision=_share(of_known[said]),
        recall=_share(said[of_known]),
        class_accuracy=_share((said & (label == true))[of_known]),
        missed=_share(said[~of_known]),
    )


def _share(of_rows: np.ndarray) -> float:
    """Mean of `bool[n]`; NaN of none."""
    return float(of_rows.mean()) if len(of_rows) else float("nan")
