"""Whole solutions of small tables, for all who look at what they say; tables of one shape."""

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
JUDGED = RunConfig(method="rca", setting="ncd", search=SearchConfig(folds=2))


@pytest.fixture(scope="session")
def quick():
    """A configuration that takes no time."""
    return QUICK


@pytest.fixture(scope="session")
def judged_config():
    """The judge with the fewest folds."""
    return JUDGED


@pytest.fixture(scope="session")
def overlapping(blobs):
    """Four known classes and two novel ones, 30 rows each, that nobody can tell apart wholly."""
    x, classes = blobs([30] * 6, 6, spread=1.6)
    y = np.where(classes < 4, classes, UNLABELLED).astype(np.int32)
    return Table("overlapping", x, y, tuple("abcdef"), tuple("wxyz"))


@pytest.fixture(scope="session")
def solved(overlapping):
    """`solved(method)` is its solution of the overlapping table, found once a session."""

    @functools.cache
    def find(method, **changes):
        return solve(dataclasses.replace(QUICK, method=method, **changes), overlapping)

    return find


@pytest.fixture(scope="session")
def gaussians():
    """`gaussians(known, novel)` is a table of such classes, and the class of every row.

    Tables of 65 to 128 labelled rows, at most 128 others and 129 in all share programs. `spare` are
    the rows of each known class without label.
    """

    def make(known, novel, spare=0, apart=6.0, seed=0):
        rng = np.random.default_rng(seed)
        sizes = [*(n + spare for n in known), *novel]
        classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        centres = apart * rng.normal(size=(len(sizes), 6)) / np.sqrt(2)
        x = centres[classes] + rng.normal(size=(len(classes), 6))
        y = np.full(len(classes), UNLABELLED, np.int32)
        for c, n in enumerate(known):
            y[np.flatnonzero(classes == c)[:n]] = c
        names = tuple(f"known {c}" for c in range(len(known)))
        return Table("gaussians", x, y, tuple("uvwxyz"), names), classes

    return make


@pytest.fixture(scope="session")
def run_of(gaussians):
    """`run_of(how, setting)` is a table, the class of its rows, and its solution, found once.

    `how` is `index` or `judge`. Two rows without label are equal.
    """

    @functools.cache
    def find(how, setting):
        config = JUDGED if how == "judge" else dataclasses.replace(QUICK, method="rca")
        spare, novel = (0, [40, 30, 45]) if setting == "ncd" else (10, [35, 30])
        table, classes = gaussians([25] * 4, novel, spare)
        twins = np.flatnonzero(classes == 5)[[0, -1]]
        table.x[twins[1]] = table.x[twins[0]]
        return table, classes, solve(dataclasses.replace(config, setting=setting), table)

    return find
