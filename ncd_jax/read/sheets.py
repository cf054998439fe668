"""Tables from Excel: the sheet, the header below titles, and the cells that belong to the table.

Spreadsheets leave cells far from the table, in column XFD say, or in row 1,048,576. What stands
beyond an empty stretch as wide or long as no table has is not read, and told.
"""

import contextlib
import dataclasses
import itertools
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra, to_frame
from ncd_jax.read.layouts import TITLES, header_at
from ncd_jax.read.names import checked_names, one_line, show
from ncd_jax.read.options import Choose, ReadOptions
from ncd_jax.read.raw import RawTable

__all__ = ["read_excel"]

_MERGED = re.compile(rb'<mergeCell ref="([A-Z]{1,3}[0-9]{1,7}:[A-Z]{1,3}[0-9]{1,7})"')
_PART, _LONGEST = 1 << 20, 64
"""Bytes of a sheet that are looked at together, and that a range of merged cells takes at most."""
_FAR_DOWN, _FAR_RIGHT = 10_000, 256
"""Empty rows, and empty columns, behind which no cell belongs to the table."""


def read_excel(path: Path, choose: Choose, options: ReadOptions) -> RawTable:
    """Reads a sheet, the first one that has the columns; see `files.read_raw`.

    Raises:
        UserError: the file is damaged, has no such sheet, or unpacks to too much.
    """
    excel, mistakes = extra("openpyxl"), []
    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of styles and extensions that say nothing of cells
        with _told():
            with zipfile.ZipFile(file) as archive:
                options.check_size(sum(part.file_size for part in archive.infolist()))
            book = excel.load_workbook(file, read_only=True, data_only=True)
            sheets = _sheets(book, options.sheet)
        for sheet in sheets:
            with _told():
                rows, notes = _rows(sheet)
                with zipfile.ZipFile(file) as archive, archive.open(sheet._worksheet_path) as part:
                    merged = _merged(part)
            try:
                raw = _table(sheet.title, rows, merged, notes, choose)
            except UserError as mistake:
                mistakes.append(mistake)
                continue
            if others := [title for title in book.sheetnames if title != sheet.title]:
                raw.facts["other sheets"] = ", ".join(others)
            if mistakes:
                note = (
                    f"sheet {show(sheet.title)} is read, the first that has the columns; --sheet="
                    " takes another"
                )
                raw = dataclasses.replace(raw, notes=(note, *raw.notes))
            return raw
    raise next((each for each in mistakes if "did you mean" in str(each)), mistakes[0])


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Says of whatever a damaged file raises what it means."""
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        reason = one_line(error)
        raise UserError(f"it is not an Excel file ({reason}); save it again as .xlsx") from None


def _table(
    title: str, rows: list[list[Any]], merged: list[str], notes: list[str], choose: Choose
) -> RawTable:
    """The rows of a sheet and the columns that are wanted; see `_fill` for merged cells."""
    filled = [i for i, row in enumerate(rows) if any(cell not in (None, "") for cell in row)]
    if not filled:
        raise UserError(f"sheet {show(title)} is empty; give a table with a header row")
    rows, first = rows[: filled[-1] + 1], filled[0]
    above = [*itertools.zip_longest(*rows[first : first + TITLES])]
    at = first + header_at([*zip(*above, strict=True)])
    columns = [list(cells) for cells in itertools.zip_longest(*rows[at:])]
    used = [i for i, cells in enumerate(columns) if any(cell is not None for cell in cells)]
    names = checked_names([columns[i][0] for i in used])
    columns = [cells[1:] for cells in columns]
    wanted = set(choose(names))
    notes += _fill(columns, at, dict(zip(used, names, strict=True)), merged)
    found = {
        name: pd.Series(columns[i], dtype=object).infer_objects()
        for i, name in zip(used, names, strict=True)
        if name in wanted
    }
    frame = to_frame(pd.DataFrame(found, copy=False))
    lines = np.arange(at + 2, len(rows) + 1)
    return RawTable(frame, lines, facts={"sheet": title}, notes=tuple(notes))


def _fill(
    columns: list[list[Any]], at: int, names: Mapping[int, str], merged: list[str]
) -> list[str]:
    """Gives all rows of merged cells their value, and says of which columns.

    Args:
        columns: cells below the header.
        at: row of the header, from 0.
        names: of columns that have one.
        merged: cells that hold one value, a range such as `A2:A9` each.
    """
    told = []
    for place in merged:
        left, top, right, bottom = extra("openpyxl.utils").range_boundaries(place)
        rows = range(max(top - at - 2, 0), min(bottom - at - 1, len(columns[0])))
        if left != right or top <= at + 1 or len(rows) < 2 or left - 1 not in names:
            continue
        cells = columns[left - 1]
        for row in rows:
            cells[row] = cells[rows[0]]
        told.append(names[left - 1])
    return [
        f"column {show(name)} has merged cells, whose value all of their rows get"
        for name in dict.fromkeys(told)
    ]


def _sheets(book: Any, wished: str) -> list[Any]:
    """The sheet of that name or number, or all."""
    sheets = list(book.worksheets)
    if not sheets:
        raise UserError("it has no sheet with cells; save the table as a sheet of its own")
    if not wished:
        return sheets
    for number, sheet in enumerate(sheets, start=1):
        if wished in (sheet.title, str(number)):
            return [sheet]
    names = ", ".join(show(sheet.title) for sheet in sheets)
    raise UserError(f"there is no sheet {show(wished)}; its sheets are {names}")


def _merged(part: IO[bytes]) -> list[str]:
    """The ranges of merged cells, which stand behind all cells in the file of a sheet."""
    found: list[str] = []
    rest = b""
    while data := part.read(_PART):
        data = rest + data
        matches = list(_MERGED.finditer(data))
        found += [match[1].decode() for match in matches]
        rest = data[max(matches[-1].end() if matches else 0, len(data) - _LONGEST) :]
    return found


def _rows(sheet: Any) -> tuple[list[list[Any]], list[str]]:
    """The rows of a sheet without empty cells behind them, and notes on what lies far away."""
    sheet.reset_dimensions()  # what a file says of its size may be anything
    rows: list[list[Any]] = []
    notes: list[str] = []
    width, n_blank = 0, 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
        cells = list(row)
        while cells and cells[-1] in (None, ""):
            cells.pop()
        if not cells:
            n_blank += 1
            if n_blank <= _FAR_DOWN:
                continue
            if rows:
                notes.append(
                    f"cells below row {number - n_blank + _FAR_DOWN} of the sheet, if there are"
                    " any, are not read: they stand far from the table"
                )
            break
        near = _near(cells, max(width, 1))
        if len(near) < len(cells):
            notes.append(
                f"row {number}: cells beyond column {len(near) + _FAR_RIGHT} are not read; they"
                " stand far from the table"
            )
        width = max(width, len(near))
        rows += [[] for _ in range(n_blank)] + [near]
        n_blank = 0
    return rows, notes[:3]


def _near(cells: list[Any], width: int) -> list[Any]:
    """The cells before an empty stretch that is as wide as no table has, beyond its width."""
    filled = [i for i, cell in enumerate(cells) if i >= width and cell not in (None, "")]
    for before, after in itertools.pairwise([width - 1, *filled]):
        if after - before > _FAR_RIGHT:
            return cells[: before + 1]
    return cells
