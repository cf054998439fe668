"""Tables from files: CSV and its kin, Parquet, Feather and Excel, as they stand there.

What a cell means is decided later, in `describe`. Here only what a file can get wrong as a file
is refused: its format, its encoding, its shape and its header.
"""

import functools
import lzma
import re
import zipfile
import zlib
from pathlib import Path

import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.bounds import Choose, check_path, check_size, one_line
from ncd_jax.read.dtypes import extra, from_arrow, to_frame
from ncd_jax.read.names import checked_names
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.sheets import read_excel
from ncd_jax.read.text_files import PACKED, TEXT, header_at, read_text

__all__ = ["read_raw"]

_AT_ONCE = 16
"""Columns that are unpacked at once."""

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names an index without a name in a Parquet file."""


def read_raw(
    path: Path, choose: Choose = lambda names: names, options: ReadOptions | None = None
) -> RawTable:
    """Reads a table with named columns.

    The format goes by the suffix: `.csv`, `.txt`, `.tsv`, `.tab` (these also with `.gz`,
    `.bz2`, `.xz`, `.zip` or, with pyarrow, `.zst` behind), `.parquet`, `.feather`, and of
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
    options = options or ReadOptions()
    *_, inner, kind = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    try:
        check_path(path)
        if kind in TEXT or (kind in PACKED and inner in TEXT):
            raw = read_text(path, choose, options)
        elif kind in (".parquet", ".feather"):
            raw = RawTable(_read_arrow(path, kind, choose, options))
        elif kind in (".xlsx", ".xlsm"):
            raw = read_excel(path, choose, options, header_at)
        else:
            raise UserError(
                f"tables of this format ({kind or 'no suffix'}) are not read; save it as .csv,"
                f" .tsv, .parquet, .feather or .xlsx (CSV also packed: {', '.join(PACKED)})"
            )
        if len(raw.frame) == 0:
            raise UserError("it has a header and no rows; add the rows")
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
    return raw


def _read_arrow(path: Path, kind: str, choose: Choose, options: ReadOptions) -> pd.DataFrame:
    arrow = extra("pyarrow")
    try:
        with path.open("rb") as file:
            if kind == ".parquet":
                reader = extra("pyarrow.parquet").ParquetFile(file)
                stored, read = reader.schema_arrow.names, reader.read
                check_size(8.0 * reader.metadata.num_rows * len(stored), options)
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
                columns |= dict(to_frame(from_arrow(table)).items())
    except arrow.ArrowException as error:
        raise UserError(f"it is not a {kind[1:]} file ({one_line(error)}); save it again") from None
    return pd.DataFrame({names[s]: cells for s, cells in columns.items()}, copy=False)
