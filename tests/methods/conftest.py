"""What JAX can check about a program while it is traced and run, in `make strict`."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _checked_by_jax(request):
    """Tracers that outlive their trace, results that are no numbers, and keys that serve twice.

    Where one key is meant to serve twice, the code says so by `jax.random.clone`.
    """
    if not request.config.getoption("thorough"):
        yield
        return
    with jax.checking_leaks(), jax.debug_nans(True), jax.debug_key_reuse(True):
        yield
