"""What hidden classes teach of how sure to be, and what may not teach."""

import dataclasses
import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from ncd_jax.discovery import partition
from ncd_jax.discovery.evaluate import (
    Evaluation,
    Lesson,
    accuracy_by_confidence,
    calibration_error,
    evaluation_of,
    is_right,
    learn_weights,
    nearer_weights,
    ranking_quality,
    recognised,
    without_some_labels,
)
from ncd_jax.discovery.partition import by_index
from ncd_jax.discovery.problem import ordered, prepare
from ncd_jax.discovery.solve import solve
from ncd_jax.types import UNLABELLED


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_mean_of_right_rows_is_the_clustering_accuracy(k):
    rng = np.random.default_rng(k)
    labels, classes = rng.integers(0, k, 80), rng.integers(0, 4, 80)
    size = max(k, 4)
    best = max(np.mean(np.array(p)[labels] == classes) for p in itertools.permutations(range(size)))
    assert is_right(labels, classes).mean() == pytest.approx(best)


def test_rows_of_surplus_clusters_are_wrong():
    right = is_right([0, 0, 0, 1, 2, 2], [1, 1, 0, 1, 0, 0])
    assert right.tolist() == [True, True, False, False, True, True]
    assert is_right([], []).shape == (0,)


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
    many = accuracy_by_confidence(np.random.default_rng(0).random(1003), np.ones(1003), 10)
    assert set(many.n_rows.tolist()) <= {100, 101}
    assert np.all(np.diff(many.confidence) > 0)


@pytest.mark.parametrize("seed", range(3))
def test_ranking_quality_is_the_area_under_the_roc_curve(seed):
    rng = np.random.default_rng(seed)
    confidence, right = rng.integers(0, 6, 70), rng.random(70) < 0.6
    assert ranking_quality(confidence, right) == pytest.approx(roc_auc_score(right, confidence))
    assert np.isnan(ranking_quality(confidence, np.ones(70)))


def test_accuracy_of_several_hidden_classes_and_of_one():
    evaluation = Evaluation(
        confidence=np.zeros(7),
        right=np.array([1, 1, 0, 1, 0, 0, 0], bool),
        later=np.zeros(7, bool),
        later_confidence=np.zeros(7),
        fold=np.array([0, 0, 0, 1, 1, 2, 2]),
        y=np.zeros(7, int),
        k=(2, 1, 2),
        n_hidden=(3, 1, 2),
        rows=np.arange(7),
        found=np.zeros(7, int),
    )
    assert evaluation.accuracy(several=True) == pytest.approx(2 / 5)
    assert evaluation.accuracy(several=False) == pytest.approx(1 / 2)
    assert np.isnan(evaluation._replace(n_hidden=(2, 2, 2)).accuracy(several=False))


def lesson(y, right, *, new=True, nearness=-2.0, n=40, seed=0):
    """A fold of `n` rows of a class; position alone speaks for a row."""
    rng = np.random.default_rng(seed)
    return Lesson(
        features=rng.random((n, 1)),
        most=np.ones(n),
        new=np.full(n, new),
        p_new=np.full(n, 0.9 if new else 0.2),
        right=np.full(n, right),
        y=np.full(n, y),
        k=1,
        n_hidden=1,
        familiar=np.ones(n),
        as_known=np.full(n, 0.5),
        nearness=np.full(n, nearness),
        of_known=np.full(n, 2.0),
        known_y=np.full(n, 9),
        rows=np.arange(n),
        found=np.zeros(n, int),
    )


def test_rows_that_were_called_known_are_wrong():
    found = evaluation_of(by_index(), [lesson(0, True, new=False), lesson(1, True)])
    np.testing.assert_array_equal(found.right, np.arange(80) >= 40)
    np.testing.assert_allclose(found.confidence[:40], 0.8 * 0.5)
    assert (found.confidence[40:] <= 0.9).all()


def test_later_rows_that_look_known_are_wrong():
    """Both folds sorted all rows rightly; those of the first lie nearer to labelled ones."""
    found = evaluation_of(by_index(), [lesson(0, True, nearness=1.0), lesson(1, True)])
    assert found.right.all()
    np.testing.assert_array_equal(found.later, np.arange(80) >= 40)
    # The first fold is as sure as a row that lies so near would be known.
    slope, intercept = nearer_weights([lesson(1, True)])
    np.testing.assert_allclose(
        found.later_confidence[:40], 0.5 / (1 + np.exp(-slope - intercept)), rtol=1e-6
    )


