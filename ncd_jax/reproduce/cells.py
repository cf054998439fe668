"""One cell of the benchmark: tuned without novel labels, answered from every seed, scored."""

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, KSearch, estimate_k
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.joining import join_rows
from ncd_jax.discovery.model import Model, refit_and_choose
from ncd_jax.discovery.problem import Problem, judged, prepare, purpose_key
from ncd_jax.discovery.protocol import k_search
from ncd_jax.discovery.scoring import score, score_test_split
from ncd_jax.discovery.solve import solve_problems
from ncd_jax.discovery.tune import tune, unselected_scores
from ncd_jax.reproduce.baselines import BASELINES
from ncd_jax.reproduce.baselines import estimate_k as estimate_with_sklearn
from ncd_jax.reproduce.gcd_cells import run_gcd_cell
from ncd_jax.reproduce.plan import BenchmarkConfig, Cell, cell_config
from ncd_jax.tuning.storage import own_journal
from ncd_jax.types import UNLABELLED, Array, Goal, NCDData, PyTree

__all__ = ["run_cell"]


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
        `fold_scores` on hidden classes, `k_by_index` with a number for each
        seed where the method looks for it, `seconds` of the whole cell.
    """
    start = time.perf_counter()
    n_novel = len(truth.classes) if cell.k_known else None
    if config.run.setting == "gcd":
        result = run_gcd_cell(config, cell, table, truth)
    else:
        measure = _run_baseline if cell.method in BASELINES else _run_method
        result = measure(config, cell, table, truth, n_novel, journal)
    seconds = round(time.perf_counter() - start, 1)
    shared = {
        "dataset": cell.dataset,
        "method": cell.method,
        "k_known": cell.k_known,
        "hyperparameters": cell.hyperparameters,
    }
    rows = [{**shared, **row, "seconds": seconds} for row in result.pop("rows")]
    return {"rows": rows, "n_novel_true": len(truth.classes), "seconds": seconds, **result}


def _run_method(
    config: BenchmarkConfig,
    cell: Cell,
    table: Table,
    truth: Truth,
    n_novel: int | None,
    journal: Path,
) -> dict[str, Any]:
    problem = prepare(cell_config(config, cell), table, n_novel)
    if judged(problem.config):
        return _run_judged(config, problem, table, truth)
    result: dict[str, Any] = {}
    n_refits, hparams = problem.config.train.refits, [problem.config.hparams]
    if cell.hyperparameters == "tuned":
        tuned = tune(problem, own_journal(journal))
        hparams = [trial.hparams for trial in tuned.best]
        fold_scores = unselected_scores(tuned.on_hidden)
        result |= {"hidden_class_score": float(np.mean(fold_scores)), "fold_scores": fold_scores}
    if not problem.method.stages:
        n_refits = len(hparams)  # only candidates differ, and each is fitted once
    turns = [hparams[i % len(hparams)] for i in range(n_refits)]
    rows, models = [], []
    for seed in range(config.seeds):
        seeded = _seeded(problem, seed)
        _, answer, model = refit_and_choose(seeded, table, turns)
        models.append(model)
        shared = {"seed": seed, "n_novel_estimated": answer.k}
        if table.x_test is None:
            novel = table.y == UNLABELLED
            rows.append(_row(shared, "transductive", score(answer.labels, truth.y[novel]), None))
            continue
        test = score_test_split(seeded, table, truth, model, answer)
        for evaluation in ("inductive", "transductive"):
            rows.append(_row(shared, evaluation, test[evaluation], test["known_accuracy"]))
    if n_novel is None and not problem.info.needs_k:
        result["k_by_index"] = _k_by_index(problem, models)
    return {**result, "hparams": hparams[0], "refit_hparams": hparams, "rows": rows}


def _run_judged(
    config: BenchmarkConfig, problem: Problem, table: Table, truth: Truth
) -> dict[str, Any]:
    """The whole procedure from every seed: folds, samples and micro clusters are drawn anew."""
    rows, scores, n_novel = [], [], problem.n_novel
    for seed in range(config.seeds):
        run = _seeded(problem, seed).config
        solution = solve_problems([prepare(run, table, n_novel)], table)
        fold_scores = [trial.score for trial in solution.winner.best]
        scores.append(fold_scores[0])
        shared = {"seed": seed, "n_novel_estimated": solution.answer.k}
        novel = table.y == UNLABELLED
        if table.x_test is None or table.y_test is None or truth.y_test is None:
            result = score(solution.answer.labels, truth.y[novel])
            rows.append(_row(shared, "transductive", result, None))
            continue
        novel_test = table.y_test == UNLABELLED
        x_test, classes = table.x_test[novel_test], truth.y_test[novel_test]
        own = solution.winner.problem
        assert solution.judged is not None
        cells, rows_of_test = solution.judged.cells, own.scaler.apply(x_test)
        joined = join_rows(own, solution.refits, cells, rows_of_test)
        inductive = score(solution.answer.owners[joined.cell], classes)
        # Transductive: the rows of the test split are those that the judge is asked about.
        anew = dataclasses.replace(
            table,
            x=np.concatenate([table.x[~novel], x_test]),
            y=np.concatenate([table.y[~novel], np.full(len(x_test), UNLABELLED, np.int32)]),
            x_test=None,
            y_test=None,
        )
        again = solve_problems([prepare(run, anew, n_novel)], anew)
        known = solution.known_accuracy
        rows.append(_row(shared, "inductive", inductive, known))
        shared = {"seed": seed, "n_novel_estimated": again.answer.k}
        rows.append(_row(shared, "transductive", score(again.answer.labels, classes), known))
    return {"hparams": {}, "hidden_class_score": float(np.mean(scores)), "rows": rows}


def _k_by_index(problem: Problem, models: list[Model]) -> dict[str, list[int]]:
    """What every index says of the number of classes in the representation of each answer.

    With the restarts and rows of the folds, which are fewer than those of an answer.
    """
    goal = Goal(problem.target_rows, jnp.asarray(problem.target_mask), jnp.int32(0))
    how = k_search(problem, problem.hidden_folds)
    assert how is not None

    @functools.partial(jax.jit, static_argnames="how")
    def number(key: Array, state: PyTree, data: NCDData, how: KSearch) -> Array:
        def represent(x: Array) -> Array:
            return problem.method.represent(state, x)

        return estimate_k(key, represent, data, goal, represent(data.x[goal.rows]), how).k

    keys = jax.random.split(purpose_key(problem.config, "indices"), len(models))
    return {
        index: [
            int(number(key, model.state, problem.data, dataclasses.replace(how, index=index)))
            for key, model in zip(keys, models, strict=True)
        ]
        for index in INDEX_SIGNS
    }


def _seeded(problem: Problem, seed: int) -> Problem:
    """The same problem, from another seed on."""
    return problem._replace(
        config=dataclasses.replace(problem.config, seed=problem.config.seed + seed)
    )


def _run_baseline(
    config: BenchmarkConfig,
    cell: Cell,
    table: Table,
    truth: Truth,
    n_novel: int | None,
    journal: Path,
) -> dict[str, Any]:
    del journal
    baseline, scaler = BASELINES[cell.method], Standardiser.fit(table)
    novel = table.y == UNLABELLED
    x = scaler.apply(table.x)
    project = baseline.represent(x[~novel], table.y[~novel])
    z, truth_train = project(x[novel]), truth.y[novel]
    z_test = truth_test = None
    if table.x_test is not None and table.y_test is not None and truth.y_test is not None:
        novel_test = table.y_test == UNLABELLED
        z_test = project(scaler.apply(table.x_test[novel_test]))
        truth_test = truth.y_test[novel_test]

    rows, k_config = [], config.run.k
    for seed in range(config.seeds):
        k = n_novel or estimate_with_sklearn(z, k_config.max, k_config.max_rows, seed)
        shared = {"seed": seed, "n_novel_estimated": k}
        if z_test is None or truth_test is None:
            labels, _ = baseline.fit(z, k, seed)
            rows.append(_row(shared, "transductive", score(labels, truth_train), None))
            continue
        _, predict = baseline.fit(z, k, seed)
        if predict is not None:
            rows.append(_row(shared, "inductive", score(predict(z_test), truth_test), None))
        labels, _ = baseline.fit(z_test, k, seed)
        rows.append(_row(shared, "transductive", score(labels, truth_test), None))
    return {"hparams": {}, "rows": rows}


def _row(
    shared: dict[str, Any],
    evaluation: str,
    scores: dict[str, float],
    known_accuracy: float | None,
) -> dict[str, Any]:
    percent = {name: round(100 * value, 3) for name, value in scores.items()}
    known = None if known_accuracy is None else round(100 * known_accuracy, 3)
    return {**shared, "evaluation": evaluation, **percent, "known_accuracy": known}
