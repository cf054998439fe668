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

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table, Truth
from ncd_jax.errors import UserError
from ncd_jax.model import fitted, save
from ncd_jax.problem import Answer, Problem, choose, make_hparams, prepare, refit_all, tune
from ncd_jax.results.console import Phase, Reporter
from ncd_jax.results.findings import Findings, KCurve, LatentMap, Trial
from ncd_jax.results.latent_map import latent_map
from ncd_jax.results.records import describe_environment, write_records
from ncd_jax.results.report import render_report
from ncd_jax.results.workdir import Workdir
from ncd_jax.scoring import score, score_test_split
from ncd_jax.tuning.discovery import Refits
from ncd_jax.types import UNLABELLED

__all__ = ["run"]


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
    with seconds("prepare"):
        problem = prepare(config, table, _given_number(config, truth))
    identity = {"config": dataclasses.asdict(config), "table": _fingerprint(table)}
    workdir = Workdir.open(path, identity, environment := describe_environment())
    if workdir.is_complete:
        return workdir.read_json("metrics.json")

    n_candidates = config.search.candidates if problem.space else 1
    n_folds = len(problem.folds.y)
    detail = f"{n_candidates} candidates x {n_folds} folds x {config.search.seeds} seeds"
    with seconds("tune"), reporter.phase("tune", detail, n_candidates) as phase:
        phase.note("compiling, then the first batch")
        found = tune(problem, workdir.path("search.journal"), _tell(phase))
    seconds.add("compile", found.compile_seconds)
    trials = found.trials
    best = max(trials, key=lambda t: (t.score, -t.number))

    detail = f"{config.train.refits} trainings on all known classes"
    with seconds("refit"), reporter.phase("refit", detail):
        refits = jax.block_until_ready(refit_all(problem, best.hparams))
    with seconds("discover"), reporter.phase("discover", "clusters the unlabelled rows"):
        answer = choose(problem, refits)
        hparams = make_hparams(config.method, best.hparams)
        state = jax.tree.map(lambda leaf: leaf[answer.refit], refits.state)
        z = jax.jit(problem.method.represent)(state, problem.data.x, hparams)

    metrics = _metrics(problem, table, trials, best, answer)
    metrics["compilations"] = found.compilations
    if table.x_test is not None:
        metrics["test"] = score_test_split(problem, table, truth, state, hparams, answer)
    if truth is not None:
        rows = np.asarray(problem.novel_rows)
        metrics["n_novel_true"] = len(truth.classes)
        scores = score(answer.labels, truth.y[rows])
        metrics |= {f"novel_{name}": value for name, value in scores.items()}

    with seconds("report"), reporter.phase("report", "draws the map and writes the files"):
        findings = Findings(
            config={"run": identity, "environment": environment},
            metrics=metrics,
            classes=table.classes,
            n_columns=table.x.shape[1],
            hidden=tuple(
                tuple(np.asarray(table.classes)[hidden].tolist()) for hidden in problem.folds.hidden
            ),
            trials=tuple(trials),
            best=best.number,
            rows=np.asarray(problem.novel_rows),
            labels=answer.labels,
            confidence=answer.confidence,
            k_curve=_k_curve(config, refits, answer),
            latent_map=_map(config, table, truth, np.asarray(z), answer),
            loss=np.asarray(refits.loss[answer.refit]),
        )
        save(workdir, fitted(problem, table, best.hparams, state, z, answer))
        metrics["seconds"] = seconds.total()
        workdir.write_text("report.html", render_report(findings))
    metrics["seconds"] = seconds.total()
    write_records(workdir, findings)
    return metrics


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
            digest.update(np.ascontiguousarray(array).tobytes())
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


def _metrics(
    problem: Problem, table: Table, trials: list[Trial], best: Trial, answer: Answer
) -> dict[str, Any]:
    n_folds, n_seeds = len(best.fold_scores), problem.config.search.seeds
    return {
        "method": problem.config.method,
        "n_rows": len(table.y),
        "n_unlabelled": len(answer.labels),
        "n_known_classes": len(table.classes),
        "n_novel_estimated": answer.k,
        "novel_sizes": np.bincount(answer.labels, minlength=answer.k).tolist(),
        "hidden_class_score": best.score,
        "hidden_class_score_std": float(np.std(best.fold_scores)),
        "known_accuracy": best.known_accuracy,
        "stability": answer.stability,
        "diverged_runs": sum(t.diverged for t in trials),
        "total_runs": len(trials) * n_folds * n_seeds,
    }


def _k_curve(config: RunConfig, refits: Refits, answer: Answer) -> KCurve | None:
    """The validity index, averaged over the refits that count."""
    if refits.estimate is None:
        return None
    finite = np.asarray(refits.finite)
    index = np.ma.masked_invalid(refits.estimate.values)[finite]
    return KCurve(
        name=config.k.index,
        ks=np.asarray(refits.estimate.ks[0]),
        index=index.mean(axis=0).filled(np.nan),
        spread=index.std(axis=0).filled(np.nan),
        chosen=answer.k,
    )


def _map(
    config: RunConfig, table: Table, truth: Truth | None, z: np.ndarray, answer: Answer
) -> LatentMap:
    is_novel = table.y == UNLABELLED
    found = np.full(len(table.y), -1)
    found[is_novel] = answer.labels
    known = np.asarray(table.classes)[table.y]
    labels = np.where(is_novel, np.char.add("novel_", found.astype(str)), known)
    true = None
    if truth is not None:
        true = np.where(is_novel, np.asarray(truth.classes)[truth.y], known).tolist()
    rows = np.arange(len(table.y))
    return latent_map(z, rows, labels.tolist(), is_novel, true, seed=config.seed)
