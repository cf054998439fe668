"""Frames of pandas, Polars and Arrow in one form, and columns of text as bytes that Arrow holds.

In that form the same table is the same. It has columns of pandas: `float64` or whole numbers, truth
values, times without a zone (UTC), categories, and everything else as it is. Numbers above 2**53,
which a float cannot hold, stay whole.
"""

import importlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.compute
from pandas.api import types

from ncd_jax.errors import UserError

__all__ = [
    "Bytes",
    "are_numeric",
    "arrow_of",
    "bytes_of",
    "compute",
    "extra",
    "from_arrow",
    "holds_text",
    "is_frame",
    "to_frame",
    "to_labels",
]

compute: Any = pyarrow.compute
"""Its functions are made as it is imported, which no type checker sees."""
_NUMERIC = b"0123456789.+-eE"
"""All that numbers as programs write them are made of."""
_WHOLE = {
    f"{sign}int{bits}": getattr(pd, f"{'U' if sign else ''}Int{bits}Dtype")()
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""From whole numbers of Arrow's to those of pandas that may have gaps."""


def extra(package: str) -> Any:
    """Imports a package that only some formats need.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise UserError(
            f"this format needs {package}; pip install 'ncd_jax[excel]' or save the table as CSV"
        ) from None


def is_frame(table: Any) -> bool:
    """Whether it is a frame of pandas, Polars, Arrow or whoever else gives streams of Arrow's."""
    return isinstance(table, pd.DataFrame) or (
        hasattr(table, "__arrow_c_stream__") and not isinstance(table, pd.Series)
    )


def holds_text(cells: pd.Series) -> bool:
    """Whether cells are text, or objects that may be."""
    return cells.dtype == object or isinstance(cells.dtype, pd.StringDtype)


def to_frame(table: Any) -> pd.DataFrame:
    """A frame of anybody's in the one form; columns that are in it already are not copied."""
    if not isinstance(table, pd.DataFrame):
        table = from_arrow(pyarrow.table(table))
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
    return pd.BooleanDtype() if pyarrow.types.is_boolean(kind) else _WHOLE.get(str(kind))


def _settled(cells: pd.Series) -> pd.Series:
    dtype = cells.dtype
    if isinstance(dtype, pd.ArrowDtype):
        chunked = pyarrow.chunked_array(cells.array.__arrow_array__())
        frame = from_arrow(pyarrow.table({"cells": chunked}))
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


class Bytes(NamedTuple):
    """The cells of a column of text in UTF-8.

    Attributes:
        lengths: `i64[n]`, bytes of each.
        signs: `u8[m]`, the bytes, one cell behind the other.
    """

    lengths: np.ndarray
    signs: np.ndarray

    @property
    def are_numeric(self) -> bool:
        """Whether there is no sign that numbers are not made of; empty cells have none."""
        return are_numeric(self.signs.tobytes())


def are_numeric(signs: bytes) -> bool:
    """Whether all signs are such as numbers are made of."""
    return not signs.translate(None, _NUMERIC)


def arrow_of(cells: pd.Series) -> Any:
    """A column of text that Arrow holds as one array of large strings; else nothing."""
    dtype = cells.dtype
    if not isinstance(dtype, pd.StringDtype) or dtype.storage != "pyarrow":
        return None
    text = pyarrow.chunked_array(cells.array.__arrow_array__()).combine_chunks()
    return text.cast(pyarrow.large_string())


def bytes_of(text: Any) -> Bytes:
    """What an array of large strings holds."""
    _, places, data = text.buffers()
    ends = np.frombuffer(places, np.int64)[text.offset : text.offset + len(text) + 1]
    signs = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return Bytes(np.diff(ends), signs[ends[0] : ends[-1]])
