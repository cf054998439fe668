import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows
from sklearn.datasets import load_iris

from ncd_jax.data import own_table
from ncd_jax.errors import UserError
from ncd_jax.read.options import ReadOptions

GOOD = "a,label,b\n1,x,2\n3,y,4\n5,z,6\n7,,8\n"
MIXED = """island,bill,sex,born,species
Biscoe,37.8,female,2019-11-02,Adelie
Dream,39.5,female,2019-11-03,Adelie
Dream,46.5,,2019-11-03,Chinstrap
Dream,,male,2019-11-10,Chinstrap
Biscoe,46.1,female,2019-11-12,Gentoo
Biscoe,50.0,male,2019-11-12,Gentoo
Torgersen,39.1,male,2019-11-13,
Torgersen,40.3,female,2019-11-13,
"""


def read_table(source, label, unlabelled=None, **options):
    return own_table.read_table(
        source, label, unlabelled=unlabelled, options=ReadOptions(**options)
    )


@pytest.fixture
def write(tmp_path):
    def write(content, name="customers.csv"):
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


def error_of(call, *args, **options):
    with pytest.raises(UserError) as caught:
        call(*args, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    return message


def labels_of(own):
    return [own.classes[code] if code >= 0 else "" for code in own.y]


def test_reads_known_and_unlabelled_rows(write):
    own = read_table(write(GOOD), "label")
    table = own
    assert table.name == "customers"
    assert table.columns == ("a", "b")
    assert table.classes == ("x", "y", "z")
    np.testing.assert_array_equal(table.y, [0, 1, 2, -1])
    assert table.y.dtype == np.int32
    assert table.x.dtype == np.float32
    expected = (np.array([1, 3, 5, 7]) - 4) / np.sqrt(5)
    np.testing.assert_allclose(table.x, np.stack([expected, expected], axis=1), atol=2.0**-15)
    assert not table.standardise
    assert table.x_test is None
    assert own.notes == ()


def test_mixed_columns_from_file_and_from_pandas(write):
    path = write(MIXED, "penguins.csv")
    own = read_table(path, "species")
    assert [(b.column, b.kind) for b in own.encoder.blocks] == [
        ("bill", "numeric"),
        ("bill", "categorical"),
        ("born", "numeric"),
        ("island", "categorical"),
        ("sex", "categorical"),
    ]
    first, second, third = own.categories
    assert [own.columns[start] for start, _ in (first, second, third)] == [
        "bill=(given)",
        "island=Biscoe",
        "sex=female",
    ]
    assert third[1] == own.x.shape[1]
    assert own.classes == ("Adelie", "Chinstrap", "Gentoo")
    frame = pd.read_csv(path, parse_dates=["born"], index_col="island").reset_index()
    again = read_table(frame.set_index("bill", drop=False), "species")
    assert again.name == "table"
    np.testing.assert_array_equal(again.x, own.x)
    np.testing.assert_array_equal(again.y, own.y)
    np.testing.assert_array_equal(read_rows(path, again.encoder).x, own.x)
    np.testing.assert_array_equal(read_rows(frame, own.encoder).x, own.x)


def test_a_frame_is_neither_copied_nor_changed():
    frame = load_iris(as_frame=True).frame
    frame["target"] = frame["target"].where(frame["target"] > 0)
    before = frame.copy()
    own = read_table(frame, "target", drop=["petal width (cm)"])
    assert np.shares_memory(
        own.frame["sepal width (cm)"].to_numpy(), frame["sepal width (cm)"].to_numpy()
    )
    pd.testing.assert_frame_equal(frame, before)
    assert own.encoder.columns == tuple(sorted(frame.columns[:3]))
    assert own.categories == ()


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["x", "y", "z", None], ["x", "y", "z", ""]),
        (["x", "y", " z ", " "], ["x", "y", "z", ""]),
        ([1, 2, 10, None], ["1", "2", "10", ""]),
        ([1.0, 2.5, 10.0, np.nan], ["1", "2.5", "10", ""]),
        (pd.array([1, 2, 3, None], "Int64"), ["1", "2", "3", ""]),
        (pd.array([True, False, None, None], "boolean"), ["True", "False", "", ""]),
        (pd.Categorical(["x", "y", "z", None]), ["x", "y", "z", ""]),
        (pd.Categorical([3, 2, 1, None]), ["3", "2", "1", ""]),
        (pd.to_datetime(["2020-01-01", "2020-01-02", None, None]), None),
        ([1, "x", True, None], None),
    ],
)
def test_labels_of_any_type(cells, classes):
    frame = pd.DataFrame({"v": [1.0, 2.0, 3.0, 5.0], "c": cells})
    own = read_table(frame, "c")
    found = labels_of(own)
    if classes is not None:
        assert found == classes
    np.testing.assert_array_equal(own.y < 0, frame["c"].isna() | (frame["c"] == " "))


