"""What `make faults` does beyond `make test`, and the figures that it leaves."""

import json
from collections import Counter

import pytest
from launching import ROOT

from ncd_jax.store.records import describe_environment

RESULTS = ROOT / "benchmarks/results/faults.json"
_FIGURES: dict[str, Counter] = {}


def pytest_runtest_teardown(item):
    """Writes down what has been counted so far, beside what earlier calls did."""
    if item.config.getoption("--faults") and _FIGURES:
        rows = {name: dict(counts) for name, counts in _FIGURES.items()}
        before = json.loads(RESULTS.read_text())["rows"] if RESULTS.exists() else {}
        report = {"environment": describe_environment(), "rows": {**before, **rows}}
        RESULTS.write_text(json.dumps(report, indent=1) + "\n")


@pytest.fixture(scope="session")
def is_long(request):
    """Whether this is `make faults`."""
    return request.config.getoption("--faults")


@pytest.fixture(scope="session")
def count():
    """`count(what)` is a counter of what happened then."""
    return lambda what: _FIGURES.setdefault(what, Counter())
