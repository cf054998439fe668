"""A handful of rows far from everything: new where they lie together, told of where they do not."""

import dataclasses

import numpy as np
import pytest

from ncd_jax.data.table import Table
from ncd_jax.discovery.solve import solve
from ncd_jax.known_or_new.far_rows import far_rows
from ncd_jax.report.headline import headline
from ncd_jax.report.outcome import measure
from ncd_jax.types import UNLABELLED

LINE = np.arange(20.0)[:, None]  # third neighbours are 2 apart, at the ends 3


def test_far_is_twice_as_far_as_any_labelled_row_and_near_another():
    rows = np.array([[-5.0], [8.5], [60.0], [65.0], [66.9], [200.0], [206.5]])
    assert far_rows(rows, LINE).tolist() == [False, False, True, True, True, False, False]
    assert far_rows(rows * 1e-6, LINE * 1e-6).sum() == 3
    # Within half the distances of labelled pairs nothing is far, however narrow these are.
    narrow = np.repeat([[0.0], [10.0], [20.0]], 10, axis=0)
    assert not far_rows(np.full((4, 1), 5.0), narrow).any()
    assert far_rows(np.full((4, 1), 35.0), narrow).all()


@pytest.mark.parametrize(("n_rows", "n_labelled"), [(0, 5), (1, 5), (3, 0), (3, 1)])
def test_where_nothing_can_be_said_nothing_is_far(n_rows, n_labelled):
    found = far_rows(np.full((n_rows, 2), 1e6), np.zeros((n_labelled, 2)))
    assert found.tolist() == [False] * n_rows


@pytest.fixture(scope="module")
def answer_of(gaussians, judged_config):
    """Of a table of known rows alone, and of a few more far away."""

    def solved(extra, spare):
        table, _ = gaussians([25] * 4, [], spare)
        x, y = np.concatenate([table.x, extra]), np.append(table.y, [UNLABELLED] * len(extra))
        table = Table("far", x, y.astype(np.int32), table.columns, table.classes)
        config = dataclasses.replace(judged_config, setting="gcd")
        solution = solve(config, table)
        return solution, measure(solution, table)

    return solved


def test_few_rows_far_away_are_new_and_the_answer_is_no_surer_than_they_allow(answer_of):
    extra = 90 + np.random.default_rng(0).normal(size=(3, 6))
    solution, metrics = answer_of(extra, 20)
    assert solution.is_new.tolist() == [False] * 80 + [True] * 3
    assert (solution.confidence[-3:] <= 2 / 3).all()
    assert max(metrics["n_novel_probability"].values()) <= 2 / 3 + 1e-4
    assert any("only 3 rows are new, too few to say" in said for said in metrics["warnings"])


def test_rows_that_are_far_away_and_alone_are_told_of(answer_of):
    solution, metrics = answer_of(np.outer([1, -1], np.full(6, 90.0)), 16)
    assert not solution.is_new.any()
    assert metrics["n_rows_unlike"] == 2
    assert (solution.confidence[-2:] < 0.1).all()
    assert any("2 rows given to known classes are far from" in said for said in metrics["warnings"])
    assert "64 of 66 unlabelled rows look like known" in headline(metrics)
    assert "no novel class: all" in headline(metrics | {"n_rows_unlike": 0})
