"""Tables from delimited text, packed or not, every cell as it is written.

Python's own parser does the work. Encoding, separator and header are found out here, and so is
the line in which each row begins, as people look for a row by it.
"""

import bz2
import collections
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.bounds import LONGEST_CELL, Choose, bounded, one_line
from ncd_jax.read.dtypes import extra
from ncd_jax.read.encodings import find_encoding
from ncd_jax.read.names import checked_names, show
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import RawTable
from ncd_jax.read.regular import Irregular, read_regular

__all__ = ["PACKED", "TEXT", "header_at", "read_text"]

TEXT = (".csv", ".tsv", ".tab", ".txt")
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_SEPARATORS = ",;\t|"
_TABS = (".tsv", ".tab")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SAID = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.I)
_SAMPLE = 200
"""Records that the layout is told from."""
_TITLES = 20
"""Lines with a title above a header, at most."""
_CHUNK = 20_000
"""Rows that are lists of Python's at once."""
_LISTED = 20
"""Lines that a message lists."""
Record = tuple[int, list[str]]
"""The line in which a row begins, from 1, and its cells."""


class _Layout(NamedTuple):
    """How a text is laid out.

    Attributes:
        separator: between cells.
        skipped: records before the header.
        header: the cells of the header, one for each column.
    """

    separator: str
    skipped: int
    header: list[str]


def read_text(path: Path, choose: Choose, options: ReadOptions) -> RawTable:
    """Reads delimited text; see `files.read_raw`.

    Raises:
        UserError: it is not a table; all lines of another width than the header are named.
        OSError: the file cannot be read or unpacked, or what `lzma`, `zlib` and `zipfile` raise.
    """
    source = _Source(path, options)
    source.encoding = find_encoding(source.open, options.encoding)
    layout = _layout(source)
    names = checked_names(layout.header)
    wanted = set(choose(names))
    places = [i for i, name in enumerate(names) if name in wanted]
    try:
        columns, lines = _by_columns(source, layout, places)
    except Irregular:
        columns, lines = _by_rows(source, layout, places)
    facts = {"encoding": source.encoding.removesuffix("-sig"), "separator": layout.separator}
    if layout.skipped:
        facts["lines before the header"] = str(layout.skipped)
    named = {names[i]: cells for i, cells in zip(places, columns, strict=True)}
    return RawTable(pd.DataFrame(named, copy=False), lines, facts=facts)


def _by_columns(
    source: "_Source", layout: _Layout, places: Sequence[int]
) -> tuple[list[pd.Series], np.ndarray]:
    if source.encoding not in ("utf-8", "utf-8-sig"):
        raise Irregular
    with source.open() as file:
        return read_regular(file, layout.separator, layout.skipped + 1, len(layout.header), places)


def _by_rows(
    source: "_Source", layout: _Layout, places: Sequence[int]
) -> tuple[list[pd.Series], np.ndarray]:
    """Columns as text, and the line of each row, `i[n]`; one of another width is a mistake."""
    width = len(layout.header)
    pieces: list[list[Any]] = [[] for _ in places]
    lines: list[np.ndarray] = []
    wrong: list[tuple[int, int]] = []
    with source.records(layout.separator) as records:
        rows = _of_width(itertools.islice(records, layout.skipped + 1, None), width, wrong)
        while chunk := list(itertools.islice(rows, _CHUNK)):
            lines.append(np.array([line for line, _ in chunk]))
            for piece, i in zip(pieces, places, strict=True):
                piece.append(pd.Series([cells[i] for _, cells in chunk], dtype="str"))
    if wrong:
        raise _wrong_widths(wrong, width)
    nothing = pd.Series([], dtype="str")
    columns = [pd.concat(piece, ignore_index=True) if piece else nothing for piece in pieces]
    return columns, np.concatenate(lines) if lines else np.zeros(0, int)


def header_at(records: Sequence[Sequence[Any]]) -> int:
    """Which of the first records of a table is its header: the first one that is no title.

    A title has a cell or none, where the table has several.
    """
    filled = [sum(cell not in (None, "") for cell in cells) for cells in records]
    widths = [len(cells) for cells in records]
    usual = collections.Counter(widths).most_common(1)[0][0]
    first = widths.index(usual)
    if 0 < first <= _TITLES and max(widths[:first]) < usual - 1 and _are_names(records[first]):
        return first
    for i, (n, width) in enumerate(zip(filled, widths, strict=True)):
        if n > 1 or usual < 2 or (usual == 2 and width == 2):
            return i
        if i + 1 < len(records) and str(records[i][0] if records[i] else "").startswith("#"):
            continue
    return 0


def _are_names(cells: Sequence[Any]) -> bool:
    """Whether a row may be a header: words, no two alike."""
    words = [str(cell).strip() for cell in cells if cell not in (None, "")]
    return len(set(words)) == len(words) and not any(w.replace(".", "").isdigit() for w in words)


