"""What every session tests, and what `make strict` tests besides: the same of further cases."""

__all__ = ["few"]

is_thorough = False
"""Set by `conftest.py` before tests are collected: what is not run is not even made."""


def few(cases, *kept):
    """Cases to parametrise with, of which all but those kept are for `pytest --thorough` alone."""
    return [case for case in cases if is_thorough or case in kept]
