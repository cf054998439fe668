"""A benchmark that takes no time."""

import dataclasses

import pytest

from ncd_jax.reproduce.plan import benchmark_config, parse_benchmark


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
