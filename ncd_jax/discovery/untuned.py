"""Fitting without tuning: where too few classes are known to hide some, or nobody wants it."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer, choose, nothing_novel
from ncd_jax.discovery.hyperparameters import make_hparams
from ncd_jax.discovery.model import Model, fitted_model
from ncd_jax.discovery.problem import Problem, prepare_untuned, purpose_key
from ncd_jax.discovery.refits import refit_all
from ncd_jax.tuning.train import train
from ncd_jax.types import Goal

__all__ = ["fit_untuned"]

_TRAIN = jax.jit(train, static_argnames=("method", "epochs", "batch_size"))


def fit_untuned(config: RunConfig, table: Table) -> tuple[Model, Answer]:
    """Fits a method with the hyperparameters in `config`, the others in the middle of their range.

    Without an unlabelled row it is a model of the known classes, trained once.

    Raises:
        UserError: a hyperparameter or a variant does not exist or is out of range.
        FloatingPointError: the training diverged.
    """
    problem = prepare_untuned(config, table)
    hparams = problem.config.hparams
    if problem.n_targets:
        refits = refit_all(problem, [hparams] * config.train.refits)
        answer = choose(problem, refits)
        state: Any = refits.state_of(answer.refit)
    else:
        state = _train_on_known(problem, hparams)
        z = jax.eval_shape(problem.method.represent, state, problem.data.x)
        answer = nothing_novel(problem, z.shape[1])
    model = fitted_model(problem, table, hparams, state, answer)
    if not np.isfinite(model.means).all():
        raise FloatingPointError(f"{config.method} diverged; give a smaller hparams lr")
    return model, answer


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
