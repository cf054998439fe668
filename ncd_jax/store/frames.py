"""A frame as arrays and facts, and back: numbers, times, truth values, categories and words.

Neither needs pickle: words and categories are codes of levels that JSON holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.read.words import as_text

__all__ = ["frame_of", "frame_parts"]


def frame_parts(frame: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]]:
    """Arrays by name, and a fact for each column; no number and no time comes back as text."""
    arrays, facts = dict[str, np.ndarray](), list[dict[str, Any]]()
    for i, name in enumerate(frame.columns):
        cells, fact = frame.iloc[:, i], dict[str, Any](name=str(name))
        if isinstance(cells.dtype, pd.CategoricalDtype):
            array, levels = cells.cat.codes.to_numpy(), list(cells.cat.categories)
            fact |= {"levels": _plain(levels), "is_category": True, "is_ordered": cells.cat.ordered}
        elif isinstance(cells.dtype, np.dtype) and cells.dtype.kind in "bifuM":
            array = cells.to_numpy()
        elif types.is_numeric_dtype(cells):  # of pandas' own, with gaps
            array = cells.to_numpy(np.float64, na_value=np.nan)
        else:
            array, levels = pd.factorize(cells)
            fact |= {"levels": _plain(levels), "is_category": False}
        arrays[f"column{i}"] = array
        facts.append(fact)
    return arrays, facts


def frame_of(arrays: Mapping[str, np.ndarray], facts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """The frame that `frame_parts` took apart.

    Raises:
        LookupError, ValueError: they do not belong together.
    """
    columns = []
    for i, fact in enumerate(facts):
        array = arrays[f"column{i}"]
        if "levels" not in fact:
            cells = pd.Series(array)
        elif fact["is_category"]:
            levels, ordered = fact["levels"], bool(fact["is_ordered"])
            cells = pd.Series(pd.Categorical.from_codes(array, levels, ordered))
        else:
            levels = [*fact["levels"], None]
            cells = pd.Series([levels[code] for code in array.tolist()])
        columns.append(cells)
    names = [str(fact["name"]) for fact in facts]
    n_rows = len(arrays["column0"]) if facts else 0
    frame = pd.concat(columns, axis=1) if columns else pd.DataFrame(index=range(n_rows))
    return frame.set_axis(names, axis=1)


def _plain(levels: Sequence[Any]) -> list[Any]:
    """Levels as JSON can say them: numbers and truth values as such, all else as text."""
    plain = [each.item() if isinstance(each, np.generic) else each for each in levels]
    return [each if isinstance(each, str | int | float) else as_text(each) for each in plain]
