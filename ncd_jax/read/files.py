"""Tables from files: CSV and its kin, Parquet, Feather and Excel, as they stand there.

What a cell means is decided later, in `describe`. Here only what a file can get wrong as a file
is refused: its format, its encoding, its shape and its header.
"""

import functools
import itertools
import lzma
import re
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra, from_arrow, to_frame
from ncd_jax.read.names import checked_names, show
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.text_files import PACKED, TEXT, Choose, header_at, one_line, read_text

__all__ = ["read_raw"]

_AT_ONCE = 16
"""Columns that are unpacked at once."""

_INDEX = re.compile(r"__index_level_\d+__")
"""How pandas names an index without a name in a Parquet file."""

_TITLES = 20
"""Rows of a sheet among which its header is looked for."""


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
        options: encoding and sheet, where somebody has said them.

    Raises:
        UserError: the file cannot be read as such a table.
    """
    options = options or ReadOptions()
    *_, inner, kind = ["", "", *(suffix.lower() for suffix in path.suffixes)]
    try:
        if kind in TEXT or (kind in PACKED and inner in TEXT):
            raw = read_text(path, choose, options)
        elif kind in (".parquet", ".feather"):
            raw = RawTable(_read_arrow(path, kind, choose))
        elif kind in (".xlsx", ".xlsm"):
            raw = _read_excel(path, choose, options.sheet)
        elif path.is_dir():
            raise IsADirectoryError
        else:
            raise UserError(
                f"tables of this format ({kind or 'no suffix'}) are not read; save it as .csv,"
                f" .tsv, .parquet, .feather or .xlsx (CSV also packed: {', '.join(PACKED)})"
            )
        if len(raw.frame) == 0:
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
    return raw


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
                columns |= dict(to_frame(from_arrow(table)).items())
    except arrow.ArrowException as error:
        raise UserError(f"it is not a {kind[1:]} file ({one_line(error)}); save it again") from None
    return pd.DataFrame({names[s]: cells for s, cells in columns.items()}, copy=False)


def _read_excel(path: Path, choose: Choose, wished: str) -> RawTable:
    excel = extra("openpyxl")
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions that say nothing of cells
            book = excel.load_workbook(file, read_only=True, data_only=True)
            sheet = _sheet(book, wished)
            rows = [list(row) for row in sheet.iter_rows(values_only=True)]
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(f"it is not an Excel file ({one_line(error)}); save it as .xlsx") from None
    filled = [i for i, row in enumerate(rows) if any(cell not in (None, "") for cell in row)]
    if not filled:
        raise UserError(f"sheet {show(sheet.title)} is empty; give a table with a header row")
    rows, lines = rows[: filled[-1] + 1], np.arange(1, filled[-1] + 2)
    first = filled[0]
    at = first + header_at(rows[first : first + _TITLES])
    width = max(len(row) for row in rows[at:])
    header = [*rows[at], *[None] * (width - len(rows[at]))]
    columns = [cells[1:] for cells in itertools.zip_longest(*rows[at:])]
    used = [
        i for i in range(width) if header[i] is not None or any(c is not None for c in columns[i])
    ]
    names = checked_names([header[i] for i in used])
    wanted = set(choose(names))
    frame = pd.DataFrame(
        {
            name: pd.Series(columns[i], dtype=object).infer_objects()
            for i, name in zip(used, names, strict=True)
            if name in wanted
        },
        copy=False,
    )
    facts = {"sheet": sheet.title}
    if len(others := [name for name in book.sheetnames if name != sheet.title]):
        facts["other sheets"] = ", ".join(others)
    return RawTable(to_frame(frame), lines[at + 1 :], facts=facts)


def _sheet(book: Any, wished: str) -> Any:
    """The sheet of that name or number, or the first one."""
    sheets = book.worksheets
    for number, sheet in enumerate(sheets, start=1):
        if not wished or wished == sheet.title or wished == str(number):
            return sheet
    names = ", ".join(show(sheet.title) for sheet in sheets)
    raise UserError(f"there is no sheet {show(wished)}; its sheets are {names}")
