"""The whole procedure on classes that are hidden: what its answers are worth where that is known.

Every fold is answered as the table is, by the same rule, and by what was learned without its
classes. Whether a row of a hidden class was sorted right is known then, and teaches how sure to be.
Where unlabelled rows may be of known classes, folds take labels of the others away too, and what
was called known there counts: a row of a hidden class among them is wrong.

Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian
binning", 2015 (expected calibration error).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import ArrayLike

from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.data.folds import hold_out
from ncd_jax.data.preprocess import fingerprints
from ncd_jax.data.table import Table
from ncd_jax.discovery.fit import in_parallel
from ncd_jax.discovery.model import (
    CLIP,
    Applied,
    Model,
    Told,
    apply_model,
    nothing_told,
)
from ncd_jax.discovery.partition import NEARER, Fitted, Found, Partitioner, fit_fold, model_of
from ncd_jax.discovery.problem import Problem
from ncd_jax.judge.confidence import confidence, own_weights
from ncd_jax.known_or_new.decision import IN_DOUBT, Decided
from ncd_jax.types import UNLABELLED

__all__ = [
    "ConfidenceCurve",
    "Evaluation",
    "Lesson",
    "accuracy_by_confidence",
    "all_new",
    "calibration_error",
    "evaluation_of",
    "fit_decided",
    "is_right",
    "learn_weights",
    "lesson_of",
    "nearer_weights",
    "ranking_quality",
    "recognised",
    "with_weights",
    "without_some_labels",
]

MOST_KNOWN = 512
"""Labelled rows of a fold that teach what a known row looks like."""
USUAL, WORTH = 0.05, 20
"""Share of rows of known classes that look like no class, and how many rows that is worth."""
STRENGTH = 0.1
"""Of the pull to `NEARER`; known and new rows of the folds weigh a half each."""


class Evaluation(NamedTuple):
    """Answers on all folds: their `r` rows of hidden classes, one fold after the other.

    Attributes:
        confidence: `f64[r]`, that each row gets from other folds and other classes.
        right: `bool[r]`, whether the row is in the class that stands for its own.
        later: `bool[r]`, the same if it had come after the run: nobody knows then that it is new.
        later_confidence: `f64[r]`, how sure that would have been.
        fold: `i[r]`, which fold hid its class.
        y: `i[r]`, its known class.
        k: classes found in each fold.
        n_hidden: classes that each fold hid.
        rows: `i[r]`, which row of the table it is.
        found: `i[r]`, which new class of its fold it was given; -1 where it was called known.
    """

    confidence: np.ndarray
    right: np.ndarray
    later: np.ndarray
    later_confidence: np.ndarray
    fold: np.ndarray
    y: np.ndarray
    k: tuple[int, ...]
    n_hidden: tuple[int, ...]
    rows: np.ndarray
    found: np.ndarray

    def accuracy(self, *, several: bool) -> float:
        """Share of the rows that are right in folds that hid several classes, or one; NaN if none.

        Args:
            several: which folds.
        """
        kinds = np.array(self.n_hidden)[self.fold] > 1
        rows = self.right[kinds == several]
        return float(rows.mean()) if len(rows) else float("nan")


class ConfidenceCurve(NamedTuple):
    """Accuracy of rows of like confidence, `b` bins of about equally many rows.

    Attributes:
        confidence: `f64[b]`, mean of each bin, ascending.
        accuracy: `f64[b]`, share of its rows that are right.
        n_rows: `i64[b]`.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    n_rows: np.ndarray


class Lesson(NamedTuple):
    """A fold that was answered: its `r` rows of hidden classes.

    Attributes:
        features: `f[r, D]`, what speaks for each row.
        most: `f[r]`, the largest chance that it has; see `Places`.
        new: `bool[r]`, rows that were called new.
        p_new: `f[r]`, the chance of it that they were given.
        right: `bool[r]`, whether the new class that a row is in, or would be, stands for its own.
        y: `i[r]`, known class of each.
        k: classes found.
        n_hidden: classes hidden.
        familiar: `f[r]`, see `Applied`.
        as_known: `f[r]`, how sure each would be of a known class, if it is of one.
        nearness: `f[r]`, see `Applied`; no row is a neighbour of its own.
        of_known: `f[q]`, the same of labelled rows.
        known_y: `i[q]`, known class of each of these.
        rows: `i[r]`, which row of the table it is.
        found: `i[r]`, which new class it is in; -1 where it was called known.
    """

    features: np.ndarray
    most: np.ndarray
    new: np.ndarray
    p_new: np.ndarray
    right: np.ndarray
    y: np.ndarray
    k: int
    n_hidden: int
    familiar: np.ndarray
    as_known: np.ndarray
    nearness: np.ndarray
    of_known: np.ndarray
    known_y: np.ndarray
    rows: np.ndarray
    found: np.ndarray

    def without(self, classes: np.ndarray) -> "Lesson":
        """What is left where rows of some classes may not teach."""
        kept, known = ~np.isin(self.y, classes), ~np.isin(self.known_y, classes)
        rows = (
            "features",
            "most",
            "new",
            "p_new",
            "right",
            "y",
            "familiar",
            "as_known",
            "nearness",
            "rows",
            "found",
        )
        return self._replace(
            of_known=self.of_known[known],
            known_y=self.known_y[known],
            **{name: getattr(self, name)[kept] for name in rows},
        )


