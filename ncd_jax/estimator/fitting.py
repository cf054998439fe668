"""From an estimator's parameters and a table to what it keeps: a run, in memory."""

import dataclasses
import functools
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state
from threadpoolctl import ThreadpoolController

from ncd_jax.config import RunConfig, default_config, parse
from ncd_jax.data.table import Table
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.solution import Asked, Solution
from ncd_jax.discovery.solve import fit_untuned, solve
from ncd_jax.errors import UserError
from ncd_jax.precision import in_single_precision
from ncd_jax.progress import Reporter
from ncd_jax.read.words import as_text
from ncd_jax.report.findings import Findings
from ncd_jax.report.headline import headline, plural
from ncd_jax.report.outcome import find, measure
from ncd_jax.report.page import render_report
from ncd_jax.store.records import describe_run

__all__ = ["Fit", "Page", "as_value_errors", "fit", "in_python", "on_device", "to_config"]

P = ParamSpec("P")
R = TypeVar("R")

_KEYS = {
    "method": "method",
    "variant": "variant",
    "setting": "setting",
    "n_novel": "k.n_novel",
    "n_candidates": "search.candidates",
    "n_folds": "search.folds",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "n_refits": "train.refits",
    "k_index": "k.index",
    "k_max": "k.max",
    "random_state": "seed",
}
_FLAG = re.compile(r"--(?:config\.)?(use|group|circular|setting)\b")
_user: int | None = None
"""The process in which this package has used a device."""


def to_config(params: Mapping[str, Any]) -> RunConfig:
    """The configuration, checked.

    Args:
        params: of the estimator, by name.

    Raises:
        UserError: a value is of the wrong type or out of range.
    """
    values = {key: _plain(params[name]) for name, key in _KEYS.items()}
    if isinstance(params["n_novel"], str) and params["n_novel"] == "auto":
        values["k.n_novel"] = None
    if values["search.candidates"] == 0:  # no tuning, so it does not matter
        values["search.candidates"] = 1
    if not isinstance(values["seed"], int):
        values["seed"] = int(check_random_state(params["random_state"]).randint(2**31 - 1))
    values |= {f"hparams.{k}": _plain(v) for k, v in (params["hparams"] or {}).items()}
    config = default_config()
    for key, value in values.items():
        group, _, name = key.rpartition(".")
        try:
            (config[group] if group else config)[name] = value
        except (KeyError, AttributeError):
            raise UserError(f"config.{key} is not a hyperparameter of any method") from None
        except TypeError as error:
            raise UserError(f"config.{key}={value!r} has the wrong type: {error}") from None
    return parse(config)


@contextmanager
def as_value_errors() -> Iterator[None]:
    """Mistakes as scikit-learn's users expect them, in the words of the estimator."""
    try:
        yield
    except UserError as error:
        message = str(error)
        for name, key in _KEYS.items():
            message = re.sub(rf"(--)?config\.{re.escape(key)}\b", name, message)
        message = message.replace("is not a config key", "is not a hyperparameter")
        message = re.sub(r"(--)?config\.hparams\.(\w+)", r"hparams[\2]", message)
        raise ValueError(in_python(message)) from error


def in_python(said: str) -> str:
    """A sentence in which flags of the command that are parameters here are called so."""
    return _FLAG.sub(r"\1", said)


def on_device(function: Callable[P, R]) -> Callable[P, R]:
    """The function, in single precision, and an error where it would wait for ever.

    A forked process has none of the threads that JAX has started in the one it comes from. NumPy
    has one for its products, as in a run; see `ncd_jax.cli`.
    """
    single = in_single_precision(function)

    @functools.wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        global _user
        if _user not in (None, os.getpid()):
            raise RuntimeError(
                "this process was forked from one that has fitted or predicted already, and JAX"
                " does not survive that; start it by"
                " multiprocessing.get_context('spawn'), or with joblib's loky"
            )
        _user = os.getpid()
        with _libraries().limit(limits=1, user_api="blas"):
            return single(*args, **kwargs)

    return guarded


@functools.cache
def _libraries() -> ThreadpoolController:
    """Those that have threads of their own; to look for them takes 20 ms."""
    return ThreadpoolController()


