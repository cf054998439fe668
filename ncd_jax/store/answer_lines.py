"""The lines of `assignments.csv`, put together by columns: a million of them in a second."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.read.dtypes import extra
from ncd_jax.read.words import as_text
from ncd_jax.store.workdir import as_cell

__all__ = ["ANSWER_COLUMNS", "Assignments", "as_written", "header_of", "lines_of"]

ANSWER_COLUMNS = ("label", "confidence", "runner_up", "runner_up_confidence")
"""What `assignments.csv` says of a row, behind its number and what is copied."""
_STEPS = 10_000
"""Steps of a chance that is written."""
_NEAR = 1e-6
"""So near to the middle between two steps the digits of a product may be on the wrong side."""


class Assignments(NamedTuple):
    """The class of each of `u` unlabelled rows.

    Attributes:
        rows: `i[u]`, row numbers in the table.
        labels: names of their classes.
        confidence: `f[u]`, between 0 and 1.
        runners_up: names of the second likeliest classes; empty text where there is none.
        runner_up_confidence: `f[u]`, how likely these are.
        copied: columns of these rows that are copied from the table; none where there are none.
    """

    rows: np.ndarray
    labels: Sequence[str] | np.ndarray
    confidence: np.ndarray
    runners_up: Sequence[str] | np.ndarray
    runner_up_confidence: np.ndarray
    copied: pd.DataFrame | None = None


def header_of(copied: pd.DataFrame | None) -> bytes:
    """The first line."""
    taken = {"row", *ANSWER_COLUMNS}
    names = [] if copied is None else [n + " (copied)" * (n in taken) for n in copied]
    return _encoded(",".join(map(as_cell, ("row", *names, *ANSWER_COLUMNS))) + "\n")


def lines_of(assignments: Assignments) -> bytes:
    """A line for each row, in their order: its number, what is copied, its class, the runner-up."""
    arrow, compute = extra("pyarrow"), extra("pyarrow.compute")
    rows, labels, sure, seconds, second_sure, copied = assignments
    order = np.argsort(rows)
    columns = [arrow.array(np.asarray(rows)).cast(arrow.large_string())]
    columns += [] if copied is None else [_texts(as_written(copied[name])) for name in copied]
    columns += [_texts(labels), _chances(sure), _texts(seconds)]
    there = np.asarray(seconds, object) != ""
    columns.append(_chances(second_sure, there, end="\n"))
    comma = arrow.scalar(",", arrow.large_string())
    joined = compute.binary_join_element_wise(*(column.take(order) for column in columns), comma)
    return joined.buffers()[2].to_pybytes() if len(joined) else b""


def _texts(cells: Sequence[str] | np.ndarray) -> Any:
    """Cells as a file has them, an array of Arrow's."""
    codes, levels = pd.factorize(np.asarray(cells, object))
    arrow, texts = extra("pyarrow"), [_encoded(as_cell(level)).decode() for level in levels]
    return arrow.array(texts, arrow.large_string()).take(codes)


def _chances(values: np.ndarray, there: np.ndarray | None = None, end: str = "") -> Any:
    """Chances with four digits, an array of Arrow's; nothing where they are not there."""
    values = np.asarray(values, np.float64)
    scaled = values * _STEPS
    steps = np.rint(scaled).astype(np.int64)
    # In the middle between two steps digits of the product may be on the wrong side.
    for i in np.flatnonzero(np.abs(scaled - np.floor(scaled) - 0.5) < _NEAR).tolist():
        steps[i] = round(float(f"{values[i]:.4f}") * _STEPS)
    steps = steps if there is None else np.where(there, steps, _STEPS + 1)
    return _every_chance(end).take(steps)


@cache
def _every_chance(end: str) -> Any:
    """Every chance that is written, and nothing as the last one."""
    texts = [f"{step / _STEPS:.4f}{end}" for step in range(_STEPS + 1)] + [end]
    arrow = extra("pyarrow")
    return arrow.array(texts, arrow.large_string())


def as_written(cells: pd.Series) -> list[str]:
    """Cells as text, gaps as nothing."""
    return ["" if e else as_text(v) for v, e in zip(cells, cells.isna(), strict=True)]


def _encoded(text: str) -> bytes:
    """In UTF-8; halves of signs, which UTF-8 lacks, become question marks."""
    return text.encode("utf-8", errors="replace")
