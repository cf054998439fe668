"""A table with a test split that takes no time, and a benchmark on it."""

import dataclasses

import numpy as np
import pytest

from ncd_jax.benchmark.plan import benchmark_config, parse_benchmark
from ncd_jax.data.table import Table, Truth


@pytest.fixture(scope="session")
def tiny(blobs):
    """Four known classes and two novel ones, and half as many test rows of each."""
    x, classes = blobs([30] * 6, 4)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:120], order[120:]
    y = np.where(classes < 4, classes, -1).astype(np.int32)
    truth = np.where(classes < 4, -1, classes - 4).astype(np.int32)
    table = Table("tiny", x[train], y[train], tuple("abcd"), tuple("wxyz"), x[test], y[test])
    return table, Truth(("u", "v"), truth[train], truth[test])


@pytest.fixture(scope="session")
def make_plan():
    """A benchmark of two seeds from names of methods."""

    def make(methods, **changes):
        raw = benchmark_config()
        raw.datasets, raw.methods, raw.seeds = "digits", methods, 2
        raw.search.candidates = raw.search.folds = raw.train.refits = 2
        raw.train.epochs, raw.train.batch_size, raw.k.max, raw.k.restarts = 3, 64, 4, 2
        return dataclasses.replace(parse_benchmark(raw), **changes)

    return make
