"""Parameters of the estimator as a run's configuration, and its mistakes in their words."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ncd_jax.config import RunConfig, default_config, parse
from ncd_jax.errors import UserError

__all__ = ["as_value_errors", "to_config"]

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
        raise ValueError(message) from error


def _plain(value: Any) -> Any:
    """A number as Python's own, as searches over NumPy ranges do not give it."""
    return value.item() if isinstance(value, np.generic) else value