def all_new(n: int) -> Told:
    """Where it is known of `n` rows that they are of no known class."""
    told = nothing_told(n)
    return told._replace(p_known=np.zeros(n, np.float32), is_new=np.ones(n, bool))


def fit_decided(
    problem: Problem, decided: Sequence[Decided], hparams: Sequence[Mapping[str, float]]
) -> list[tuple[Fitted, Decided]]:
    """Fits the folds that take labels away, where rows were called new as they are in the table.

    Args:
        problem: what is solved.
        decided: the folds.
        hparams: hyperparameters of each refit.
    """

    def fit(each: Decided) -> Fitted | None:
        rows = each.fold.rows[each.is_new]
        if not len(rows):
            return None
        fold = problem.asking_for(rows, each.fold.y)
        y = np.full(len(problem.data.y), 0, np.int32)
        y[each.fold.rows] = each.fold.true
        fold = fold._replace(
            n_novel=None if problem.n_novel is None else int(each.fold.hidden.sum()),
            true_targets=y[np.asarray(fold.target_rows)],
        )
        return fit_fold(fold, hparams, each.fold.hidden)

    fits = in_parallel(fit, decided, threads=not problem.method.stages)
    return [(fit, each) for fit, each in zip(fits, decided, strict=True) if fit is not None]


def lesson_of(fitted: Fitted, found: Found, table: Table, decided: Decided | None = None) -> Lesson:
    """Answers a fold as the table is answered, and sees what was right.

    Args:
        fitted: the fold.
        found: its partition.
        table: its table.
        decided: what was said of known and new before; none where all its rows are known to be new.
    """
    problem, mask = fitted.problem, fitted.problem.target_mask
    model = model_of(fitted, found, table, {}, judged=problem.is_judged)
    if decided is None:
        rows, true = np.asarray(problem.target_rows)[mask], _targets(problem)[mask]
        new, p_new = np.ones(len(rows), bool), np.ones(len(rows))
    else:
        rows, true = decided.fold.rows, decided.fold.true
        new, p_new = decided.is_new, 1.0 - decided.p_known
    y = np.asarray(problem.data.y)
    labelled = np.asarray(problem.known_rows)
    labelled = labelled[y[labelled] != UNLABELLED][:MOST_KNOWN]
    both = np.concatenate([rows, labelled])
    told = all_new(len(both))._replace(itself=_places_in(model, model.scaler.apply(table.x[both])))
    applied = apply_model(model, table.x[both], told)
    of_rows = Applied(*(each[: len(rows)] for each in applied))
    known = nothing_told(len(rows))._replace(
        p_known=np.ones(len(rows), np.float32), itself=told.itself[: len(rows)]
    )
    as_known = apply_model(model, table.x[rows], known).confidence
    novel, hidden = of_rows.labels - model.n_known, fitted.hidden
    # Clusters and hidden classes are matched by the rows that were called new, known ones too.
    counts = count_pairs(
        novel[new],
        np.where(hidden, np.cumsum(hidden) - 1, hidden.sum())[true[new]],
        found.n_classes,
        int(hidden.sum()) + 1,
    )[:, :-1]
    stands_for = np.append(match_clusters(counts), UNLABELLED)[np.maximum(novel, -1)]
    asked = hidden[true]
    features = found.features[of_rows.micro].copy()
    features[:, -1] = of_rows.position
    return Lesson(
        features=features[asked],
        most=found.places.most[of_rows.micro][asked],
        new=new[asked],
        p_new=p_new[asked],
        right=stands_for[asked] == (np.cumsum(hidden) - 1)[true[asked]],
        y=true[asked],
        k=found.n_classes,
        n_hidden=int(hidden.sum()),
        familiar=of_rows.familiar[asked],
        as_known=as_known[asked],
        nearness=of_rows.nearness[asked],
        of_known=applied.nearness[len(rows) :],
        known_y=y[labelled],
        rows=rows[asked],
        found=np.where(new, novel, UNLABELLED)[asked],
    )


