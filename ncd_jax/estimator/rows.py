"""Rows and labels as users of the estimator hold them, and what is wanted of their columns."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.estimator.fitting import as_value_errors
from ncd_jax.read.dtypes import is_frame, to_frame
from ncd_jax.read.options import ReadOptions

__all__ = ["check_order", "reading_of", "rows_of"]


def rows_of(X: Any) -> Any:
    """Frames of pandas, Polars or Arrow as pandas has them, in one form; all else as it is."""
    if not is_frame(X):
        if type(X).__name__ == "LazyFrame":
            raise TypeError("X is a LazyFrame, whose rows are not there yet; give X.collect()")
        return X
    with as_value_errors():
        return to_frame(X)


def check_order(X: Any, y: Any, stacklevel: int) -> None:
    """Warns where labels seem to be meant for other rows than those they stand beside."""
    if not (isinstance(X, pd.DataFrame) and isinstance(y, pd.Series | pd.DataFrame)):
        return
    a, b = X.index, y.index
    if len(a) == len(b) and not a.equals(b) and a.is_unique and a.difference(b).empty:
        warnings.warn(
            "y has the index of X in another order, and labels are taken by their place; give"
            " y.loc[X.index] if they belong together by the index, y.to_numpy() if by place",
            stacklevel=stacklevel,
        )


def reading_of(params: Mapping[str, Any], frame: pd.DataFrame, *, chosen: bool) -> ReadOptions:
    """What the estimator's parameters say of its columns.

    Args:
        params: of the estimator, by name.
        frame: its rows.
        chosen: whether all columns stay, whatever they look like, as those of arrays do.

    Raises:
        UserError: it is not said after what a column begins again.
    """
    use, circular, names = params["use"], params["circular"], list(frame.columns)
    if isinstance(circular, Mapping):
        circular = [f"{name}:{period}" for name, period in circular.items()]
    group = "" if params["group"] is None else str(params["group"])
    return ReadOptions(
        columns=[name for name in names if name != group] if chosen else None,
        use=_named(use),
        group=group,
        circular=_named(circular),
    )


def _named(given: Any) -> list[str]:
    """One name, several, or none."""
    if given is None:
        return []
    return [str(given)] if np.isscalar(given) else list(map(str, given))
