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
        # As `quick`, with which it shares programs.
        raw.search.candidates = raw.search.batch = raw.search.folds = raw.train.refits = 2
        raw.search.restarts = raw.train.epochs = raw.k.restarts = 2
        raw.train.batch_size, raw.k.max = 64, 4
        return dataclasses.replace(parse_benchmark(raw), **changes)

    return make
