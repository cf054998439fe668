"""Labels in every form in which people hold them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import DataConversionWarning

from ncd_jax.data.targets import make_table, read_targets, with_novel
from ncd_jax.read.options import ReadOptions

NAN, NA = float("nan"), pd.NA


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        ([3, 1, -1, 1], [1, 3], [1, 0, -1, 0]),
        (np.array([1.0, np.nan, 0.0]), [0.0, 1.0], [1, -1, 0]),
        (np.array(["b", "a", "-1", "nan"]), ["a", "b"], [1, 0, -1, -1]),
        (["b", NAN, None, NA, -1, "a"], ["a", "b"], [1, -1, -1, -1, -1, 0]),
        (pd.Series([7, None, 5], dtype="Int64", index=[9, 9, 1]), [5, 7], [1, -1, 0]),
        (pd.Series(["b", None, "a"], dtype="category"), ["a", "b"], [1, -1, 0]),
        (pd.Series([7, None, 5], dtype="Int64").astype("category"), [5, 7], [1, -1, 0]),
        (["b", "", " ", "a"], ["a", "b"], [1, -1, -1, 0]),
        ([True, None, False], [False, True], [1, -1, 0]),
        (np.array([-3, -1, -2]), [-3, -2], [0, -1, 1]),
    ],
)
def test_marks_of_unlabelled_rows(y, classes, codes):
    targets = read_targets(y)
    assert targets.classes.tolist() == classes
    assert [*map(type, targets.classes.tolist())] == [*map(type, classes)]
    assert targets.codes.dtype == np.int32
    assert targets.codes.tolist() == codes


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        ([None, NAN, -1], "no labelled row"),
        ([0.5, 1.0, 2.0], "Unknown label type"),
        ([0.0, np.inf], "infinity"),
        (["a", 1], "Unknown label type: int, str"),
        ([True, 2], "Unknown label type: bool, int"),
        ([("a",), ("b",)], "1d array"),
        (np.array(["2024-01-01"], "M8[D]"), "Unknown label type"),
        (["a", "novel_3"], "rename"),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_labels_that_are_refused(y, reason):
    y = np.array([["a", "b"]] * 3) if reason == "1d array" else y
    with pytest.raises(ValueError, match=reason):
        read_targets(y)


def test_a_column_is_taken_with_a_warning():
    with pytest.warns(DataConversionWarning):
        assert read_targets(pd.DataFrame({"y": ["a", None]})).codes.tolist() == [0, -1]


@pytest.mark.parametrize(
    ("classes", "both"),
    [
        (np.array([2, 7]), np.array([2, 7, 8, 9])),
        (np.array([-5, -2]), np.array([-5, -2, 0, 1])),
        (np.array([0.0, 1.0], np.float32), np.array([0, 1, 2, 3], np.float32)),
        (np.array([126], np.int8), np.array([126, 127, 128])),
        (np.array(["a", "b"]), np.array(["a", "b", "novel_0", "novel_1"])),
        (np.array(["a"], object), np.array(["a", "novel_0", "novel_1"], object)),
        (np.array([False, True]), np.array([False, True, "novel_0", "novel_1"], object)),
    ],
)
def test_names_of_novel_classes(classes, both):
    named = with_novel(classes, 2)
    assert named.dtype == both.dtype
    assert named.tolist() == both.tolist()
    assert with_novel(classes, 0) is classes


def test_chosen_columns_are_not_taken_for_identifiers():
    frame = pd.DataFrame({"a": np.arange(50), "b": np.arange(50) % 7 / 3})
    targets = read_targets(np.arange(50) % 3)
    assert make_table(frame, targets, ReadOptions(columns=["a", "b"])).columns == ("a", "b")
    table = make_table(frame, targets, ReadOptions())
    assert table.columns == ("b",)
    assert "'a' left out" in table.notes[0]
    assert table.classes == ("0", "1", "2")
