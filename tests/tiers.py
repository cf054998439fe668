"""What every session tests, and what `make strict` tests besides: the same of further cases."""

import pytest

__all__ = ["few"]


def few(cases, *kept):
    """Cases to parametrise with, of which all but those kept are for `pytest --thorough` alone."""
    thorough = pytest.mark.thorough
    return [case if case in kept else pytest.param(case, marks=thorough) for case in cases]
