"""Cells of CSV files that a spreadsheet shows, and does not run."""

import re
from typing import Any

__all__ = ["as_it_was", "harmless"]

_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula, or skips on the way to one."""
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|[.,]\d+)(e[+-]?\d+)?\s?%?", re.ASCII | re.IGNORECASE)


def harmless(cell: Any) -> Any:
    """The cell with an apostrophe before text that would be run; numbers are left alone.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(cell, str) and cell.startswith(_STARTS) and not _NUMBER.fullmatch(cell):
        return "'" + cell
    return cell


def as_it_was(cell: str) -> str:
    """The cell without the apostrophe that `harmless` put before it."""
    return cell[1:] if cell.startswith("'") and harmless(cell[1:]) == cell else cell
