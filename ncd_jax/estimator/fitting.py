"""A table and a configuration in, what the estimator keeps out."""

import dataclasses
import math
import zlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.progress import Reporter
from ncd_jax.discovery.solve import solve
from ncd_jax.discovery.untuned import fit_untuned
from ncd_jax.read.words import as_text
from ncd_jax.report.findings import Findings
from ncd_jax.report.outcome import find, measure
from ncd_jax.report.page import render_report
from ncd_jax.store.records import describe_run

__all__ = ["Fit", "assignments", "fit"]


class Fit(NamedTuple):
    """What fitting ends with, however it was done.

    Attributes:
        model: the model.
        labels: `i[u]`, the class of every unlabelled row, an index into those of the model.
        setting: as it was taken: `ncd`, or `gcd` where some are of known classes.
        confidence: `f64[u]`, of every unlabelled row; NaN without tuning.
        runners_up: `i[u]`, the second likeliest class of each; -1 where there is none, and without
            tuning.
        runner_up_confidence: `f64[u]`, how likely these are; NaN without tuning.
        n_novel_probability: of every number of novel classes; empty where none was looked for.
        hidden_class_score: mean over folds; NaN without tuning.
        stability: mean adjusted Rand index between refits; NaN where there is one.
        report: the page, compressed; none without tuning.
    """

    model: Model
    labels: np.ndarray
    setting: str
    confidence: np.ndarray
    runners_up: np.ndarray
    runner_up_confidence: np.ndarray
    n_novel_probability: dict[int, float]
    hidden_class_score: float
    stability: float
    report: bytes | None


def fit(
    config: RunConfig, table: Table, progress: Reporter, index: "pd.Index[Any]", *, tuned: bool
) -> Fit:
    """Does what a run does, in memory, or fits a method as it is.

    Args:
        config: the configuration.
        table: the table.
        progress: told of the phases.
        index: what the report calls the rows that the table was made of.
        tuned: whether known classes are hidden to tune on.

    Raises:
        UserError: the table or the configuration cannot be used.
        FloatingPointError: every training diverged.
    """
    if not tuned:
        model, answer = fit_untuned(config, table)
        unknown = np.full(len(answer.labels), math.nan)
        labels, stability = len(table.classes) + answer.labels, _or_nan(answer.stability)
        none = np.full(len(labels), -1)
        return Fit(model, labels, "ncd", unknown, none, unknown, {}, math.nan, stability, None)
    solution = solve(config, table, progress)
    metrics: dict[str, Any] = {**measure(solution, table), "seconds": solution.seconds}
    findings = find(solution, table, None, describe_run(config, table), metrics)
    place = {name: i for i, name in enumerate(solution.model.classes)}
    page = render_report(_called(findings, index), files=False)
    return Fit(
        solution.model,
        solution.labels(len(table.classes)),
        solution.setting,
        solution.confidence,
        np.array([place.get(name, -1) for name in findings.assignments.runners_up], int),
        findings.assignments.runner_up_confidence,
        {int(k): p for k, p in metrics.get("n_novel_probability", {}).items()},
        metrics["hidden_class_score"],
        _or_nan(metrics["stability"]),
        zlib.compress(page.encode()),
    )


def assignments(
    fitted: Fit, rows: np.ndarray, labels: np.ndarray, confidence: np.ndarray, classes: np.ndarray
) -> pd.DataFrame:
    """The class of every row and the second likeliest one, each with its confidence.

    Args:
        fitted: the fit.
        rows: `i[u]`, the unlabelled rows that it had.
        labels: `[n]`, the class of every row.
        confidence: `f64[n]`, how sure that is.
        classes: `[m]`, all classes.
    """
    second, sure = np.full(len(labels), -1), np.full(len(labels), math.nan)
    second[rows], sure[rows] = fitted.runners_up, fitted.runner_up_confidence
    names = np.array([*classes.tolist(), None], object)
    return pd.DataFrame(
        {
            "label": labels,
            "confidence": confidence,
            "runner_up": names[second],
            "runner_up_confidence": sure,
        }
    )


def _called(findings: Findings, index: "pd.Index[Any]") -> Findings:
    """The same, every row under its name in the index and not under its number."""
    if index.equals(pd.RangeIndex(len(index))):
        return findings
    name = np.array([as_text(value) for value in index], object)
    profiles = tuple(
        dataclasses.replace(
            profile,
            typical_rows=tuple(
                dataclasses.replace(row, row=name[row.row]) for row in profile.typical_rows
            ),
        )
        for profile in findings.profiles.classes
    )
    return dataclasses.replace(
        findings,
        assignments=findings.assignments._replace(rows=name[findings.assignments.rows]),
        latent_map=dataclasses.replace(findings.latent_map, row=name[findings.latent_map.row]),
        profiles=dataclasses.replace(findings.profiles, classes=profiles),
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
