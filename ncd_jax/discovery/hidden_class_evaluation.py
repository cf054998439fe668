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
from ncd_jax.discovery.familiarity import familiarity, make_reference
from ncd_jax.discovery.model import Model, apply_model, refit_and_choose
from ncd_jax.discovery.problem import Problem
from ncd_jax.types import UNLABELLED

__all__ = [
    "UNKNOWN",
    "HiddenClassEvaluation",
    "Recognised",
    "evaluate_hidden_classes",
    "recognise",
    "without_some_labels",
]


class HiddenClassEvaluation(NamedTuple):
    """Answers on all folds: their `r` rows of hidden classes, one fold after the other.

    Attributes:
        confidence: `f64[r]`, that each row gets from other folds and other classes.
        lone_margin: `f64[r]`, how clearly a row belongs to its class in the eyes of the refit that
            gave the answer, as for rows that come later: it is all that a stored model has.
        right: `bool[r]`, whether the row is in the class that stands for its own.
        fold: `i[r]`, which fold hid its class.
        y: `i[r]`, its known class.
        k: classes found in each fold.
    """

    confidence: np.ndarray
    lone_margin: np.ndarray
    right: np.ndarray
    fold: np.ndarray
    y: np.ndarray
    k: tuple[int, ...]

    @property
    def lone_calibration(self) -> Calibration:
        """From the margin of the stored refit to confidence."""
        return fit_calibration(self.lone_margin, self.right)


def evaluate_hidden_classes(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> tuple[HiddenClassEvaluation, Calibration]:
    """Answers for every fold as `refit_all` and `choose` do for the novel rows.

    All folds share one program. A fold in which every refit diverged is left out.

    Args:
        problem: what is solved.
        table: its table.
        hparams: hyperparameters of each refit.

    Returns:
        The evaluation, and the calibration from margins in the eyes of all refits to confidence.

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
    sure = held_out_confidence(margin, right, of_fold, y)
    evaluation = HiddenClassEvaluation(sure, lone_margin, right, of_fold, y, k)
    return evaluation, fit_calibration(margin, right)


def without_some_labels(problem: Problem, table: Table) -> tuple[Problem, np.ndarray]:
    """The problem in which some rows of every known class have lost their label, and which ones.

    Args:
        problem: what is solved.
        table: its table.

    Returns:
        The problem, and `bool[n]`.
    """
    held = hold_out(table.y, problem.config.search.held_out, problem.config.seed)
    y = np.array(problem.data.y)
    y[: len(held)][held] = UNLABELLED
    return problem._replace(data=problem.data._replace(y=jnp.asarray(y))), held


class Recognised(NamedTuple):
    """Labelled rows where they had lost their label.

    Attributes:
        accuracy: share of them that get their class back.
        unfamiliar: share of them that look like no class; see `familiarity`.
    """

    accuracy: float
    unfamiliar: float


UNKNOWN = Recognised(float("nan"), float("nan"))
"""Where no row can spare its label, or nothing could be fitted without them."""


def recognise(model: Model, table: Table, held: np.ndarray) -> Recognised:
    """How labelled rows come out where they had lost their label.

    All known classes are there, and all that is found among the novel rows: what `predict` does,
    where a known row can be taken for a novel one.

    Args:
        model: of the problem without these labels.
        table: the table.
        held: `bool[n]`, rows that had none.
    """
    if not held.any():
        return UNKNOWN
    applied, x = apply_model(model, table.x), model.scaler.apply(table.x)
    z, labels = applied.z, applied.labels
    reference = make_reference(x[~held], z[~held], labels[~held], len(model.classes))
    familiar = familiarity(reference, x[held], z[held], labels[held])
    return Recognised(
        accuracy=float(np.mean(applied.labels[held] == table.y[held])),
        unfamiliar=float(np.mean(familiar < 1)),
    )
