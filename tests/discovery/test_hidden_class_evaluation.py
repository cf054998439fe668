"""What is gathered from the folds, and what is left out of it."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from ncd_jax.discovery import hidden_class_evaluation as module
from ncd_jax.discovery.calibration import calibrate, fit_calibration
from ncd_jax.discovery.hidden_class_evaluation import (
    evaluate_hidden_classes,
    recognise,
    without_some_labels,
)
from ncd_jax.discovery.model import Applied, refit_and_choose
from ncd_jax.discovery.problem import prepare
from ncd_jax.types import UNLABELLED


@pytest.fixture(scope="module")
def problem(overlapping, quick):
    return prepare(dataclasses.replace(quick, method="kmeans"), overlapping, None)


HPARAMS = [{}, {}]


@pytest.fixture
def folds_that_diverge(monkeypatch, problem):
    """`folds_that_diverge(0, 1)`: the answers of the others are as they are."""

    def make(*numbers):
        lost = [problem.hidden_folds.y[f] for f in numbers]

        def answer(fold, table, hparams):
            if any(np.array_equal(fold.data.y, y) for y in lost):
                raise FloatingPointError("diverged")
            return refit_and_choose(fold, table, hparams)

        monkeypatch.setattr(module, "refit_and_choose", answer)

    return make


def test_every_hidden_row_answers_once_for_every_fold(problem, overlapping):
    found, _ = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    expected = [
        (f, y)
        for f, labels in enumerate(problem.hidden_folds.y[:, : len(overlapping.y)])
        for y in overlapping.y[(overlapping.y != UNLABELLED) & (labels == UNLABELLED)]
    ]
    assert list(zip(found.fold.tolist(), found.y.tolist(), strict=True)) == expected
    assert len(found.confidence) == len(found.lone_margin) == len(found.right) == len(expected)
    assert len(found.k) == len(problem.hidden_folds.y)
    for each in (found.confidence, found.lone_margin):
        assert ((each >= 0) & (each <= 1)).all()


def test_a_fold_that_diverged_is_left_out(problem, overlapping, folds_that_diverge):
    whole, _ = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    folds_that_diverge(0)
    found, calibration = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    assert set(found.fold) == {1}
    np.testing.assert_array_equal(found.right, whole.right[whole.fold == 1])
    np.testing.assert_array_equal(found.lone_margin, whole.lone_margin[whole.fold == 1])
    assert found.k == whole.k[1:]
    _, answer, _ = refit_and_choose(problem.of_fold(1), overlapping, HPARAMS)
    expected = fit_calibration(answer.margin, found.right)
    np.testing.assert_array_equal(calibration, expected)
    # No other fold is there to learn from.
    np.testing.assert_array_equal(found.confidence, calibrate(expected, answer.margin))


def test_nothing_is_left_where_every_fold_diverged(problem, overlapping, folds_that_diverge):
    folds_that_diverge(0, 1)
    with pytest.raises(FloatingPointError, match=r"hidden classes diverged; give a smaller --con"):
        evaluate_hidden_classes(problem, overlapping, HPARAMS)


def test_classes_of_the_answer_are_those_that_the_fold_left(problem, overlapping):
    for f, hidden in enumerate(problem.hidden_folds.hidden):
        _, answer, model = refit_and_choose(problem.of_fold(f), overlapping, HPARAMS)
        left = [name for name, gone in zip(overlapping.classes, hidden, strict=True) if not gone]
        assert model.classes == (*left, *(f"novel_{i}" for i in range(answer.k)))


def test_calibrations_are_of_the_margins_that_they_are_for(problem, overlapping, monkeypatch):
    """All refits are sure of what is right; the stored one is as sure of everything."""
    right = np.arange(60) % 4 > 0
    hidden = np.array([[True, True, False, False], [False, False, True, True]])
    y = np.array(problem.data.y)
    gone = np.stack([np.isin(y, np.flatnonzero(each)) for each in hidden])
    rows = np.stack([np.flatnonzero(each) for each in gone])
    folds = problem.hidden_folds._replace(
        y=np.where(gone, UNLABELLED, y),
        hidden_rows=rows,
        hidden_mask=np.ones(rows.shape, bool),
        hidden_y=overlapping.y[rows] % 2,
        hidden=hidden,
    )

    def answer(fold, table, hparams):
        y = table.y[np.asarray(fold.target_rows)] % 2
        labels = np.where(right, y, 1 - y)
        return None, SimpleNamespace(labels=labels, margin=np.where(right, 0.9, 0.1), k=2), None

    def as_sure_of_all(model, x):
        return Applied(x, x, np.zeros(len(x), int), np.full(len(x), 0.5))

    monkeypatch.setattr(module, "refit_and_choose", answer)
    monkeypatch.setattr(module, "apply_model", as_sure_of_all)
    disjoint = problem._replace(hidden_folds=folds)
    found, calibration = evaluate_hidden_classes(disjoint, overlapping, HPARAMS)
    np.testing.assert_array_equal(found.right, np.tile(right, 2))
    np.testing.assert_allclose(calibrate(calibration, [0.1, 0.9]), [0, 1])
    np.testing.assert_allclose(calibrate(found.lone_calibration, [0.1, 0.9]), 0.75)
    np.testing.assert_allclose(found.confidence, found.right)


def test_nobody_can_spare_a_label(problem, overlapping, quick):
    none = dataclasses.replace(quick.search, held_out=0.0)
    config = dataclasses.replace(problem.config, search=none)
    without, held = without_some_labels(problem._replace(config=config), overlapping)
    assert not held.any()
    np.testing.assert_array_equal(without.data.y, problem.data.y)
    _, _, model = refit_and_choose(without, overlapping, HPARAMS)
    assert np.isnan(recognise(model, overlapping, held)).all()


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
    _, _, model = refit_and_choose(without, overlapping, HPARAMS)
    assert 0 < recognise(model, overlapping, held).accuracy <= 1
