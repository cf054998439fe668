"""Tables from files: CSV and its kin, Parquet, Feather and Excel, as they stand there.

What a cell means is decided later, in `describe`. Here only what a file can get wrong as a file
is refused: its format, its encoding, its shape and its header.
"""

import contextlib
import dataclasses
import functools
import lzma
import math
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import from_arrow, to_frame
from ncd_jax.read.layouts import PACKED, TEXT
from ncd_jax.read.names import checked_names, one_line
from ncd_jax.read.options import NO_WISHES, Choose, ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.sheets import read_excel
from ncd_jax.read.text_files import read_text, text_batches

__all__ = ["is_table", "read_batches", "read_raw"]

_ARROW, _EXCEL = (".parquet", ".feather"), (".xlsx", ".xlsm")

_AT_ONCE = 16
"""Columns that are unpacked at once."""

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names an index without a name in a Parquet file."""


def read_raw(
    path: Path, choose: Choose = lambda names: names, options: ReadOptions = NO_WISHES
) -> RawTable:
    """Reads a table with named columns.

    The format goes by the suffix: `.csv`, `.txt`, `.tsv`, `.tab` (these also with `.gz`,
    `.bz2`, `.xz`, `.zip` or `.zst` behind), `.parquet`, `.feather`, and of
    Excel `.xlsx`. The encoding of text is found, and so is the separator: a tab in `.tsv` and
    `.tab`, what a first line `sep=;` says, or that of comma, semicolon, tab and bar which parts
    the lines alike. Lines with a title above the header are passed over, and so are blank ones.

    Args:
        path: the file.
        choose: which columns to read; it may raise where one is missing.
        options: encoding, sheet and the largest size, where somebody has said them.

    Raises:
        UserError: the file cannot be read as such a table.
    """
    with _told(path):
        if _is_text(path):
            raw = read_text(path, choose, options)
        elif (kind := path.suffix.lower()) in _ARROW:
            raw = RawTable(_read_arrow(path, kind, choose, options))
        elif kind in _EXCEL:
            raw = read_excel(path, choose, options)
        else:
            raise UserError(
                f"tables of this format ({kind or 'no suffix'}) are not read; save it as .csv,"
                f" .tsv, .parquet, .feather or .xlsx (CSV also packed: {', '.join(PACKED)})"
            )
        _check_rows(raw)
    return raw


def read_batches(
    path: Path, choose: Choose, options: ReadOptions, n_cells: int
) -> Iterator[RawTable]:
    """The same in batches of rows that have about so many cells, which number the rows on.

    Text and Parquet may be larger than memory, and the size of what is not packed plays no part;
    other formats come as one batch.

    Raises:
        UserError: see `read_raw`; batches before a mistake have been given then.
    """
    kind = path.suffix.lower()
    if kind not in PACKED:
        options = dataclasses.replace(options, max_gb=math.inf)
    if not _is_text(path) and kind != ".parquet":
        yield read_raw(path, choose, options)
        return
    if _is_text(path):
        batches = text_batches(path, choose, options, n_cells)
    else:
        batches = _parquet_batches(path, choose, n_cells)
    while True:
        with _told(path):
            if (batch := next(batches, None)) is None:
                return
            _check_rows(batch)
        yield batch


def is_table(path: Path) -> bool:
    """Whether a file has the suffix of a table."""
    return path.is_file() and (_is_text(path) or path.suffix.lower() in (*_ARROW, *_EXCEL))


def _is_text(path: Path) -> bool:
    *_, inner, kind = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    return kind in TEXT or (kind in PACKED and inner in TEXT)


def _check_rows(raw: RawTable) -> None:
    if len(raw.frame) == 0:
        raise UserError("it has a header and no rows; add the rows")


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says of what goes wrong in the block which file it is, in one line."""
    try:
        if "\0" in str(path):
            raise UserError("its path holds a character that no name of a file has; check it")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError
        if not stat.S_ISREG(mode):
            raise UserError("it is a pipe or a device; save the table in a file")
        yield
    except UserError as error:
        raise UserError(f"{str(path).replace(chr(0), '?')}: {error}") from None
    except UnicodeError:
        raise UserError(f"{path} is not in its encoding throughout; give --encoding") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path of the table") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the file itself") from None
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f"{path} cannot be unpacked ({one_line(error)}); pack it again") from None
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"{path} cannot be read ({reason}); check the file") from None


def _read_arrow(path: Path, kind: str, choose: Choose, options: ReadOptions) -> pd.DataFrame:
    from pyarrow import feather, ipc, parquet

    with _arrow_file(kind), path.open("rb") as file:
        if kind == ".parquet":
            reader = parquet.ParquetFile(file)
            stored, read = reader.schema_arrow.names, reader.read
            options.check_size(8.0 * reader.metadata.num_rows * len(stored))
        else:
            stored = ipc.open_file(file).schema.names
            read = functools.partial(feather.read_table, file)
        names, todo = _wanted(stored, choose)
        columns: dict[str, pd.Series] = {}
        # A few at a time, so that the table is never there twice.
        for start in range(0, len(todo), _AT_ONCE):
            columns |= dict(_frame(read(columns=todo[start : start + _AT_ONCE])).items())
    return pd.DataFrame({names[s]: cells for s, cells in columns.items()}, copy=False)


def _parquet_batches(path: Path, choose: Choose, n_cells: int) -> Iterator[RawTable]:
    from pyarrow import parquet

    with _arrow_file(".parquet"), path.open("rb") as file:
        reader, done = parquet.ParquetFile(file), 0
        names, todo = _wanted(reader.schema_arrow.names, choose)
        size = max(n_cells // max(len(todo), 1), 1)
        for batch in reader.iter_batches(size, columns=todo):
            frame = _frame(pyarrow.Table.from_batches([batch]))[todo].rename(columns=names)
            yield RawTable(frame, rows=np.arange(done, done + len(frame)) if done else None)
            done += len(frame)
        if not done:
            yield RawTable(pd.DataFrame(columns=todo).rename(columns=names))


def _frame(table: pyarrow.Table) -> pd.DataFrame:
    table.validate(full=True)  # texts may be no UTF-8
    return to_frame(from_arrow(table))


def _wanted(stored: Sequence[str], choose: Choose) -> tuple[dict[str, str], list[str]]:
    """From stored names to clean ones, and the stored ones of columns that are wanted."""
    stored = [name for name in stored if not _INDEX.fullmatch(name)]
    names = dict(zip(stored, checked_names(stored), strict=True))
    wanted = set(choose(list(names.values())))
    return names, [s for s in stored if names[s] in wanted]


@contextlib.contextmanager
def _arrow_file(kind: str) -> Iterator[None]:
    try:
        yield
    except pyarrow.ArrowException as error:
        raise UserError(f"it is not a {kind[1:]} file ({one_line(error)}); save it again") from None