def test_class_names_are_kept_as_written_in_natural_order(write):
    names = ["NaN", "10", "NA", "9", "nan", "1.0", "b", "NAN", "01", "a b", "-3", ""]
    content = "v,c\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))
    own = read_table(write(content), "c")
    assert own.classes == (
        *("-3", "01", "1.0", "9", "10"),
        *("NA", "NAN", "NaN", "a b", "b", "nan"),
    )
    assert labels_of(own) == names
    assert [note for note in own.notes if "--unlabelled=NA" in note]


def test_whole_numbers_with_a_fraction_of_nothing_are_whole(write):
    own = read_table(write("v,c\n1,1.0\n2,2.0\n3,10.0\n4,\n"), "c")
    assert own.classes == ("1", "2", "10")
    assert read_table(write("v,c\n1,1.0\n2,1.00\n3,10.0\n4,\n"), "c").classes == ("1", "10")


def test_a_value_can_mean_unlabelled(write):
    for value, cells in [("-1", "-1"), (-1, "-1"), ("NA", "NA"), ("none", " none ")]:
        own = read_table(write(GOOD.replace(",,", f",{cells},")), "label", unlabelled=value)
        assert labels_of(own) == ["x", "y", "z", ""]
        assert own.notes == ()
    frame = pd.DataFrame({"v": [1.0, 2, 3, 4, 5], "c": [0.0, 1, 2, -1, np.nan]})
    own = read_table(frame, "c", unlabelled=-1)
    np.testing.assert_array_equal(own.y, [0, 1, 2, -1, -1])
    message = error_of(read_table, write(GOOD), "label", unlabelled="Z")
    assert "no cell 'Z' for unlabelled; it has 'x', 'y', 'z'" in message


def test_columns_are_chosen():
    frame = pd.DataFrame({"id": range(50), "v": np.arange(50.0) ** 2, "k": list("ab") * 25})
    frame["c"] = ["x", "y", "z", None, None] * 10
    own = read_table(frame, "c")
    assert own.encoder.columns == ("k", "v")
    assert "'id' left out" in own.notes[0]
    assert read_table(frame, "c", columns=["k", "id"]).encoder.columns == ("id", "k")
    assert read_table(frame, "c", columns=["k", "id"]).notes == ()
    assert read_table(frame, "c", drop=["id", "k"]).encoder.columns == ("v",)
    own = read_table(frame.assign(v=[1, 2, 3, 4, 5] * 10), "c", categories=["v"])
    assert own.encoder.names == ("k=a", "k=b", "v=1", "v=2", "v=3", "v=4", "v=5")


def test_labels_in_disguise_are_told_of():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"v": rng.normal(size=50), "c": ["x", "y", "z", None, None] * 10})
    frame["grade"] = rng.normal(size=50)
    frame.loc[frame["c"].isna(), "grade"] = np.nan
    (note,) = read_table(frame, "c").notes
    assert "'grade' left out: it is empty on all unlabelled rows" in note
    assert read_table(frame, "c").encoder.columns == ("v",)
    assert read_table(frame, "c", use=["grade"]).encoder.columns == ("grade", "v")
    frame.loc[0, "grade"] = np.nan
    assert read_table(frame, "c").notes == ()


def test_labels_play_no_part_in_the_encoding(write):
    other = GOOD.replace("x", "u").replace(",z", ",").replace(",,8", ",v,8")
    own, again = read_table(write(GOOD), "label"), read_table(write(other), "label")
    assert own.encoder == again.encoder


