"""Random keys: one seed, and a key for each purpose, so that no two draw the same numbers."""

import functools
from typing import Literal, get_args

import jax
import numpy as np

from ncd_jax.config import RunConfig
from ncd_jax.kept_programs import kept_jit
from ncd_jax.types import Array

__all__ = ["Purpose", "purpose_key", "purpose_keys"]

Purpose = Literal["search", "refit", "discover", "columns", "indices", "gate", "cut"]


def purpose_key(config: RunConfig, purpose: Purpose) -> Array:
    """The random key of one purpose, all from the one seed."""
    return _key_of(config.seed, purpose)


def purpose_keys(config: RunConfig, purpose: Purpose, n: int) -> Array:
    """So many random keys `[n]` of one purpose."""
    return _keys_of(config.seed, purpose, n)


# Kept: each fold asks for the same ones, and would wait until the device has done what was asked
# of it before.
@functools.lru_cache(64)
def _key_of(seed: int, purpose: Purpose) -> Array:
    return _of_no_device(_KEY(np.uint32(seed), _number(purpose)))


@functools.lru_cache(64)
def _keys_of(seed: int, purpose: Purpose, n: int) -> Array:
    return _of_no_device(_KEYS(np.uint32(seed), _number(purpose), n=n))


def _of_no_device(keys: Array) -> Array:
    """What a kept program returns is bound to one device, and a search needs its keys on all."""
    data = jax.device_put(np.asarray(jax.random.key_data(keys)))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(keys))


def _number(purpose: Purpose) -> np.int32:
    return np.int32(get_args(Purpose).index(purpose))


def _key(seed: Array, number: Array) -> Array:
    return jax.random.fold_in(jax.random.key(seed), number)


def _keys(seed: Array, number: Array, *, n: int) -> Array:
    return jax.random.split(_key(seed, number), n)


_KEY, _KEYS = kept_jit(_key), kept_jit(_keys, static_argnames=["n"])
"""A program each: operation by operation they are five, which take longer to lower than to run."""
