"""Labels as scikit-learn's users hold them: any type, with marks for rows without one."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import is_extension_array_dtype, is_integer_dtype
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ncd_jax.data.own_table import encoded_table
from ncd_jax.data.table import Table, is_novel_name
from ncd_jax.read.describe import describe
from ncd_jax.read.dtypes import to_labels
from ncd_jax.read.false_rows import without_false_rows
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.several import split_cells
from ncd_jax.read.words import as_text
from ncd_jax.types import UNLABELLED

__all__ = ["Targets", "make_table", "read_targets", "with_novel"]


class Targets(NamedTuple):
    """The labels of `n` rows.

    Attributes:
        classes: `[C]`, the known classes, sorted, of the type in which they were given.
        codes: `i32[n]`, index into them, or `UNLABELLED`.
    """

    classes: np.ndarray
    codes: np.ndarray


def read_targets(y: Any) -> Targets:
    """Reads labels: text, whole numbers or truth values.

    A row is unlabelled where the label is NaN, None, `pd.NA`, -1 or no letter. NumPy turns these
    into text where they stand among text, so the text `-1` counts as well, and `nan` in arrays of
    text.

    Args:
        y: `[n]`, an array, list, or pandas series; a single column is taken with a warning.

    Raises:
        ValueError: there is no label, or labels are of several kinds, fractions or infinite.
    """
    y = to_labels(y)
    if any(
        isinstance(d, pd.CategoricalDtype) or (is_integer_dtype(d) and is_extension_array_dtype(d))
        for d in _dtypes(y)
    ):
        y = y.astype(object)  # else NumPy makes floats of whole numbers with gaps
    values = np.array(y, object) if isinstance(y, list | tuple) else np.asarray(y)
    values = column_or_1d(values, warn=True)
    labelled = ~np.asarray(pd.isna(values), bool)
    if values.dtype.kind == "U":
        labelled &= values != "nan"
    labelled[labelled] = [
        value != -1 and not (isinstance(value, str) and value.strip() in ("", "-1"))
        for value in values[labelled].tolist()
    ]
    known = _of_one_kind(values[labelled])
    if not len(known):
        raise ValueError("y has no labelled row; label rows of the known classes")
    classes, codes = np.unique(known, return_inverse=True)
    if classes.dtype.kind in "OU":
        for name in classes.tolist():
            if isinstance(name, str) and is_novel_name(name):
                raise ValueError(f"class {name!r} has a name that novel classes get; rename it")
    all_codes = np.full(len(values), UNLABELLED, np.int32)
    all_codes[labelled] = codes
    return Targets(classes, all_codes)


def with_novel(classes: np.ndarray, k: int) -> np.ndarray:
    """The known classes and, behind them, `k` novel ones.

    Numbers go on behind the largest known class, and from 0 on at the least; text and truth
    values get `novel_0`, `novel_1`, ...
    """
    if not k:
        return classes
    if classes.dtype.kind in "iuf":
        first = max(int(classes.max()), -1) + 1
        novel = np.arange(first, first + k)
        fits = np.can_cast(np.min_scalar_type(first + k), classes.dtype)
        return np.concatenate([classes, novel.astype(classes.dtype) if fits else novel])
    names = [f"novel_{i}" for i in range(k)]
    if classes.dtype.kind == "U":
        return np.concatenate([classes, np.array(names)])
    return np.array([*classes.tolist(), *names], object)


def make_table(frame: pd.DataFrame, targets: Targets, options: ReadOptions) -> Table:
    """The rows, encoded by the rules for tables of one's own.

    Args:
        frame: the rows.
        targets: their labels.
        options: what is wanted of their columns. Where all are chosen, as those of arrays are, they
            stay though they look like identifiers, and so do rows that look like none.
    """
    raw, y, columns = RawTable(frame), targets.codes, options.features(list(frame.columns))
    if options.columns is None:
        raw = without_false_rows(raw, columns)
        y = y if raw.rows is None else y[raw.rows]
    raw, columns = split_cells(raw, columns, options.wished)
    found = describe(raw, columns, options)
    classes = tuple(as_text(name) for name in targets.classes.tolist())
    return encoded_table("table", raw, found, classes, y, found.readings, options=options)


def _dtypes(y: Any) -> list[Any]:
    return list(y.dtypes) if isinstance(y, pd.DataFrame) else [getattr(y, "dtype", None)]


def _of_one_kind(known: np.ndarray) -> np.ndarray:
    if known.dtype.kind == "O":
        kinds = {type(value) for value in known.tolist()}
        if all(issubclass(kind, str) for kind in kinds):
            return known
        numbers = all(issubclass(kind, int | float | np.number) for kind in kinds)
        if (bool in kinds and len(kinds) > 1) or not (numbers or kinds <= {np.bool_}):
            names = ", ".join(sorted(kind.__name__ for kind in kinds))
            raise ValueError(
                f"Unknown label type: {names}; give labels that are all text, all whole numbers,"
                " or all truth values"
            )
        known = np.array(known.tolist())
    if known.dtype.kind not in "biufU":
        raise ValueError(f"Unknown label type: {known.dtype}; give text or whole numbers")
    if known.dtype.kind == "f" and np.isinf(known).any():
        raise ValueError("Input y contains infinity or a value too large for its type.")
    check_classification_targets(known)
    return known
