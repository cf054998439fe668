"""Frames of pandas, Polars and Arrow brought to one form, in which the same table is the same.

That form has columns of pandas: `float64` or whole numbers, truth values, times without a zone
(UTC), categories, and everything else as it is. Numbers above 2**53, which a float cannot hold,
stay whole.
"""

import importlib
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError

__all__ = ["extra", "from_arrow", "is_frame", "to_frame", "to_labels"]


def extra(package: str) -> Any:
    """Imports a package that only some formats need.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        name = "'ncd_jax[excel]'" if package == "openpyxl" else package.partition(".")[0]
        raise UserError(
            f"this format needs {package}; pip install {name} or save the table as CSV"
        ) from None


def is_frame(table: Any) -> bool:
    """Whether it is a frame of pandas, Polars, Arrow or whoever else gives streams of Arrow's."""
    return isinstance(table, pd.DataFrame) or (
        hasattr(table, "__arrow_c_stream__") and not isinstance(table, pd.Series)
    )


def to_frame(table: Any) -> pd.DataFrame:
    """A frame of anybody's in the one form; columns that are in it already are not copied.

    Raises:
        UserError: it is not of pandas, and pyarrow is not installed.
    """
    if not isinstance(table, pd.DataFrame):
        table = from_arrow(extra("pyarrow").table(table))
    columns = [table.iloc[:, i] for i in range(table.shape[1])]
    settled = [_settled(cells) for cells in columns]
    if all(new is old for new, old in zip(settled, columns, strict=True)):
        return table
    return pd.concat(settled, axis=1).set_axis(table.columns, axis=1)


def from_arrow(table: Any) -> pd.DataFrame:
    """A table of Arrow's as a DataFrame that keeps whole numbers with gaps whole."""
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=_nullable, date_as_object=False, split_blocks=True, ignore_metadata=True
    )
    return frame


def to_labels(y: Any) -> Any:
    """Labels of Polars and Arrow as an array of Python's values, others as they are."""
    if isinstance(y, pd.DataFrame | pd.Series | np.ndarray | list | tuple):
        return y
    if hasattr(y, "to_pylist"):  # Arrow
        return np.array(y.to_pylist(), object)
    if hasattr(y, "to_list") and hasattr(y, "to_arrow"):  # Polars
        return np.array(y.to_list(), object)
    return y


def _nullable(kind: Any) -> Any:
    """The pandas type of whole numbers and truth values, which Arrow would make floats."""
    arrow = extra("pyarrow")
    if arrow.types.is_integer(kind):
        return _WHOLE[str(kind)]
    return pd.BooleanDtype() if arrow.types.is_boolean(kind) else None


_WHOLE = {
    str(dtype).lower(): dtype
    for dtype in (
        *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype()),
        *(pd.UInt8Dtype(), pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype()),
    )
}


def _settled(cells: pd.Series) -> pd.Series:
    dtype = cells.dtype
    if isinstance(dtype, pd.ArrowDtype):
        arrow = extra("pyarrow")
        chunked = arrow.chunked_array(cells.array.__arrow_array__())
        frame = from_arrow(arrow.table({"cells": chunked}))
        settled = _settled(frame["cells"].set_axis(cells.index))
        return settled.rename(cells.name)
    if isinstance(dtype, pd.SparseDtype):
        return _settled(cells.sparse.to_dense())
    if isinstance(dtype, pd.PeriodDtype):
        return cells.dt.to_timestamp()
    if isinstance(dtype, pd.DatetimeTZDtype):
        return cells.dt.tz_convert("UTC").dt.tz_localize(None)
    if types.is_timedelta64_dtype(dtype):
        return cells.dt.total_seconds()
    if types.is_extension_array_dtype(dtype) and types.is_numeric_dtype(dtype):
        return _whole_or_float(cells)
    return cells


def _whole_or_float(cells: pd.Series) -> pd.Series:
    """Nullable numbers as NumPy's, unless they are whole and above what a float can hold."""
    if types.is_bool_dtype(cells.dtype):
        return cells
    if types.is_integer_dtype(cells.dtype):
        if not cells.isna().any():
            return cells.astype(str(cells.dtype).lower())
        if (cells.abs() > 2**53).any():
            return cells
    values = cells.to_numpy(np.float64, na_value=np.nan)
    return pd.Series(values, cells.index, name=cells.name)
