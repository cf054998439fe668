"""Which unlabelled rows are of known classes, and which of none."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.gate_looks import Looks, look
from ncd_jax.discovery.problem import Problem
from ncd_jax.known_or_new.gate_weights import (
    LOOKING,
    SORTING,
    GatePrior,
    Sight,
    class_chances,
    gate_logits,
    learn_gate,
    read_gate_prior,
    share_features,
)
from ncd_jax.tuning.proposals import Trial
from ncd_jax.types import UNLABELLED

__all__ = ["GateTrust", "Gated", "decide", "pass_gate", "views_of"]

IN_DOUBT_KNOWN = 0.3
"""Log-odds by which a row may look new and is still given to a known class."""
IN_DOUBT = 0.1
"""Mean chance to be known from which on a small group of new rows is none."""
SURELY_NOTHING, SURELY_SOME = 2.0, 0.5
"""Log-odds from which on nothing is new, and from which on some rows are of known classes."""


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
        is_new: `bool[u]`, rows of no known class.
        likeliest: `i[u]`, the known class that each row would be of.
        p_known: `f64[u]`, how likely it is of a known class.
        p_class: `f64[u]`, how likely it is of `likeliest`, if it is of a known class at all.
        trust: none where no class could be hidden.
    """

    is_open: bool
    is_new: np.ndarray
    likeliest: np.ndarray
    p_known: np.ndarray
    p_class: np.ndarray
    trust: GateTrust | None

    @property
    def known(self) -> np.ndarray:
        """`i[u]`, the known class of each row; `UNLABELLED` where it is new."""
        return np.where(self.is_new, UNLABELLED, self.likeliest)

    def without_strays(self, groups: np.ndarray, fewest: float) -> "Gated":
        """New rows that make a small group, and may well be known, given to their known class.

        A few rows that the gate let through by mistake would be a class of their own.

        Args:
            groups: `i[v]`, the group of every new row.
            fewest: rows of a group that stays whatever the doubt.
        """
        doubt, sizes = self.p_known[self.is_new], np.bincount(groups)
        in_doubt = np.bincount(groups, doubt) / np.maximum(sizes, 1) > IN_DOUBT
        is_new = self.is_new.copy()
        is_new[self.is_new] = ~((sizes < fewest) & in_doubt)[groups]
        return self._replace(is_new=is_new)

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


def pass_gate(problem: Problem, table: Table, best: Sequence[Trial] = ()) -> Gated:
    """Asks of every unlabelled row whether it is of a known class.

    Args:
        problem: what is solved.
        table: its table.
        best: candidates whose views it looks through, where they were searched for.

    Raises:
        FloatingPointError: every training diverged.
    """
    hparams = [trial.hparams for trial in best]
    if problem.candidates is not None:
        hparams = views_of(problem.candidates)
    looks = look(problem, table, hparams)
    return decide(looks, read_gate_prior(), problem.config.setting)


def views_of(candidates: list[dict[str, float]]) -> list[dict[str, float]]:
    """Those of a grid that the gate looks through: every second one says as much as all."""
    return candidates[1::2] or candidates


def decide(looks: Looks, prior: GatePrior, setting: str) -> Gated:
    """Learns from the folds, drawn to what other tables taught, and decides.

    Args:
        looks: at a table.
        prior: of other tables.
        setting: `gcd`, or `auto` to close the gate where no more rows look known than hidden ones.
    """
    folds = [(sight, 1.0) for sight in looks.folds]
    weights = learn_gate(folds, SORTING, prior.sorting)
    of_sample = gate_logits(looks.sight, weights)
    nothing, _ = share_features(of_sample)
    like = np.searchsorted(looks.sampled, looks.like)
    logits = of_sample[like].mean(axis=1)
    chances = class_chances(looks.sight, weights)[like].mean(axis=1)
    is_new, p_known = logits < -IN_DOUBT_KNOWN, 1 / (1 + np.exp(-logits))
    is_open = setting == "gcd" or _any_known(looks, prior)
    if nothing @ weights.nothing[:-1] + weights.nothing[-1] > SURELY_NOTHING:
        is_new[:], p_known = False, np.maximum(p_known, 0.5)
    if not is_open:
        is_new[:], p_known = True, np.zeros_like(p_known)
    return Gated(
        is_open=is_open,
        is_new=is_new,
        likeliest=chances.argmax(axis=1),
        p_known=p_known,
        p_class=chances.max(axis=1),
        trust=_trust(looks.folds, prior),
    )


def _any_known(looks: Looks, prior: GatePrior) -> bool:
    """Whether more rows look known than in folds in which none is."""
    weights = learn_gate([(sight, 1.0) for sight in looks.folds], LOOKING, prior.looking)
    _, some = share_features(gate_logits(looks.sight, weights))
    return bool(some @ weights.some[:-1] + weights.some[-1] > SURELY_SOME)


def _trust(folds: Sequence[Sight], prior: GatePrior) -> GateTrust | None:
    """Every fold that hides classes, judged by what the others teach."""
    hiding = [i for i, sight in enumerate(folds) if sight.kind in ("many", "one")]
    if not hiding:
        return None
    called, given, truth = [], [], []
    for i in hiding:
        weights = learn_gate(
            [(s, 1.0) for j, s in enumerate(folds) if j != i], SORTING, prior.sorting
        )
        called.append(gate_logits(folds[i], weights) >= -IN_DOUBT_KNOWN)
        given.append(class_chances(folds[i], weights).argmax(axis=1))
        truth.append(folds[i].truth)
    said, label, true = map(np.concatenate, (called, given, truth))
    of_known = true >= 0
    return GateTrust(
        precision=float(np.mean(of_known[said])) if said.any() else float("nan"),
        recall=float(np.mean(said[of_known])),
        class_accuracy=float(np.mean((said & (label == true))[of_known])),
        swallowed=float(np.mean(said[~of_known])),
    )
