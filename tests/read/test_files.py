import bz2
import csv
import gzip
import lzma
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pytest

from ncd_jax.errors import UserError
from ncd_jax.read.files import read_batches, read_raw
from ncd_jax.read.gaps import MARKS
from ncd_jax.read.options import ReadOptions

GOOD = "a,label,b\n1,x,2.5\n3,y,4\n5,z,6\n7,,8\n"
FRAME = pd.DataFrame({"a": [1, 3, 5, 7], "label": ["x", "y", "z", None], "b": [2.5, 4, 6, 8]})
CELLS = pd.DataFrame(
    {"a": ["1", "3", "5", "7"], "label": ["x", "y", "z", ""], "b": ["2.5", "4", "6", "8"]}
)


@pytest.fixture
def write(tmp_path):
    def write(content, name="customers.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def error_of(path, *args):
    with pytest.raises(UserError) as caught:
        read_raw(path, *args)
    message = str(caught.value)
    assert "\n" not in message
    return message


def cells_of(path, *args):
    """The cells as words, none where one is empty or says so; numbers as they are written."""
    frame = read_raw(path, *args).frame
    return frame.map(lambda cell: "" if str(cell).strip() in MARKS or cell != cell else str(cell))


def zipped(path, *names):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, GOOD)
    return path


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (GOOD, "t.csv"),
        (GOOD, "T.CSV"),
        (GOOD, "t.txt"),
        (GOOD.replace("\n", "\r\n"), "t.csv"),
        ("\ufeff" + GOOD, "t.csv"),
        (GOOD.rstrip("\n"), "t.csv"),
        (GOOD.replace("\n3", "\n\n3"), "t.csv"),
        ("\n" + GOOD, "t.csv"),
        ("a, label ,b\n 1 , x, 2.5\n3,y,4 \n5,z,6\n7,  ,8\n", "t.csv"),
        ('a,"label",b\n"1","x",2.5\n3,y,4\n5,z,6\n7,"",8\n', "t.csv"),
        (GOOD.replace(",", ";"), "t.csv"),
        (GOOD.replace(",", "|"), "t.csv"),
        (GOOD.replace(",", "\t"), "t.csv"),
        (GOOD.replace(",", "\t"), "t.tsv"),
        (GOOD.replace(",,", ",NA,"), "t.csv"),
        (GOOD.replace(",,", ",?,"), "t.csv"),
        (gzip.compress(GOOD.encode(), mtime=0), "t.csv.gz"),
        (bz2.compress(GOOD.encode()), "t.v2.csv.bz2"),
        (lzma.compress(GOOD.replace(",", "\t").encode()), "t.tsv.xz"),
    ],
)
def test_spelling_and_packing_do_not_matter(write, content, name):
    found = cells_of(write(content, name))
    pd.testing.assert_frame_equal(found.map(str.strip), CELLS, check_dtype=False)


def test_archives_hold_one_table(tmp_path):
    good = zipped(tmp_path / "t.csv.zip", "t.csv")
    pd.testing.assert_frame_equal(cells_of(good), CELLS, check_dtype=False)
    assert "holds 2 files" in error_of(zipped(tmp_path / "two.csv.zip", "a.csv", "b.csv"))


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_typed_files_keep_their_types(tmp_path, suffix):
    frame = FRAME.assign(
        when=pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04"]),
        kind=pd.Categorical(["u", "v", None, "u"]),
        on=[True, False, True, True],
    )
    frame = pd.concat([frame, frame.add_prefix("more ")], axis=1)
    frame = frame.assign(**{f"c{i}": np.arange(4.0) * i for i in range(40)})
    path = tmp_path / f"t.{suffix}"
    getattr(frame, f"to_{suffix}")(path)
    pd.testing.assert_frame_equal(read_raw(path).frame, frame, check_dtype=False)
    assert isinstance(read_raw(path).frame["kind"].dtype, pd.CategoricalDtype)
    chosen = read_raw(path, lambda names: ["more b", "a"]).frame
    pd.testing.assert_frame_equal(chosen, frame[["a", "more b"]], check_dtype=False)


