"""One cell of the benchmark: tuned without novel labels, answered from every seed, scored."""

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, KSearch, estimate_k
from ncd_jax.data.folds import hold_out
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.fit import k_search, purpose_keys
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.problem import Problem, judged, prepare
from ncd_jax.discovery.solve import answer_alone, prepare_methods, solve_problems
from ncd_jax.discovery.tune import tune, unselected_scores
from ncd_jax.reproduce.baselines import BASELINES, GCD_BASELINES, PartlyLabelled
from ncd_jax.reproduce.baselines import estimate_k as estimate_with_sklearn
from ncd_jax.reproduce.plan import BenchmarkConfig, Cell, cell_config
from ncd_jax.scoring import score, score_all, score_test_split
from ncd_jax.tuning.storage import own_journal
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = ["half_unlabelled", "run_cell"]

UNLABELLED_SHARE = 0.5
"""Of the rows of each known class, in the setting `gcd`."""


def run_cell(
    config: BenchmarkConfig, cell: Cell, table: Table, truth: Truth, journal: Path
) -> dict[str, Any]:
    """Measures one cell.

    Args:
        config: the benchmark.
        cell: which one.
        table: its table.
        truth: the novel labels, for the scores and, where k is known, its number.
        journal: where the search is kept, so that it goes on after a kill.

    Returns:
        `rows`: one for each seed and evaluation, `acc`, `nmi`, `ari` and `known_accuracy` in
        percent; `hparams` of the best candidate, `refit_hparams` of all that were refitted,
        `fold_scores` on hidden classes and their mean `hidden_class_score`, which `auto` goes by,
        `k_by_index` with a number for each seed where the method looks for it, `seconds` of the
        whole cell. In the setting `gcd` other labels are taken away from every seed; evaluations
        are `all`, `old` and `new` classes, with `acc` alone.
    """
    start = time.perf_counter()
    n_novel = len(truth.classes) if cell.k_known else None
    if config.run.setting == "gcd":
        result = _run_gcd(config, cell, table, truth, n_novel)
    elif cell.method in BASELINES:
        result = _run_baseline(config, cell, table, truth, n_novel)
    else:
        problem = prepare(cell_config(config, cell), table, n_novel)
        run = _run_judged if judged(problem.config) else _run_method
        result = run(config, cell, problem, table, truth, journal)
    seconds = round(time.perf_counter() - start, 1)
    shared = dataclasses.asdict(cell)
    rows = [{**shared, **row, "seconds": seconds} for row in result.pop("rows")]
    return {"rows": rows, "n_novel_true": len(truth.classes), "seconds": seconds, **result}


def _run_method(
    config: BenchmarkConfig,
    cell: Cell,
    problem: Problem,
    table: Table,
    truth: Truth,
    journal: Path,
) -> dict[str, Any]:
    """Tuned once, and answered from every seed."""
    result: dict[str, Any] = {}
    n_refits, hparams = problem.config.train.refits, [problem.config.hparams]
    if cell.hyperparameters == "tuned":
        tuned = tune(problem, own_journal(journal))
        hparams = [trial.hparams for trial in tuned.best]
        result = _hidden([unselected_scores(tuned.on_hidden)])
    if not problem.method.stages:
        n_refits = len(hparams)  # only candidates differ, and each is fitted once
    turns = [hparams[i % len(hparams)] for i in range(n_refits)]
    rows, models = [], []
    for seed in range(config.seeds):
        solution = answer_alone(_seeded(problem, seed), table, turns)
        answer = solution.answer
        models.append(solution.model)
        if table.x_test is None:
            found = score(answer.labels, truth.y[table.y == UNLABELLED])
            rows.append(_row(seed, answer.k, "transductive", found))
            continue
        test = score_test_split(solution, table, truth)
        for evaluation in ("inductive", "transductive"):
            found, known = test[evaluation], test["known_accuracy"]
            rows.append(_row(seed, answer.k, evaluation, found, known))
    if problem.n_novel is None and not problem.info.needs_k:
        result["k_by_index"] = _k_by_index(problem, models)
    return {**result, "hparams": hparams[0], "refit_hparams": hparams, "rows": rows}


def _run_judged(
    config: BenchmarkConfig,
    cell: Cell,
    problem: Problem,
    table: Table,
    truth: Truth,
    journal: Path,
) -> dict[str, Any]:
    """The whole procedure from every seed: folds, samples and micro clusters are drawn anew."""
    del cell, journal  # nothing is searched for
    rows, scores, n_novel = [], [], problem.n_novel
    novel = table.y == UNLABELLED
    for seed in range(config.seeds):
        run = _seeded(problem, seed).config
        solution = solve_problems([prepare(run, table, n_novel)], table)
        scores.append(unselected_scores(solution.winner.on_hidden))
        k = solution.answer.k
        if table.x_test is None or table.y_test is None or truth.y_test is None:
            found = score(solution.answer.labels, truth.y[novel])
            rows.append(_row(seed, k, "transductive", found))
            continue
        novel_test = table.y_test == UNLABELLED
        x_test, classes = table.x_test[novel_test], truth.y_test[novel_test]
        inductive = score_test_split(solution, table, truth)["inductive"]
        # Transductive: the rows of the test split are those that the judge is asked about.
        anew = dataclasses.replace(
            table,
            x=np.concatenate([table.x[~novel], x_test]),
            y=np.concatenate([table.y[~novel], np.full(len(x_test), UNLABELLED, np.int32)]),
            x_test=None,
            y_test=None,
        )
        again = solve_problems([prepare(run, anew, n_novel)], anew)
        known, transductive = solution.known_accuracy, score(again.answer.labels, classes)
        rows.append(_row(seed, k, "inductive", inductive, known))
        rows.append(_row(seed, again.answer.k, "transductive", transductive, known))
    return {**_hidden(scores), "hparams": {}, "rows": rows}


