"""Delimited text that is regular, by columns: what the `csv` module reads, many times as fast.

Regular is text as programs write it: UTF-8, lines of one width, quotes only around whole cells.
There Arrow's reader and Python's see the same cells; everything else, mistakes above all, is left
to `text_files`, which knows where they are. No cell becomes an object of Python's.
"""

import codecs
from collections.abc import Iterator, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra

__all__ = ["Irregular", "joined", "read_regular", "regular_pieces"]

_BLOCK = 1 << 24
"""Bytes that are looked at together; memory holds a few times as many beside the table."""
_BREAK, _RETURN, _QUOTE, _BLANK = b'\n\r" '


Piece = tuple[Any, np.ndarray]
"""Rows as a table of Arrow's, and the line in which each begins."""


class Irregular(Exception):  # noqa: N818 - nothing is wrong, there is another reader
    """The text is to be read cell by cell."""


class _Lines(NamedTuple):
    """The lines of a block.

    Attributes:
        starts: `i64[m]`, where each row begins that is not blank.
        numbers: `i64[m]`, the line in which it does, from that of the block.
        n: lines.
        has_breaks: whether some break is in a cell.
    """

    starts: np.ndarray
    numbers: np.ndarray
    n: int
    has_breaks: bool


def read_regular(
    file: IO[bytes], separator: str, skipped: int, width: int, places: Sequence[int]
) -> tuple[list[pd.Series], np.ndarray]:
    """Columns as text, and the line in which each row begins, `i64[n]`, from 1.

    Args:
        file: the bytes of UTF-8.
        separator: between cells.
        skipped: rows before the first one that counts, its header among them.
        width: cells of a row.
        places: which columns are wanted.

    Raises:
        Irregular: Python would see something else, or pyarrow is not there.
        OSError, UserError: the file cannot be read, or holds too much.
    """
    pieces = list(regular_pieces(file, separator, skipped, width, places))
    if not pieces:
        raise Irregular
    return joined(pieces)


def joined(pieces: Sequence[Piece]) -> tuple[list[pd.Series], np.ndarray]:
    """Pieces of a text as one."""
    table = extra("pyarrow").concat_tables([table for table, _ in pieces])
    columns = [pd.Series(pd.array(column, dtype="str")) for column in table]
    return columns, np.concatenate([lines for _, lines in pieces])


def regular_pieces(
    file: IO[bytes], separator: str, skipped: int, width: int, places: Sequence[int]
) -> Iterator[Piece]:
    """The same, piece by piece as the file is read; see `read_regular`."""
    try:
        extra("pyarrow")
    except UserError:
        raise Irregular from None
    if width < 2 or len(separator.encode()) > 1 or not places:
        raise Irregular  # a blank line may be a row
    is_first, line = True, 1
    for block in _blocks(file):
        if is_first:
            block, is_first = block.removeprefix(codecs.BOM_UTF8), False
        lines = _lines(block, separator)
        n = min(skipped, len(lines.starts))
        skipped -= n
        if len(lines.starts) > n:
            table = _parsed(block[int(lines.starts[n]) :], lines, separator, width, places)
            if len(table) != len(lines.starts) - n:
                raise Irregular
            yield table, lines.numbers[n:] + line
        line += lines.n


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
    ends = breaks
    in_cells = np.searchsorted(quotes, breaks) % 2 == 1 if len(quotes) else np.zeros(0, bool)
    if in_cells.any():
        ends = breaks[~in_cells]
    starts = np.append(0, ends[:-1] + 1)
    numbers = np.arange(len(starts))
    if in_cells.any():
        numbers = np.append(0, np.flatnonzero(~in_cells)[:-1] + 1)
    is_blank = (starts == ends) | ((starts + 1 == ends) & (signs[starts] == _RETURN))
    if is_blank.any():
        starts, numbers = starts[~is_blank], numbers[~is_blank]
    return _Lines(starts, numbers, len(breaks), bool(in_cells.any()))


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


def _parsed(block: bytes, lines: _Lines, separator: str, width: int, places: Sequence[int]) -> Any:
    arrow, csv = extra("pyarrow"), extra("pyarrow.csv")
    names = [str(i) for i in range(width)]
    wanted = [names[i] for i in places]
    try:
        return csv.read_csv(
            arrow.BufferReader(block),
            csv.ReadOptions(column_names=names, block_size=_BLOCK // 8),
            csv.ParseOptions(delimiter=separator, newlines_in_values=lines.has_breaks),
            csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, arrow.large_string()),
                include_columns=wanted,
                strings_can_be_null=False,
            ),
        )
    except arrow.ArrowInvalid:
        raise Irregular from None
