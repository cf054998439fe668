"""Tables from delimited text, packed or not, as a pandas DataFrame.

pandas parses. What it would pass over in silence is refused here: rows of another width than
the header, names that occur twice, text that is not UTF-8.
"""

import bz2
import contextlib
import csv
import gzip
import importlib
import io
import itertools
import lzma
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd

from ncd_jax.data.names import checked_names
from ncd_jax.errors import UserError

__all__ = ["MISSING", "PACKED", "TEXT", "Choose", "extra", "one_line", "read_text"]

Choose = Callable[[Sequence[str]], Collection[str]]
"""From the names of all columns of a file to those that are wanted."""

MISSING = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None")
"""Words that stand for an empty cell."""

TEXT = (".csv", ".tsv", ".tab", ".txt")
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_SEPARATORS = ",;\t|"
_TABS = (".tsv", ".tab")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


def read_text(path: Path, choose: Choose, as_text: Collection[str]) -> pd.DataFrame:
    """Reads delimited text in UTF-8; see `files.read_frame`.

    Raises:
        UserError: it is not a table, or not in UTF-8.
        OSError: the file cannot be read or unpacked, or what `lzma`, `zlib` and `zipfile` raise.
    """
    separator, header = _header(path)
    names = checked_names(header)
    wanted = set(choose(names))
    text = wanted & set(as_text)
    n_rows = _count_rows(path, separator, len(names))

    def read(columns: set[str], types: dict[str, type]) -> pd.DataFrame:
        with _open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", pd.errors.DtypeWarning)  # seen to below
            return pd.read_csv(
                file,
                sep=separator,
                names=names,
                header=0,
                index_col=False,
                usecols=lambda name: name in columns,
                dtype=types,
                skipinitialspace=True,
                keep_default_na=False,
                na_values={name: list(MISSING) for name in names if name not in text},
                encoding="utf-8-sig",
            )

    try:
        frame = read(wanted, dict.fromkeys(text, str))
        # The parser guesses types piece by piece, so a column can end up part numbers, part
        # text. Such columns are read again as they are written.
        if mixed := {name for name in wanted if _is_mixed(frame[name])}:
            again = read(mixed, dict.fromkeys(mixed, str))
            for name in mixed:
                frame[name] = again[name]
    except (ValueError, OverflowError) as error:
        raise _not_csv(error) from None
    if len(frame) != n_rows:
        raise UserError(f"it is not a CSV table ({n_rows} or {len(frame)} rows); save it as CSV")
    return frame


_NOT_UTF8 = UserError("it is not UTF-8 text; save the table as UTF-8 (in Excel: 'CSV UTF-8')")


def _is_mixed(cells: pd.Series) -> bool:
    plain = ("string", "boolean", "empty")
    return cells.dtype == object and pd.api.types.infer_dtype(cells, skipna=True) not in plain


def _header(path: Path) -> tuple[str, list[str]]:
    """The separator, and the cells of the first line that is not blank."""
    suffix = next(s for s in reversed(path.suffixes) if s.lower() in TEXT)
    best: tuple[str, list[str]] = ("", [])
    for separator in "\t" if suffix.lower() in _TABS else _SEPARATORS:
        with _decoded(path) as lines:
            cells = next(_rows(lines, separator), [])
        if len(cells) > len(best[1]):
            best = separator, cells
    if not best[1]:
        raise UserError("it is empty; give a table with a header row")
    return best


def _count_rows(path: Path, separator: str, width: int) -> int:
    """The number of rows, each of which must have as many cells as the header.

    pandas fills short rows with empty cells: a row cut before its label would pass for a row
    to discover. It also passes over cells too many where not all columns are asked for.
    """
    number = -1  # of the row that was looked at; the header comes first
    with _decoded(path) as lines:
        for number, found in enumerate(_widths(lines, separator), start=-1):
            if found != width:
                raise UserError(
                    f"row {number} has {found} cells and the header {width}; mend that row"
                    " (rows count from 0 below the header)"
                )
    return number + 1


def _widths(lines: Iterable[str], separator: str) -> Iterator[int]:
    """The number of cells of every line that is not blank."""
    try:
        # Counting separators is much faster than parsing, and right up to the first quote.
        for line in (lines := iter(lines)):
            if '"' in line:
                lines = itertools.chain([line], lines)
                break
            if line.strip("\r\n"):
                yield line.count(separator) + 1
    except UnicodeError:
        raise _NOT_UTF8 from None
    yield from map(len, _rows(lines, separator))


def _rows(lines: Iterable[str], separator: str) -> Iterator[list[str]]:
    """The cells of every line that is not blank."""
    try:
        for cells in csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True):
            if cells:
                yield cells
    except csv.Error as error:
        raise _not_csv(error) from None
    except UnicodeError:
        raise _NOT_UTF8 from None


def _not_csv(error: Exception) -> UserError:
    return UserError(f"it is not a CSV table ({one_line(error)}); save it as CSV")


@contextlib.contextmanager
def _decoded(path: Path) -> Iterator[IO[str]]:
    with _open(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield text


def _open(path: Path) -> IO[bytes]:
    """The bytes of a file, unpacked as its suffix says."""
    kind = path.suffix.lower()
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            if len(members) != 1:
                raise UserError(f"it holds {len(members)} files; pack the table alone")
            return archive.open(members[0])
    if kind == ".zst":
        path.stat()  # for the error of a file that is not there
        stream: IO[bytes] = extra("pyarrow").input_stream(str(path), compression="zstd")
        return stream
    file: IO[bytes] = _OPENERS[kind](path, "rb") if kind in _OPENERS else path.open("rb")
    return file


def extra(package: str) -> Any:
    """Imports a package that only some formats need.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        name = "excel" if package == "openpyxl" else "parquet"
        raise UserError(
            f"this format needs {package}; pip install 'ncd_jax[{name}]' or save the table as CSV"
        ) from None


def one_line(error: Exception) -> str:
    """What an error says, on one line and short."""
    return " ".join(str(error).split())[:120] or type(error).__name__
