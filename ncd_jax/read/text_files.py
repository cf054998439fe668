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
from ncd_jax.read.regular import Irregular, joined, read_regular, regular_pieces

__all__ = ["PACKED", "TEXT", "header_at", "read_text", "text_batches"]

TEXT = (".csv", ".tsv", ".tab", ".txt")
PACKED = (".gz", ".bz2", ".xz", ".zip", ".zst")
_SEPARATORS = ",;\t|"
_LAST_RESORT = " "
"""Separates where no other sign does."""
_TABS = (".tsv", ".tab")
_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_SAID = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.I)
_SAMPLE = 200
"""Records that the layout is told from."""
_TITLES = 20
"""Lines with a title above a header, or with remarks below the table, at most."""
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


class _Text(NamedTuple):
    """A text that was looked into.

    Attributes:
        source: its file.
        layout: how it is laid out.
        names: of the columns that are wanted.
        places: where these are.
    """

    source: "_Source"
    layout: _Layout
    names: list[str]
    places: list[int]

    @classmethod
    def of(cls, path: Path, choose: Choose, options: ReadOptions) -> "_Text":
        source = _Source(path, options)
        source.encoding = find_encoding(source.open, options.encoding)
        layout = _layout(source)
        names = checked_names(layout.header)
        wanted = set(choose(names))
        places = [i for i, name in enumerate(names) if name in wanted]
        return cls(source, layout, [names[i] for i in places], places)

    @contextlib.contextmanager
    def regular(self, read: Callable[..., Any]) -> Iterator[Any]:
        """What one of the readers of `regular` makes of it."""
        if self.source.encoding not in ("utf-8", "utf-8-sig"):
            raise Irregular
        layout = self.layout
        with self.source.open() as file:
            skipped, width = layout.skipped + 1, len(layout.header)
            yield read(file, layout.separator, skipped, width, self.places)

    def raw(self, columns: Sequence[pd.Series], lines: np.ndarray, first: int = 0) -> RawTable:
        """Rows as a table; `first` is the number of the first one."""
        facts = {"encoding": self.source.encoding.removesuffix("-sig")}
        facts["separator"] = self.layout.separator
        if self.layout.skipped:
            facts["lines before the header"] = str(self.layout.skipped)
        frame = pd.DataFrame(dict(zip(self.names, columns, strict=True)), copy=False)
        rows = np.arange(first, first + len(lines)) if first else None
        return RawTable(frame, lines, rows, facts)


def read_text(path: Path, choose: Choose, options: ReadOptions) -> RawTable:
    """Reads delimited text; see `files.read_raw`.

    Raises:
        UserError: it is not a table; all lines of another width than the header are named.
        OSError: the file cannot be read or unpacked, or what `lzma`, `zlib` and `zipfile` raise.
    """
    text = _Text.of(path, choose, options)
    try:
        with text.regular(read_regular) as (columns, lines):
            return text.raw(columns, lines)
    except Irregular:
        return text.raw(*next(_by_rows(text, None)))


