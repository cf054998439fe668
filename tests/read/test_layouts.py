"""Tables as people save them: headers, remarks below, sheets, cells merged or of several values."""

import json

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows
from reading_fixtures import N, as_written, make_labels, make_values

from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.read.several import source_of

LABELS = make_labels()
FRAME = pd.DataFrame(
    {"a": make_values(1), "b": make_values(2), "c": make_values(3), "y": as_written(LABELS)}
)
TEXT = FRAME.to_csv(index=False)


@pytest.fixture(scope="module")
def plain():
    return read_table(FRAME, "y")


@pytest.fixture
def read(tmp_path):
    def read(text, name="t.csv"):
        (tmp_path / name).write_text(text)
        return read_table(tmp_path / name, "y")

    return read


def workbook(path, *sheets, merged=()):
    book = pytest.importorskip("openpyxl").Workbook()
    for i, (title, rows) in enumerate(sheets):
        sheet = book.active if i == 0 else book.create_sheet()
        sheet.title = title
        for row in rows:
            sheet.append(row)
    for place in merged:
        book.active.merge_cells(place)
    book.save(path)
    return path


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (TEXT + "Source: our own\n* late, and so on\n", "2 remarks below the table left out"),
        (TEXT + ",,,\nExported in May,,,\n", "1 remark below the table left out"),
        ("size,,shape,\n" + TEXT, ""),
        (TEXT.replace(",", "  ").replace("  \n", "  ?\n"), "'?' is taken for"),
    ],
)
def test_what_stands_around_a_table_is_none_of_its_rows(read, plain, text, note):
    table = read(text)
    np.testing.assert_array_equal(table.x, plain.x)
    np.testing.assert_array_equal(table.y, plain.y)
    assert note in "".join(table.notes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT + "1,2\n", "line 50 has 2"),  # cut off, not a remark
        (TEXT + "a remark\n1,2,3,a\n", "line 50 has 1"),  # not below the table
        (TEXT.split("\n", 1)[1], "header holds numbers such as"),
        (TEXT.replace("a,b,c,y", "a,y,c,y"), "two columns are named 'y'"),
    ],
)
def test_mistakes_stay_mistakes(read, text, said):
    with pytest.raises(UserError, match=said):
        read(text)


def test_columns_of_one_name_are_told_apart(read, plain):
    table = read(TEXT.replace("a,b,c,y", "a,a,a (2),y"))
    assert table.columns == ("a", "a (2)", "a (3)")
    np.testing.assert_array_equal(np.sort(table.x), np.sort(plain.x))


def test_rows_with_a_class_alone_are_no_remarks(read):
    table = read(TEXT + ",,,a\n")
    assert len(table.y) == N  # a row without any cell
    assert "without any cell" in table.notes[0]


def test_sheets_and_merged_cells(tmp_path, plain):
    rows = [list(FRAME), *FRAME.sort_values("y").to_numpy(object).tolist()]
    counts = FRAME["y"].value_counts().sort_index()
    ends = 1 + counts.cumsum()
    merged = [f"D{end - n + 1}:D{end}" for end, n in zip(ends, counts, strict=True)][1:]
    path = workbook(tmp_path / "t.xlsx", ("Data", [["Customers"], [], *rows]))
    assert read_table(path, "y").classes == ("a", "b", "c")
    path = workbook(tmp_path / "m.xlsx", ("Data", rows), merged=merged)
    table = read_table(path, "y")
    np.testing.assert_array_equal(np.sort(table.y), np.sort(plain.y))
    assert "column 'y' has merged cells" in table.notes[0]
    path = workbook(tmp_path / "s.xlsx", ("Readme", [["of ours"]]), ("Data", rows))
    assert "sheet 'Data' is read" in read_table(path, "y").notes[0]
    with pytest.raises(UserError, match="no column 'kind'; its columns are 'of ours'"):
        read_table(path, "kind")


NUMBERS = np.stack([make_values(5), make_values(6)], axis=1)
WORDS = np.random.default_rng(0).random((N, 4)) < 0.5
CHOSEN = [[w for w, is_in in zip("wxyz", row, strict=True) if is_in] for row in WORDS]


@pytest.mark.parametrize(
    ("cells", "names", "values"),
    [
        ([f"{a}/{b}" for a, b in abs(NUMBERS)], ["q[0]", "q[1]"], abs(NUMBERS)),
        ([f"{a} ± {b}" for a, b in abs(NUMBERS)], ["q[0]", "q[1]"], abs(NUMBERS)),
        (NUMBERS.tolist(), ["q[0]", "q[1]"], NUMBERS),
        ([json.dumps({"u": a, "v": b}) for a, b in NUMBERS], ["q[u]", "q[v]"], NUMBERS),
        ([str({"u": a, "v": b}) for a, b in NUMBERS.tolist()], ["q[u]", "q[v]"], NUMBERS),
        ([";".join(words) for words in CHOSEN], [f"q: {w}" for w in "wxyz"], WORDS),
        ([", ".join(words) for words in CHOSEN], [f"q: {w}" for w in "wxyz"], WORDS),
        (CHOSEN, [f"q: {w}" for w in "wxyz"], WORDS),
    ],
)
def test_cells_of_several_values_are_columns(cells, names, values):
    frame = pd.DataFrame({"q": cells, "r": make_values(7), "y": LABELS})
    table = read_table(frame, "y")
    assert set(table.encoder.columns) == {*names, "r"}
    found = table.frame[names].replace({"true": 1, "false": 0}).to_numpy(float)
    np.testing.assert_allclose(found, values)
    assert "column 'q' holds" in table.notes[0]
    new = read_rows(frame[["q", "r"]], table.encoder)
    np.testing.assert_array_equal(new.x, table.x)
    # Rows of later may hold anything.
    for few in (["?", "odd", None], ["[1, 2]", "{'u': 1}", [3, 4, 5]], ["[1, 2]"] * N):
        odd = frame.assign(q=[*few, *cells[len(few) :]])
        assert np.isfinite(read_rows(odd, table.encoder).x).all()


@pytest.mark.parametrize(
    "cells",
    [
        [("Paris, France", "Rome, Italy", "Nice, France")[i % 5 % 3] for i in range(N)],
        [f"{1 + i % 12}/20{i % 10 + 10}" for i in range(N)],
        [f"word {i} and, well, others {i * 7}" for i in range(N)],
        ["a;b" if i % 3 else "c" for i in range(N)],
    ],
)
def test_cells_of_one_value_stay_one_column(cells):
    frame = pd.DataFrame({"q": cells, "r": make_values(7), "y": LABELS})
    assert {*read_table(frame, "y").encoder.columns} <= {"q", "r"}


def test_where_a_value_comes_from():
    assert source_of("q[0]", ["q"]) == source_of("q: a", ["q"]) == "q"
    assert source_of("q[0]", ["q", "q[0]"]) == "q[0]"
    assert source_of("other: a", ["q"]) == "other: a"


@pytest.mark.parametrize("sign", [1, -1])
def test_degrees_have_a_side(sign):
    values = np.round(sign * (40 + make_values(8) / 1e3), 2)
    cells = [f"{abs(v):.2f}° {'N' if v > 0 else 'S'}" for v in values]
    table = read_table(pd.DataFrame({"q": cells, "r": make_values(7), "y": LABELS}), "y")
    np.testing.assert_allclose(table.frame["q"], values)