def _targets(problem: Problem) -> np.ndarray:
    assert problem.true_targets is not None
    return problem.true_targets


def _places_in(model: Model, x: np.ndarray) -> np.ndarray:
    """Which row of the model's reference each scaled row is, `i32[n]`; -1 where none is."""
    keys = fingerprints(np.asarray(model.reference.x))
    keys[np.asarray(model.reference.y) < UNLABELLED] = 0  # slots that are empty
    order = np.argsort(keys)
    own = fingerprints(x)
    at = order[np.minimum(np.searchsorted(keys[order], own), len(keys) - 1)]
    return np.where(keys[at] == own, at, -1).astype(np.int32)


def nearer_weights(lessons: Sequence[Lesson]) -> np.ndarray:
    """Slope and intercept `f64[2]` of the log-odds to be known; see `Reference`."""
    prior = np.array(NEARER)
    if not lessons:
        return prior
    values, known, weight = [], [], []
    for each in lessons:
        for of_kind, is_known in ((each.of_known, True), (each.nearness, False)):
            values.append(of_kind)
            known.append(np.full(len(of_kind), is_known))
            weight.append(np.full(len(of_kind), 0.5 / (len(lessons) * max(len(of_kind), 1))))
    features = np.clip(np.concatenate(values), -CLIP, CLIP)[:, None]
    return own_weights(features, np.concatenate(known), np.concatenate(weight), prior, STRENGTH)


def learn_weights(partitioner: Partitioner, lessons: Sequence[Lesson]) -> np.ndarray:
    """Weights `f64[D + 1]` of what speaks for a row; every fold weighs as much."""
    rows = [each for each in lessons if each.new.any()]
    if not rows or partitioner.strength is None:
        return partitioner.prior
    weight = [np.full(each.new.sum(), 1 / (len(rows) * each.new.sum())) for each in rows]
    return own_weights(
        np.concatenate([each.features[each.new] for each in rows]),
        np.concatenate([each.right[each.new] for each in rows]),
        np.concatenate(weight),
        partitioner.prior,
        partitioner.strength,
    )


def with_weights(
    model: Model, features: np.ndarray, weights: np.ndarray, nearer: np.ndarray
) -> Model:
    """The model, as sure as it was right where classes were hidden.

    Args:
        model: the model.
        features: `f[M, D]`, see `Found`.
        weights: `f64[D + 1]`.
        nearer: `f64[2]`, see `Reference`.
    """
    score = features[:, :-1] @ weights[:-2] + weights[-1]
    places = model.places._replace(score=score.astype(np.float32), slope=np.float32(weights[-2]))
    reference = model.reference._replace(nearer=nearer.astype(np.float32))
    return model._replace(places=places, reference=reference)


def evaluation_of(partitioner: Partitioner, lessons: Sequence[Lesson]) -> Evaluation | None:
    """How sure every fold would have been by what the others teach; none without a fold."""
    lessons = [each for each in lessons if len(each.right)]
    if not lessons:
        return None
    sure, later, later_right = [], [], []
    for i, each in enumerate(lessons):
        others = [other.without(each.y) for j, other in enumerate(lessons) if j != i]
        weights, nearer = learn_weights(partitioner, others), nearer_weights(others)
        right = confidence(each.features, weights, each.most) * each.familiar
        sure.append(np.where(each.new, each.p_new * right, (1.0 - each.p_new) * each.as_known))
        logit = nearer[0] * np.clip(each.nearness, -CLIP, CLIP) + nearer[1]
        new, p_known = logit < -IN_DOUBT, _sigmoid(logit)
        later.append(np.where(new, (1.0 - p_known) * right, p_known * each.as_known))
        later_right.append(new & each.right)
    return Evaluation(
        confidence=np.concatenate(sure),
        right=np.concatenate([each.right & each.new for each in lessons]),
        later=np.concatenate(later_right),
        later_confidence=np.concatenate(later),
        fold=np.concatenate([np.full(len(each.right), i) for i, each in enumerate(lessons)]),
        y=np.concatenate([each.y for each in lessons]),
        k=tuple(each.k for each in lessons),
        n_hidden=tuple(each.n_hidden for each in lessons),
        rows=np.concatenate([each.rows for each in lessons]),
        found=np.concatenate([each.found for each in lessons]),
    )


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def without_some_labels(problem: Problem, table: Table) -> tuple[Problem, np.ndarray]:
    """The problem in which some rows of every known class have lost their label, and which ones.

    Args:
        problem: what is solved.
        table: its table.

    Returns:
        The problem, and `bool[n]`.
    """
    share, seed = problem.config.search.held_out, problem.config.seed
    held = hold_out(table.y, share, seed, group=table.group if share else None)
    y = np.array(problem.data.y)
    y[: len(held)][held] = UNLABELLED
    return problem._replace(data=problem.data._replace(y=jax.device_put(y))), held


