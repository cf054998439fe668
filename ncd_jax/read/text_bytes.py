"""Columns of text as the bytes that Arrow holds, for what can be told of a whole column at once."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.read.dtypes import extra

__all__ = ["Bytes", "Unsure", "are_numeric", "arrow_of", "bytes_of"]

_NUMERIC = b"0123456789.+-eE"
"""All that numbers as programs write them are made of."""


class Unsure(Exception):  # noqa: N818 - nothing is wrong, there is another way
    """Bytes say too little of a column."""


class Bytes(NamedTuple):
    """The cells of a column in UTF-8.

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


def arrow_of(cells: pd.Series, *, gaps: bool = False) -> Any:
    """The column as one array of Arrow's, of large strings.

    Args:
        cells: the column.
        gaps: whether cells may be missing, as they are not where a table was text.

    Raises:
        Unsure: it is no text, Arrow does not hold it, or cells are missing.
    """
    dtype = cells.dtype
    if not isinstance(dtype, pd.StringDtype) or dtype.storage != "pyarrow":
        raise Unsure
    pyarrow = extra("pyarrow")
    text = pyarrow.chunked_array(cells.array.__arrow_array__()).combine_chunks()
    if text.null_count and not gaps:
        raise Unsure
    return text.cast(pyarrow.large_string())


def bytes_of(text: Any) -> Bytes:
    """What an array of large strings holds."""
    _, places, data = text.buffers()
    ends = np.frombuffer(places, np.int64)[text.offset : text.offset + len(text) + 1]
    signs = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return Bytes(np.diff(ends), signs[ends[0] : ends[-1]])
