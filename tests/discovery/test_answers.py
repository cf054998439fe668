"""How the number of novel classes is decided, and with what."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.clustering import n_clusters
from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery import answers
from ncd_jax.discovery.answers import choose
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.protocol import fold_method, fold_protocol
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.discovery.tune import best_trials, tune, unselected_scores
from ncd_jax.tuning.proposals import Trial
from ncd_jax.types import UNLABELLED, Clusters, KEstimate

S, KS = 4, np.arange(2, 6)


@pytest.fixture(scope="module")
def table(blobs):
    """Four known classes and two novel ones."""
    x, classes = blobs([20] * 6, 4)
    y = np.where(classes < 4, classes, UNLABELLED).astype(np.int32)
    return Table("blobs", x, y, tuple("abcd"), tuple("wxyz"))


def config_of(index):
    return RunConfig(
        method="pbn",
        search=SearchConfig(folds=1),
        train=TrainConfig(epochs=1, batch_size=64, refits=S),
        k=KConfig(index=index, max=5, restarts=1),
        hparams={"lr": 1e-3, "w": 0.5, "dropout": 0.0, "latent_dim": 4},
    )


def refits_of(values, finite, ready):
    """Refits with these values of the index."""
    z = jnp.broadcast_to(ready.data.x[ready.target_rows], (S, len(ready.target_rows), 4))
    ks = jnp.broadcast_to(jnp.asarray(KS), (S, len(KS)))
    estimate = KEstimate(ks[:, 0], ks, jnp.asarray(values, jnp.float32))
    return Refits(None, jnp.zeros((S, 1)), z, estimate, None, jnp.array(finite))


def answer_of(index, values, finite, table):
    """What is chosen where the refits have these values of the index."""
    ready = prepare(config_of(index), table, None)
    return choose(ready, refits_of(values, finite, ready))


def test_folds_have_room_for_all_that_they_hide(table):
    """NCD SC is tuned on all known classes at once, which are more than are looked for."""
    few = dataclasses.replace(config_of("silhouette"), method="ncd_sc", hparams={})
    few = dataclasses.replace(few, k=KConfig(index="silhouette", max=3))
    ready = prepare(few, table, None)
    assert fold_method(ready, ready.hidden_folds).max_clusters == 4
    assert fold_method(ready, ready.tuning_folds).max_clusters == 8
    assert ready.method.max_clusters == ready.spec.max_clusters == 3
    # One program for all folds of a problem: the same object, not an equal one.
    assert fold_method(ready, ready.tuning_folds) is fold_method(ready, ready.tuning_folds)


VALUES = [
    [0.1, 0.5, 0.9, np.inf],
    [0.9, 0.8, 0.1, np.inf],
    [np.inf] * 4,
    [0.0, 0.0, 9.0, 0.0],
]
FINITE = [True, True, True, False]


@pytest.mark.parametrize("index", ["silhouette", "davies_bouldin"])
def test_best_mean_over_the_refits_that_have_a_value(index, table):
    """Means are 0.5, 0.65, 0.5; the third refit collapsed, the last diverged, k = 5 cannot be."""
    larger_is_better = index == "silhouette"
    values = np.array(VALUES)
    if larger_is_better:
        values = np.where(np.isinf(values), -np.inf, values)
    assert answer_of(index, values, FINITE, table).k == (3 if larger_is_better else 2)


@pytest.mark.parametrize(
    ("index", "tolerance", "expected"),
    [("silhouette", 0.0, 4), ("silhouette", 0.07, 3), ("silhouette", 0.5, 2), ("km_acc", 0.5, 4)],
)
def test_a_method_may_take_a_smaller_number_that_is_nearly_as_good(
    index, tolerance, expected, table
):
    """What the refits say together has the mean 0.5, 0.7, 0.72, 0.1."""
    ready = prepare(config_of(index), table, None)
    info = dataclasses.replace(ready.info, k_tolerance=tolerance)
    values = np.array([[0.5, 0.7, 0.72, 0.1]] * S) + np.array([[-0.02], [0.02], [0.0], [0.0]])
    answer = choose(ready._replace(info=info), refits_of(values, FINITE, ready))
    assert answer.k == expected


def test_folds_know_the_tolerance_of_the_method(table):
    ready = prepare(config_of("silhouette"), table, None)
    info = dataclasses.replace(ready.info, k_tolerance=0.07)
    protocol = fold_protocol(ready._replace(info=info), ready.hidden_folds)
    assert protocol.k_search.tolerance == 0.07


@pytest.mark.parametrize(("kind", "fitting"), [("cpu", 20), ("gpu", 40)])
def test_lanes_suit_the_device_where_they_are_not_given(kind, fitting, table, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: kind)
    for lanes, expected in ((0, fitting), (3, 3)):
        config = dataclasses.replace(config_of("silhouette"), search=SearchConfig(lanes=lanes))
        ready = prepare(config, table, None)
        assert fold_protocol(ready, ready.hidden_folds).lanes == expected


def test_nothing_can_be_told_apart_in_any_refit(table):
    assert answer_of("dunn", np.full((S, 4), -np.inf), FINITE, table).k == 2


def test_folds_and_novel_rows_have_the_same_index(monkeypatch, table):
    """Each program is traced as far as the estimate, which tells its index and stops."""

    class Told(BaseException):
        pass

    def tell(key, z, mask, search):
        raise Told(search.index)

    ready = prepare(config_of("dunn"), table, None)
    monkeypatch.setattr(n_clusters, "estimate_by_validity", tell)
    with pytest.raises(Told, match="dunn"):
        tune(ready)
    with pytest.raises(Told, match="dunn"):
        refit_all(ready, [ready.config.hparams] * S)


def test_refits_take_turns_with_the_candidates(table):
    """Each refit is what it would be if its candidate were the only one."""
    ready = prepare(config_of("silhouette"), table, 2)
    one, other = ready.config.hparams, ready.config.hparams | {"lr": 0.01, "latent_dim": 3}
    both = refit_all(ready, [one, other] * (S // 2)).z
    for turn, alone in enumerate((one, other)):
        z = refit_all(ready, [alone] * S).z
        np.testing.assert_allclose(both[turn::2], z[turn::2], rtol=1e-4, atol=1e-5)
    assert not np.allclose(both[0], both[1], atol=1e-3)


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


def test_padded_rows_count_for_nothing(table):
    """The same answer from rows alone as from a list with more behind them."""
    ready = prepare(config_of("silhouette"), table, 2)
    n = ready.n_targets
    assert len(ready.target_rows) > n
    alone = ready._replace(target_rows=ready.target_rows[:n], target_mask=ready.target_mask[:n])
    refits = refits_of(VALUES, FINITE, ready)._replace(estimate=None)
    z = np.array(refits.z)
    z[1] = -z[1]
    padded = choose(ready, refits._replace(z=jnp.asarray(z)))
    subset = choose(alone, refits._replace(z=jnp.asarray(z[:, :n])))
    for ours, theirs in zip(padded, subset, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    assert len(padded.margin) == len(padded.labels) == n


def test_refits_may_leave_different_slots_empty(monkeypatch, table):
    """Heads that call the same two classes slots 0 and 1, and slots 2 and 3: all agree."""
    ready = prepare(config_of("silhouette"), table, 2)
    refits = refits_of(VALUES, [True] * S, ready)._replace(estimate=None)
    two = (np.arange(len(ready.target_rows)) % 2).astype(int)
    z = np.zeros((S, len(two), 4))
    z[:, np.arange(len(two)), two] = 1.0
    labels, centroids = np.stack([two, two + 2] * (S // 2)), np.full((S, 5, 4), 7.0)
    for of_refit, shift in zip(centroids, [0, 2] * (S // 2), strict=True):
        of_refit[[shift, 1 + shift], :] = 0.9 * np.eye(2, 4) + 0.05
    monkeypatch.setattr(answers, "_partition", lambda *_, **__: Clusters(centroids, labels))
    answer = choose(ready, refits._replace(z=jnp.asarray(z, jnp.float32)))
    assert answer.k == 2
    assert answer.stability == 1.0
    assert answer.margin.min() > 0.8