@pytest.mark.parametrize(
    ("content", "options", "fragments"),
    [
        (GOOD.replace("label", "lable"), {}, ["no column 'label'", "did you mean 'lable'?"]),
        (GOOD.replace("label", "q"), {}, ["no column 'label'", "'a', 'q', 'b'"]),
        (GOOD.replace(",,", ",z,"), {}, ["'label'", "filled on every row", "--unlabelled"]),
        ("a,label\n1,\n2, \n", {}, ["'label'", "empty on every row"]),
        ("label\nx\ny\nz\n \n", {}, ["only the label column"]),
        (GOOD, {"drop": ["a", "b"]}, ["only the label column"]),
        (GOOD, {"columns": []}, ["only the label column"]),
        (GOOD, {"drop": ["A"]}, ["no column 'A'", "did you mean 'a'?"]),
        (GOOD, {"columns": ["c"]}, ["no column 'c'"]),
        (GOOD, {"categories": ["c"]}, ["no column 'c'"]),
        (GOOD, {"drop": ["b"], "categories": ["b"]}, ["'b' is in categories and no feature"]),
        (GOOD, {"drop": ["label"]}, ["'label' is the label column"]),
        (GOOD, {"drop": ["a"], "columns": ["a"]}, ["'a' is in both"]),
        (
            "a,label\n" + "".join(f"{c},x\n" for c in ["a1", "b2", "3", "c4"]),
            {},
            ["filled on every"],
        ),
        (GOOD, {"numbers": ["label"]}, ["'label' is in numbers and no feature"]),
        (GOOD, {"drop": ["a"], "id": "q"}, ["no column 'q'"]),
        (GOOD, {"dates": ["b"]}, ["column 'b' has 4 cells that are not dates", "'2' (line 2)"]),
        (GOOD, {"numbers": ["a"], "dates": ["a"]}, ["'a' is in both numbers and dates"]),
        (GOOD, {"drop": ["aa"], "columns": ["bb"]}, ["no column 'aa'", "no column 'bb'"]),
        ("a,label\n1,x\n1,y\n1,z\n1,\n", {}, ["no column is left", "'a'", "one value"]),
    ],
)
def test_mistakes_are_one_line_that_names_them(write, content, options, fragments):
    message = error_of(read_table, write(content), "label", **options)
    for fragment in ["customers.csv", *fragments]:
        assert fragment in message


def test_mistakes_in_frames():
    frame = pd.DataFrame([[1, "x", 2]], columns=["a", "label", "a"])
    assert "two columns are named 'a'" in error_of(read_table, frame, "a")
    frame = pd.DataFrame({"a": [], "label": []})
    assert "no rows" in error_of(read_table, frame, "label")
    frame = pd.DataFrame({0: [1.0, 2.0, 3.0], 1: ["x", None, "y"]})
    assert read_table(frame, "1").encoder.columns == ("0",)
    assert "no column 'label'" in error_of(read_table, frame, "label")


def test_many_columns_are_not_listed(write):
    header = ",".join(f"column_{i}" for i in range(500))
    path = write(header + "\n" + "1," * 499 + "1\n")
    assert len(error_of(read_table, path, "zz")) < 300


def test_new_rows_in_another_order_with_other_columns(write):
    own = read_table(write(GOOD), "label")
    path = write("b,more,a\n2,?,1\n8,,7\n", "new.csv")
    np.testing.assert_array_equal(read_rows(path, own.encoder).x, own.x[[0, 3]])
    path = write("b,c\n1,2\n", "new.csv")
    assert "new.csv: no column 'a'" in error_of(read_rows, path, own.encoder)
    path = write("b,a\n1,2\n3,Paris\nx,4\n", "new.csv")
    found = read_rows(path, own.encoder)
    assert ["'a' has 'Paris' (line 3)" in note for note in found.notes] == [True, False]
    assert ["'b' has 'x' (line 4)" in note for note in found.notes] == [False, True]


def test_one_new_row_is_read_as_it_was_among_many(write):
    """A column of words can look like one of numbers where there are few rows."""
    own = read_table(write("k,v,c\n01,1,x\nA2,2,y\n01,3,z\nx,4,\n"), "c")
    path = write("k,v\n01,1\n", "new.csv")
    np.testing.assert_array_equal(read_rows(path, own.encoder).x, own.x[:1])
    path = write("k,v\n1,1\nX,4\n", "new.csv")
    found = read_rows(path, own.encoder).x
    assert (found[0] != own.x[0]).any()
    np.testing.assert_array_equal(found[1:], own.x[3:])


def test_file_and_memory_formats_agree(write, tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("openpyxl")
    path = write(MIXED, "t.csv")
    own = read_table(path, "species")
    frame = pd.read_csv(path, parse_dates=["born"])
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    frame.to_excel(tmp_path / "t.xlsx", index=False)
    frame.to_csv(tmp_path / "t.tsv.gz", sep="\t", index=False)
    for name in ["t.parquet", "t.feather", "t.xlsx", "t.tsv.gz"]:
        other = read_table(tmp_path / name, "species")
        np.testing.assert_array_equal(other.x, own.x, err_msg=name)
        np.testing.assert_array_equal(other.y, own.y)
        assert other.name == "t"
