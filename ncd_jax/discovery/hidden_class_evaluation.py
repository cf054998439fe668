"""The whole procedure on classes that are hidden: what its answers are worth where that is known.

Tuning scores single trainings. Here the winner answers as it will for the novel rows, from all
its refits, once for every fold; whether a row of a hidden class was sorted right is known then,
and turns margins into confidence.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ncd_jax.data.folds import hold_out
from ncd_jax.data.table import Table
from ncd_jax.discovery.calibration import (
    Calibration,
    fit_calibration,
    held_out_confidence,
    is_right,
)
from ncd_jax.discovery.model import apply_model, refit_and_choose
from ncd_jax.discovery.problem import Problem
from ncd_jax.types import UNLABELLED

__all__ = ["HiddenClassEvaluation", "evaluate_hidden_classes", "known_accuracy"]


class HiddenClassEvaluation(NamedTuple):
    """Answers on all folds: their `r` rows of hidden classes, one fold after the other.

    Attributes:
        margin: `f64[r]`, of each row in the eyes of all refits.
        lone_margin: `f64[r]`, the same in the eyes of the refit that gave the answer, as for
            rows that come later: that refit is all that a stored model has.
        right: `bool[r]`, whether the row is in the class that stands for its own.
        fold: `i[r]`, which fold hid its class.
        y: `i[r]`, its known class.
        k: classes found in each fold.
    """

    margin: np.ndarray
    lone_margin: np.ndarray
    right: np.ndarray
    fold: np.ndarray
    y: np.ndarray
    k: tuple[int, ...]

    @property
    def calibration(self) -> Calibration:
        """From the margin of all refits to confidence."""
        return fit_calibration(self.margin, self.right)

    @property
    def lone_calibration(self) -> Calibration:
        """From the margin of the stored refit to confidence."""
        return fit_calibration(self.lone_margin, self.right)

    @property
    def held_out_confidence(self) -> np.ndarray:
        """Confidence `f64[r]` that rows get from other folds and other classes."""
        return held_out_confidence(self.margin, self.right, self.fold, self.y)


def evaluate_hidden_classes(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> HiddenClassEvaluation:
    """Answers for every fold as `refit_all` and `choose` do for the novel rows.

    All folds share one program. A fold in which every refit diverged is left out.

    Args:
        problem: what is solved.
        table: its table.
        hparams: hyperparameters of each refit.

    Raises:
        FloatingPointError: every refit of every fold diverged.
    """
    folds, parts = problem.hidden_folds, []
    for f in range(len(folds.y)):
        fold, mask = problem.of_fold(f), folds.hidden_mask[f]
        rows, hidden_y = folds.hidden_rows[f][mask], folds.hidden_y[f][mask]
        try:
            _, answer, model = refit_and_choose(fold, table, hparams)
        except FloatingPointError:
            continue
        lone = apply_model(model, table.x[rows]).margin
        right = is_right(answer.labels, hidden_y)
        parts.append((answer.margin, lone, right, np.full(len(rows), f), table.y[rows], answer.k))
    if not parts:
        raise FloatingPointError(
            "every training on hidden classes diverged; give a smaller --config.hparams.lr or"
            " another --config.seed"
        )
    *arrays, k = zip(*parts, strict=True)
    margin, lone_margin, right, of_fold, y = map(np.concatenate, arrays)
    return HiddenClassEvaluation(margin, lone_margin, right, of_fold, y, k)


def known_accuracy(problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]) -> float:
    """Share of labelled rows that get their class back where they had lost their label.

    All known classes are there, and all that is found among the novel rows: what `predict` does,
    where a known row can be taken for a novel one. NaN where no row can spare its label, or where
    every training diverged.

    Args:
        problem: what is solved.
        table: its table.
        hparams: hyperparameters of each refit.
    """
    held = hold_out(table.y, problem.config.search.held_out, problem.config.seed)
    if not held.any():
        return float("nan")
    y = np.where(held, UNLABELLED, table.y).astype(np.int32)
    without = problem._replace(data=problem.data._replace(y=jnp.asarray(y)))
    try:
        _, _, model = refit_and_choose(without, table, hparams)
    except FloatingPointError:
        return float("nan")
    return float(np.mean(apply_model(model, table.x[held]).labels == table.y[held]))
