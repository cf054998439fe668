"""The procedure in memory: its parts fit together, and each is what it is said to be."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ncd_jax.data.folds import hold_out
from ncd_jax.discovery import finish as finishing
from ncd_jax.discovery import solve as module
from ncd_jax.discovery.calibration import calibrate, fit_calibration, held_out_confidence
from ncd_jax.discovery.familiarity import familiarity
from ncd_jax.discovery.model import apply_model, refit_and_choose
from ncd_jax.discovery.progress import Reporter
from ncd_jax.discovery.solve import prepare_methods, solve, solve_problems
from ncd_jax.discovery.tune import Tuned
from ncd_jax.errors import UserError
from ncd_jax.tuning.proposals import Trial
from ncd_jax.tuning.search import SearchResult
from ncd_jax.tuning.storage import own_journal
from ncd_jax.types import UNLABELLED

METHODS = pytest.mark.parametrize("method", ["kmeans", "rca"])


def n_right(labels, classes):
    """Rows in the cluster that stands for their class, as SciPy matches them."""
    table = pd.crosstab(labels, classes).to_numpy()
    return table[linear_sum_assignment(-table)].sum()


@METHODS
def test_the_parts_fit_together(method, solved, overlapping, quick):
    found, table = solved(method), overlapping
    answer, novel = found.answer, table.y == UNLABELLED
    assert found.tuned == [found.winner]
    assert len(found.refits.finite) == quick.train.refits
    assert len(answer.labels) == len(found.confidence) == len(answer.margin) == novel.sum()
    assert set(answer.labels) == set(range(answer.k))
    assert 2 <= answer.k <= quick.k.max
    assert found.model.classes == (*table.classes, *(f"novel_{i}" for i in range(answer.k)))
    assert {"tune", "compile", "refit", "discover", "evaluate"} <= set(found.seconds)
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert len(np.unique(found.confidence)) > 1
    np.testing.assert_array_equal(found.z, apply_model(found.model, table.x).z)
    means = [found.z[table.y == c].mean(axis=0) for c in range(4)]
    model = found.model
    np.testing.assert_allclose(model.means[model.rows[:4]], means, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.means[model.rows[4:]], answer.means)
    np.testing.assert_array_equal(model.centroids, answer.centroids)
    np.testing.assert_array_equal(model.owners, answer.owners)
    assert found.judged is None, "an index counted"
    lone = found.evaluation.lone_calibration
    np.testing.assert_array_equal(found.model.calibration.y, lone.y)


@METHODS
def test_hidden_rows_are_right_where_their_own_answer_is(method, solved, overlapping, quick):
    """Every fold once more, alone, and matched by SciPy."""
    found, table = solved(method), overlapping
    problem, hparams = found.winner.problem, found.winner.refit_hparams(quick.train.refits)
    evaluation, right, margins = found.evaluation, [], []
    for f in range(quick.search.folds):
        y = problem.hidden_folds.y[f][: len(table.y)]
        rows = np.flatnonzero((table.y != UNLABELLED) & (y == UNLABELLED))
        here = evaluation.fold == f
        np.testing.assert_array_equal(evaluation.y[here], table.y[rows])
        _, answer, model = refit_and_choose(problem.of_fold(f), table, hparams)
        assert answer.k == evaluation.k[f]
        right.append(n_right(answer.labels, table.y[rows]))
        assert evaluation.right[here].sum() == right[-1]
        margins.append(answer.margin)
        lone = apply_model(model, table.x[rows]).margin
        np.testing.assert_allclose(evaluation.lone_margin[here], lone, rtol=1e-5, atol=1e-6)
    assert 0.4 < np.mean(evaluation.right) < 1
    assert np.mean(evaluation.right) == pytest.approx(sum(right) / len(evaluation.right))
    # Rows of the same margin are as sure as hidden ones of that margin are right.
    margin = np.concatenate(margins)
    sure = calibrate(fit_calibration(margin, evaluation.right), found.answer.margin)
    model, new = found.model, table.y == UNLABELLED
    x, z = model.scaler.apply(table.x)[new], found.z[new]
    sure *= familiarity(model.reference, x, z, 4 + found.answer.labels)
    np.testing.assert_allclose(found.confidence, sure, rtol=1e-5, atol=1e-6)
    sure = held_out_confidence(margin, evaluation.right, evaluation.fold, evaluation.y)
    np.testing.assert_allclose(evaluation.confidence, sure, rtol=1e-5, atol=1e-6)


@METHODS
def test_known_accuracy_is_that_of_rows_without_their_label(method, solved, overlapping, quick):
    """The nearest of all centroids, those of the novel classes among them, found by SciPy."""
    found, table = solved(method), overlapping
    held = hold_out(table.y, quick.search.held_out, quick.seed)
    assert held.sum() == 4 * 3
    without = dataclasses.replace(table, y=np.where(held, UNLABELLED, table.y).astype(np.int32))
    problem = found.winner.problem
    y = np.full(len(problem.data.y), UNLABELLED, np.int32)
    y[: len(without.y)] = without.y
    problem = problem._replace(data=problem.data._replace(y=y))
    _, answer, model = refit_and_choose(problem, without, found.winner.refit_hparams(2))
    z = apply_model(model, table.x).z
    known = [z[without.y == c].mean(axis=0) for c in range(4)]
    nearest = cdist(z[held], np.concatenate([known, answer.means])).argmin(axis=1)
    assert found.known_accuracy == np.mean(nearest == table.y[held])
    assert found.known_accuracy > 0.5


def test_known_accuracy_is_unknown_where_all_diverged(overlapping, quick, monkeypatch):
    """All that was trained with these rows is there nevertheless."""

    def diverge(*_):
        raise FloatingPointError

    monkeypatch.setattr(finishing, "refit_and_choose", diverge)
    found = solve(dataclasses.replace(quick, method="kmeans"), overlapping)
    assert np.isnan(found.known_accuracy)
    assert len(found.confidence) == np.sum(overlapping.y == UNLABELLED)


def test_the_same_again_and_another_seed(solved, overlapping, quick):
    config = dataclasses.replace(quick, method="rca")
    again, found = solve(config, overlapping), solved("rca")
    np.testing.assert_array_equal(again.answer.labels, found.answer.labels)
    np.testing.assert_array_equal(again.confidence, found.confidence)
    assert again.winner.found.trials == found.winner.found.trials
    other = solve(dataclasses.replace(config, seed=1), overlapping)
    assert other.winner.found.trials != found.winner.found.trials


def test_a_given_number_is_taken(overlapping, quick):
    given = dataclasses.replace(quick, method="kmeans", k=dataclasses.replace(quick.k, n_novel=3))
    found = solve(given, overlapping)
    assert found.answer.k == 3
    assert found.refits.estimate is None


@pytest.mark.parametrize(
    ("rca", "kmeans", "winner"),
    [
        # The best of two is 0.6, but in each fold the others prefer one that is worse there.
        ([[0.9, 0.5, 0.4], [0.3, 0.6, 0.6]], [[0.5, 0.5, 0.5]], "kmeans"),
        ([[0.6, 0.6, 0.6], [0.3, 0.6, 0.6]], [[0.5, 0.5, 0.5]], "rca"),
    ],
)
def test_auto_compares_scores_that_nobody_was_chosen_for(
    rca, kmeans, winner, overlapping, quick, monkeypatch
):
    def tune(problem, journal, on_batch):
        name = problem.config.method
        scores = {"rca": rca, "kmeans": kmeans}[name]
        hparams = {"shrinkage": 0.1} if name == "rca" else {}
        trials = [
            Trial(i, hparams, float(np.mean(folds)), tuple(folds), (), 0)
            for i, folds in enumerate(scores)
        ]
        best = max(trials, key=lambda trial: trial.score)
        return Tuned(problem, SearchResult(trials, 1, 0.0), [best], trials)

    monkeypatch.setattr(module, "tune", tune)
    found = solve(dataclasses.replace(quick, method="auto", methods="rca, kmeans"), overlapping)
    assert [each.problem.config.method for each in found.tuned] == ["rca", "kmeans"]
    assert found.winner.problem.config.method == found.model.method == winner


def test_phases_are_told_and_searches_kept_where_they_are_wanted(overlapping, quick, tmp_path):
    said = []

    class Listener(Reporter):
        def phase(self, name, detail="", total=None):
            said.append(name)
            return super().phase(name, detail, total)

    config = dataclasses.replace(quick, method="auto", methods="kmeans, rca")
    problems = prepare_methods(config, overlapping, None)
    found = solve_problems(
        problems,
        overlapping,
        Listener(),
        lambda method: own_journal(tmp_path / f"{method}.journal"),
    )
    assert said == ["tune", "tune", "refit", "discover", "evaluate"]
    assert {path.name for path in tmp_path.glob("*.journal")} == {"kmeans.journal", "rca.journal"}
    alone = [solve(dataclasses.replace(quick, method=m), overlapping) for m in ("kmeans", "rca")]
    for together, single in zip(found.tuned, alone, strict=True):
        assert together.found.trials == single.winner.found.trials


def test_nothing_to_discover_is_the_users_mistake(overlapping, quick):
    labelled = dataclasses.replace(overlapping, y=np.arange(180, dtype=np.int32) % 4)
    with pytest.raises(UserError, match="no unlabelled row"):
        solve(quick, labelled)
