"""Answers of the judge: classes of any shape, made of micro clusters."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer
from ncd_jax.discovery.calibration import is_right
from ncd_jax.discovery.cells import Cells, means_of, seen_rows, settle
from ncd_jax.discovery.hidden_class_evaluation import HiddenClassEvaluation
from ncd_jax.discovery.joining import JoinedRows, join
from ncd_jax.discovery.judging import FoldScenes, Judgement
from ncd_jax.discovery.model import apply_model, fitted_model
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits
from ncd_jax.judge.confidence import Partition, confidence, confidence_features, nested
from ncd_jax.judge.number import number_probability
from ncd_jax.judge.prior import Prior
from ncd_jax.types import UNLABELLED

__all__ = ["answer_of", "evaluate_folds", "partition_of", "row_confidence"]


def answer_of(
    problem: Problem, refits: Refits, judgement: Judgement, cells: Cells, rows: JoinedRows
) -> Answer:
    """The partition of `u` rows that the judge stands by, as a model can repeat it.

    Args:
        problem: what is solved.
        refits: with the scene that was judged.
        judgement: of it.
        cells: of the judged rows.
        rows: all rows that are to be told apart.
    """
    found = cells.owners[rows.cell]
    sizes = np.bincount(found, minlength=len(cells.groups))
    class_of_group = np.argsort(np.argsort(-sizes, kind="stable"))
    k = int(np.count_nonzero(sizes))
    # A group of the sample that no row has joined is no class.
    class_of_group[class_of_group >= k] = -1
    owners = np.where(cells.owners >= 0, class_of_group[cells.owners], -1)
    best = int(np.argmax(judgement.say))
    z = np.asarray(refits.z)[best][problem.target_mask]
    of_class = np.where(cells.labels == UNLABELLED, -1, owners[cells.labels])
    return Answer(
        refit=best,
        k=k,
        labels=class_of_group[found],
        means=means_of(z, of_class, k),
        centroids=means_of(z, cells.labels, len(owners)),
        owners=owners,
        margin=_position(rows, cells.groups),
        stability=None,
    )


def partition_of(
    judgement: Judgement, cells: Cells, rows: JoinedRows, prior: Prior, n_novel: int | None
) -> Partition:
    """An answer as its confidence sees it, with the likelihood of every number of classes."""
    m, groups = judgement.n_micro, cells.groups
    linkage = judgement.linkage[: m - 1]
    k = int(groups[:m].max()) + 1
    numbers = number_probability(linkage, k, np.asarray(prior.number, np.float64))
    if n_novel is not None:
        numbers = np.full(max(k, len(numbers)), 1e-9)
        numbers[k - 1] = 1.0
    return Partition(
        evidence=judgement.evidence[:m, :m],
        sizes=judgement.sizes[:m],
        path=judgement.path[:m, :m],
        groups=groups[:m],
        numbers=numbers,
        micro=rows.micro,
        position=_position(rows, groups),
    )


def evaluate_folds(
    problem: Problem,
    table: Table,
    hparams: Sequence[Mapping[str, float]],
    folds: FoldScenes,
    judgements: Sequence[Judgement],
    prior: Prior,
) -> tuple[HiddenClassEvaluation | None, np.ndarray]:
    """What the judge's answers for hidden classes are worth, each learned without these classes.

    Returns:
        The evaluation, none without a fold, and the weights `f64[D + 1]` of the confidence.
    """
    parts: list[Any] = []
    prior_weights = np.asarray(prior.confidence, np.float64)
    every = problem.hidden_folds
    for refits, judgement, f in zip(folds.refits, judgements, folds.numbers, strict=False):
        fold, mask = problem.of_fold(f), every.hidden_mask[f]
        seen = seen_rows(fold, refits)
        cells = settle(seen, judgement, fold.n_novel)
        rows = join(seen, cells)
        answer = answer_of(fold, refits, judgement, cells, rows)
        right = is_right(answer.labels, every.hidden_y[f][mask])
        model = fitted_model(
            fold, table, hparams[answer.refit], refits.state_of(answer.refit), answer
        )
        of_rows = every.hidden_rows[f][mask]
        lone = apply_model(model, table.x[of_rows]).margin
        partition = partition_of(judgement, cells, rows, prior, fold.n_novel)
        sure = row_confidence(partition, prior_weights)
        parts.append((sure, lone, right, np.full(len(right), f), table.y[of_rows], answer.k))
    if not parts:
        return None, prior_weights
    *columns, k = zip(*parts, strict=True)
    sure, lone, right, of_fold, known = map(np.concatenate, columns)
    return HiddenClassEvaluation(sure, lone, right, of_fold, known, k), prior_weights


def row_confidence(partition: Partition, weights: np.ndarray) -> np.ndarray:
    """The confidence `f64[n]` of the rows of an answer."""
    most = nested(partition)[partition.micro]
    return confidence(confidence_features(partition), weights, most)


def _position(rows: JoinedRows, groups: np.ndarray) -> np.ndarray:
    """How much nearer each row is to its own group than to any other, `f64[n]` in `[0, 1]`."""
    own_group = groups[rows.micro][:, None] == groups
    own = np.sqrt(np.where(own_group, rows.squared, np.inf).min(axis=1))
    other = np.sqrt(np.where(own_group, np.inf, rows.squared).min(axis=1))
    nearer = 1 - own / np.maximum(other, 1e-12)
    return np.where(np.isfinite(other), np.maximum(nearer, 0), 1.0)
