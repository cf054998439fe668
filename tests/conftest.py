import gc
import os
import subprocess
import sys
from pathlib import Path

import tiers
from hypothesis import HealthCheck, settings

# What is imported, collected or traced lives on: of all time 4% went into looking for garbage.
gc.disable()

PLUGINS = [
    "browser_fixtures",
    "fault_fixtures",
    "findings_fixtures",
    "postgres_fixtures",
    "session_fixtures",
    "solved_fixtures",
    "toy_fixtures",
]
QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""Measured: the gradient of a small network compiles in a sixth of the time."""
START_XLA = """
try:
    from jaxlib.xla_client import make_cpu_client as start  # a quarter of what JAX takes
except ImportError:
    from jax import devices as start
start()
"""
TESTS = Path(__file__).parent
PARTS = ["read", "data", "profiles", "judge"]
PARTS += ["networks", "clustering", "methods", "tuning"]
"""Folders whose tests begin no whole run, those that compile nothing first."""
EXAMPLES, THOROUGH_EXAMPLES = 25, 1000
"""Of a property."""


def pytest_addoption(parser):
    parser.addoption(
        "--optimised", action="store_true", help="compile as users do, which takes much longer"
    )
    parser.addoption("--thorough", action="store_true", help="further cases; see `tests/tiers.py`")
    parser.addoption("--faults", action="store_true", help="every fault; see `tests/faults`")


def pytest_configure(config):
    tiers.is_thorough = config.getoption("thorough")
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
    is_worker = hasattr(config, "workerinput")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # of NumPy in workers; see `ncd_jax.cli`
    if not config.getoption("optimised"):
        # Programs are small here and there are many: most of the time goes into compiling them.
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # in processes that tests start, too
        if not is_worker:  # workers inherit what their controller has set
            _set_where_known(QUICK_TO_COMPILE)
    # Who only hands tests out needs no JAX, which takes seconds.
    if is_worker or not config.getoption("numprocesses", None):
        for name in PLUGINS:
            config.pluginmanager.import_plugin(name)


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
    left = {item for item in items if any(tier in item.keywords for tier in absent)}
    if left:
        config.hook.pytest_deselected(items=list(left))
    kept = (item for item in items if item not in left)
    items[:] = sorted(kept, key=lambda item: _place(item.path.relative_to(TESTS).parts[0]))


def _place(part):
    """Whole runs share programs and come first: each of two workers begins with half of the tests.

    Who is done sooner takes from the end of the other's half, where nothing is compiled.
    """
    return 1 + PARTS.index(part) if part in PARTS else 0


def pytest_collection_finish(session):
    gc.freeze()


def pytest_sessionfinish(session):
    """Garbage is looked for once, where pytest would look five times."""
    gc.collect()
    gc.freeze()
