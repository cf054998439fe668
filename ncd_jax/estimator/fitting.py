"""A table and a configuration in, what the estimator keeps out."""

import math
import zlib
from typing import Any, NamedTuple

import numpy as np

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.progress import Reporter
from ncd_jax.discovery.solve import solve
from ncd_jax.discovery.untuned import fit_untuned
from ncd_jax.report.outcome import find, measure
from ncd_jax.report.page import render_report
from ncd_jax.store.records import describe_run

__all__ = ["Fit", "fit"]


class Fit(NamedTuple):
    """What fitting ends with, however it was done.

    Attributes:
        model: the model.
        labels: `i[u]`, the class of every unlabelled row, an index into those of the model.
        setting: as it was taken: `ncd`, or `gcd` where some are of known classes.
        confidence: `f64[u]`, of every unlabelled row; NaN without tuning.
        n_novel_probability: of every number of novel classes; empty where none was looked for.
        hidden_class_score: mean over folds; NaN without tuning.
        stability: mean adjusted Rand index between refits; NaN where there is one.
        report: the page, compressed; none without tuning.
    """

    model: Model
    labels: np.ndarray
    setting: str
    confidence: np.ndarray
    n_novel_probability: dict[int, float]
    hidden_class_score: float
    stability: float
    report: bytes | None


def fit(config: RunConfig, table: Table, progress: Reporter, *, tuned: bool) -> Fit:
    """Does what a run does, in memory, or fits a method as it is.

    Args:
        config: the configuration.
        table: the table.
        progress: told of the phases.
        tuned: whether known classes are hidden to tune on.

    Raises:
        UserError: the table or the configuration cannot be used.
        FloatingPointError: every training diverged.
    """
    if not tuned:
        model, answer = fit_untuned(config, table)
        unknown = np.full(len(answer.labels), math.nan)
        labels, stability = len(table.classes) + answer.labels, _or_nan(answer.stability)
        return Fit(model, labels, "ncd", unknown, {}, math.nan, stability, None)
    solution = solve(config, table, progress)
    metrics: dict[str, Any] = {**measure(solution, table), "seconds": solution.seconds}
    findings = find(solution, table, None, describe_run(config, table), metrics)
    return Fit(
        solution.model,
        solution.labels(len(table.classes)),
        solution.setting,
        solution.confidence,
        {int(k): p for k, p in metrics.get("n_novel_probability", {}).items()},
        metrics["hidden_class_score"],
        _or_nan(metrics["stability"]),
        zlib.compress(render_report(findings).encode()),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
