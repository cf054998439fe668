"""Hyperparameters by name and the method they are of: checked, and as a device wants them."""

import functools
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ncd_jax.config import RunConfig
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.types import Interval, Method, PyTree

__all__ = ["free_space", "make_hparams", "make_method", "middle"]


def free_space(config: RunConfig, n_features: int) -> dict[str, Interval]:
    """The ranges of the hyperparameters that are not fixed; those that are, are checked."""
    space = METHODS[config.method].space(n_features)
    for name, value in config.hparams.items():
        if name not in space:
            raise UserError(f"config.hparams.{name} is not a hyperparameter of {config.method}")
        low, high = space.pop(name).valid
        if not low <= value <= high:
            raise UserError(f"config.hparams.{name}={value} must lie in {low:g}..{high:g}")
    return space


def middle(space: Mapping[str, Interval]) -> dict[str, float]:
    """The middle of every range; that of the logarithms where the search is uniform on them."""
    values = {}
    for name, range_ in space.items():
        low, high = range_.low, range_.high
        value = float(np.sqrt(low * high)) if range_.log else (low + high) / 2
        values[name] = round(value) if range_.integer else value
    return values


@functools.lru_cache(maxsize=64)
def make_method(name: str, spec: Spec) -> Method:
    """The method for these shapes; the same object for equal ones, as programs are kept by it."""
    return METHODS[name].make(spec)


def make_hparams(method: str, values: Mapping[str, ArrayLike]) -> PyTree:
    """The hyperparameter tuple of a method from numbers, or arrays of them, by name."""
    kinds = {name: i.integer for name, i in METHODS[method].space(1).items()}
    arrays = {n: jnp.asarray(v, jnp.int32 if kinds[n] else jnp.float32) for n, v in values.items()}
    return METHODS[method].hparams(**arrays)
