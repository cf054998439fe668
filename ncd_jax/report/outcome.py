"""What comes out of a procedure, put into the words of the records and the report.

No truth here: scores are added by whoever has it.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer
from ncd_jax.discovery.calibration import (
    accuracy_by_confidence,
    calibration_error,
    ranking_quality,
)
from ncd_jax.discovery.hidden_class_evaluation import HiddenClassEvaluation
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.protocol import k_search
from ncd_jax.discovery.refits import Refits
from ncd_jax.discovery.solution import Solution
from ncd_jax.discovery.tune import Tuned, unselected_scores
from ncd_jax.profiles.classes import SortedRows, profile_classes
from ncd_jax.report.findings import Findings, KCurve, Ranked
from ncd_jax.report.latent_map import latent_map
from ncd_jax.report.number import number_story
from ncd_jax.report.runner_up import seconds_of_solution
from ncd_jax.report.shown import choose_shown
from ncd_jax.types import UNLABELLED

__all__ = ["find", "measure"]


def measure(solution: Solution, table: Table) -> dict[str, Any]:
    """The content of `metrics.json`, but for times and what the truth says."""
    problem, found, best, on_hidden, _ = solution.winner
    answer, trials = solution.answer, found.trials
    scored = on_hidden[0] if problem.info.tuned_on_known else best[0]
    metrics = {
        "method": problem.config.method,
        "setting": solution.setting,
        "n_rows": len(table.y),
        "n_unlabelled": len(solution.confidence),
        "n_rows_known": int((~solution.is_new).sum()),
        "known_sizes": _known_sizes(solution, table),
        "n_known_classes": len(table.classes),
        "n_novel_estimated": answer.k,
        "novel_sizes": np.bincount(answer.labels, minlength=answer.k).tolist(),
        "hidden_class_score": scored.score,
        "hidden_class_score_std": float(np.std(scored.fold_scores or np.nan)),
        "known_accuracy": solution.known_accuracy,
        "known_accuracy_by_chance": float(_shares(table).max()),
        "stability": answer.stability,
        "mean_confidence": float(np.mean(solution.confidence)),
        "gate": _gate(solution),
        **_evaluated(solution.evaluation),
        "diverged_runs": sum(t.diverged for t in trials),
        "total_runs": len(trials) * len(trials[0].fold_scores) * problem.config.search.seeds,
        "compilations": found.compilations,
        "refit_candidates": [trial.number for trial in best],
        "notes": list(table.notes),
    }
    if solution.judged is not None:
        likely = enumerate(solution.judged.partition.numbers.tolist(), start=1)
        metrics["n_novel_probability"] = {str(k): round(p, 4) for k, p in likely if p >= 5e-5}
    if len(solution.tuned) > 1:
        metrics["ranking"] = [
            {"method": each.method, "hidden_class_score": each.score, "std": each.spread}
            for each in _ranking(solution.tuned)
        ]
    return metrics


def _evaluated(evaluation: HiddenClassEvaluation | None) -> dict[str, Any]:
    """What answers for hidden classes were worth; nothing is known where none could be hidden."""
    if evaluation is None:
        unknown = float("nan")
        return {
            "hidden_class_accuracy": unknown,
            "hidden_class_k": [],
            "confidence_ranking": unknown,
            "confidence_error": unknown,
        }
    sure, right = evaluation.confidence, evaluation.right
    return {
        "hidden_class_accuracy": float(np.mean(right)),
        "hidden_class_k": list(evaluation.k),
        "confidence_ranking": ranking_quality(sure, right),
        "confidence_error": calibration_error(sure, right),
    }


def _known_sizes(solution: Solution, table: Table) -> dict[str, int]:
    """Unlabelled rows that were given to each known class, of those that got any."""
    if solution.gate is None:
        return {}
    given = solution.gate.known[~solution.is_new]
    sizes = np.bincount(given, minlength=len(table.classes)).tolist()
    return {name: size for name, size in zip(table.classes, sizes, strict=True) if size}


def _gate(solution: Solution) -> dict[str, float] | None:
    """What telling known from new was worth where it is known."""
    if solution.gate is None or solution.gate.trust is None:
        return None
    return solution.gate.trust._asdict()


def _shares(table: Table) -> np.ndarray:
    """Share of every known class of the labelled rows."""
    sizes = np.bincount(table.y[table.y != UNLABELLED])
    return np.asarray(sizes / sizes.sum())


def find(
    solution: Solution,
    table: Table,
    true_names: list[str] | None,
    recorded: dict[str, Any],
    metrics: dict[str, Any],
) -> Findings:
    """Gathers what the records and the report are made from.

    Args:
        solution: of the run.
        table: its table.
        true_names: of every row's class where they are known, for eyes only.
        recorded: the content of `config.json`.
        metrics: the content of `metrics.json`.
    """
    problem, found, best, on_hidden, _ = solution.winner
    answer, evaluation, config = solution.answer, solution.evaluation, problem.config
    confidence = solution.confidence
    names = _names(table, solution)
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    new = solution.is_new
    is_novel = np.zeros(len(table.y), bool)
    is_novel[unlabelled[new]] = True
    labels = np.full(len(new), UNLABELLED)
    labels[new] = answer.labels
    seconds = seconds_of_solution(solution, table)
    of_rows = tuple(names[row] for row in unlabelled.tolist())
    copied = None if table.copied is None else table.copied.iloc[unlabelled]
    with ThreadPoolExecutor(1) as beside:  # both work outside Python most of the time
        drawing = beside.submit(
            latent_map,
            solution.z,
            table.row_numbers,
            names,
            is_novel,
            true_names,
            seed=config.seed,
        )
        profiles = profile_classes(
            SortedRows(
                table.original(), names, is_novel, solution.z, confidence[new], table.row_numbers
            ),
            table.classes,
            answer.k,
            seed=config.seed,
        )
        drawn = drawing.result()
    return Findings(
        config=recorded,
        metrics=metrics,
        classes=table.classes,
        n_columns=table.original().shape[1],
        hidden=tuple(
            tuple(np.asarray(table.classes)[hidden].tolist())
            for hidden in problem.hidden_folds.hidden
        ),
        trials=tuple(found.trials),
        best=best[0].number,
        scored=tuple(on_hidden),
        ranking=_ranking(solution.tuned),
        rows=table.row_numbers[unlabelled],
        labels=labels,
        names=of_rows,
        confidence=confidence,
        runners_up=seconds.names(solution.model.classes),
        runner_up_confidence=seconds.confidence,
        copied=copied,
        confidence_curve=(
            None
            if evaluation is None
            else accuracy_by_confidence(evaluation.confidence, evaluation.right)
        ),
        profiles=profiles,
        k_curve=_k_curve(problem, solution.refits, answer),
        number=None if solution.judged is None else number_story(solution.judged, answer),
        latent_map=drawn,
        shown=choose_shown(
            table.original(),
            profiles,
            np.searchsorted(table.row_numbers, drawn.row),
            unlabelled,
            of_rows,
            copied,
        ),
        loss=(
            np.asarray(solution.refits.loss[answer.refit]) if problem.method.stages else np.zeros(0)
        ),
        reading=table.reading,
    )


def _ranking(tuned: list[Tuned]) -> tuple[Ranked, ...]:
    """The methods by hidden-class score, the best first."""
    ranked = [
        Ranked(
            each.problem.config.method,
            each.problem.info.title,
            unselected_scores(each.on_hidden),
        )
        for each in tuned
    ]
    return tuple(sorted(ranked, key=lambda each: -each.score))


def _k_curve(problem: Problem, refits: Refits, answer: Answer) -> KCurve | None:
    """The validity index, averaged over the refits that count."""
    if refits.estimate is None or (how := k_search(problem)) is None:
        return None
    finite = np.asarray(refits.finite)
    values = np.ma.masked_invalid(refits.estimate.values)[finite]
    return KCurve(
        name=how.index,
        ks=np.asarray(refits.estimate.ks[0]),
        index=values.mean(axis=0).filled(np.nan),
        spread=values.std(axis=0).filled(np.nan),
        chosen=answer.k,
        tolerance=how.tolerance,
    )


def _names(table: Table, solution: Solution) -> list[str]:
    """The name of every row's class: a known one, or `novel_i`."""
    n_known = len(table.classes)
    classes = [*table.classes, *(f"novel_{i}" for i in range(solution.answer.k))]
    codes = table.y.astype(int)
    codes[table.y == UNLABELLED] = solution.labels(n_known)
    return np.asarray(classes, dtype=object)[codes].tolist()
