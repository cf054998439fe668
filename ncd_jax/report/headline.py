"""What a run found, in one line: the same words on the console, in the report and in Python."""

from collections.abc import Mapping
from typing import Any

__all__ = ["headline", "plural"]


def headline(metrics: Mapping[str, Any]) -> str:
    """How many novel classes there are, and among what.

    Args:
        metrics: the content of `metrics.json`.
    """
    k, n_rows, n_known = (
        metrics[name] for name in ("n_novel_estimated", "n_unlabelled", "n_rows_known")
    )
    rows = f"{n_rows:,} unlabelled {plural('row', n_rows)}"
    if not n_known:
        return f"{k} novel {plural('class', k)} among {rows}"
    if not k:
        return f"no novel class: all {rows} look like known classes"
    n_new = n_rows - n_known
    are = "is" if n_new == 1 else "are"
    return (
        f"{n_known:,} of {rows} look like known classes;"
        f" {n_new:,} {are} {k} novel {plural('class', k)}"
    )


def plural(word: str, n: int) -> str:
    """The word as it goes with the number."""
    if n == 1:
        return word
    return word + ("es" if word.endswith("s") else "s")