def text_batches(
    path: Path, choose: Choose, options: ReadOptions, n_cells: int
) -> Iterator[RawTable]:
    """The same in batches of rows that have about so many cells; see `read_text`."""
    text, done = _Text.of(path, choose, options), 0
    n_rows = max(n_cells // max(len(text.places), 1), 1)
    try:
        with text.regular(regular_pieces) as pieces:
            batch, n = [], 0
            for piece in pieces:
                batch.append(piece)
                n += len(piece[1])
                if n >= n_rows:
                    yield text.raw(*joined(batch), done)
                    batch, n, done = [], 0, done + n
            if batch or not done:
                yield text.raw(*joined(batch), done)
    except Irregular:
        for columns, lines in _by_rows(text, n_rows, done):
            yield text.raw(columns, lines, done)
            done += len(lines)


def _by_rows(
    text: _Text, most: int | None, skipped: int = 0
) -> Iterator[tuple[list[pd.Series], np.ndarray]]:
    """Columns as text, and the line of each row, `i[n]`, of as many rows at once.

    Args:
        text: the text.
        most: rows at once, or all.
        skipped: rows before the first that counts.

    Raises:
        UserError: lines are of another width than the header.
    """
    width = len(text.layout.header)
    wrong: list[Record] = []
    with text.source.records(text.layout.separator) as records:
        rows = _of_width(itertools.islice(records, text.layout.skipped + 1, None), width, wrong)
        rows = itertools.islice(rows, skipped, None)
        is_done = False
        while not is_done:
            pieces: list[list[Any]] = [[] for _ in text.places]
            lines: list[np.ndarray] = []
            n = 0
            while not is_done and (most is None or n < most):
                chunk = list(itertools.islice(rows, _CHUNK))
                is_done = not chunk
                lines.append(np.array([line for line, _ in chunk], int))
                n += len(chunk)
                for piece, i in zip(pieces, text.places, strict=True):
                    piece.append(pd.Series([cells[i] for _, cells in chunk], dtype="str"))
            if is_done and _are_remarks(wrong, lines, width):
                # What stands below a table stays one cell, and is told with the rows that are none.
                for i, piece in zip(text.places, pieces, strict=True):
                    cells = [text.layout.separator.join(c) if i == 0 else "" for _, c in wrong]
                    piece.append(pd.Series(cells, dtype="str"))
                lines.append(np.array([line for line, _ in wrong], int))
                wrong = []
            if wrong:
                raise _wrong_widths(wrong, width)
            if n or most is None:
                yield (
                    [pd.concat(piece, ignore_index=True) for piece in pieces],
                    np.concatenate(lines),
                )


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
            return i + _names_groups(records[i : i + 3])
        if i + 1 < len(records) and str(records[i][0] if records[i] else "").startswith("#"):
            continue
    return 0


def _names_groups(records: Sequence[Sequence[Any]]) -> bool:
    """Whether the first of three rows names groups of columns, and the second these columns.

    As merged cells are saved, a group has its name above its first column, and none above others.
    """
    if len(records) < 3 or len({len(cells) for cells in records}) > 1:
        return False
    groups, names, row = records
    n_empty = sum(cell in (None, "") for cell in groups)
    is_whole = not any(cell in (None, "") or _is_figure(cell) for cell in names)
    return n_empty > 1 and is_whole and any(map(_is_figure, row))


def _is_figure(cell: Any) -> bool:
    """Whether a cell holds a number and no word."""
    text = str(cell)
    return any(map(str.isdigit, text)) and not any(map(str.isalpha, text))


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
    if (best is None or len(best.header) == 1) and not said:
        best = _by_blanks(source) or best
    if mistake is not None and (best is None or len(best.header) == 1):
        raise mistake
    if best is None:
        raise UserError("it is empty; give a table with a header row")
    return best


def _by_blanks(source: "_Source") -> _Layout | None:
    """How a text is laid out whose cells stand apart by blanks, if all its rows have as many."""
    with contextlib.suppress(UserError), source.records(_LAST_RESORT) as found:
        records = [cells for _, cells in itertools.islice(found, _SAMPLE)]
        records = [cells[:-1] if not cells[-1] else cells for cells in records]
        if len(records) > 1 and len(records[0]) > 1 and len(set(map(len, records))) == 1:
            return _Layout(_LAST_RESORT, 0, records[0])
    return None


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


def _of_width(records: Iterator[Record], width: int, wrong: list[Record]) -> Iterator[Record]:
    """Rows of the right width; lines of another one are put down.

    A short row is a mistake: cut before its label it would pass for a row to discover.
    """
    for line, cells in records:
        if len(cells) != width:
            if len(cells) > width and not any(map(str.strip, cells[width:])):
                cells = cells[:width]
            else:
                wrong.append((line, cells))
                continue
        yield line, cells


def _are_remarks(wrong: list[Record], lines: list[np.ndarray], width: int) -> bool:
    """Whether lines of another width are remarks below the table: `Source: ...`, no figures."""
    rows = [chunk[-1] for chunk in lines if len(chunk)]
    return (
        0 < len(wrong) <= _TITLES
        and bool(rows)
        and wrong[0][0] > rows[-1]
        and all(2 * len(cells) <= width for _, cells in wrong)
        and not any(_is_figure(cell) for _, cells in wrong for cell in cells)
    )


def _wrong_widths(wrong: list[Record], width: int) -> UserError:
    said = ", ".join(f"line {line} has {len(cells)}" for line, cells in wrong[:_LISTED])
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
