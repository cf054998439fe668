"""What tells the label in other words is found however late in the table it shows."""

import numpy as np
import pandas as pd
import pytest

from ncd_jax.read.columns import Column
from ncd_jax.read.remarks import is_constant, leakage_notes, unlabelled_alone

N = 2400
Y = np.tile([0, 1, -1], N // 3).astype(np.int32)
RNG = np.random.default_rng(0)
NEITHER = np.where(np.arange(N) % 2 + (Y >= 0) > 0, "a", "b")
NUMBERS = RNG.normal(size=N)


def late(cells, other):
    """The cells, but for one of the last row's kind."""
    cells = np.array(cells, object)
    cells[-3:] = other
    return cells


@pytest.mark.parametrize(
    ("kind", "cells", "said"),
    [
        ("numeric", NUMBERS, ""),
        ("numeric", np.where(Y < 0, 9.0, NUMBERS), "is '9.0' on all unlabelled rows"),
        ("numeric", np.where(Y < 0, np.nan, NUMBERS), "is empty on all unlabelled rows"),
        ("category", late(np.where(Y < 0, "x", "y"), "z"), ""),
        ("category", np.where(Y < 0, "x", "y"), "is 'x' on all unlabelled rows"),
        ("category", np.where(Y == 1, "b", NEITHER), "one value for each known class"),
        ("category", late(np.array(["a", "b", "a"])[Y], ["c", "d", "c"]), ""),
        ("numeric", np.argsort(np.argsort(Y, kind="stable")).astype(float), "numbers the rows"),
        ("numeric", np.argsort(np.argsort(Y, kind="stable")) + late([0.0] * N, 0.5), ""),
    ],
)
def test_columns_that_know_the_label(kind, cells, said):
    dtype = float if kind == "numeric" else object
    frame = pd.DataFrame({"c": np.array(cells).astype(dtype)})
    columns = [Column("c", kind)]
    notes = [*leakage_notes(columns, frame, Y), *unlabelled_alone(columns, frame, Y).values()]
    assert len(notes) == bool(said)
    assert said in "".join(notes)


@pytest.mark.parametrize(
    ("cells", "constant"),
    [
        ([1.0, 1.0, np.nan], True),
        ([1.0, 2.0], False),
        ([np.nan], False),
        ([0.0, -0.0], True),
        (["a", None, "a"], True),
        (["a", "b"], False),
        ([pd.Timestamp(0), pd.NaT], True),
        ([pd.Timestamp(0), pd.Timestamp(1)], False),
        ([True, True], True),
        ([True, False], False),
    ],
)
def test_constant_columns(cells, constant):
    cells = pd.Series(cells)
    assert is_constant(cells) == constant == (cells.nunique() == 1)
