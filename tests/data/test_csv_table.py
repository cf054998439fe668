from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncd_jax.data.csv_table import read_csv_rows, read_csv_table
from ncd_jax.errors import UserError

GOOD = "a,label,b\n1,x,2\n3,y,4\n5,z,6\n7,,8\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="customers.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def error_of(call, *args):
    with pytest.raises(UserError) as caught:
        call(*args)
    message = str(caught.value)
    assert "\n" not in message
    assert message
    return message


def test_reads_labelled_and_unlabelled_rows(write):
    table = read_csv_table(write(GOOD), "label")
    assert table.name == "customers"
    assert table.columns == ("a", "b")
    assert table.classes == ("x", "y", "z")
    np.testing.assert_array_equal(table.x, [[1, 2], [3, 4], [5, 6], [7, 8]])
    np.testing.assert_array_equal(table.y, [0, 1, 2, -1])
    assert table.x.dtype == np.float64
    assert table.y.dtype == np.int32
    assert table.x_test is None
    assert table.standardise


def test_reads_what_pandas_wrote(write):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 4)) * 10.0 ** rng.integers(-12, 12, (50, 4)))
    frame.columns = list("abcd")
    frame["kind"] = rng.choice(["u", "v", "w", None], 50)
    path = write(frame.to_csv(index=False))
    table = read_csv_table(path, "kind")
    np.testing.assert_array_equal(table.x, frame[list("abcd")].to_numpy())
    np.testing.assert_array_equal(table.y, pd.Categorical(frame.kind).codes)


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace("\n", "\r\n"),
        "\ufeff" + GOOD,
        GOOD.rstrip("\n"),
        GOOD.replace("\n3", "\n\n3"),
        "a, label ,b\n 1 , x,2\n3,y ,4\n5,z,6\n7,  ,8\n",
        'a,"label",b\n"1","x",2\n3,y,4\n5,z,6\n7,"",8\n',
    ],
    ids=["crlf", "bom", "no-last-newline", "blank-line", "spaces", "quotes"],
)
def test_spelling_does_not_matter(write, content):
    table, plain = read_csv_table(write(content), "label"), read_csv_table(write(GOOD), "label")
    np.testing.assert_array_equal(table.x, plain.x)
    np.testing.assert_array_equal(table.y, plain.y)
    assert (table.columns, table.classes) == (plain.columns, plain.classes)


def test_class_names_are_kept_as_written_in_natural_order(write):
    names = ["NaN", "10", "NA", "9", "nan", "1.0", "b", "NAN", "1", "a b", "-3", ""]
    content = "v,c\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))
    table = read_csv_table(write(content), "c")
    numbers, others = ["-3", "1", "1.0", "9", "10"], ["NA", "NAN", "NaN", "a b", "b", "nan"]
    assert table.classes == (*numbers, *others)
    assert [table.classes[code] if code >= 0 else "" for code in table.y] == names


def test_booleans_and_large_integers_are_numbers(write):
    content = f"a,b,c\nTrue,{10**30},x\nfalse,{2**63},y\nTRUE,-1,z\n1,1e300,\n"
    table = read_csv_table(write(content), "c")
    np.testing.assert_array_equal(table.x, [[1, 1e30], [0, 2.0**63], [1, -1], [1, 1e300]])


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("", ["is empty"]),
        ("\n\n", ["is empty"]),
        ("a,label,b\n", ["header and no rows"]),
        (b"PK\x03\x04\xff\xfe\x00\x80", ["not UTF-8"]),
        (bytes(range(256)) * 9, ["customers.csv"]),
        (GOOD.encode("utf-16"), ["not UTF-8"]),
        (GOOD.replace("x", "\xe9").encode("latin-1"), ["not UTF-8"]),
        ('a,label,b\n1,"x,2\n', ["not a CSV table"]),
        ("a,label,b\n" + "1" * 200_000 + ",x,2\n", ["not a CSV table"]),
        (GOOD.replace("3,y,4", "3,y,4,5"), ["row 1", "4 cells", "3"]),
        (GOOD.replace("3,y,4", "3,y"), ["row 1", "2 cells", "3"]),
        ("a,b,label\n1,2,x\n1,2,y\n1,2,z\n1,2\n", ["row 3", "2 cells"]),
        (GOOD.replace("label", "lable"), ["no column 'label'", "did you mean 'lable'?"]),
        (GOOD.replace("label", "q"), ["no column 'label'", "'a', 'q', 'b'"]),
        (GOOD.replace(",", ";"), ["no column 'label'", "'a;label;b'"]),
        (GOOD.replace("b\n", "a\n", 1), ["two columns are named 'a'"]),
        (GOOD.replace("a,", ",", 1), ["column 0 has no name"]),
        (GOOD.replace(",,", ",z,"), ["'label'", "filled on every row", "leave the cell empty"]),
        (GOOD.replace("z", "y"), ["'label'", "'x', 'y'", "at least 3", "hides two"]),
        ("a,label\n1,\n2, \n", ["'label'", "empty on every row"]),
        ("label\nx\ny\nz\n \n", ["only the label column"]),
        (GOOD.replace("5", "Paris"), ["column 'a'", "row 2", "'Paris'", "not a number"]),
        (GOOD.replace("6", "NaN"), ["column 'b'", "row 2", "'NaN'", "finite"]),
        (GOOD.replace("8", "-inf"), ["column 'b'", "row 3", "'-inf'", "finite"]),
        (GOOD.replace("8", "1e999"), ["column 'b'", "row 3", "'1e999'", "finite"]),
        (GOOD.replace("4", " "), ["column 'b'", "row 1", "is empty"]),
        (GOOD.replace("4", '"two\nlines"'), ["column 'b'", "row 1", r"'two\nlines'"]),
        (GOOD.replace("4", "x" * 500), ["column 'b'", "xxx..."]),
    ],
)
def test_mistakes_are_one_line_that_names_them(write, content, fragments):
    message = error_of(read_csv_table, write(content), "label")
    assert len(message) < 400
    for fragment in ["customers.csv", *fragments]:
        assert fragment in message


def test_many_columns_are_not_listed(write):
    header = ",".join(f"column_{i}" for i in range(500))
    assert len(error_of(read_csv_table, write(header + "\n" + "1," * 499 + "1\n"), "zz")) < 300


def test_file_that_is_missing_or_a_folder(tmp_path):
    assert "does not exist" in error_of(read_csv_table, tmp_path / "no.csv", "label")
    assert "is a folder" in error_of(read_csv_table, tmp_path, "label")
    assert "cannot be read" in error_of(read_csv_table, Path("x" * 5000), "label")


def test_rows_come_in_the_order_of_the_columns_asked_for(write):
    path = write("c,junk,a,b\n1,?,2,3\n4,,5,6\n")
    np.testing.assert_array_equal(read_csv_rows(path, ["a", "b", "c"]), [[2, 3, 1], [5, 6, 4]])
    assert "did you mean 'junk'?" in error_of(read_csv_rows, path, ["a", "jnk"])
    assert "column 'junk', row 0" in error_of(read_csv_rows, path, ["junk"])
