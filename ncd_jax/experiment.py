"""A run: the procedure on one table, wrapped in records that survive a kill."""

import dataclasses
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

from ncd_jax.config import RunConfig, method_configs
from ncd_jax.data.own_table import read_numeric_rows, read_rows
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.hidden_class_evaluation import evaluate_hidden_classes
from ncd_jax.discovery.model import assign, fitted, look
from ncd_jax.discovery.problem import Problem, make_hparams, prepare
from ncd_jax.discovery.procedure import (
    best_trials,
    choose,
    hparams_of_refits,
    refit_all,
    score_on_hidden,
    tune,
)
from ncd_jax.discovery.scoring import score, score_test_split, true_names
from ncd_jax.errors import UserError
from ncd_jax.report.console import Phase, Reporter
from ncd_jax.report.outcome import Solution, Tuned, find, measure
from ncd_jax.report.page import render_report
from ncd_jax.store.model_files import load_model, save_model
from ncd_jax.store.records import describe_environment, write_records
from ncd_jax.store.workdir import Workdir
from ncd_jax.tuning.proposals import Trial

__all__ = ["assign_rows", "run"]


def run(
    config: RunConfig,
    table: Table,
    truth: Truth | None,
    path: Path,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Tunes, refits, discovers and reports; continues what an earlier process began.

    Args:
        config: the configuration.
        table: the table.
        truth: the novel labels of a benchmark table, for scoring only.
        path: the working directory of this run and no other.
        reporter: told of the phases; silent by default.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: the table or the working directory cannot be used.
        FloatingPointError: every refit diverged.
    """
    reporter = reporter or Reporter()
    seconds = _Stopwatch()
    n_novel = _given_number(config, truth)
    with seconds("prepare"):
        problems = [prepare(each, table, n_novel) for each in method_configs(config)]
    identity = {"config": dataclasses.asdict(config), "table": _fingerprint(table)}
    workdir = Workdir.open(path, identity, environment := describe_environment())
    if workdir.is_complete:
        return workdir.read_json("metrics.json")

    for note in table.notes:
        reporter.say(note)
    with seconds("tune"):
        tuned = [_tuned(problem, workdir, reporter) for problem in problems]
    seconds.add("compile", sum(each.found.compile_seconds for each in tuned))
    winner = max(tuned, key=lambda each: each.on_hidden.score)
    problem = winner.problem
    hparams = hparams_of_refits([trial.hparams for trial in winner.best], config.train.refits)

    detail = f"{config.train.refits} trainings on all known classes"
    with seconds("refit"), reporter.phase("refit", detail):
        refits = jax.block_until_ready(refit_all(problem, hparams))
    with seconds("discover"), reporter.phase("discover", "clusters the unlabelled rows"):
        answer = choose(problem, refits)
        own = hparams[answer.refit]
        state = jax.tree.map(lambda leaf: leaf[answer.refit], refits.state)
    detail = f"answers for {len(problem.hidden_folds.y)} folds of hidden classes"
    with seconds("evaluate"), reporter.phase("evaluate", detail):
        evaluation = evaluate_hidden_classes(problem, hparams)
    model = fitted(problem, table, own, state, answer, evaluation.lone_calibration)
    solution = Solution(tuned, winner, refits, answer, look(model, table.x).z, evaluation)

    metrics = measure(solution, table)
    if table.x_test is not None:
        arrays = make_hparams(problem.config.method, own)
        metrics["test"] = score_test_split(problem, table, truth, state, arrays, answer)
    if truth is not None:
        rows = np.asarray(problem.novel_rows)
        metrics["n_novel_true"] = len(truth.classes)
        scores = score(answer.labels, truth.y[rows])
        metrics |= {f"novel_{name}": value for name, value in scores.items()}

    with seconds("report"), reporter.phase("report", "draws the map and writes the files"):
        save_model(workdir, model)
        recorded = {"run": identity, "environment": environment}
        findings = find(solution, table, true_names(table, truth), recorded, metrics)
        metrics["seconds"] = seconds.total()
        workdir.write_text("report.html", render_report(findings))
    metrics["seconds"] = seconds.total()
    write_records(workdir, findings.trials, findings.assignments, metrics)
    return metrics


def assign_rows(workdir: Workdir, path: Path) -> Path:
    """Applies the model of a finished run to a file of new rows.

    Returns:
        The file that was written: `assigned/<name of the table>.csv` in the run's folder, with
        the columns `row,label,confidence`, one line a row.

    Raises:
        UserError: there is no model, or the table lacks a column of it or has a cell of another
            kind.
    """
    model = load_model(workdir)
    if model.encoder is None:
        x = read_numeric_rows(path, model.columns)
    else:
        x = read_rows(path, model.encoder)
    labels, sure = assign(model, x)
    lines = zip(range(len(x)), labels.tolist(), sure.tolist(), strict=True)
    rows = ((row, model.classes[label], f"{value:.4f}") for row, label, value in lines)
    name = f"assigned/{path.stem}.csv"
    workdir.write_csv(name, ("row", "label", "confidence"), rows)
    return workdir.path(name)


def _tuned(problem: Problem, workdir: Workdir, reporter: Reporter) -> Tuned:
    config, folds = problem.config, problem.tuning_folds
    n_candidates = config.search.candidates if problem.space else 1
    detail = f"{n_candidates} candidates x {len(folds.y)} folds x {config.search.seeds} seeds"
    with reporter.phase("tune", f"{problem.info.title}: {detail}", n_candidates) as phase:
        phase.note("compiling, then the first batch")
        journal = workdir.path(f"search_{config.method}.journal")
        found = tune(problem, journal, _tell(phase))
        best = best_trials(problem, found.trials)
        return Tuned(problem, found, best, score_on_hidden(problem, best[0]))


class _Stopwatch:
    """Wall time by phase."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(phase, time.perf_counter() - start)

    def add(self, phase: str, seconds: float) -> None:
        self._seconds[phase] = round(seconds, 3)

    def total(self) -> dict[str, float]:
        return {**self._seconds, "total": round(time.perf_counter() - self._start, 3)}


def _given_number(config: RunConfig, truth: Truth | None) -> int | None:
    """The number of novel classes, where the run is allowed to know it."""
    if config.k.n_novel is not None or not config.search.k_known:
        return config.k.n_novel
    if truth is None:
        raise UserError(
            "config.search.k_known=True needs the number; give --config.k.n_novel=NUMBER too"
        )
    return len(truth.classes)


def _fingerprint(table: Table) -> dict[str, Any]:
    """What makes this table this one: a run may only be continued on the same."""
    digest = hashlib.sha256()
    for array in (table.x, table.y, table.x_test, table.y_test):
        if array is not None:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    digest.update("\0".join((*table.columns, "", *table.classes, str(table.standardise))).encode())
    return {"name": table.name, "sha256": digest.hexdigest()}


def _tell(phase: Phase) -> Any:
    """Reports the trials that are new since the last call."""
    told = 0

    def on_batch(trials: list[Trial]) -> None:
        nonlocal told
        phase.note(f"best {max(t.score for t in trials):.1%}")
        phase.advance(len(trials) - told)
        told = len(trials)

    return on_batch
