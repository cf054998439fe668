"""The whole procedure on classes that are hidden: what its answers are worth where that is known.

Tuning scores single trainings. Here the winner answers as it will for the novel rows, from all
its refits, once for every fold; whether a row of a hidden class was sorted right is known then,
and turns margins into confidence.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.discovery.calibration import (
    Calibration,
    fit_calibration,
    held_out_confidence,
    is_right,
)
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.procedure import choose, refit_all
from ncd_jax.discovery.refits import margin
from ncd_jax.methods.parts import class_means
from ncd_jax.types import UNLABELLED, NCDData

__all__ = ["HiddenClassEvaluation", "evaluate_hidden_classes", "problem_of_fold"]


class HiddenClassEvaluation(NamedTuple):
    """Answers on all folds: their `r` rows of hidden classes, one fold after the other.

    Attributes:
        margin: `f64[r]`, of each row in the eyes of all refits.
        lone_margin: `f64[r]`, the same in the eyes of the refit that gave the answer, as for
            rows that come later: that refit is all that a stored model has.
        right: `bool[r]`, whether the row is in the class that stands for its own.
        fold: `i[r]`, which fold hid its class.
        k: classes found in each fold.
    """

    margin: np.ndarray
    lone_margin: np.ndarray
    right: np.ndarray
    fold: np.ndarray
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
        """Confidence `f64[r]` that each fold's rows get from the other folds."""
        return held_out_confidence(self.margin, self.right, self.fold)


def problem_of_fold(problem: Problem, f: int) -> Problem:
    """The problem in which the hidden classes of fold `f` are the novel ones.

    Its novel rows are padded; the fold's `hidden_mask` says which of them count. Where the number
    of novel classes is given, that of the hidden ones is.
    """
    folds = problem.hidden_folds
    return problem._replace(
        data=NCDData(problem.data.x, jnp.asarray(folds.y[f])),
        novel_rows=jnp.asarray(folds.hidden_rows[f]),
        n_novel=None if problem.n_novel is None else int(folds.hidden[f].sum()),
    )


def evaluate_hidden_classes(
    problem: Problem, hparams: Sequence[Mapping[str, float]]
) -> HiddenClassEvaluation:
    """Answers for every fold as `refit_all` and `choose` do for the novel rows.

    All folds share one program. A fold in which every refit diverged is left out.
    """
    folds, parts = problem.hidden_folds, []
    n_known = problem.spec.n_known
    for f in range(len(folds.y)):
        mask = folds.hidden_mask[f]
        fold = problem_of_fold(problem, f)
        try:
            refits = refit_all(fold, hparams, mask)
        except FloatingPointError:
            continue
        answer = choose(fold, refits, mask)
        state = jax.tree.map(lambda leaf, i=answer.refit: leaf[i], refits.state)
        z_known = jax.jit(problem.method.represent)(state, problem.data.x)
        visible = np.unique(folds.y[f][folds.y[f] != UNLABELLED])
        means = class_means(z_known, fold.data.y, n_known)[visible]
        centroids = jnp.concatenate([means, answer.centroids])
        lone = np.asarray(margin(refits.z[answer.refit], centroids))
        right = is_right(answer.labels[mask], folds.hidden_y[f][mask])
        parts.append((answer.margin[mask], lone[mask], right, np.full(mask.sum(), f), answer.k))
    if not parts:
        raise FloatingPointError(
            "every training on hidden classes diverged; give a smaller --config.hparams.lr or"
            " another --config.seed"
        )
    return HiddenClassEvaluation(
        margin=np.concatenate([part[0] for part in parts]),
        lone_margin=np.concatenate([part[1] for part in parts]),
        right=np.concatenate([part[2] for part in parts]),
        fold=np.concatenate([part[3] for part in parts]),
        k=tuple(part[4] for part in parts),
    )