def test_index_of_a_parquet_file_is_no_column(tmp_path):
    path = tmp_path / "t.parquet"
    FRAME[FRAME["a"] > 1].to_parquet(path)
    assert list(read_raw(path).frame) == ["a", "label", "b"]


def test_excel(tmp_path):
    pytest.importorskip("openpyxl")
    frame = FRAME.assign(when=pd.to_datetime(["2024-01-01"] * 3 + [None]), on=[True, False] * 2)
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    found = read_raw(tmp_path / "t.xlsx").frame
    pd.testing.assert_frame_equal(found, frame, check_dtype=False)
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    frame.to_excel(tmp_path / "twice.xlsx", index=False)
    assert list(read_raw(tmp_path / "twice.xlsx").frame) == ["a", "a (2)"]
    pd.DataFrame().to_excel(tmp_path / "empty.xlsx", index=False)
    assert "is empty" in error_of(tmp_path / "empty.xlsx")


def test_zst(tmp_path):
    path = tmp_path / "t.csv.zst"
    with pyarrow.output_stream(str(path), compression="zstd") as file:
        file.write(GOOD.encode())
    pd.testing.assert_frame_equal(cells_of(path), CELLS, check_dtype=False)
    assert "does not exist" in error_of(tmp_path / "no.csv.zst")


def test_a_package_that_is_not_there_is_named(write, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    message = error_of(write(b"", "t.xlsx"))
    assert "needs openpyxl" in message
    assert "ncd_jax[excel]" in message


def test_only_the_columns_asked_for_are_read_and_text_stays_text(write):
    path = write("a,l,b\n1,NA,2\n3,01,4\n5,1.0,6\n7,,8\n")
    frame = read_raw(path, lambda names: ["l", "a"]).frame
    assert list(frame) == ["a", "l"]
    assert frame["l"].tolist() == ["NA", "01", "1.0", ""]


def test_cells_are_kept_as_written_in_tables_of_any_length(write):
    cells = [*map(str, range(50_000)), "017", "word"]
    path = write("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    assert read_raw(path).frame["a"].tolist() == cells


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("a,label,b\n", ["header and no rows"]),
        (b"PK\x03\x04\xff\xfe\x00\x80", ["not text"]),
        (bytes(range(256)) * 9, ["not text"]),
        ('a,label,b\n1,"x,2\n', ["not a CSV table", "line 2"]),
        (GOOD.replace("1,x", "1,x,9"), ["line 2 has 4", "with its 3"]),
        (GOOD.replace("3,y,4", "3,y,4,5"), ["line 3 has 4"]),
        (GOOD.replace("3,y,4", "3,y"), ["line 3 has 2"]),
        (GOOD.replace("3,y,4", '"3",y'), ["line 3 has 2"]),
        (GOOD.replace("x", '"x,\n"').replace("5,z,6", "5,z"), ["line 5 has 2"]),
        (
            GOOD.replace("x,2.5", "x").replace("5,z,6", "5,z,6,7"),
            ["2 lines", "line 2 has 2, line 4 has 4"],
        ),
        ("a,b,label\n1,2,x\n1,2,y\n1,2,z\n1,2\n", ["line 5 has 2"]),
    ],
)
def test_mistakes_are_one_line_that_names_them(write, content, fragments):
    message = error_of(write(content))
    assert len(message) < 300
    for fragment in ["customers.csv", *fragments]:
        assert fragment in message
    # Which columns are asked for makes no difference.
    if "named" not in message and "empty" not in message:
        assert error_of(write(content), lambda names: ["a"]) == message


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("t.csv.gz", "Not a gzipped file"),
        ("t.csv.bz2", "Invalid data stream"),
        ("t.csv.xz", "cannot be unpacked"),
        ("t.csv.zip", "cannot be unpacked"),
        ("t.xls", ".xls"),
        ("t.parquet.gz", "not read"),
        ("t", "no suffix"),
        ("t.parquet", "not a parquet file"),
        ("t.feather", "not a feather file"),
        ("t.xlsx", "not an Excel file"),
    ],
)
def test_files_that_are_not_what_they_are_called(write, name, fragment):
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    assert fragment in error_of(write(b"garbage", name))


