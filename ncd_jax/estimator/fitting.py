"""A table and a configuration in, a model out: the procedure as the estimator needs it.

Either the whole run, in a folder that is gone when it is over; or, where too few classes are
known to hide some, where no row is unlabelled or where nobody wants it, no tuning.
"""

import csv
import math
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.calibration import Calibration
from ncd_jax.discovery.model import Model, fitted
from ncd_jax.discovery.problem import Problem, make_hparams, prepare_untuned, purpose_key
from ncd_jax.discovery.procedure import Answer, choose, hparams_of_refits, refit_all
from ncd_jax.experiment import run
from ncd_jax.report.console import Reporter
from ncd_jax.store.model_files import load_model
from ncd_jax.store.workdir import Workdir
from ncd_jax.tuning.train import train
from ncd_jax.types import Goal

__all__ = ["Found", "fit_tuned", "fit_untuned"]


class Found(NamedTuple):
    """What fitting ends with, however it was done.

    Attributes:
        model: the model.
        novel: `i[u]`, the novel class of every unlabelled row.
        hidden_class_score: mean over folds; NaN without tuning.
        stability: mean adjusted Rand index between refits; NaN where there is one.
        report: the page, compressed; none without tuning.
    """

    model: Model
    novel: np.ndarray
    hidden_class_score: float
    stability: float
    report: bytes | None


_TRAIN = jax.jit(train, static_argnames=("method", "epochs", "batch_size"))
_AS_IT_IS = Calibration(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
"""Without hidden classes nothing says what a margin is worth."""


def fit_tuned(config: RunConfig, table: Table, reporter: Reporter) -> Found:
    """Does all that a run does, and keeps the model and the report.

    Raises:
        UserError: the table or the configuration cannot be used.
        FloatingPointError: every refit diverged.
    """
    with tempfile.TemporaryDirectory(prefix="ncd_jax_") as folder:
        workdir = Workdir(Path(folder))
        metrics = run(config, table, None, workdir.root, reporter)
        with workdir.path("assignments.csv").open(encoding="utf-8", newline="") as file:
            names = [line["label"] for line in csv.DictReader(file)]
        return Found(
            load_model(workdir),
            np.array([int(name.removeprefix("novel_")) for name in names]),
            metrics["hidden_class_score"],
            _or_nan(metrics["stability"]),
            zlib.compress(workdir.path("report.html").read_bytes()),
        )


def fit_untuned(config: RunConfig, table: Table) -> Found:
    """Fits a method with the hyperparameters in `config`, the others in the middle of their range.

    Without an unlabelled row it is a model of the known classes, trained once.

    Raises:
        UserError: a hyperparameter or a variant does not exist or is out of range.
        FloatingPointError: the training diverged.
    """
    problem = prepare_untuned(config, table)
    hparams = problem.config.hparams
    if len(problem.novel_rows):
        refits = refit_all(problem, hparams_of_refits([hparams], config.train.refits))
        answer = choose(problem, refits)
        state: Any = jax.tree.map(lambda leaf: leaf[answer.refit], refits.state)
    else:
        state = _train_on_known(problem, hparams)
        answer = _nothing_novel(problem, state)
    model = fitted(problem, table, hparams, state, answer, _AS_IT_IS)
    if not bool(jnp.isfinite(model.centroids).all()):
        raise FloatingPointError(f"{config.method} diverged; give a smaller hparams lr")
    return Found(model, answer.labels, math.nan, _or_nan(answer.stability), None)


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value


def _train_on_known(problem: Problem, hparams: Mapping[str, float]) -> Any:
    config, x = problem.config, problem.data.x
    goal = Goal(jnp.arange(len(x)), jnp.ones(len(x), bool), jnp.int32(problem.spec.n_known))
    state, _ = _TRAIN(
        purpose_key(config, "refit"),
        problem.method,
        problem.data,
        goal,
        make_hparams(config.method, hparams),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
    )
    return state


def _nothing_novel(problem: Problem, state: Any) -> Answer:
    none = np.zeros(0, np.int32)
    z = jax.eval_shape(problem.method.represent, state, problem.data.x)
    return Answer(
        refit=0,
        k=0,
        labels=none,
        centroids=jnp.zeros((0, z.shape[1])),
        slots=none,
        margin=np.zeros(0),
        stability=None,
    )
