"""The judge on whole tables: what it says of one class, of many sizes, of noise, of little."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import ncd_jax
from ncd_jax.config import RunConfig, SearchConfig
from ncd_jax.data.folds import make_judged_folds, sample_hidden
from ncd_jax.data.table import Table
from ncd_jax.discovery.joining import join_rows
from ncd_jax.discovery.judging import TAINTED, judge_scenes, see_folds
from ncd_jax.discovery.padding import padded_size
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.refits import refit_all
from ncd_jax.discovery.scoring import score
from ncd_jax.discovery.solve import solve
from ncd_jax.types import UNLABELLED

PACKAGE = Path(ncd_jax.__file__).parent
CONFIG = RunConfig(method="rca", search=SearchConfig(folds=3))


def gaussians(known, novel, d=6, apart=6.0, seed=0):
    """A table of Gaussian classes, and the true class of its unlabelled rows."""
    rng = np.random.default_rng(seed)
    sizes = [*known, *novel]
    classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = apart * rng.normal(size=(len(sizes), d)) / np.sqrt(2)
    x = centres[classes] + rng.normal(size=(len(classes), d))
    y = np.where(classes < len(known), classes, UNLABELLED).astype(np.int32)
    names = tuple(f"known {c}" for c in range(len(known)))
    table = Table("gaussians", x, y, tuple(map(str, range(d))), names)
    return table, classes[y == UNLABELLED] - len(known)


@pytest.fixture(scope="module")
def usual():
    table, truth = gaussians([60] * 5, [50, 40, 60])
    return table, truth, solve(CONFIG, table)


def test_number_and_partition_at_once(usual):
    _, truth, solution = usual
    assert solution.answer.k == 3
    assert score(solution.answer.labels, truth)["acc"] > 0.97
    assert np.bincount(solution.answer.labels).tolist() == sorted([50, 40, 60], reverse=True)
    numbers = solution.judged.partition.numbers
    assert numbers.sum() == pytest.approx(1)
    assert numbers.argmax() == 2


def test_all_parts_of_a_solution_speak_of_the_same_rows(usual):
    table, truth, solution = usual
    assert solution.confidence.shape == truth.shape
    assert ((solution.confidence > 0) & (solution.confidence < 1)).all()
    assert solution.evaluation.right.mean() > 0.9
    assert len(solution.evaluation.confidence) == len(solution.evaluation.right)
    assert solution.z.shape[0] == len(table.y)
    assert solution.model.classes == (*table.classes, "novel_0", "novel_1", "novel_2")
    assert solution.known_accuracy > 0.9
    assert {len(trial.fold_scores) for trial in solution.winner.on_hidden} == {6}


@pytest.mark.parametrize("seed", [0, 1])
def test_one_new_class_is_one(seed):
    table, _ = gaussians([60] * 5, [150], seed=seed)
    solution = solve(CONFIG, table)
    assert solution.answer.k == 1
    assert solution.judged.partition.numbers.argmax() == 0
    assert solution.confidence.max() < 1


def test_a_large_class_beside_small_ones_stays_whole():
    table, truth = gaussians([60] * 5, [200, 12, 6], seed=2)
    labels = solve(CONFIG, table).answer.labels
    assert np.bincount(labels[truth == 0]).max() >= 0.95 * 200


def test_of_noise_nothing_is_sure():
    rng = np.random.default_rng(0)
    y = rng.integers(-1, 5, 320).astype(np.int32)
    table = Table("noise", rng.normal(size=(320, 6)), y, tuple("abcdef"), tuple("uvwxy"))
    solution = solve(CONFIG, table)
    assert solution.known_accuracy < 0.5
    assert solution.confidence.mean() < 0.85


def test_two_known_classes_are_enough():
    table, truth = gaussians([60, 60], [50, 40], seed=1)
    solution = solve(CONFIG, table)
    assert solution.winner.problem.hidden_folds.hidden.sum(axis=1).tolist() == [1, 1]
    assert score(solution.answer.labels, truth)["acc"] > 0.9


def test_with_one_known_class_the_prior_speaks_alone():
    table, _ = gaussians([80], [50, 40], seed=1)
    solution = solve(CONFIG, table)
    assert solution.evaluation is None
    assert solution.answer.k >= 1
    assert np.isfinite(solution.confidence).all()


def test_one_column_is_not_its_sign_alone():
    table, truth = gaussians([60] * 3, [50, 50], d=1, apart=40.0, seed=3)
    solution = solve(CONFIG, table)
    assert score(solution.answer.labels, truth)["acc"] > 0.8


def test_a_given_number_is_kept_to(usual):
    table, _, _ = usual
    given = dataclasses.replace(CONFIG, k=dataclasses.replace(CONFIG.k, n_novel=2))
    assert solve(given, table).answer.k == 2


def test_more_rows_than_the_judge_looks_at_join_what_it_has_seen(usual):
    table, truth, _ = usual
    few = dataclasses.replace(CONFIG, k=dataclasses.replace(CONFIG.k, max_rows=140))
    solution = solve(few, table)
    assert solution.winner.problem.n_targets == 140
    assert solution.answer.labels.shape == truth.shape
    assert score(solution.answer.labels, truth)["acc"] > 0.95


def test_rows_join_the_micro_cluster_that_they_are_in(usual):
    table, _, solution = usual
    problem = solution.winner.problem
    x = problem.scaler.apply(table.x[table.y == UNLABELLED])
    joined = join_rows(problem, solution.refits, solution.judged.cells, x).micro
    seen = np.asarray(solution.refits.seen.labels)[problem.target_mask]
    assert np.mean(joined == seen) > 0.95  # k-means stops before the last row has settled


def test_nobody_is_judged_by_what_his_own_classes_taught(usual, monkeypatch):
    """What the judge is told of a fold leaves out all micro clusters of its hidden classes."""
    table, _, _ = usual
    problem = prepare(CONFIG, table, None)
    folds = see_folds(problem, problem.candidates)
    told = []
    from ncd_jax.discovery import judging

    run = judging._JUDGE
    monkeypatch.setattr(
        judging, "_JUDGE", lambda lessons, prior: told.append(lessons) or run(lessons, prior)
    )
    judge_scenes(folds, [])
    [lessons] = told
    for g, hidden in enumerate(folds.hidden):
        for f, share in enumerate(folds.shares):
            own = share[:, hidden].sum(axis=1) > TAINTED
            assert not np.asarray(lessons.teaches)[g, f][own].any()
    assert np.asarray(lessons.teaches).any()


def test_known_accuracy_alone_is_lost_where_its_fit_diverges(usual, monkeypatch):
    table, _, expected = usual
    from ncd_jax.discovery import finish as module

    fits = iter([False, True])

    def refit(problem, hparams):
        if next(fits):
            raise FloatingPointError
        return refit_all(problem, hparams)

    monkeypatch.setattr(module, "refit_all", refit)
    solution = solve(CONFIG, table)
    assert np.isnan(solution.known_accuracy)
    np.testing.assert_array_equal(solution.answer.labels, expected.answer.labels)


def test_rows_that_are_none_change_nothing():
    """A table of 200 rows fills up 256; the map of RCA is that of its 200 rows."""
    table, _ = gaussians([40] * 3, [40, 40])
    problem = prepare(CONFIG, table, None)
    assert len(problem.data.x) == padded_size(200) == 256
    alone = problem._replace(
        data=jax.tree.map(lambda leaf: leaf[:200], problem.data),
        known_rows=problem.known_rows[:120],
    )
    ours, theirs = (refit_all(each, each.candidates).state for each in (problem, alone))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("n_classes", "n_hidden"),
    [(1, []), (2, [1, 1]), (5, [2, 2, 3, 1, 1, 1]), (3, [2, 2, 2, 1, 1, 1])],
)
def test_folds_hide_one_class_and_several(n_classes, n_hidden):
    y = np.repeat(np.arange(-1, n_classes), 10).astype(np.int32)
    folds = make_judged_folds(y, 3, 0)
    assert folds.hidden.sum(axis=1).tolist() == n_hidden
    for f, hidden in enumerate(folds.hidden):
        assert set(np.unique(folds.y[f])) == {-1, *np.flatnonzero(~hidden)}


def test_a_sample_of_hidden_rows_is_one_of_those_that_count():
    y = np.repeat(np.arange(4), [5, 50, 20, 30]).astype(np.int32)
    folds = make_judged_folds(y, 3, 0)
    few = sample_hidden(folds, 12, 0)
    for f in range(len(folds.y)):
        rows = few.hidden_rows[f][few.hidden_mask[f]]
        every = folds.hidden_rows[f][folds.hidden_mask[f]]
        assert len(rows) == min(12, len(every)) == len(set(rows))
        assert set(rows) <= set(every)
        codes = np.cumsum(folds.hidden[f]) - 1
        np.testing.assert_array_equal(few.hidden_y[f][few.hidden_mask[f]], codes[y[rows]])


def test_a_run_is_few_large_programs():
    """Folds, novel rows and rows without their label share theirs: refit, judge, apply."""
    table, _ = gaussians([70] * 4, [60, 60], d=7, seed=4)
    durations = {}

    def listen(event, duration, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            durations.setdefault(fun_name, []).append(duration)

    jax.config.update("jax_enable_compilation_cache", False)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        solve(CONFIG, table)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        jax.config.update("jax_enable_compilation_cache", True)
    # By name, as wall times say little where two threads compile at once. Other tests may have left
    # those that do not depend on the number of columns.
    defined = re.findall(r"def (\w+)\(", "".join(map(Path.read_text, PACKAGE.rglob("*.py"))))
    ours = {name: len(durations.get(f"jit({name})", ())) for name in set(defined)}
    assert ours["refit"] == 1
    assert max(ours.values()) == 1
    assert "jit(<lambda>)" not in durations
    assert {name for name, times in ours.items() if times} <= {
        *("refit", "judge", "apply", "_see"),
        *("_class_means", "_to_centroids"),
    }
