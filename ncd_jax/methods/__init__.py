"""The methods, one file each, and the registry that names them.

A new method is a file with a factory `(spec) -> Method`, an `HParams` tuple and a
`space(n_features)`, and one line below.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ncd_jax.methods import pbn
from ncd_jax.methods.spec import Spec
from ncd_jax.types import Interval, Method

__all__ = ["METHODS", "Entry", "Spec"]


class Entry(NamedTuple):
    """How the rest of the package meets a method.

    Attributes:
        make: builds the pure functions from static facts.
        hparams: the tuple of its traced hyperparameters.
        state: the tuple of its state.
        space: `(n_features) -> {name: Interval}`, the ranges that are tuned.
    """

    make: Callable[[Spec], Method]
    hparams: Callable[..., Any]
    state: Callable[..., Any]
    space: Callable[[int], dict[str, Interval]]


METHODS: dict[str, Entry] = {
    "pbn": Entry(pbn.pbn, pbn.HParams, pbn.State, pbn.space),
}
