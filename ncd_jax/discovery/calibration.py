"""From a margin to a confidence: the share of rows with such a margin that were right.

Whether a row of a novel class was sorted right cannot be known. For known classes that a fold
hid it can, and what is learned on their rows turns the margin of a novel row into a
probability. It holds as far as novel classes are as hard to tell apart as hidden ones.

Sources: Zadrozny and Elkan, "Transforming classifier scores into accurate multiclass
probability estimates", 2002 (isotonic regression); Naeini, Cooper, Hauskrecht, "Obtaining
well calibrated probabilities using Bayesian binning", 2015 (expected calibration error).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from ncd_jax.clustering.matching import count_pairs, match_clusters

__all__ = [
    "AS_IT_IS",
    "Calibration",
    "ConfidenceCurve",
    "accuracy_by_confidence",
    "calibrate",
    "calibration_error",
    "fit_calibration",
    "fit_temperature",
    "held_out_confidence",
    "is_right",
    "ranking_quality",
]

_MOST_KNOTS = 50
_FEWEST_ROWS = 20
"""Rows behind each value of a calibration; fewer would call luck a certainty."""


class Calibration(NamedTuple):
    """A map from margin to confidence, linear between its knots and level outside.

    Attributes:
        x: `f64[m]`, margins in ascending order.
        y: `f64[m]`, confidence at each, never falling.
    """

    x: np.ndarray
    y: np.ndarray


AS_IT_IS = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
"""Where no class was hidden, nothing says what a margin is worth."""


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


def fit_calibration(margin: ArrayLike, right: ArrayLike) -> Calibration:
    """Learns how often rows of each margin are right.

    Isotonic regression on bins of at least 20 rows where there are that many.

    Args:
        margin: `f[n]`, at least one row; larger means surer.
        right: `bool[n]`.
    """
    bins = _bins(np.asarray(margin, np.float64), _MOST_KNOTS, _FEWEST_ROWS)
    found = _curve(bins, margin, right)
    rising = IsotonicRegression(y_min=0.0, y_max=1.0)
    rising.fit(found.confidence, found.accuracy, sample_weight=found.n_rows)
    return Calibration(found.confidence, rising.predict(found.confidence))


def calibrate(calibration: Calibration, margin: ArrayLike) -> np.ndarray:
    """The confidence `f64[n]` of rows with margins `f[n]`."""
    return np.interp(np.asarray(margin, np.float64), calibration.x, calibration.y)


def fit_temperature(squared: np.ndarray, y: np.ndarray, n_columns: int) -> float:
    """The temperature of `softmax(-squared / temperature)` under which labels are likeliest.

    It lies between those of two models of a class with the variance that is measured: columns
    that are independent of each other, and columns that all say the same.

    Args:
        squared: `f[n, C + k]`, squared distances of labelled rows to the centroids.
        y: `i[n]`, their class.
        n_columns: of the representation.
    """
    squared = squared.astype(np.float64)
    own = squared[np.arange(len(y)), y].mean()
    if own <= 0:
        own = max(float(squared.mean()), 1e-12)

    def surprise(log_temperature: float) -> float:
        shares = log_softmax(-squared / np.exp(log_temperature), axis=1)
        return float(-shares[np.arange(len(y)), y].mean())

    bounds = (np.log(2 * own / n_columns), np.log(2 * own))
    if n_columns == 1:
        return float(2 * own)
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))


def held_out_confidence(
    margin: ArrayLike, right: ArrayLike, fold: ArrayLike, y: ArrayLike
) -> np.ndarray:
    """Confidence `f64[n]` of every row, learned from folds and classes that it has no part in.

    What a calibration says of the rows it was learned from is right by construction; this is how
    well it carries over to classes it has not seen. Folds share classes, so the rows of a fold are
    calibrated on rows of other folds whose class this fold does not hide. Where there are none,
    all rows teach, and it is no test.

    Args:
        margin: `f[n]`.
        right: `bool[n]`.
        fold: `i[n]`, which fold hid the row's class.
        y: `i[n]`, the row's class.
    """
    margin, right, fold, y = (np.asarray(each) for each in (margin, right, fold, y))
    confidence = np.zeros(len(margin))
    for held_out in np.unique(fold):
        there = fold == held_out
        learned = ~there & ~np.isin(y, y[there])
        if not learned.any():
            learned = np.ones(len(margin), bool)
        calibration = fit_calibration(margin[learned], right[learned])
        confidence[there] = calibrate(calibration, margin[there])
    return confidence


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
    return float(roc_auc_score(right, np.asarray(confidence)))


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
