"""Rows in groups: what they share is taken away where known classes are then found again."""

import json

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows

from ncd_jax.data import own_table
from ncd_jax.data.encode import Encoder
from ncd_jax.data.groups import GroupCentres
from ncd_jax.errors import UserError
from ncd_jax.read.options import ReadOptions

N_KNOWN, EACH = 3, 60
PLATE = ReadOptions(group="plate")


def plates(shift, second_is_labelled=False, seed=0):
    """Three known classes and a new one on two plates, and the class of every row."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(N_KNOWN + 1), EACH))
    x = (4 * rng.normal(size=(N_KNOWN + 1, 5)))[true] + rng.normal(size=(len(true), 5))
    second = rng.random(len(true)) < 0.5
    x += shift * second[:, None] * np.array([1.0, -1.0, 1.0, 1.0, -1.0])
    labelled = (true < N_KNOWN) & (rng.random(len(true)) < 0.6) & (second_is_labelled | ~second)
    frame = pd.DataFrame(x, columns=[f"v{i}" for i in range(5)])
    frame["plate"] = np.where(second, "B", "A")
    frame["kind"] = np.where(labelled, np.char.add("class ", true.astype(str)), None)
    return frame, true


def group_means(table):
    return pd.DataFrame(table.x).groupby(table.group).mean().to_numpy()


@pytest.mark.parametrize("second_is_labelled", [False, True])
def test_a_shifted_plate_is_centred_and_new_rows_are_too(second_is_labelled):
    frame, _ = plates(3.0, second_is_labelled)
    table = own_table.read_table(frame, "kind", options=PLATE)
    assert "plate" not in table.encoder.columns
    assert table.encoder.needed == (*table.encoder.columns, "plate")
    assert {r.name: r.kind for r in table.reading.columns}["plate"] == "group"
    np.testing.assert_array_equal(table.group, (frame["plate"] != frame["plate"][0]).astype(int))
    assert np.abs(np.diff(group_means(table), axis=0)).max() < 1e-5
    assert "numbers are centred within 'plate'" in " ".join(table.notes)
    says = "labels are no random sample: no labelled row is of 'B' in 'plate'"
    assert table.notes[0].startswith(says) == (not second_is_labelled)

    stored = Encoder.from_json(json.loads(json.dumps(table.encoder.to_json())))
    assert stored == table.encoder
    some = frame.sample(20, random_state=0)
    np.testing.assert_array_equal(read_rows(some, stored).x, table.x[some.index])
    with pytest.raises(UserError, match="plate"):
        read_rows(some.drop(columns="plate"), stored)


def test_a_plate_that_is_no_other_stays_as_it_is():
    frame, _ = plates(0.0, second_is_labelled=True)
    table = own_table.read_table(frame, "kind", options=PLATE)
    assert "numbers are not centred within 'plate'" in " ".join(table.notes)
    plain = own_table.read_table(frame.drop(columns="plate"), "kind")
    np.testing.assert_array_equal(table.x, plain.x)


def test_groups_that_are_the_classes_are_not_centred():
    frame, true = plates(0.0, second_is_labelled=True)
    frame["plate"] = np.where(true % 2, "odd", "even")
    table = own_table.read_table(frame, "kind", options=PLATE)
    assert "numbers are not centred" in " ".join(table.notes)
    assert table.encoder.centres is None


def test_centres_are_those_of_pandas_and_new_groups_have_their_own():
    rng = np.random.default_rng(0)
    x, names = rng.normal(size=(90, 4)).astype(np.float32), np.repeat(["a", "b", "c"], [50, 35, 5])
    centres = GroupCentres.fit("g", names, x, [0, 2])
    found = centres.apply(names, x)
    own = pd.DataFrame(x).groupby(names).transform("mean").to_numpy()
    large, mean = names != "c", x.mean(axis=0)
    expected = (x - own + mean)[large][:, [0, 2]]
    np.testing.assert_allclose(found[large][:, [0, 2]], expected, atol=1e-5)
    np.testing.assert_array_equal(found[:, [1, 3]], x[:, [1, 3]])
    np.testing.assert_allclose(found[~large], x[~large], atol=1e-6)  # too few rows for a centre

    new = centres.apply(["d"] * 20, x[:20] + 7)
    np.testing.assert_allclose(new[:, [0, 2]].mean(axis=0), mean[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(centres.apply(["e"], x[:1] + 7), x[:1] + 7, atol=1e-5)
    assert GroupCentres.from_json(json.loads(json.dumps(centres.__dict__))) == centres


def test_a_group_is_checked():
    frame, _ = plates(0.0)
    for name, message in (("kind", "label column"), ("plait", "plate")):
        with pytest.raises(UserError, match=message):
            own_table.read_table(frame, "kind", options=ReadOptions(group=name))
    with pytest.raises(UserError, match="joined"):
        own_table.read_table(frame, "kind", options=ReadOptions(use=["joined"]))
