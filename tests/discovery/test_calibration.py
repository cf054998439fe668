import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ncd_jax.discovery.calibration import (
    Calibration,
    accuracy_by_confidence,
    calibrate,
    calibration_error,
    fit_calibration,
    fit_temperature,
    held_out_confidence,
    is_right,
    ranking_quality,
)


def evaluation(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Margins whose true share of right rows is the root of the margin."""
    rng = np.random.default_rng(seed)
    margin = rng.random(n)
    return margin, rng.random(n) < np.sqrt(margin)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_mean_of_right_rows_is_the_clustering_accuracy(k: int):
    rng = np.random.default_rng(k)
    labels, classes = rng.integers(0, k, 80), rng.integers(0, 4, 80)
    size = max(k, 4)
    best = max(np.mean(np.array(p)[labels] == classes) for p in itertools.permutations(range(size)))
    assert is_right(labels, classes).mean() == pytest.approx(best)


def test_rows_of_surplus_clusters_are_wrong():
    right = is_right([0, 0, 0, 1, 2, 2], [1, 1, 0, 1, 0, 0])
    assert right.tolist() == [True, True, False, False, True, True]
    assert is_right([], []).shape == (0,)


def test_eighty_percent_means_eighty_percent():
    margin, right = evaluation(20_000)
    calibration = fit_calibration(margin, right)
    points = np.array([0.1, 0.25, 0.5, 0.9])
    np.testing.assert_allclose(calibrate(calibration, points), np.sqrt(points), atol=0.03)
    fresh, truth = evaluation(20_000, seed=1)
    assert calibration_error(fresh, truth) > 0.1
    assert calibration_error(calibrate(calibration, fresh), truth) < 0.02


def test_confidence_never_falls_with_the_margin():
    rng = np.random.default_rng(0)
    calibration = fit_calibration(rng.random(300), rng.random(300) < 0.7)
    assert np.all(np.diff(calibration.x) > 0)
    assert np.all(np.diff(calibration.y) >= 0)
    assert calibrate(calibration, np.array([-5.0, 5.0])).tolist() == [
        calibration.y[0],
        calibration.y[-1],
    ]


def test_a_few_lucky_rows_are_no_certainty():
    margin = np.linspace(0, 1, 100)
    right = np.arange(100) % 2 == 0
    right[-4:] = True
    assert calibrate(fit_calibration(margin, right), [1.0])[0] < 0.75


@pytest.mark.parametrize("n", [1, 5, 19])
def test_few_rows_share_one_confidence(n: int):
    right = np.arange(n) % 3 == 0
    calibration = fit_calibration(np.arange(n), right)
    np.testing.assert_allclose(calibrate(calibration, np.arange(n)), right.mean())


def test_equal_margins_share_one_confidence():
    calibration = fit_calibration([0.5] * 100, [True] * 70 + [False] * 30)
    assert calibration.y.tolist() == pytest.approx([0.7])


def test_a_calibration_is_plain_arrays():
    between = calibrate(Calibration(np.array([0.2, 0.6]), np.array([0.5, 0.9])), [0.0, 0.4, 1.0])
    np.testing.assert_allclose(between, [0.5, 0.7, 0.9])


def test_the_curve_by_hand():
    curve = accuracy_by_confidence([0.9, 0.1, 0.2, 0.8], [1, 0, 1, 1], n_bins=2)
    assert curve.confidence.tolist() == pytest.approx([0.15, 0.85])
    assert curve.accuracy.tolist() == [0.5, 1.0]
    assert curve.n_rows.tolist() == [2, 2]
    assert calibration_error([0.9, 0.1, 0.2, 0.8], [1, 0, 1, 1], 2) == pytest.approx(0.25)


def test_no_value_is_split_over_two_bins():
    confidence = np.array([0.1] * 30 + [0.5] * 5 + [0.9] * 65)
    curve = accuracy_by_confidence(confidence, np.ones(100), n_bins=10)
    assert curve.n_rows.sum() == 100
    assert len(np.unique(curve.confidence)) == len(curve.confidence) <= 3
    # Bins of distinct values hold about equally many.
    many = accuracy_by_confidence(np.random.default_rng(0).random(1003), np.ones(1003), 10)
    assert set(many.n_rows.tolist()) <= {100, 101}
    assert np.all(np.diff(many.confidence) > 0)


@pytest.mark.parametrize("seed", range(3))
def test_ranking_quality_is_the_area_under_the_roc_curve(seed: int):
    rng = np.random.default_rng(seed)
    confidence, right = rng.integers(0, 6, 70), rng.random(70) < 0.6
    assert ranking_quality(confidence, right) == pytest.approx(roc_auc_score(right, confidence))
    assert np.isnan(ranking_quality(confidence, np.ones(70)))


def test_where_accuracy_falls_rows_are_pooled_by_their_number():
    margin = [0.1] * 90 + [0.9] * 30
    right = [True] * 81 + [False] * 9 + [True] * 15 + [False] * 15
    assert fit_calibration(margin, right).y.tolist() == pytest.approx([0.8, 0.8])


def test_neither_a_fold_nor_its_classes_have_a_say_on_its_rows():
    """Folds hide classes 0 and 1, 1 and 2, 0 and 2; rows of class 1 are always wrong."""
    margin = np.tile(np.linspace(0, 1, 50), 6)
    fold, y = np.repeat([4, 7, 9], 100), np.repeat([0, 1, 1, 2, 0, 2], 50)
    confidence = held_out_confidence(margin, y != 1, fold, y)
    # Fold 9 learns from class 1 alone; the others from class 2, or 0, which are always right.
    np.testing.assert_allclose(confidence[fold == 9], 0.0)
    np.testing.assert_allclose(confidence[fold != 9], 1.0)


def test_where_all_folds_share_their_classes_all_rows_teach():
    margin, one = np.linspace(0, 1, 100), np.zeros(100, int)
    assert held_out_confidence(margin, np.arange(100) < 30, one, one).mean() == pytest.approx(0.3)


def test_temperature_is_the_likeliest():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    centroids = 2.0 * np.eye(3, 8)
    z = centroids[y] + rng.normal(size=(400, 8))
    squared = ((z[:, None] - centroids) ** 2).sum(axis=2)

    def likelihood(temperature):
        shares = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / temperature)
        return np.log(shares[np.arange(400), y] / shares.sum(axis=1)).mean()

    grid = np.linspace(0.5, 20, 2000)
    best = grid[np.argmax([likelihood(t) for t in grid])]
    assert fit_temperature(squared, y, 8) == pytest.approx(best, rel=0.02)
    # Of rows that cannot be mistaken every temperature is as likely as the lowest.
    far = squared + 1e4 * (np.arange(3) != y[:, None])
    own = squared[np.arange(400), y].mean()
    assert fit_temperature(far, y, 8) >= 2 * own / 8 * 0.999
    assert fit_temperature(np.zeros((4, 1)), np.zeros(4, int), 8) > 0
