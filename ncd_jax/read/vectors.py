"""Texts such as `[0.1, -2.3, 4]`, as programs write an embedding: columns, one for each number."""

import dataclasses
import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from ncd_jax.read.names import show
from ncd_jax.read.raw import RawTable, is_empty

__all__ = ["source_of", "split_vectors"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VECTOR = re.compile(rf"\s*[\[(]\s*{_NUMBER}(?:\s*[,;\s]\s*{_NUMBER})+\s*,?\s*[\])]\s*", re.A)
_SAMPLE = 50
_PLACE = re.compile(r"(.+)\[\d+\]")


def source_of(name: str, names: Collection[str]) -> str:
    """The column of a table that holds a column of the model: itself, or a text of several."""
    found = _PLACE.fullmatch(name)
    return found[1] if found and name not in names and found[1] in names else name


def split_vectors(
    raw: RawTable, features: Sequence[str], kept: Collection[str] = ()
) -> tuple[RawTable, list[str]]:
    """The table with columns in place of texts that hold as many numbers each, and its features.

    Args:
        raw: the table.
        features: names of columns without the label.
        kept: those that stay as they are, as somebody wants something else of them.
    """
    columns, names = dict(raw.frame.items()), []
    notes = []
    for name in features:
        parts = None if name in kept else _parts(raw.frame[name])
        if parts is None:
            names.append(name)
            continue
        new = [f"{name}[{i}]" for i in range(parts.shape[1])]
        columns |= {each: pd.Series(parts[:, i]) for i, each in enumerate(new)}
        names += new
        notes.append(
            f"column {show(name)} holds lists of {len(new)} numbers, read as columns"
            f" {show(new[0])} to {show(new[-1])}"
        )
    if not notes:
        return raw, list(features)
    frame = pd.DataFrame(columns, copy=False)
    return dataclasses.replace(raw, frame=frame, notes=(*raw.notes, *notes)), names


def _parts(cells: pd.Series) -> np.ndarray | None:
    """The numbers in a column of texts, `f64[n, d]`, not a number where it is empty, if all fit."""
    if not (cells.dtype == object or isinstance(cells.dtype, pd.StringDtype)):
        return None
    for some in (cells.iloc[:_SAMPLE], cells):
        filled = np.flatnonzero(~is_empty(some))
        texts = some.iloc[filled].tolist()
        if not all(isinstance(t, str) and _VECTOR.fullmatch(t) for t in texts):
            return None
    if not texts:
        return None
    found = [re.findall(_NUMBER, text) for text in texts]
    if len({len(numbers) for numbers in found}) > 1:
        return None
    parts = np.full((len(cells), len(found[0])), np.nan)
    parts[filled] = np.array(found, np.float64)
    return parts