def test_a_packed_file_cut_short(write):
    cut = gzip.compress(GOOD.encode() * 999)[:-20]
    assert "cannot be unpacked" in error_of(write(cut, "t.csv.gz"))


def test_file_that_is_missing_or_a_folder(tmp_path):
    assert "does not exist" in error_of(tmp_path / "no.csv")
    assert "is a folder" in error_of(tmp_path)
    (tmp_path / "t.csv").mkdir()
    assert "is a folder" in error_of(tmp_path / "t.csv")
    assert "cannot be read" in error_of(Path("x" * 5000 + ".csv"))


def test_nothing_is_parsed_before_the_columns_are_known_to_be_there(write, monkeypatch):
    def choose(names):
        monkeypatch.setattr(csv, "reader", None)
        raise UserError(f"{names} will not do")

    assert "will not do" in error_of(write(GOOD), choose)


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("cp1252", "cp1252"),
        ("latin-1", "cp1252"),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_are_found(write, encoding, name, separator):
    text = "größe,straße\n1,Köln\n2,Nîmes\n".replace(",", separator)
    path = write(text.encode(encoding))
    raw = read_raw(path)
    assert raw.facts["encoding"] == name
    assert raw.frame["straße"].tolist() == ["Köln", "Nîmes"]
    again = read_raw(path, options=ReadOptions(encoding=encoding))
    pd.testing.assert_frame_equal(again.frame, raw.frame)


@pytest.mark.parametrize(
    ("encoding", "words"),
    [
        ("cp1251", ["длина", "улица", "Москва", "Казань", "Новосибирск", "площадь"]),
        ("koi8_r", ["длина", "улица", "Москва", "Казань", "Новосибирск", "площадь"]),
        ("cp1253", ["μήκος", "οδός", "Αθήνα", "Πάτρα", "Θεσσαλονίκη", "Λάρισα"]),
        ("gb18030", ["长度", "街道", "北京市", "上海市", "广州市", "天津市"]),
        ("shift_jis", ["長さ", "通り", "東京都", "大阪府", "京都府", "北海道"]),
    ],
)
def test_other_scripts_are_found_or_said(write, encoding, words):
    rows = "".join(f"{i},{words[2 + i % 4]}\n" for i in range(40))
    path = write(f"{words[0]},{words[1]}\n{rows}".encode(encoding))
    assert set(read_raw(path).frame[words[1]]) == set(words[2:])
    assert list(read_raw(path, options=ReadOptions(encoding=encoding)).frame) == words[:2]
    assert "no encoding 'utf-9'" in error_of(path, lambda n: n, ReadOptions(encoding="utf-9"))
    assert "is not in utf-8" in error_of(path, lambda n: n, ReadOptions(encoding="utf-8"))


def test_a_stray_byte_far_down_does_not_keep_a_table_from_being_read(write):
    raw = read_raw(write((GOOD + "7,x,8\n" * 99_999).encode() + b"7,\xff,8\n"))
    assert raw.facts["encoding"] == "cp1252"
    assert raw.frame["label"].iloc[-1] == "ÿ"


