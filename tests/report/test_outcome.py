"""What a real solution becomes in the records and the report, computed again by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ncd_jax.discovery.solve import solve
from ncd_jax.discovery.tune import Tuned
from ncd_jax.methods import METHODS
from ncd_jax.report import outcome as module
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.report.outcome import find, measure
from ncd_jax.report.page import render_report
from ncd_jax.tuning.trials import SearchResult, Trial
from ncd_jax.types import UNLABELLED


@pytest.fixture(scope="module")
def rca(solved):
    return solved("rca")


@pytest.fixture(scope="module")
def findings(rca, overlapping):
    metrics = measure(rca, overlapping) | {"seconds": rca.seconds}
    recorded = {
        "run": {"config": {"method": "rca", "seed": 0}, "table": "overlapping"},
        "environment": {"device": "cpu", "versions": {}},
    }
    return find(rca, overlapping, None, recorded, metrics)


def test_metrics(rca, overlapping, quick):
    metrics = measure(rca, overlapping)
    labels, right = rca.answer.labels, rca.evaluation.right
    assert metrics["method"] == "rca"
    assert (metrics["n_rows"], metrics["n_unlabelled"], metrics["n_known_classes"]) == (180, 60, 4)
    assert metrics["n_novel_estimated"] == len(set(labels))
    assert metrics["novel_sizes"] == [np.sum(labels == i) for i in range(rca.answer.k)]
    assert metrics["novel_sizes"] == sorted(metrics["novel_sizes"], reverse=True)
    best = max(rca.winner.found.trials, key=lambda trial: trial.score)
    assert metrics["hidden_class_score"] == best.score == np.mean(best.fold_scores)
    assert metrics["hidden_class_score_std"] == np.std(best.fold_scores)
    assert metrics["refit_candidates"][0] == best.number
    assert metrics["known_accuracy"] == rca.known_accuracy
    assert metrics["hidden_class_accuracy"] == np.mean(right)
    assert metrics["n_answers"] == 0
    assert metrics["hidden_class_k"] == list(rca.evaluation.k)
    sure = rca.evaluation.confidence
    assert metrics["confidence_ranking"] == pytest.approx(roc_auc_score(right, sure))
    assert 0 <= metrics["confidence_error"] <= 1
    assert metrics["total_runs"] == quick.search.candidates * quick.search.folds
    assert metrics["diverged_runs"] == 0
    assert "ranking" not in metrics


def test_several_and_one_hidden_are_told_apart(rca, overlapping):
    """Folds that hide one class and folds that hide more, counted by hand."""
    fold = np.array([0, 0, 0, 1, 1, 1, 1])
    y = np.array([2, 2, 2, 0, 1, 1, 3])
    right = np.array([1, 1, 0, 1, 0, 0, 0], bool)
    evaluation = rca.evaluation._replace(
        confidence=np.linspace(0.1, 0.9, 7), right=right, fold=fold, y=y, n_hidden=(1, 3)
    )
    found = measure(rca._replace(evaluation=evaluation), overlapping)
    assert found["hidden_class_accuracy_by"] == {"several": 0.25, "one": pytest.approx(2 / 3)}
    assert found["hidden_class_accuracy"] == pytest.approx(3 / 7)
    one = evaluation._replace(y=np.zeros(7, int), n_hidden=(1, 1))
    found = measure(rca._replace(evaluation=one), overlapping)
    assert list(found["hidden_class_accuracy_by"]) == ["one"]


def test_what_must_be_known_first_is_a_warning(rca, overlapping):
    assert measure(rca, overlapping)["warnings"] == []
    (said,) = measure(rca._replace(evaluation=None), overlapping)["warnings"]
    assert "4 known classes" in said
    (said,) = measure(rca._replace(known_accuracy=0.25), overlapping)["warnings"]
    assert "(25%, 25%): the columns hardly say" in said
    # A table whose novel rows are noise, but for a column that says which class they were put in.
    labels = rca.labels(4)
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(180, 3)), columns=list("abc"))
    frame["island"] = "x"
    frame.loc[overlapping.y == UNLABELLED, "island"] = [f"island {label}" for label in labels]
    table = dataclasses.replace(overlapping, frame=frame)
    (said,) = measure(rca, table)["warnings"]
    assert "'island'" in said
    assert said.endswith("--drop=island")


def test_a_given_number_has_no_probability(run_of, judged_config):
    table, _, asked = run_of("judge", "ncd")
    probability = measure(asked, table)["n_novel_probability"]
    assert sum(probability.values()) == pytest.approx(1, abs=0.01)
    told = dataclasses.replace(judged_config.k, n_novel=2)
    found = solve(dataclasses.replace(judged_config, k=told), table)
    metrics = measure(found, table)
    assert metrics["n_novel_probability"] == {}
    metrics["seconds"] = {}
    assert find(found, table, None, {}, metrics).number.is_given


@pytest.mark.thorough
def test_the_headline_of_a_method_that_is_tuned_on_known_classes(solved, overlapping):
    """Its own score is one of classes that were not hidden, and not to be compared."""
    found = solved("ncd_sc")
    assert found.winner.problem.info.tuned_on_known
    metrics = measure(found, overlapping)
    (trial,) = found.winner.on_hidden
    assert metrics["hidden_class_score"] == trial.score
    assert len(trial.fold_scores) == 2


def test_findings(rca, findings, overlapping):
    novel = np.flatnonzero(overlapping.y == UNLABELLED)
    np.testing.assert_array_equal(findings.assignments.rows, novel)
    np.testing.assert_array_equal(findings.assignments.confidence, rca.confidence)
    assert list(findings.assignments.labels) == [f"novel_{i}" for i in rca.answer.labels]
    hidden = rca.winner.problem.hidden_folds.hidden
    names = np.array(overlapping.classes)
    assert findings.hidden == tuple(tuple(names[each]) for each in hidden)
    assert findings.best == findings.scored_best == rca.winner.best[0].number
    assert findings.trials == findings.scored == tuple(rca.winner.found.trials)
    (ranked,) = findings.ranking
    assert (ranked.method, len(ranked.fold_scores)) == ("rca", 2)
    assert len(findings.loss) == 0, "nothing is trained"
    assert sum(findings.confidence_curve.n_rows) == len(rca.evaluation.right)
    assert len(findings.profiles.classes) == rca.answer.k


def test_the_curve_is_the_mean_over_refits(rca, findings, quick):
    curve = findings.k_curve
    values = np.asarray(rca.refits.estimate.values)
    np.testing.assert_array_equal(curve.ks, range(2, quick.k.max + 1))
    np.testing.assert_allclose(curve.index, values.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(curve.spread, values.std(axis=0), rtol=1e-5, atol=1e-7)
    assert (curve.name, curve.chosen) == ("silhouette", rca.answer.k)
    assert curve.tolerance == rca.winner.problem.info.k_tolerance


def test_a_refit_that_diverged_has_no_part_in_the_curve(rca, overlapping):
    values = np.array(rca.refits.estimate.values)
    values[1] = 7.0
    estimate = rca.refits.estimate._replace(values=values)
    refits = rca.refits._replace(estimate=estimate, finite=np.array([True, False]))
    found = find(rca._replace(refits=refits), overlapping, None, {}, measure(rca, overlapping))
    np.testing.assert_allclose(found.k_curve.index, values[0], rtol=1e-5)
    np.testing.assert_array_equal(found.k_curve.spread, 0)


def test_the_map_has_every_row_under_its_name(findings, overlapping):
    drawn = findings.latent_map
    np.testing.assert_array_equal(drawn.row, np.arange(180))
    np.testing.assert_array_equal(drawn.is_novel, overlapping.y == UNLABELLED)
    of_row = dict(zip(findings.assignments.rows.tolist(), findings.assignments.labels, strict=True))
    for row, label in zip(drawn.row.tolist(), drawn.label, strict=True):
        assert label == of_row.get(row, overlapping.classes[overlapping.y[row]])
    assert drawn.truth is None


def test_the_truth_is_for_the_map_alone(rca, findings, overlapping, monkeypatch):
    given = []

    def latent_map(z, rows, labels, is_novel, truth, *, seed):
        given.append(truth)
        return LatentMap(np.zeros((len(z), 2)), rows, tuple(labels), is_novel, tuple(truth))

    monkeypatch.setattr(module, "latent_map", latent_map)
    names = [f"true {i % 6}" for i in range(180)]
    metrics = measure(rca, overlapping)
    found = find(rca, overlapping, names, {}, metrics)
    assert given == [names]
    np.testing.assert_array_equal(found.assignments.confidence, findings.assignments.confidence)
    assert repr(found.profiles) == repr(findings.profiles)


def test_a_given_number_has_no_curve(rca, overlapping):
    """Nobody has looked for it then, as the refits of `test_fit` say."""
    told = rca.winner._replace(problem=rca.winner.problem._replace(n_novel=3))
    found = rca._replace(winner=told, refits=rca.refits._replace(estimate=None))
    assert find(found, overlapping, None, {}, measure(found, overlapping)).k_curve is None


def test_methods_are_ranked(rca, overlapping):
    """The other one is what no search has made: a score in every fold."""
    config = dataclasses.replace(rca.winner.problem.config, method="kmeans")
    trial = Trial(0, {}, 0.25, (0.2, 0.3), (2, 2), 0)
    problem = rca.winner.problem._replace(config=config, info=METHODS["kmeans"])
    other = Tuned(problem, SearchResult([trial], 1, 0.0), [trial], [trial])
    found = rca._replace(tuned=[other, rca.winner])
    metrics = measure(found, overlapping)
    ranking = {each["method"]: each["hidden_class_score"] for each in metrics["ranking"]}
    assert list(ranking) == ["rca", "kmeans"]
    assert ranking["kmeans"] == 0.25 < ranking["rca"]
    findings = find(found, overlapping, None, {}, metrics)
    assert [each.method for each in findings.ranking] == list(ranking)


def test_the_page_of_a_real_solution(rca, findings):
    page = render_report(findings)
    assert page.startswith("<!doctype html>")
    assert f"novel_{rca.answer.k - 1}" in page
