"""New rows are read as leniently as those of training, by what was decided then."""

import json

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows

from ncd_jax.data.encode import Encoder
from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.read.options import ReadOptions

N = 60


def training(seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"c{i}" for i in range(N)],
            "size": rng.normal(20, 5, N).round(2),
            "price": rng.integers(1, 90, N) + 0.5,
            "colour": rng.choice(["red", "green"], N),
            "member": rng.choice(["yes", "no"], N),
            "seen": pd.date_range("2024-01-20", periods=N).strftime("%Y-%m-%d"),
            "at": [f"{i % 24:02}:30" for i in range(N)],
            "emb": [f"[{rng.normal():.2f}, {rng.normal():.2f}]" for _ in range(N)],
            "kind": rng.choice(["a", "b", ""], N),
        }
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("again") / "t.csv"
    training().to_csv(path, index=False)
    return read_table(path, "kind", options=ReadOptions(id="id"))


@pytest.fixture
def new(tmp_path):
    def write(frame, **options):
        frame.to_csv(tmp_path / "new.csv", index=False, **options)
        return tmp_path / "new.csv"

    return write


def test_texts_of_numbers_are_columns(run):
    assert {"emb[0]", "emb[1]"} <= set(run.columns)
    assert (
        "column 'emb' holds lists of 2 numbers, read as columns 'emb[0]' to 'emb[1]'" in run.notes
    )
    wanted = [json.loads(text) for text in training()["emb"]]
    np.testing.assert_array_equal(run.frame[["emb[0]", "emb[1]"]], wanted)


def test_the_rows_of_training_are_read_as_they_were(run, new):
    again = read_rows(new(training().iloc[::-1]), run.encoder)
    np.testing.assert_array_equal(again.x, run.x[::-1])
    assert again.notes == ()
    assert list(again.copied["id"]) == list(training()["id"][::-1])  # without being asked


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        *(("size", "broken"), ("size", "inf"), ("size", "1.2.3"), ("price", "-inf")),
        *(("seen", "soon"), ("member", "maybe"), ("at", "25:99"), ("emb", "")),
    ],
)
def test_odd_cells_are_gaps_with_their_line(run, new, name, cell):
    frame = training().astype(object)
    frame.loc[6, name] = cell
    found = read_rows(new(frame), run.encoder)
    frame.loc[6, name] = None
    gap = read_rows(new(frame), run.encoder)
    np.testing.assert_array_equal(found.x, gap.x)
    assert gap.notes == ()
    if cell:
        assert [(name in note, "(line 8)" in note) for note in found.notes] == [(True, True)]


def test_another_program_may_have_written_them(run, new):
    frame = training()
    frame["seen"] = pd.to_datetime(frame["seen"]).dt.strftime("%d.%m.%Y")
    found = read_rows(new(frame, sep=";", decimal=","), run.encoder)
    assert found.notes == ()
    np.testing.assert_array_equal(found.x, run.x)
    few = read_rows(new(frame.iloc[10:13], sep=";", decimal=","), run.encoder)
    np.testing.assert_array_equal(few.x, run.x[10:13])


def test_flags_are_obeyed(run, new):
    frame = training().astype(object)
    frame.loc[6, "size"] = "withheld"
    path = new(frame)
    assert len(read_rows(path, run.encoder).notes) == 1
    assert read_rows(path, run.encoder, ReadOptions(missing=["withheld"])).notes == ()
    frame = training().iloc[:3].assign(size=["1,250", "2,500", "3,125"], price=[1, 2, 3])
    path = new(frame, quotechar='"')
    point, comma = (read_rows(path, run.encoder, ReadOptions(decimal=mark)).x for mark in ".,")
    for x, sizes in ((point, [1250, 2500, 3125]), (comma, [1.25, 2.5, 3.125])):
        np.testing.assert_array_equal(x, read_rows(new(frame.assign(size=sizes)), run.encoder).x)
    with pytest.raises(UserError, match="--decimal"):
        ReadOptions(decimal="'")


def test_headers_are_left_out_and_the_others_keep_their_numbers(run, new):
    frame = training().astype(str)
    frame.loc[29] = list(frame)
    found = read_rows(new(frame), run.encoder)
    assert found.notes == ("1 row left out: line 31 is the header again",)
    assert found.rows.tolist() == [i for i in range(N) if i != 29]
    blank = training().astype(object)
    blank.loc[5] = None
    assert len(read_rows(new(blank), run.encoder).rows) == N  # each row gets its answer


def test_missing_columns_are_one_line(run, new):
    with pytest.raises(UserError, match=r"7 columns are missing: 'at', 'colour'") as error:
        read_rows(new(training()[["id", "size"]]), run.encoder)
    assert "\n" not in str(error.value)
    assert str(error.value).count("the table has 'id', 'size'") == 1
    with pytest.raises(UserError, match="did you mean 'Size'"):
        read_rows(new(training().rename(columns={"size": "Size"})), run.encoder)


def test_a_column_that_became_something_else_is_refused(run, new):
    with pytest.raises(UserError, match="'size' was numbers in the run, and 60 of its cells"):
        read_rows(new(training().assign(size="large")), run.encoder)


def test_what_is_copied_is_remembered_with_the_model(run, new):
    stored = Encoder.from_json(json.loads(json.dumps(run.encoder.to_json())))
    assert stored == run.encoder
    assert stored.copied == ("id",)
    found = read_rows(new(training().drop(columns="id")), stored)
    assert found.notes == ("column 'id', which the run copied into its answer, is not there",)
    assert list(read_rows(new(training()), stored, ReadOptions(keep=["kind"])).copied) == ["kind"]