def recognised(model: Model, table: Table, held: np.ndarray) -> tuple[float, float]:
    """How labelled rows come out where they had lost their label, by what `predict` does.

    Args:
        model: of the problem without these labels.
        table: the table.
        held: `bool[n]`, rows that had none.

    Returns:
        The share of them that get their class back, and the share that look like no class, drawn to
        what is usual: of few rows it would often be none.
    """
    if not held.any():
        return float("nan"), float("nan")
    applied = apply_model(model, table.x[held])
    beyond = np.sum(applied.familiar < 1)
    usual = (beyond + USUAL * WORTH) / (held.sum() + WORTH)
    return float(np.mean(applied.labels == table.y[held])), float(usual)


def is_right(labels: ArrayLike, classes: ArrayLike) -> np.ndarray:
    """Rows `bool[n]` whose cluster is the one that stands for their class.

    Clusters and classes are matched one to one for the most right rows, as for the clustering
    accuracy, of which this is the mean; rows of clusters without a class are wrong.

    Args:
        labels: `i[n]`, clusters from 0.
        classes: `i[n]`, true classes from 0.
    """
    labels, classes = np.asarray(labels), np.asarray(classes)
    if not labels.size:
        return np.zeros(0, bool)
    table = count_pairs(labels, classes, labels.max() + 1, classes.max() + 1)
    return np.asarray(match_clusters(table)[labels] == classes)


def accuracy_by_confidence(
    confidence: ArrayLike, right: ArrayLike, n_bins: int = 10
) -> ConfidenceCurve:
    """The reliability curve: how often rows of each confidence are right.

    Rows of one confidence stay in one bin, so there may be fewer bins than asked for.

    Args:
        confidence: `f[n]`, at least one row.
        right: `bool[n]`.
        n_bins: most bins.
    """
    bins = _bins(np.asarray(confidence, np.float64), n_bins, 1)
    return _curve(bins, confidence, right)


def ranking_quality(confidence: ArrayLike, right: ArrayLike) -> float:
    """How well confidence tells right from wrong rows: the area under the ROC curve.

    The share of pairs of a right and a wrong row in which the right one is the surer: 1 is
    perfect, 0.5 is chance. NaN where all rows are right, or all wrong.
    """
    right = np.asarray(right, bool)
    if right.all() or not right.any():
        return float("nan")
    _, level = np.unique(np.asarray(confidence), return_inverse=True)
    wrong, right = (np.bincount(level[each], minlength=level.max() + 1) for each in (~right, right))
    below = np.cumsum(wrong) - wrong
    return float((right * (below + 0.5 * wrong)).sum() / (right.sum() * wrong.sum()))


def calibration_error(confidence: ArrayLike, right: ArrayLike, n_bins: int = 10) -> float:
    """Expected calibration error: mean gap of confidence and accuracy, bins of equal counts."""
    curve = accuracy_by_confidence(confidence, right, n_bins)
    gaps = np.abs(curve.confidence - curve.accuracy)
    return float(np.average(gaps, weights=curve.n_rows))


def _bins(values: np.ndarray, most: int, fewest_rows: int) -> list[np.ndarray]:
    """Rows in ascending order of value, in about equal parts that no value is split over."""
    order = np.argsort(values, kind="stable")
    n_bins = max(1, min(most, len(values) // fewest_rows))
    wanted = np.linspace(0, len(values), n_bins + 1)[1:-1].astype(int)
    # A cut inside a run of equal values moves to its beginning.
    cuts = np.unique(np.searchsorted(values[order], values[order][wanted]))
    return np.split(order, cuts[cuts > 0])


def _curve(bins: list[np.ndarray], values: ArrayLike, right: ArrayLike) -> ConfidenceCurve:
    values, right = np.asarray(values, np.float64), np.asarray(right, np.float64)
    return ConfidenceCurve(
        np.array([values[rows].mean() for rows in bins]),
        np.array([right[rows].mean() for rows in bins]),
        np.array([len(rows) for rows in bins], np.int64),
    )