def test_neither_a_fold_nor_its_classes_have_a_say_on_its_rows():
    """Whatever folds of class 0 say of it, its own confidence stays; that of others does not."""
    others = [lesson(1, True, seed=1), lesson(2, True, seed=2)]
    before = evaluation_of(by_index(), [lesson(0, True), lesson(0, True), *others])
    after = evaluation_of(by_index(), [lesson(0, False), lesson(0, False), *others])
    np.testing.assert_array_equal(before.confidence[:80], after.confidence[:80])
    assert (before.confidence[80:] > after.confidence[80:]).all()
    taught = lesson(0, True)._replace(known_y=np.repeat([0, 3], 20))
    assert len(taught.without(np.array([3])).of_known) == 20
    assert len(taught.without(np.array([0])).right) == 0


def test_weights_are_those_of_penalised_logistic_regression():
    """Scikit-learn draws to 0: here what is drawn to the prior is an offset, which is 0."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 1))
    one = lesson(0, True, n=60)._replace(
        features=features, right=rng.random(60) < 1 / (1 + np.exp(-2 * features[:, 0]))
    )
    none = by_index()._replace(prior=np.zeros(2), strength=0.1)
    ones = np.column_stack([features, np.ones(60)])
    oracle = LogisticRegression(C=1 / (0.1 * 60), fit_intercept=False, tol=1e-8)
    expected = oracle.fit(ones, one.right).coef_[0]
    np.testing.assert_allclose(learn_weights(none, [one]), expected, atol=1e-4)
    # Rows that were called known teach nothing, and without any the prior speaks.
    known = one._replace(new=np.zeros(60, bool), right=~one.right)
    np.testing.assert_array_equal(learn_weights(none, [one, known]), learn_weights(none, [one]))
    np.testing.assert_array_equal(learn_weights(by_index(), [known]), by_index().prior)


def test_no_fold_says_nothing():
    assert evaluation_of(by_index(), []) is None
    np.testing.assert_array_equal(nearer_weights([]), [3, 0])


@pytest.fixture(scope="module")
def problem(overlapping, quick):
    return prepare(dataclasses.replace(quick, method="kmeans"), overlapping, None)


def test_every_hidden_row_answers_once_for_every_fold(solved, overlapping):
    evaluation = solved("rca").evaluation
    problem, table = solved("rca").winner.problem, ordered(overlapping)[0]
    expected = [
        (f, y)
        for f, labels in enumerate(problem.hidden_folds.y[:, : len(table.y)])
        for y in table.y[(table.y != UNLABELLED) & (labels == UNLABELLED)]
    ]
    assert list(zip(evaluation.fold.tolist(), evaluation.y.tolist(), strict=True)) == expected
    assert len(evaluation.k) == len(problem.hidden_folds.y)


@pytest.mark.parametrize("lost", [(0,), (0, 1)])
def test_a_fold_that_diverged_is_left_out(lost, solved, overlapping, monkeypatch):
    whole, fit, calls = solved("rca"), partition.refit_all, itertools.count()

    def refit(fold, hparams):
        if next(calls) in lost:
            raise FloatingPointError("diverged")
        return fit(fold, hparams)

    monkeypatch.setattr(partition, "refit_all", refit)
    found = solve(whole.winner.problem.config, overlapping)
    np.testing.assert_array_equal(found.found, whole.found)
    if len(lost) == 2:
        assert found.evaluation is None
        return
    here = whole.evaluation.fold == 1
    np.testing.assert_array_equal(found.evaluation.right, whole.evaluation.right[here])
    assert found.evaluation.k == whole.evaluation.k[1:]


def test_rows_without_their_label_are_not_asked_for(problem, overlapping):
    """They are nobody's target: only rows that were never labelled are told apart."""
    without, held = without_some_labels(problem, overlapping)
    y = np.asarray(without.data.y)
    lost = (y[: len(overlapping.y)] == UNLABELLED) & (overlapping.y != UNLABELLED)
    np.testing.assert_array_equal(held, lost)
    assert np.bincount(overlapping.y[lost]).tolist() == [3] * 4
    assert (y[len(overlapping.y) :] == UNLABELLED).all()
    targets = np.asarray(without.target_rows)[without.target_mask]
    np.testing.assert_array_equal(targets, np.flatnonzero(overlapping.y == UNLABELLED))


def test_nobody_can_spare_a_label(problem, overlapping, quick):
    none = dataclasses.replace(quick.search, held_out=0.0)
    config = dataclasses.replace(problem.config, search=none)
    without, held = without_some_labels(problem._replace(config=config), overlapping)
    assert not held.any()
    np.testing.assert_array_equal(without.data.y, problem.data.y)
    assert np.isnan(recognised(None, overlapping, held)).all()
