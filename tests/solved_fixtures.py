"""Whole solutions of a small table whose classes overlap, for all who look at what they say."""

import dataclasses
import functools

import numpy as np
import pytest

from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.solve import solve
from ncd_jax.types import UNLABELLED

QUICK = RunConfig(
    setting="ncd",
    search=SearchConfig(candidates=2, batch=2, folds=2, restarts=2),
    train=TrainConfig(epochs=2, batch_size=64, refits=2),
    k=KConfig(index="silhouette", max=4, restarts=2),
)


@pytest.fixture(scope="session")
def quick():
    """A configuration that takes no time."""
    return QUICK


@pytest.fixture(scope="session")
def overlapping(blobs):
    """Four known classes and two novel ones, 30 rows each, that nobody can tell apart wholly."""
    x, classes = blobs([30] * 6, 4, spread=2.0)
    y = np.where(classes < 4, classes, UNLABELLED).astype(np.int32)
    return Table("overlapping", x, y, tuple("abcd"), tuple("wxyz"))


@pytest.fixture(scope="session")
def solved(overlapping):
    """`solved(method)` is its solution of the overlapping table, found once a session."""

    @functools.cache
    def find(method, **changes):
        return solve(dataclasses.replace(QUICK, method=method, **changes), overlapping)

    return find
