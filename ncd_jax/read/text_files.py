"""Tables from delimited text, packed or not, every cell as it is written.

Regular is text as programs write it: UTF-8, lines of one width, quotes only around whole cells.
There Arrow's reader and Python's see the same cells, and it is read by columns, many times as fast;
no cell becomes an object of Python's. Everything else, mistakes above all, Python's own parser
reads by rows. Either way the line is found out in which each row begins, as people look for a row
by it.
"""

import codecs
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow

from ncd_jax.errors import UserError
from ncd_jax.read.layouts import TITLES, Record, Text, is_figure
from ncd_jax.read.names import some
from ncd_jax.read.options import Choose, ReadOptions
from ncd_jax.read.raw import RawTable

__all__ = ["Irregular", "read_regular", "read_text", "text_batches"]

_CHUNK = 20_000
"""Rows that are lists of Python's at once."""
_LISTED = 20
"""Lines that a message lists."""
_BLOCK = 1 << 24
"""Bytes that are looked at together; memory holds a few times as many beside the table."""
_BREAK, _RETURN, _QUOTE, _BLANK = b'\n\r" '

Piece = tuple[Any, np.ndarray]
"""Rows as a table of Arrow's, and the line in which each begins."""
Rows = tuple[list[pd.Series], np.ndarray]
"""Columns as text, and the line in which each row begins, `i64[n]`, from 1."""


class Irregular(Exception):  # noqa: N818 - nothing is wrong, there is another way
    """The text is to be read cell by cell."""


def read_text(path: Path, choose: Choose, options: ReadOptions) -> RawTable:
    """Reads delimited text; see `files.read_raw`.

    Raises:
        UserError: it is not a table; all lines of another width than the header are named.
        OSError: the file cannot be read or unpacked, or what `lzma`, `zlib` and `zipfile` raise.
    """
    text = Text(path, choose, options)
    try:
        return _table(text, read_regular(text))
    except Irregular:
        return _table(text, next(_by_rows(text, math.inf)))


def text_batches(
    path: Path, choose: Choose, options: ReadOptions, n_cells: int
) -> Iterator[RawTable]:
    """The same in batches of rows that have about so many cells; see `read_text`."""
    text, done = Text(path, choose, options), 0
    n_rows = max(n_cells // max(len(text.places), 1), 1)
    try:
        batch, n = [], 0
        for piece in _regular_pieces(text):
            batch.append(piece)
            n += len(piece[1])
            if n >= n_rows:
                yield _table(text, _joined(batch), done)
                batch, n, done = [], 0, done + n
        if batch or not done:
            yield _table(text, _joined(batch), done)
    except Irregular:
        for rows in _by_rows(text, n_rows, done):
            yield _table(text, rows, done)
            done += len(rows[1])


def _table(text: Text, rows: Rows, first: int = 0) -> RawTable:
    """Rows as a table; `first` is the number of the first one."""
    columns, lines = rows
    facts = {"encoding": text.encoding.removesuffix("-sig"), "separator": text.separator}
    if text.skipped:
        facts["lines before the header"] = str(text.skipped)
    frame = pd.DataFrame(dict(zip(text.names, columns, strict=True)), copy=False)
    return RawTable(frame, lines, np.arange(first, first + len(lines)) if first else None, facts)


def _by_rows(text: Text, most: float, done: int = 0) -> Iterator[Rows]:
    """As many rows at once; where there is none at all, none once.

    Args:
        text: the text.
        most: rows at once.
        done: rows before the first that counts.

    Raises:
        UserError: lines are of another width than the header.
    """
    wrong: list[Record] = []
    with text.records(text.separator) as records:
        rows = _of_width(itertools.islice(records, text.skipped + 1, None), text.width, wrong)
        rows = itertools.islice(rows, done, None)
        is_done = False
        while not is_done:
            pieces: list[list[Any]] = [[] for _ in text.places]
            lines: list[np.ndarray] = []
            n = 0
            while not is_done and n < most:
                chunk = list(itertools.islice(rows, _CHUNK))
                is_done = not chunk
                lines.append(np.array([line for line, _ in chunk], int))
                n += len(chunk)
                for piece, i in zip(pieces, text.places, strict=True):
                    piece.append(pd.Series([cells[i] for _, cells in chunk], dtype="str"))
            if is_done and _are_remarks(wrong, lines, text.width):
                # What stands below a table stays one cell, and is told with the rows that are none.
                for i, piece in zip(text.places, pieces, strict=True):
                    cells = [text.separator.join(c) if i == 0 else "" for _, c in wrong]
                    piece.append(pd.Series(cells, dtype="str"))
                lines.append(np.array([line for line, _ in wrong], int))
                wrong = []
            if wrong:
                said = [f"line {line} has {len(cells)}" for line, cells in wrong]
                raise UserError(
                    f"{'a line has' if len(wrong) == 1 else f'{len(wrong)} lines have'} another"
                    f" number of cells than the header with its {text.width}:"
                    f" {some(said, _LISTED, count=True)}; mend or quote them"
                )
            if n or not done:
                columns = [pd.concat(piece, ignore_index=True) for piece in pieces]
                yield columns, np.concatenate(lines)
                done += n


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
        0 < len(wrong) <= TITLES
        and bool(rows)
        and wrong[0][0] > rows[-1]
        and all(2 * len(cells) <= width for _, cells in wrong)
        and not any(is_figure(cell) for _, cells in wrong for cell in cells)
    )


