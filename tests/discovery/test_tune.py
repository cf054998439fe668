"""Candidates: how they are scored on folds, and which of them are refitted."""

import dataclasses

import jax
import numpy as np
import pytest

from ncd_jax.clustering import n_clusters
from ncd_jax.config import KConfig, SearchConfig
from ncd_jax.discovery.fit import refit_all
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.tune import (
    best_trials,
    fold_method,
    fold_protocol,
    tune,
    unselected_scores,
)
from ncd_jax.tuning.trials import Trial

REFITS = 2


@pytest.fixture(scope="module")
def config_of(quick):
    """`config_of(index)` counts by it; nothing is searched for."""

    def make(index):
        hparams = {"lr": 1e-3, "dropout": 0.0, "latent_dim": 4}
        k = KConfig(index=index, max=5, restarts=1)
        search = SearchConfig(folds=1)
        return dataclasses.replace(quick, method="baseline", k=k, search=search, hparams=hparams)

    return make


def test_folds_have_room_for_all_that_they_hide(overlapping, config_of):
    """NCD SC is tuned on all known classes at once, which are more than are looked for."""
    few = dataclasses.replace(config_of("silhouette"), method="ncd_sc", hparams={})
    few = dataclasses.replace(few, k=KConfig(index="silhouette", max=3))
    ready = prepare(few, overlapping, None)
    assert fold_method(ready, ready.hidden_folds).max_clusters == 4
    assert fold_method(ready, ready.tuning_folds).max_clusters == 8
    assert ready.method.max_clusters == ready.spec.max_clusters == 3
    # One program for all folds of a problem: the same object, not an equal one.
    assert fold_method(ready, ready.tuning_folds) is fold_method(ready, ready.tuning_folds)


def test_folds_know_the_tolerance_of_the_method(overlapping, config_of):
    ready = prepare(config_of("silhouette"), overlapping, None)
    info = dataclasses.replace(ready.info, k_tolerance=0.07)
    protocol = fold_protocol(ready._replace(info=info), ready.hidden_folds)
    assert protocol.k_search.tolerance == 0.07


@pytest.mark.parametrize(("kind", "fitting"), [("cpu", 20), ("gpu", 40)])
def test_lanes_suit_the_device_where_they_are_not_given(
    kind, fitting, overlapping, config_of, monkeypatch
):
    monkeypatch.setattr(jax, "default_backend", lambda: kind)
    for lanes, expected in ((0, fitting), (3, 3)):
        config = dataclasses.replace(config_of("silhouette"), search=SearchConfig(lanes=lanes))
        ready = prepare(config, overlapping, None)
        assert fold_protocol(ready, ready.hidden_folds).lanes == expected


def test_folds_and_novel_rows_have_the_same_index(monkeypatch, overlapping, config_of, toy_method):
    """Each program is traced as far as the estimate, which tells its index and stops."""

    class Told(BaseException):
        pass

    def tell(key, x, mask, search):
        raise Told(search.index)

    hparams = {"lr": 1e-3, "noise": 0.5}
    config = dataclasses.replace(config_of("dunn"), method=toy_method, hparams=hparams)
    ready = prepare(config, overlapping, None)
    monkeypatch.setattr(n_clusters, "estimate_by_validity", tell)
    with pytest.raises(Told, match="dunn"):
        tune(ready)
    with pytest.raises(Told, match="dunn"):
        refit_all(ready, [ready.config.hparams] * REFITS)


@pytest.mark.parametrize(
    ("fold_scores", "refits", "chosen"),
    [
        # Behind by 0.1 with a standard error of 0.1; by 0.1 in every fold; the best.
        ([(0.7, 0.8), (0.8, 0.7), (0.9, 0.8)], 4, [2, 0]),
        ([(0.8, 0.8), (0.9, 0.9), (0.9, 0.9), (0.9, 0.9), (0.9, 0.9)], 4, [1, 2, 3]),
        ([(0.8, 0.8), (0.9, 0.9), (0.9, 0.9), (0.9, 0.9), (0.9, 0.9)], 2, [1, 2]),
        ([(0.9,), (0.9,)], 4, [0]),
    ],
)
def test_refits_are_of_candidates_that_the_best_does_not_beat(fold_scores, refits, chosen):
    trials = [
        Trial(i, {}, float(np.mean(scores)), scores, (), 0) for i, scores in enumerate(fold_scores)
    ]
    found = best_trials(trials, min(3, refits))
    assert [trial.number for trial in found] == chosen


def trials_of(*fold_scores):
    return [
        Trial(i, {}, float(np.mean(scores)), tuple(scores), (), 0)
        for i, scores in enumerate(fold_scores)
    ]


def test_a_score_that_a_candidate_was_not_chosen_for():
    """The first wins by its luck in fold 0, where the others prefer the second."""
    trials = trials_of([0.9, 0.5, 0.4], [0.3, 0.6, 0.6])
    assert unselected_scores(trials) == (0.3, 0.5, 0.4)
    assert unselected_scores(trials[:1]) == trials[0].fold_scores
    assert unselected_scores(trials_of([0.2], [0.7])) == (0.7,)


def test_candidates_that_stopped_early_neither_win_nor_vote():
    """However good they were by then."""
    trials = trials_of([0.5, 0.6], [0.9, 0.9], [0.6, 0.5])
    trials[1] = dataclasses.replace(trials[1], stopped=50)
    assert [trial.number for trial in best_trials(trials, 3)] == [0, 2]
    assert unselected_scores(trials) == unselected_scores([trials[0], trials[2]])


def test_many_candidates_of_noise_gain_nothing():
    rng = np.random.default_rng(0)
    noise = [trials_of(*rng.random((24, 5))) for _ in range(200)]
    best = np.mean([max(trial.score for trial in trials) for trials in noise])
    fair = np.mean([np.mean(unselected_scores(trials)) for trials in noise])
    assert best > 0.7
    assert abs(fair - 0.5) < 0.05