def _hidden(scores: list[tuple[float, ...]]) -> dict[str, Any]:
    """What the folds say, the mean over seeds where each has folds of its own."""
    folds = [float(np.mean(fold)) for fold in zip(*scores, strict=True)]
    return {"hidden_class_score": float(np.mean(folds)), "fold_scores": folds} if folds else {}


def _k_by_index(problem: Problem, models: list[Model]) -> dict[str, list[int]]:
    """What every index says of the number of classes in the representation of each answer.

    With the restarts and rows of the folds, which are fewer than those of an answer.
    """
    how = k_search(problem, problem.hidden_folds)
    assert how is not None

    keys, goal = purpose_keys(problem.config, "indices", len(models)), problem.goal(0)

    def number(key: Array, model: Model, how: KSearch) -> int:
        state = jax.tree.map(lambda leaf: leaf[model.view], model.state)
        return int(_number(problem.method, key, state, problem.data, goal, how=how))

    return {
        index: [
            number(key, model, dataclasses.replace(how, index=index))
            for key, model in zip(keys, models, strict=True)
        ]
        for index in INDEX_SIGNS
    }


@functools.partial(jax.jit, static_argnames=("method", "how"))
def _number(
    method: Method, key: Array, state: PyTree, data: NCDData, goal: Goal, *, how: KSearch
) -> Array:
    def represent(x: Array) -> Array:
        return method.represent(state, x)

    return estimate_k(key, represent, data, goal, represent(data.x[goal.rows]), how).k


def _seeded(problem: Problem, seed: int) -> Problem:
    """The same problem, from another seed on."""
    return problem._replace(
        config=dataclasses.replace(problem.config, seed=problem.config.seed + seed)
    )


def _run_baseline(
    config: BenchmarkConfig, cell: Cell, table: Table, truth: Truth, n_novel: int | None
) -> dict[str, Any]:
    baseline, scaler = BASELINES[cell.method], Standardiser.fit(table)
    novel = table.y == UNLABELLED
    x = scaler.apply(table.x)
    project = baseline.represent(x[~novel], table.y[~novel])
    z, classes, z_test = project(x[novel]), truth.y[novel], None
    if table.x_test is not None and table.y_test is not None and truth.y_test is not None:
        novel_test = table.y_test == UNLABELLED
        z_test = project(scaler.apply(table.x_test[novel_test]))
        classes = truth.y_test[novel_test]
    rows, k_config = [], config.run.k
    for seed in range(config.seeds):
        k = n_novel or estimate_with_sklearn(z, k_config.max, k_config.max_rows, seed)
        labels, predict = baseline.fit(z, k, seed)
        if z_test is not None:
            if predict is not None:
                rows.append(_row(seed, k, "inductive", score(predict(z_test), classes)))
            labels, _ = baseline.fit(z_test, k, seed)
        rows.append(_row(seed, k, "transductive", score(labels, classes)))
    return {"hparams": {}, "rows": rows}


def _run_gcd(
    config: BenchmarkConfig, cell: Cell, table: Table, truth: Truth, n_novel: int | None
) -> dict[str, Any]:
    n_known, rows = len(table.classes), []
    for seed in range(config.seeds):
        given, true = half_unlabelled(table, truth, seed)
        if cell.method in GCD_BASELINES:
            x = Standardiser.fit(given).apply(given.x).astype(np.float64)
            problem = PartlyLabelled(x, given.y, n_novel, config.run.k.max, seed)
            labels = GCD_BASELINES[cell.method].fit(problem)
        else:
            run = dataclasses.replace(cell_config(config, cell), seed=config.run.seed + seed)
            labels = solve_problems(prepare_methods(run, given, n_novel), given).labels(n_known)
        found = len(np.unique(labels[labels >= n_known]))
        for name, accuracy in score_all(labels, true, n_known).items():
            rows.append(_row(seed, found, name, {"acc": accuracy}))
    return {"hparams": {}, "rows": rows}


def half_unlabelled(table: Table, truth: Truth, seed: int) -> tuple[Table, np.ndarray]:
    """The table without half of the labels of each class, and the class of its unlabelled rows.

    Returns:
        The table, and `i[u]`: a known class, or `C` and a novel one.
    """
    held = hold_out(table.y, UNLABELLED_SHARE, seed)
    y = np.where(held, UNLABELLED, table.y).astype(np.int32)
    true = np.where(table.y == UNLABELLED, len(table.classes) + truth.y, table.y)
    given = dataclasses.replace(table, y=y, x_test=None, y_test=None)
    return given, true[y == UNLABELLED]


def _row(
    seed: int, k: int, evaluation: str, scores: dict[str, float], known: float | None = None
) -> dict[str, Any]:
    """A row of the results: in percent; none where something was not measured."""
    values = {**dict.fromkeys(("acc", "nmi", "ari")), **scores, "known_accuracy": known}
    percent = {key: None if v is None else round(100 * v, 3) for key, v in values.items()}
    return {"seed": seed, "n_novel_estimated": k, "evaluation": evaluation, **percent}