class Page:
    """The report of a fit, drawn when it is first asked for, or when the fit is copied or sent."""

    def __init__(self, draw: Callable[[], str]) -> None:
        self._draw: Callable[[], str] | None = draw
        self._packed = b""

    def html(self, n_answers: int = 0) -> bytes:
        """The page, UTF-8; of a fit that was told something since, it says that it is older."""
        if self._draw is not None:
            self._packed, self._draw = zlib.compress(self._draw().encode()), None
        page = zlib.decompress(self._packed)
        said = f"{n_answers} {plural('answer', n_answers)} told since"
        older = f'<p class="warning">This is the report of the fit, without the {said}.</p>'
        return page.replace(b"<h1", older.encode() + b"<h1", 1) if n_answers else page

    def __getstate__(self) -> dict[str, Any]:
        self.html()
        return self.__dict__


class Fit(NamedTuple):
    """What fitting ends with, however it was done.

    Attributes:
        model: the model.
        labels: `i[u]`, the class of every unlabelled row, an index into those of the model.
        confidence: `f64[u]`, of every unlabelled row; NaN without tuning.
        runners_up: `i[u]`, the second likeliest class of each; -1 where there is none, and without
            tuning.
        runner_up_confidence: `f64[u]`, how likely these are; NaN without tuning.
        metrics: what a run has in `metrics.json`; without tuning, `setting` and `stability` alone.
        page: the report; none without tuning.
        asked: what a person can be asked about; none where there is nothing.
    """

    model: Model
    labels: np.ndarray
    confidence: np.ndarray
    runners_up: np.ndarray
    runner_up_confidence: np.ndarray
    metrics: dict[str, Any]
    page: Page | None
    asked: Asked | None

    def metric(self, name: str) -> float:
        """A number of the metrics; NaN where it is not known."""
        value = self.metrics.get(name)
        return math.nan if value is None else float(value)

    def headline(self, n_known: int, k: int) -> str:
        """What was found, in a line; empty where no row is unlabelled."""
        n, n_rows_known = len(self.labels), int((self.labels < n_known).sum())
        found = {"n_novel_estimated": k, "n_unlabelled": n, "n_rows_known": n_rows_known}
        return in_python(headline({**self.metrics, **found})) if n else ""

    def assignments(
        self, rows: np.ndarray, labels: np.ndarray, confidence: np.ndarray, classes: np.ndarray
    ) -> pd.DataFrame:
        """The class of every row and the second likeliest one, each with its confidence.

        Args:
            rows: `i[u]`, the unlabelled rows that the fit had.
            labels: `[n]`, the class of every row.
            confidence: `f64[n]`, how sure that is.
            classes: `[m]`, all classes.
        """
        second, sure = np.full(len(labels), -1), np.full(len(labels), math.nan)
        second[rows], sure[rows] = self.runners_up, self.runner_up_confidence
        columns = {"label": labels, "confidence": confidence}
        columns["runner_up"] = np.array([*classes.tolist(), None], object)[second]
        return pd.DataFrame({**columns, "runner_up_confidence": sure})


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
        found = fit_untuned(config, table)
        unknown, none = np.full(len(found.found), math.nan), np.full(len(found.found), -1)
        metrics = {"setting": "ncd", "stability": found.answer.stability}
        return Fit(found.model, found.found, unknown, none, unknown, metrics, None, None)
    solution = solve(config, table, progress)
    metrics = measure(solution, table)
    return Fit(
        model=solution.model,
        labels=solution.found,
        confidence=solution.confidence,
        runners_up=solution.runner_up,
        runner_up_confidence=solution.runner_up_confidence,
        metrics=metrics,
        page=Page(functools.partial(_page, config, table, solution, metrics, index)),
        asked=solution.asked,
    )


@on_device
def _page(
    config: RunConfig,
    table: Table,
    solution: Solution,
    metrics: dict[str, Any],
    index: "pd.Index[Any]",
) -> str:
    found = {**metrics, "seconds": solution.seconds}
    findings = find(solution, table, None, describe_run(config, table), found)
    return render_report(_called(findings, index), files=False)


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


def _plain(value: Any) -> Any:
    """A number as Python's own, as searches over NumPy ranges do not give it."""
    return value.item() if isinstance(value, np.generic) else value