class _Lines(NamedTuple):
    """The `n` lines of a block: where rows begin that are not blank, in which lines from its own.

    Some break may be in a cell.
    """

    starts: np.ndarray
    numbers: np.ndarray
    n: int
    has_breaks: bool


def read_regular(text: Text) -> Rows:
    """Reads text by columns.

    Raises:
        Irregular: Python would see something else.
        OSError, UserError: the file cannot be read, or holds too much.
    """
    return _joined(list(_regular_pieces(text)))


def _joined(pieces: Sequence[Piece]) -> Rows:
    """Pieces of a text as one."""
    if not pieces:
        raise Irregular
    table = pyarrow.concat_tables([table for table, _ in pieces])
    columns = [pd.Series(pd.array(column, dtype="str")) for column in table]
    return columns, np.concatenate([lines for _, lines in pieces])


def _regular_pieces(text: Text) -> Iterator[Piece]:
    """The same, piece by piece as the file is read; see `read_regular`."""
    if text.encoding not in ("utf-8", "utf-8-sig"):
        raise Irregular
    if text.width < 2 or len(text.separator.encode()) > 1 or not text.places:
        raise Irregular  # a blank line may be a row
    skipped, line = text.skipped + 1, 1
    parsed: Callable[[], Piece] | None = None
    # While Arrow takes a block apart the next one is looked through.
    with text.open() as file, ThreadPoolExecutor(1) as beside:
        for block in _blocks(file):
            if line == 1:
                block = block.removeprefix(codecs.BOM_UTF8)
            lines = _lines(block, text.separator)
            n = min(skipped, len(lines.starts))
            skipped -= n
            if len(lines.starts) > n:
                rows, numbers = block[int(lines.starts[n]) :], lines.numbers[n:] + line
                before = parsed
                parsed = beside.submit(_piece, rows, lines.has_breaks, numbers, text).result
                if before:
                    yield before()
            line += lines.n
        if parsed:
            yield parsed()


def _piece(rows: bytes, has_breaks: bool, numbers: np.ndarray, text: Text) -> Piece:
    table = _columns(rows, has_breaks, text)
    if len(table) != len(numbers):
        raise Irregular
    return table, numbers


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    """The text in pieces that end where a row does."""
    rest = b""
    while data := file.read(_BLOCK):
        data = rest + data
        end = data.rfind(b"\n") + 1
        open_quotes = data.count(b'"', 0, end) if b'"' in data else 0
        while end and open_quotes % 2:  # the break is in a cell: they come in pairs up to a row's
            before = data.rfind(b"\n", 0, end - 1) + 1
            open_quotes -= data.count(b'"', before, end)
            end = before
        if not end and len(data) > 2 * _BLOCK:
            raise Irregular
        rest = data[end:]
        if end:
            yield data[:end]
    if rest:
        yield rest + b"\n"


def _lines(block: bytes, separator: str) -> _Lines:
    """Where rows begin, if all is regular."""
    mark = separator.encode()
    signs = np.frombuffer(block, np.uint8)
    breaks = np.flatnonzero(signs == _BREAK)
    quotes = np.zeros(0, np.int64)
    if b'"' in block:
        quotes = np.flatnonzero(signs == _QUOTE)
        _check_quotes(signs, quotes, mark[0])
    if b"\0" in block or (b"\r" in block and block.count(b"\r") != block.count(b"\r\n")):
        raise Irregular
    if mark + b" " in block or b"\n " in block or block[:1] == b" ":  # Python drops blanks there
        after = np.append(True, (signs[:-1] == mark[0]) | (signs[:-1] == _BREAK))
        blanks = np.flatnonzero(after & (signs == _BLANK))
        if not (np.searchsorted(quotes, blanks) % 2).all():
            raise Irregular
    rows = np.flatnonzero(np.searchsorted(quotes, breaks) % 2 == 0)  # others are in cells
    ends = breaks[rows]
    starts, numbers = np.append(0, ends[:-1] + 1), np.append(0, rows[:-1] + 1)
    is_blank = (starts == ends) | ((starts + 1 == ends) & (signs[starts] == _RETURN))
    if is_blank.any():
        starts, numbers = starts[~is_blank], numbers[~is_blank]
    return _Lines(starts, numbers, len(breaks), len(rows) < len(breaks))


def _check_quotes(signs: np.ndarray, quotes: np.ndarray, mark: int) -> None:
    """Whether quotes open at the start of a cell and close at its end; two of them are a sign."""
    if len(quotes) % 2:
        raise Irregular
    opening, closing = quotes[::2], quotes[1::2]
    before = signs[np.maximum(opening - 1, 0)]
    begins = (opening == 0) | (before == mark) | (before == _BREAK) | (before == _QUOTE)
    behind = signs[closing + 1]  # a break is the last sign
    ends = (behind == mark) | (behind == _BREAK) | (behind == _RETURN) | (behind == _QUOTE)
    if not (begins.all() and ends.all()):
        raise Irregular


def _columns(block: bytes, has_breaks: bool, text: Text) -> Any:
    from pyarrow import csv  # here, as other tables do without

    names = [str(i) for i in range(text.width)]
    wanted = [names[i] for i in text.places]
    try:
        return csv.read_csv(
            pyarrow.BufferReader(block),
            csv.ReadOptions(column_names=names, block_size=_BLOCK // 8),
            csv.ParseOptions(delimiter=text.separator, newlines_in_values=has_breaks),
            csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pyarrow.large_string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
    except pyarrow.ArrowInvalid:
        raise Irregular from None