@pytest.mark.parametrize(
    "content",
    [
        "sep=,\n" + GOOD,
        "SEP=;\r\n" + GOOD.replace(",", ";"),
        '"sep=|"\n' + GOOD.replace(",", "|"),
        "\ufeffsep=;\n" + GOOD.replace(",", ";"),
        GOOD.replace("\n", ",\n"),
        GOOD.replace("\n", ",,\n"),
        GOOD.replace("x,2.5\n", "x,2.5,,\n"),
        "Customers of 2024\n\n" + GOOD,
        "Customers of 2024,,\nall of them,,\n" + GOOD,
        "# made by a program\n" + GOOD,
        "all of them\n" * 3 + GOOD,
        GOOD + "\n\n   \n",
        GOOD.replace("\n", "\r"),
    ],
)
def test_what_programs_put_around_a_table(write, content):
    pd.testing.assert_frame_equal(cells_of(write(content)), CELLS, check_dtype=False)


def test_names_of_rows_as_r_writes_them(write):
    rows = GOOD.splitlines()[1:]
    content = "\n".join(["a,label,b", *(f'"r{i}",{row}' for i, row in enumerate(rows))])
    frame = cells_of(write(content))
    assert list(frame) == ["Unnamed: 0", "a", "label", "b"]
    pd.testing.assert_frame_equal(frame[["a", "label", "b"]], CELLS, check_dtype=False)
    assert list(cells_of(write(GOOD.replace("a,", ",", 1)))) == ["Unnamed: 0", "label", "b"]


def test_a_cell_may_be_as_long_as_it_likes(write):
    limit = csv.field_size_limit()
    long = "lorem ipsum, " * 11_000
    assert read_raw(write(GOOD.replace("x", f'"{long}"'))).frame["label"][0] == long
    assert csv.field_size_limit() == limit


def test_rows_have_the_line_in_which_they_begin(write):
    content = 'a,b\n1,2\n\n3,"x\ny"\n5,6\n'
    raw = read_raw(write(content))
    assert raw.lines.tolist() == [2, 4, 6]
    assert raw.where(2) == "line 6"


def test_a_mac_packs_more_than_the_table(tmp_path):
    path = tmp_path / "t.csv.zip"
    zipped(path, "t.csv", "__MACOSX/._t.csv", ".DS_Store")
    pd.testing.assert_frame_equal(cells_of(path), CELLS, check_dtype=False)


def test_sheets_are_chosen(tmp_path):
    pytest.importorskip("openpyxl")
    path = tmp_path / "t.xlsx"
    with pd.ExcelWriter(path) as writer:
        pd.DataFrame({"a": ["other"]}).to_excel(writer, sheet_name="Cover", index=False)
        FRAME.to_excel(writer, sheet_name="Data", index=False, startrow=2, startcol=1)
        pd.DataFrame().to_excel(writer, sheet_name="Nothing", index=False)
    for sheet in ["Data", "2"]:
        raw = read_raw(path, options=ReadOptions(sheet=sheet))
        pd.testing.assert_frame_equal(raw.frame, FRAME, check_dtype=False)
        assert raw.lines.tolist() == [4, 5, 6, 7]
    assert read_raw(path).frame["a"].tolist() == ["other"]
    assert read_raw(path).facts["other sheets"] == "Data, Nothing"
    message = error_of(path, lambda names: names, ReadOptions(sheet="Dates"))
    assert "no sheet 'Dates'; its sheets are 'Cover', 'Data', 'Nothing'" in message
    assert "'Nothing' is empty" in error_of(path, lambda names: names, ReadOptions(sheet="Nothing"))


def test_rows_of_a_sheet_may_be_longer_or_shorter_than_its_header(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [["Customers"], [], ["a", "b", None, "c"], [1, "x"], [2, " ", None, 3, 4]]:
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    raw = read_raw(tmp_path / "t.xlsx")
    assert list(raw.frame) == ["a", "b", "c", "Unnamed: 3"]
    assert raw.frame["a"].tolist() == [1, 2]
    assert raw.lines.tolist() == [4, 5]


@pytest.mark.parametrize("content", ["a,b\n", "a\n", "a, b\n"])
def test_a_header_alone_is_told_in_batches_too(write, content):
    with pytest.raises(UserError, match="header and no rows"):
        list(read_batches(write(content), lambda names: names, ReadOptions(), 20))
