"""What is gathered from the folds, and what is left out of it."""

import dataclasses

import numpy as np
import pytest

from ncd_jax.discovery import hidden_class_evaluation as module
from ncd_jax.discovery.calibration import calibrate
from ncd_jax.discovery.hidden_class_evaluation import (
    HiddenClassEvaluation,
    evaluate_hidden_classes,
    known_accuracy,
)
from ncd_jax.discovery.model import refit_and_choose
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
    found = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    expected = [
        (f, y)
        for f, labels in enumerate(problem.hidden_folds.y)
        for y in overlapping.y[(overlapping.y != UNLABELLED) & (labels == UNLABELLED)]
    ]
    assert list(zip(found.fold.tolist(), found.y.tolist(), strict=True)) == expected
    assert len(found.margin) == len(found.lone_margin) == len(found.right) == len(expected)
    assert len(found.k) == len(problem.hidden_folds.y)
    for margin in (found.margin, found.lone_margin, found.held_out_confidence):
        assert ((margin >= 0) & (margin <= 1)).all()


def test_a_fold_that_diverged_is_left_out(problem, overlapping, folds_that_diverge):
    whole = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    folds_that_diverge(0)
    found = evaluate_hidden_classes(problem, overlapping, HPARAMS)
    assert set(found.fold) == {1}
    np.testing.assert_array_equal(found.right, whole.right[whole.fold == 1])
    np.testing.assert_array_equal(found.margin, whole.margin[whole.fold == 1])
    assert found.k == whole.k[1:]


def test_nothing_is_left_where_every_fold_diverged(problem, overlapping, folds_that_diverge):
    folds_that_diverge(0, 1)
    with pytest.raises(FloatingPointError, match=r"hidden classes diverged; give a smaller --con"):
        evaluate_hidden_classes(problem, overlapping, HPARAMS)


def test_classes_of_the_answer_are_those_that_the_fold_left(problem, overlapping):
    for f, hidden in enumerate(problem.hidden_folds.hidden):
        _, answer, model = refit_and_choose(problem.of_fold(f), overlapping, HPARAMS)
        left = [name for name, gone in zip(overlapping.classes, hidden, strict=True) if not gone]
        assert model.classes == (*left, *(f"novel_{i}" for i in range(answer.k)))


def test_calibrations_are_of_the_margins_that_they_are_for():
    """All refits are sure of what is right; the stored one is as sure of everything."""
    right = np.arange(80) % 4 > 0
    fold, y = np.arange(80) // 40, np.arange(80) // 20
    found = HiddenClassEvaluation(
        np.where(right, 0.9, 0.1), np.full(80, 0.5), right, fold, y, (2, 2)
    )
    np.testing.assert_allclose(calibrate(found.calibration, [0.1, 0.9]), [0, 1])
    np.testing.assert_allclose(calibrate(found.lone_calibration, [0.1, 0.9]), 0.75)
    np.testing.assert_allclose(found.held_out_confidence, right)


def test_nobody_can_spare_a_label(problem, overlapping, quick):
    none = dataclasses.replace(quick.search, held_out=0.0)
    config = dataclasses.replace(problem.config, search=none)
    assert np.isnan(known_accuracy(problem._replace(config=config), overlapping, HPARAMS))


def test_known_accuracy_is_unknown_where_all_diverged(problem, overlapping, monkeypatch):
    def diverge(*_):
        raise FloatingPointError

    monkeypatch.setattr(module, "refit_and_choose", diverge)
    assert np.isnan(known_accuracy(problem, overlapping, HPARAMS))


def test_rows_without_their_label_are_not_asked_for(problem, overlapping, monkeypatch):
    """They are nobody's target: only rows that were never labelled are told apart."""
    seen = []

    def look(without, table, hparams):
        seen.append(without)
        return refit_and_choose(without, table, hparams)

    monkeypatch.setattr(module, "refit_and_choose", look)
    accuracy = known_accuracy(problem, overlapping, HPARAMS)
    assert 0 < accuracy <= 1
    (without,) = seen
    lost = (np.asarray(without.data.y) == UNLABELLED) & (overlapping.y != UNLABELLED)
    assert np.bincount(overlapping.y[lost]).tolist() == [3] * 4
    targets = np.asarray(without.target_rows)[without.target_mask]
    np.testing.assert_array_equal(targets, np.flatnonzero(overlapping.y == UNLABELLED))
