"""Tables from files: CSV and its kin, Parquet, Feather and Excel, as a pandas DataFrame.

What a cell means is decided later, in `columns`. Here only what a file can get wrong as a file
is refused: its format, its encoding, its shape and its header.
"""

import functools
import lzma
import re
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import pandas as pd

from ncd_jax.data.names import checked_names
from ncd_jax.data.text_files import MISSING, PACKED, TEXT, Choose, extra, one_line, read_text
from ncd_jax.errors import UserError

__all__ = ["read_frame"]

_AT_ONCE = 16
"""Columns that are unpacked at once."""

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names an index without a name in a Parquet file."""


def read_frame(
    path: Path, choose: Choose = lambda names: names, as_text: Collection[str] = ()
) -> pd.DataFrame:
    """Reads a table with named columns.

    The format goes by the suffix: `.csv`, `.txt`, `.tsv`, `.tab` (these also with `.gz`,
    `.bz2`, `.xz`, `.zip` or, with pyarrow, `.zst` behind), `.parquet`, `.feather`, and of
    Excel `.xlsx`, its first sheet. Text must be UTF-8, with or without a byte order mark.
    Its separator is a tab in `.tsv` and `.tab`, elsewhere that of comma, semicolon, tab and
    bar which parts the header into most names. White space around names and before cells is
    dropped, blank lines are skipped, and the spellings `MISSING` count as empty.

    Args:
        path: the file.
        choose: which columns to read; it may raise where one is missing.
        as_text: columns of a text file whose cells are to stay as they are written, `NA` too.

    Raises:
        UserError: the file cannot be read as such a table.
    """
    *_, inner, kind = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    try:
        if kind in TEXT or (kind in PACKED and inner in TEXT):
            frame = read_text(path, choose, as_text)
        elif kind in (".parquet", ".feather"):
            frame = _read_arrow(path, kind, choose)
        elif kind == ".xlsx":
            frame = _read_excel(path, choose)
        elif path.is_dir():
            raise IsADirectoryError
        else:
            raise UserError(
                f"tables of this format ({kind or 'no suffix'}) are not read; save it as .csv,"
                f" .tsv, .parquet, .feather or .xlsx (CSV also packed: {', '.join(PACKED)})"
            )
        if len(frame) == 0:
            raise UserError("it has a header and no rows; add the rows")
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; check the path of the table") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a folder; give the file itself") from None
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError, RuntimeError) as error:
        raise UserError(f"{path} cannot be unpacked ({one_line(error)}); pack it again") from None
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise UserError(f"{path} cannot be read ({reason}); check the file") from None
    return frame


def _read_arrow(path: Path, kind: str, choose: Choose) -> pd.DataFrame:
    arrow = extra("pyarrow")
    try:
        with path.open("rb") as file:
            if kind == ".parquet":
                reader = extra("pyarrow.parquet").ParquetFile(file)
                stored, read = reader.schema_arrow.names, reader.read
            else:
                stored = extra("pyarrow.ipc").open_file(file).schema.names
                read = functools.partial(extra("pyarrow.feather").read_table, file)
            stored = [name for name in stored if not _INDEX.fullmatch(name)]
            names = dict(zip(stored, checked_names(stored), strict=True))
            wanted = set(choose(list(names.values())))
            columns: dict[str, pd.Series] = {}
            # A few at a time, so that the table is never there twice.
            todo = [s for s in stored if names[s] in wanted]
            for start in range(0, len(todo), _AT_ONCE):
                table = read(columns=todo[start : start + _AT_ONCE])
                columns |= dict(table.to_pandas(split_blocks=True, ignore_metadata=True).items())
    except arrow.ArrowException as error:
        raise UserError(f"it is not a {kind[1:]} file ({one_line(error)}); save it again") from None
    return pd.DataFrame({names[s]: cells for s, cells in columns.items()}, copy=False)


def _read_excel(path: Path, choose: Choose) -> pd.DataFrame:
    extra("openpyxl")
    try:
        # The header is taken by hand: pandas renames the second of two equal names.
        cells = pd.read_excel(path, header=None, dtype=object, na_values=list(MISSING))
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"it is not an Excel file ({one_line(error)}); save it as .xlsx") from None
    if len(cells) == 0:
        raise UserError("it is empty; give a table with a header row")
    names = checked_names(list(cells.iloc[0]))
    wanted = set(choose(names))
    frame = cells.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)
    return frame[[name for name in names if name in wanted]].infer_objects()
