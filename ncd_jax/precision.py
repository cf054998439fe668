"""Numbers of 32 bits, whatever JAX's default is where the program is called from."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import jax

__all__ = ["in_single_precision"]

P = ParamSpec("P")
R = TypeVar("R")


def in_single_precision(function: Callable[P, R]) -> Callable[P, R]:
    """The function, computed in 32 bits also where `jax_enable_x64` is set.

    Loops carry types that are fixed, and what was measured was measured so. JAX's setting is as
    before when the function returns.
    """

    @functools.wraps(function)
    def single(*args: P.args, **kwargs: P.kwargs) -> R:
        with jax.enable_x64(False):
            return function(*args, **kwargs)

    return single
