"""What JAX can check about a program while it is traced and run, in `make strict`."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _checked_by_jax(request):
    """Tracers that outlive their trace, and results that are no numbers."""
    if not request.config.getoption("thorough"):
        yield
        return
    with jax.checking_leaks(), jax.debug_nans(True):
        yield
