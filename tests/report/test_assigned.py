"""New rows in words."""

import math
from pathlib import Path

import pytest

from ncd_jax.report.headline import Assigned


@pytest.mark.parametrize(
    ("n_unfamiliar", "usual", "is_due"),
    [
        (9, 0.0, False),  # too few for a class
        (10, 0.0, True),
        (20, 0.02, False),  # as usual
        (54, 0.02, True),  # 40 and three standard deviations of 20
        (53, 0.02, False),
        (54, math.nan, True),
        (500, 0.5, False),
    ],
)
def test_when_a_new_run_is_due(n_unfamiliar, usual, is_due):
    found = Assigned(Path("new.csv"), {"a": 600, "novel_0": 400}, n_unfamiliar, usual)
    assert found.new_run_is_due == is_due
    assert ("a new run" in found.text) == is_due


def test_all_is_said():
    text = Assigned(Path("x/new.csv"), {"a": 1600, "novel_0": 400}, 1, 0.01).text
    assert text.splitlines() == [
        "x/new.csv: 2,000 rows",
        "    1,600  a",
        "      400  novel_0",
        "1 is like no class of this run; 20 would be usual",
    ]