def _layout(source: "_Source") -> _Layout:
    suffix = next(s for s in reversed(source.path.suffixes) if s.lower() in TEXT)
    with source.decoded() as text:
        first = text.readline(_SAMPLE)
    said = _SAID.fullmatch(first)
    choices = said[1] if said else "\t" if suffix.lower() in _TABS else _SEPARATORS
    best, best_rank, mistake = None, (False, 0, 0.0, 0), None
    for separator in choices:
        try:
            with source.records(separator) as found:
                records = [cells for _, cells in itertools.islice(found, _SAMPLE)]
        except UserError as error:  # quotes that are none with this separator
            mistake = mistake or error
            continue
        records = records[bool(said) :]
        if not records:
            continue
        at = header_at(records)
        header, rows = _fitted(records[at], records[at + 1 :])
        share = sum(len(cells) == len(header) for cells in rows) / max(len(rows), 1)
        rank = (len(header) > 1, -at, round(share, 1) if rows else 1.0, len(header))
        if best is None or rank > best_rank:
            best, best_rank = _Layout(separator, at + bool(said), header), rank
    if mistake is not None and (best is None or len(best.header) == 1):
        raise mistake
    if best is None:
        raise UserError("it is empty; give a table with a header row")
    return best


def _fitted(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The header with a name for each column, and rows less empty cells behind them.

    Lines may end in a separator, all of them or the rows alone. R writes no name above the names
    of rows.
    """
    width = len(header)
    while width > 1 and not header[width - 1] and not any(any(c[width - 1 :]) for c in rows):
        width -= 1
    header = header[:width]
    rows = [cells[:width] if not any(cells[width:]) else cells for cells in rows]
    if rows and all(len(cells) == width + 1 for cells in rows):
        first = [cells[0] for cells in rows]
        if len(set(first)) == len(first) and len(rows) > 1:
            header = ["", *header]
    return header, rows


def _of_width(
    records: Iterator[Record], width: int, wrong: list[tuple[int, int]]
) -> Iterator[Record]:
    """Rows of the right width; lines of another one are put down.

    A short row is a mistake: cut before its label it would pass for a row to discover.
    """
    for line, cells in records:
        if len(cells) != width:
            if len(cells) > width and not any(map(str.strip, cells[width:])):
                cells = cells[:width]
            else:
                wrong.append((line, len(cells)))
                continue
        yield line, cells


def _wrong_widths(wrong: list[tuple[int, int]], width: int) -> UserError:
    said = ", ".join(f"line {line} has {n}" for line, n in wrong[:_LISTED])
    more = f" and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    return UserError(
        f"{'a line has' if len(wrong) == 1 else f'{len(wrong)} lines have'} another number of cells"
        f" than the header with its {width}: {said}{more}; mend or quote them"
    )


def _parsed(text: IO[str], separator: str) -> Iterator[Record]:
    """The cells of every line that is not blank."""
    reader = csv.reader(text, delimiter=separator, skipinitialspace=True, strict=True)
    before = csv.field_size_limit(LONGEST_CELL)
    try:
        line = 1
        for cells in reader:
            if cells and (len(cells) > 1 or cells[0].strip()):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        reason = one_line(error)
        if "field limit" in reason:
            reason = "a cell begins there that has no end within 16 million characters"
        raise UserError(
            f"it is not a CSV table (line {reader.line_num}: {reason}); mend that line"
        ) from None
    except UnicodeError:
        raise UserError("it is not in its encoding throughout; give --encoding") from None
    finally:
        csv.field_size_limit(before)


class _Source:
    """A file of text, packed or not, that can be opened again and again.

    Attributes:
        path: of the file.
        encoding: of the text, once it is known.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path, self.encoding = path, ""
        self._options = options

    def open(self) -> IO[bytes]:
        """The bytes, unpacked as the suffix says, and no more of them than are wanted."""
        return bounded(_unpacked(self.path), self._options)

    @contextlib.contextmanager
    def decoded(self) -> Iterator[IO[str]]:
        """The text."""
        form: dict[str, Any] = {"encoding": self.encoding, "newline": ""}
        with self.open() as file, io.TextIOWrapper(file, **form) as text:
            yield text

    @contextlib.contextmanager
    def records(self, separator: str) -> Iterator[Iterator[Record]]:
        """Its rows."""
        with self.decoded() as text:
            yield _parsed(text, separator)


def _unpacked(path: Path) -> IO[bytes]:
    kind = path.suffix.lower()
    if kind == ".zip":
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not _is_clutter(info)]
            if len(members) != 1:
                names = ", ".join(show(info.filename) for info in members[:5])
                raise UserError(
                    f"it holds {len(members)} files{f' ({names})' if members else ''};"
                    " pack the table alone"
                )
            return archive.open(members[0])
    if kind == ".zst":
        path.stat()  # for the error of a file that is not there
        stream: IO[bytes] = extra("pyarrow").input_stream(str(path), compression="zstd")
        return stream
    file: IO[bytes] = _OPENERS[kind](path, "rb") if kind in _OPENERS else path.open("rb")
    return file


def _is_clutter(info: zipfile.ZipInfo) -> bool:
    """Whether it is a folder, or what a Mac packs beside the files."""
    parts = info.filename.split("/")
    return info.is_dir() or parts[0] == "__MACOSX" or parts[-1].startswith(".")
