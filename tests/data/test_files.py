import bz2
import gzip
import importlib
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncd_jax.data.files import read_frame
from ncd_jax.errors import UserError

GOOD = "a,label,b\n1,x,2.5\n3,y,4\n5,z,6\n7,,8\n"
FRAME = pd.DataFrame({"a": [1, 3, 5, 7], "label": ["x", "y", "z", None], "b": [2.5, 4, 6, 8]})


@pytest.fixture
def write(tmp_path):
    def write(content, name="customers.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def error_of(path, *args):
    with pytest.raises(UserError) as caught:
        read_frame(path, *args)
    message = str(caught.value)
    assert "\n" not in message
    return message


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
    pd.testing.assert_frame_equal(read_frame(write(content, name)), FRAME, check_dtype=False)


def test_archives_hold_one_table(tmp_path):
    good = zipped(tmp_path / "t.csv.zip", "t.csv")
    pd.testing.assert_frame_equal(read_frame(good), FRAME, check_dtype=False)
    assert "holds 2 files" in error_of(zipped(tmp_path / "two.csv.zip", "a.csv", "b.csv"))


@pytest.mark.parametrize("suffix", ["parquet", "feather"])
def test_typed_files_keep_their_types(tmp_path, suffix):
    pytest.importorskip("pyarrow")
    frame = FRAME.assign(
        when=pd.to_datetime(["2024-01-01", None, "2024-01-03", "2024-01-04"]),
        kind=pd.Categorical(["u", "v", None, "u"]),
        on=[True, False, True, True],
    )
    frame = pd.concat([frame, frame.add_prefix("more ")], axis=1)
    frame = frame.assign(**{f"c{i}": np.arange(4.0) * i for i in range(40)})
    path = tmp_path / f"t.{suffix}"
    getattr(frame, f"to_{suffix}")(path)
    pd.testing.assert_frame_equal(read_frame(path), frame, check_dtype=False)
    assert isinstance(read_frame(path)["kind"].dtype, pd.CategoricalDtype)
    chosen = read_frame(path, lambda names: ["more b", "a"])
    pd.testing.assert_frame_equal(chosen, frame[["a", "more b"]], check_dtype=False)


def test_index_of_a_parquet_file_is_no_column(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "t.parquet"
    FRAME[FRAME["a"] > 1].to_parquet(path)
    assert list(read_frame(path)) == ["a", "label", "b"]


def test_excel(tmp_path):
    pytest.importorskip("openpyxl")
    frame = FRAME.assign(when=pd.to_datetime(["2024-01-01"] * 3 + [None]), on=[True, False] * 2)
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    pd.testing.assert_frame_equal(read_frame(tmp_path / "t.xlsx"), frame, check_dtype=False)
    frame = pd.DataFrame([[1, 2]], columns=["a", "a"])
    frame.to_excel(tmp_path / "twice.xlsx", index=False)
    assert "two columns are named 'a'" in error_of(tmp_path / "twice.xlsx")
    pd.DataFrame().to_excel(tmp_path / "empty.xlsx", index=False)
    assert "is empty" in error_of(tmp_path / "empty.xlsx")


def test_zst(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    path = tmp_path / "t.csv.zst"
    with pyarrow.output_stream(str(path), compression="zstd") as file:
        file.write(GOOD.encode())
    pd.testing.assert_frame_equal(read_frame(path), FRAME, check_dtype=False)
    assert "does not exist" in error_of(tmp_path / "no.csv.zst")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("t.parquet", "pyarrow", "parquet"),
        ("t.feather", "pyarrow", "parquet"),
        ("t.csv.zst", "pyarrow", "parquet"),
        ("t.xlsx", "openpyxl", "excel"),
    ],
)
def test_packages_that_are_not_there_are_named(write, monkeypatch, name, package, extra):
    real = importlib.import_module

    def missing(wanted, *args):
        if wanted.partition(".")[0] == package:
            raise ImportError(wanted)
        return real(wanted, *args)

    monkeypatch.setattr(importlib, "import_module", missing)
    message = error_of(write(b"", name))
    assert package in message
    assert f"ncd_jax[{extra}]" in message


def test_only_the_columns_asked_for_are_read_and_text_stays_text(write):
    path = write("a,l,b\n1,NA,2\n3,01,4\n5,1.0,6\n7,,8\n")
    frame = read_frame(path, lambda names: ["l", "a"], as_text=["l"])
    assert list(frame) == ["a", "l"]
    assert frame["l"].tolist() == ["NA", "01", "1.0", ""]


def test_columns_part_numbers_part_words_are_kept_as_written(write):
    cells = [*map(str, range(300_000)), "017", "word"]
    path = write("a,b\n" + "".join(f"{cell},1\n" for cell in cells))
    assert read_frame(path)["a"].tolist() == cells


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("a,label,b\n", ["header and no rows"]),
        (b"PK\x03\x04\xff\xfe\x00\x80", ["not UTF-8"]),
        (bytes(range(256)) * 9, ["not UTF-8"]),
        (GOOD.encode("utf-16"), ["not UTF-8"]),
        (GOOD.replace("x", "\xe9").encode("latin-1"), ["not UTF-8", "save the table as UTF-8"]),
        ((GOOD + "7,x,8\n" * 99_999).encode() + b"7,\xff,8\n", ["not UTF-8"]),
        ('a,label,b\n1,"x,2\n', ["not a CSV table"]),
        (GOOD.replace("1,x", "1,x,9"), ["row 0", "4 cells", "3"]),
        (GOOD.replace("3,y,4", "3,y,4,5"), ["row 1", "4 cells", "3"]),
        (GOOD.replace("3,y,4", "3,y"), ["row 1", "2 cells", "3"]),
        (GOOD.replace("3,y,4", '"3",y'), ["row 1", "2 cells", "3"]),
        (GOOD.replace("x", '"x,\n"').replace("5,z,6", "5,z"), ["row 2", "2 cells"]),
        ("a,b,label\n1,2,x\n1,2,y\n1,2,z\n1,2\n", ["row 3", "2 cells"]),
        (GOOD.replace("b\n", "a\n", 1), ["two columns are named 'a'"]),
        (GOOD.replace("b\n", " a \n", 1), ["two columns are named 'a'"]),
        (GOOD.replace("a,", ",", 1), ["column 0 has no name"]),
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
    if name.endswith(("parquet", "feather")):
        pytest.importorskip("pyarrow")
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
        monkeypatch.setattr(pd, "read_csv", None)
        raise UserError(f"{names} will not do")

    assert "will not do" in error_of(write(GOOD), choose)
