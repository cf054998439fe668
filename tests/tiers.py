"""What every session tests, and what `make strict` tests besides: the same of further cases."""

import pytest

__all__ = ["few", "few_tuples"]

THOROUGH = pytest.mark.thorough


def few(cases, *kept):
    """Cases to parametrise with, of which all but those kept are for `pytest --thorough` alone."""
    return [case if case in kept else pytest.param(case, marks=THOROUGH) for case in cases]


def few_tuples(cases, *kept):
    """The same where each case is several arguments."""
    return [case if case in kept else pytest.param(*case, marks=THOROUGH) for case in cases]
