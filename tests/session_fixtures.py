"""How JAX is set up, stand-ins for what costs too much, and tables and counters for everybody."""

import functools
import gc
import math
import os
from pathlib import Path

import jax
import numpy as np
import pytest
from filelock import FileLock
from threadpoolctl import threadpool_limits

from ncd_jax.data.cache import user_cache
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery import model
from ncd_jax.kept_programs import keep_traced_programs
from ncd_jax.profiles import contrasts
from ncd_jax.startup import keep_compiled_programs

# Two devices, so that work which is spread over devices is spread in the tests too.
jax.config.update("jax_num_cpu_devices", 2)
# As `conftest.py` says, also to those who have imported JAX before.
is_quick = "JAX_DISABLE_MOST_OPTIMIZATIONS" in os.environ
jax.config.update("jax_disable_most_optimizations", is_quick)
# Shapes that do not fit are a mistake more often than a shorthand.
jax.config.update("jax_numpy_rank_promotion", "raise")
# Where an operation comes from is written into every program, and nobody reads it here.
jax.config.update("jax_traceback_in_locations_limit", 0)
# Compiled programs are kept for the other workers, for later modules and for the next session.
PROGRAMS = os.environ.setdefault("NCD_JAX_TEST_PROGRAMS", str(user_cache() / "compiled_for_tests"))
keep_compiled_programs(PROGRAMS)
# Traced forms are for processes that come later: who keeps them traces and lowers twice.
keep_traced_programs(None)

FORGET = jax.clear_caches
MOST_MAPS = 16_000
"""A process that has so many takes about 2.3 GB; Linux allows four times as many."""


@pytest.fixture(scope="module")
def simple_maps():
    """Maps by two coordinates: t-SNE takes longer than the runs. What users start draws it."""
    from ncd_jax.report import latent_map  # it takes a second

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_map, "_embed", lambda points: points[:, :2])
        yield


@pytest.fixture(scope="session", autouse=True)
def _small_and_quick():
    """Models are applied to so many rows at once, be there as few as there are here.

    Whether one column says everything is asked of five trees: fifty take as long as a run. And a
    benchmark leaves programs to the tests behind it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_CHUNK", 128)
        patch.setattr(contrasts, "_TREES", 5)
        patch.setattr(jax, "clear_caches", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Scikit-learn's threads spin while they wait for JAX's: twenty times as slow on two cores."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module", autouse=True)
def _programs_are_forgotten():
    """Every compiled program holds memory maps; thousands meet the kernel's limit and crash.

    Until they are many, the next module has what this one compiled, single operations above all.
    """
    yield
    if _memory_maps() > MOST_MAPS:
        FORGET()
        gc.collect()


def _memory_maps():
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # not Linux: who knows
        return math.inf


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """`made_once(name, make)` is what `make` puts at a path, made by one worker for all of them."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def made(name, make):
        path = shared / "made_once" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):
            if not path.exists():
                make(partial := path.with_name(f"{name}.partial"))
                partial.rename(path)
        return path

    return made


@pytest.fixture(scope="session")
def rtol():
    """What float32 reductions may differ by; accelerators multiply matrices more coarsely."""
    return 1e-5 if jax.default_backend() == "cpu" else 1e-3


class _CountTraces:
    """A function that knows how often it was traced or called by Python."""

    def __init__(self, function):
        functools.update_wrapper(self, function)
        self._function = function
        self.traces = 0

    def __call__(self, *args, **kwargs):
        self.traces += 1
        return self._function(*args, **kwargs)


@pytest.fixture(scope="session")
def count_traces():
    """`count_traces(f)` is `f` with a counter `traces`; under `jit` it counts compilations."""
    return _CountTraces


@pytest.fixture(scope="session")
def blobs():
    """`blobs(sizes, n_columns)` gives rows `f32[n, d]` around distant centres, and their class."""

    def make(sizes, n_columns, seed=0, spread=0.3):
        rng = np.random.default_rng(seed)
        # Corners of a simplex and its multiples: every two centres are at least 4 apart.
        corner = np.arange(len(sizes))
        centres = np.zeros((len(sizes), n_columns))
        centres[corner, corner % n_columns] = 4.0 * (1 + corner // n_columns)
        classes = rng.permutation(np.repeat(corner, sizes))
        x = centres[classes] + spread * rng.normal(size=(len(classes), n_columns))
        return x.astype(np.float32), classes.astype(np.int32)

    return make


@pytest.fixture(scope="session")
def tiny(blobs):
    """Four known classes and two novel ones, and about as many test rows of each.

    Of the shape of the table `overlapping`, with which it shares programs.
    """
    x, classes = blobs([50] * 4 + [90] * 2, 6)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:180], order[180:]
    y = np.where(classes < 4, classes, -1).astype(np.int32)
    truth = np.where(classes < 4, -1, classes - 4).astype(np.int32)
    table = Table("tiny", x[train], y[train], tuple("abcdef"), tuple("wxyz"), x[test], y[test])
    return table, Truth(("u", "v"), truth[train], truth[test])
