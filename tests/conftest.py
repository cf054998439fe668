import functools
import gc
import math
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

from ncd_jax.data.cache import user_cache
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery import model
from ncd_jax.kept_programs import keep_traced_programs
from ncd_jax.startup import keep_compiled_programs

pytest_plugins = [
    "browser_fixtures",
    "fault_fixtures",
    "findings_fixtures",
    "postgres_fixtures",
    "solved_fixtures",
    "toy_fixtures",
]

# Two devices, so that work which is spread over devices is spread in the tests too.
jax.config.update("jax_num_cpu_devices", 2)
# Shapes that do not fit are a mistake more often than a shorthand.
jax.config.update("jax_numpy_rank_promotion", "raise")
# Where an operation comes from is written into every program, and nobody reads it here.
jax.config.update("jax_traceback_in_locations_limit", 0)
# Compiled programs are kept for the other workers, for later modules and for the next session.
PROGRAMS = os.environ.setdefault("NCD_JAX_TEST_PROGRAMS", str(user_cache() / "compiled_for_tests"))
keep_compiled_programs(PROGRAMS)
# Traced forms are for processes that come later: who keeps them traces and lowers twice.
keep_traced_programs(None)

QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""Measured: the gradient of a small network compiles in a sixth of the time."""
START_XLA = """
try:
    from jaxlib.xla_client import make_cpu_client as start  # a quarter of what JAX takes
except ImportError:
    from jax import devices as start
start()
"""
MOST_MAPS = 16_000
"""A process that has so many takes about 2.3 GB; Linux allows four times as many."""


EXAMPLES, THOROUGH_EXAMPLES = 25, 1000
"""Of a property."""


@pytest.fixture(scope="module")
def simple_maps():
    """Maps by two coordinates: t-SNE takes longer than the runs. What users start draws it."""
    from ncd_jax.report import latent_map  # it takes a second

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_map, "_embed", lambda points: points[:, :2])
        yield


def pytest_addoption(parser):
    parser.addoption(
        "--optimised", action="store_true", help="compile as users do, which takes much longer"
    )
    parser.addoption("--thorough", action="store_true", help="further cases; see `tests/tiers.py`")


def pytest_configure(config):
    # Another worker may read a program while it is written, and then compiles it itself.
    ignored = "ignore:Error (reading|writing) persistent compilation cache:UserWarning"
    config.addinivalue_line("filterwarnings", ignored)
    config.addinivalue_line("markers", "optimised: runs with --optimised only")
    config.addinivalue_line("markers", "thorough: runs with --thorough only")
    # The same examples every time, and nothing is kept: a session owes nothing to the last one.
    settings.register_profile(
        "here",
        max_examples=THOROUGH_EXAMPLES if config.getoption("thorough") else EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    settings.load_profile("here")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of NumPy in workers; see `ncd_jax.cli`
    if config.getoption("optimised"):
        return
    # Programs are small here and there are many: most of the time goes into compiling them.
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in processes that tests start
    if not hasattr(config, "workerinput"):  # workers inherit what their controller has set
        _set_where_known(QUICK_TO_COMPILE)


def _set_where_known(xla_flags):
    """XLA ends a process that has a flag it does not know, and flags come and go."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} {xla_flags}"
    probe = [sys.executable, "-c", START_XLA]
    known = subprocess.run(probe, env=os.environ | {"XLA_FLAGS": flags}, capture_output=True)
    if known.returncode == 0:
        os.environ["XLA_FLAGS"] = flags


def pytest_collection_modifyitems(config, items):
    """What costs much and says little more than the rest is left to `make strict`."""
    absent = [tier for tier in ("optimised", "thorough") if not config.getoption(tier)]
    left = [item for item in items if any(tier in item.keywords for tier in absent)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def pytest_collection_finish(session):
    """Tracing makes many objects that live on: garbage is looked for seldom, and not in modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session", autouse=True)
def _small_chunks():
    """Models are applied to so many rows at once, be there as few as there are here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "_CHUNK", 128)
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
        jax.clear_caches()
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
