"""New rows as a model takes them, for tests of how they are read."""

from pathlib import Path

from ncd_jax.data.own_table import NewRows, RowEncoder, read_rows_in_batches
from ncd_jax.read.dtypes import to_frame
from ncd_jax.read.options import NO_WISHES
from ncd_jax.read.raw import RawTable


def read_rows(source, encoder, options=NO_WISHES):
    """A file, or a frame, in one batch."""
    if isinstance(source, Path):
        return next(read_rows_in_batches(source, encoder, options))
    raw, rows = RawTable(to_frame(source)), RowEncoder(encoder, options)
    rows.choose(list(raw.frame))
    x, notes = rows.encode(raw)
    return NewRows(x, raw.frame[rows.copied], raw.numbers, notes)
