"""Files that are damaged, or made to harm: one line each, soon, and no traceback."""

import bz2
import gzip
import lzma
import os
import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.read.files import read_raw
from ncd_jax.read.options import ReadOptions

openpyxl = pytest.importorskip("openpyxl")
pytest.importorskip("openpyxl.chart")


def error_of(path, **options):
    with pytest.raises(UserError) as caught:
        read_raw(path, options=ReadOptions(**options))
    message = str(caught.value)
    assert "\n" not in message
    return message


def what_is_said(path):
    """The mistake, which is one line, or the path of what could be read all the same."""
    said = str(path)
    try:
        read_raw(path)
    except UserError as error:
        said = str(error)
    assert said.splitlines() == [said]
    return said


def write_book(path, change=None):
    """A sheet of ten rows; `change` gets it before it is saved."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["a", "b", "kind"])
    for i in range(10):
        sheet.append([i + 0.5, f"word {i % 3}", "xy"[i % 2]])
    if change:
        change(book, sheet)
    book.save(path)
    return path


def rewrite(path, member, edit):
    """Changes a part of a workbook; `edit` gets its bytes, and nothing takes the part away."""
    with zipfile.ZipFile(path) as archive:
        parts = {info.filename: archive.read(info) for info in archive.infolist()}
    name = next(name for name in parts if re.search(member, name))
    content = edit(parts.pop(name))
    if content is not None:
        parts[name] = content
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize("n", range(1, 30, 4))
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "utf-32"])
def test_torn_text(tmp_path, n, encoding):
    path = tmp_path / "t.csv"
    path.write_bytes("a,kind\n1,ä\n2,y\n".encode(encoding)[:n])
    assert "t.csv" in what_is_said(path)


@pytest.mark.parametrize(
    ("member", "edit"),
    [
        ("sheet1.xml", lambda b: b[: len(b) // 2]),
        ("sheet1.xml", lambda b: b.replace(b"<row", b"<wor")),
        ("sheet1.xml", lambda b: b.replace(b"<v>0.5</v>", b"<v>half</v>")),
        ("sheet1.xml", lambda b: b.replace(b't="n"><v>1.5', b't="s"><v>333')),
        ("sheet1.xml", lambda b: b.replace(b't="n"><v>1.5', b't="s"><v>-x')),
        ("sheet1.xml", lambda b: b.replace(b'r="2"', b'r="two"')),
        ("sheet1.xml", lambda b: None),
        ("styles.xml", lambda b: b"<"),
        ("styles.xml", lambda b: None),
        ("workbook.xml$", lambda b: b[:80]),
        ("workbook.xml$", lambda b: None),
        ("workbook.xml.rels", lambda b: None),
        ("Content_Types", lambda b: b""),
    ],
)
def test_damaged_workbooks(tmp_path, member, edit):
    path = rewrite(write_book(tmp_path / "t.xlsx"), member, edit)
    assert "t.xlsx" in what_is_said(path)


def test_workbooks_without_a_table(tmp_path):
    def add_chart(book, sheet):
        chart = openpyxl.chart.BarChart()
        chart.add_data(openpyxl.chart.Reference(sheet, min_col=1, min_row=1, max_row=9))
        book.create_chartsheet("chart", 0).add_chart(chart)

    def chart_alone(book, sheet):
        add_chart(book, sheet)
        book.remove(sheet)

    assert "no sheet with cells" in error_of(write_book(tmp_path / "t.xlsx", chart_alone))
    path = rewrite(
        write_book(tmp_path / "u.xlsx"),
        "workbook.xml$",
        lambda b: re.sub(rb"<sheets>.*</sheets>", b"<sheets></sheets>", b),
    )
    assert "u.xlsx" in error_of(path)
    assert list(read_raw(write_book(tmp_path / "v.xlsx", add_chart)).frame) == ["a", "b", "kind"]


@pytest.mark.parametrize("place", ["XFD1048576", "XFD1", "XFD5", "AMJ7", "A1048576"])
def test_stray_cells_are_not_read_and_told(tmp_path, place):
    plain = read_raw(write_book(tmp_path / "plain.xlsx"))
    path = write_book(tmp_path / "t.xlsx", lambda book, sheet: sheet.__setitem__(place, "x"))
    raw = read_raw(path)
    pd.testing.assert_frame_equal(raw.frame, plain.frame)
    assert len(raw.notes) == 1
    assert "far from the table" in raw.notes[0]


def test_a_row_number_of_two_thousand_million(tmp_path):
    path = rewrite(
        write_book(tmp_path / "t.xlsx"),
        "sheet1.xml",
        lambda b: b.replace(b'<row r="11">', b'<row r="2000000000">'),
    )
    assert len(read_raw(path).frame) == 9


def test_wide_gaps_that_a_table_may_have_are_read(tmp_path):
    def change(_, sheet):
        sheet["AZ1"], sheet["AZ4"] = "far", 3.0
        sheet["A500"] = 7.5

    raw = read_raw(write_book(tmp_path / "t.xlsx", change))
    assert list(raw.frame) == ["a", "b", "kind", "far"]
    assert raw.notes == ()
    assert raw.frame["a"].iloc[-1] == 7.5
    assert raw.lines[-1] == 500


@pytest.mark.parametrize("suffix", ["gz", "bz2", "xz", "zip", "xlsx"])
def test_archives_that_unpack_to_too_much(tmp_path, suffix):
    path, content = tmp_path / f"t.csv.{suffix}", b"a,kind\n" + b"1,x\n" * 500_000
    if suffix == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("t.csv", content)
    elif suffix == "xlsx":
        path = write_book(tmp_path / "t.xlsx")
        rewrite(path, "styles.xml", lambda b: b + b" " * len(content))
    else:
        pack = {"gz": gzip, "bz2": bz2, "xz": lzma}[suffix]
        path.write_bytes(pack.compress(content))
    assert path.stat().st_size < 250_000
    assert "--max_gb=" in error_of(path, max_gb=0.00125)


def test_parquet_that_is_too_much(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": np.zeros(1_000_000), "kind": ["x"] * 1_000_000})
    frame.to_parquet(tmp_path / "t.parquet")
    assert "--max_gb=" in error_of(tmp_path / "t.parquet", max_gb=0.005)


def test_a_quote_that_nobody_closed(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('a,kind\n1,"x\n' + "2,yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n" * 600_000)
    assert "16 million" in error_of(path)


def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert "is a pipe" in error_of(tmp_path / "pipe.csv")
    assert "character that no name of a file has" in error_of(Path("a\0b.csv"))
    assert "is a folder" in error_of(tmp_path)


@pytest.mark.parametrize("n", [25, 381])
def test_an_id_is_no_label(n):
    frame = pd.DataFrame({"v": np.arange(n + 5.0) ** 2, "id": [*map(str, range(n)), *[None] * 5]})
    with pytest.raises(UserError, match=f"{n} classes of one row each: is this an id"):
        read_table(frame, "id")
    frame["id"] = frame["id"].str[-1:]
    assert len(read_table(frame, "id").classes) == 10
