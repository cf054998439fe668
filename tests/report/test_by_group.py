"""How the answer differs between groups, counted again by hand, and what is said of it."""

import dataclasses

import numpy as np
import pytest

from ncd_jax.report.headline import headline
from ncd_jax.report.outcome import compare_groups, find, measure, one_group_warnings
from ncd_jax.report.page import render_report
from ncd_jax.types import UNLABELLED


@pytest.fixture(scope="module")
def on_plates(solved, overlapping):
    """A solution, and its table with the first new class on plate B alone."""
    solution = solved("rca")
    group = np.arange(len(overlapping.y)) % 2
    unlabelled = np.flatnonzero(overlapping.y == UNLABELLED)
    group[unlabelled] = np.where(solution.answer.labels == 0, 1, group[unlabelled])
    changes = {"group": group, "group_column": "plate", "group_names": ("A", "B <i>")}
    return solution, dataclasses.replace(overlapping, **changes)


def test_shares_of_classes_and_hidden_rows_by_hand(on_plates):
    solution, table = on_plates
    evaluation = solution.evaluation
    labelled = table.y[evaluation.rows]
    np.testing.assert_array_equal(labelled, evaluation.y)  # rows as they stand in the table
    found = {each["group"]: each for each in measure(solution, table)["groups"]}
    assert found.keys() == {"A", "B <i>"}
    for g, name in enumerate(table.group_names):
        own, each = table.group == g, found[name]
        assert each["n_rows"] == own.sum()
        assert each["n_unlabelled"] == np.sum(own & (table.y == UNLABELLED))
        assert sum(each["shares"].values()) == pytest.approx(1, abs=1e-3)
        assert each["shares"]["w"] == pytest.approx(np.mean(table.y[own] == 0), abs=1e-4)
        hidden = own[evaluation.rows]
        assert each["hidden_class_accuracy"] == np.mean(evaluation.right[hidden])
        assert each["hidden_class_accuracy_alone"] >= each["hidden_class_accuracy"]
    assert "novel_0" not in found["A"]["shares"]
    assert compare_groups(dataclasses.replace(table, group=None), ["w"] * 180, evaluation) == []


def test_classes_that_are_split_by_group_are_right_within_it(on_plates):
    """A fold of two hidden classes whose clusters are the groups' own."""
    solution, table = on_plates
    rows, y = np.arange(40), np.repeat([0, 1], 20)
    plate = np.arange(40) % 2
    evaluation = solution.evaluation._replace(
        rows=rows, y=y, fold=np.zeros(40, int), found=y + 2 * plate, right=plate == 0
    )
    split = dataclasses.replace(table, group=np.resize(plate, len(table.y)))
    for each in compare_groups(split, ["w"] * len(table.y), evaluation):
        assert each["hidden_class_accuracy_alone"] == 1
        assert each["hidden_class_accuracy"] == (each["group"] == "A")


def test_a_new_class_in_one_group_is_a_warning_and_the_page_has_them_all(on_plates, overlapping):
    solution, table = on_plates
    metrics = measure(solution, table)
    said = [each for each in metrics["warnings"] if "'plate'" in each]
    assert len(said) == 1
    assert said[0].startswith("100% of novel_0 lie in 'B <i>' of 'plate', which holds ")
    assert measure(solution, overlapping)["groups"] == []
    # Where nearly all rows are of that group, so are those of any class.
    groups = [{"group": "A", "n_rows": 95, "n_unlabelled": 95, "shares": {"novel_0": 1.0}}]
    groups += [{"group": "B", "n_rows": 5, "n_unlabelled": 5, "shares": {"w": 1.0}}]
    assert one_group_warnings("plate", groups, 1) == []

    metrics |= {"seconds": {}, "setting_in_doubt": True, "n_rows_known": 10}
    recorded = {
        "run": {"config": {"method": "rca", "seed": 0}, "table": "overlapping"},
        "environment": {"device": "cpu", "versions": {}},
    }
    findings = find(solution, table, None, recorded, metrics)
    page = render_report(findings)
    assert "<h2>Groups</h2>" in page
    assert "B &lt;i&gt;" in page
    assert "is not clear, --config.setting=ncd takes all for new" in page
    alone = render_report(findings, files=False)
    assert "is not clear</h1>" in alone
    assert "--config" not in alone


def test_the_headline_says_what_is_not_clear():
    found = {"n_novel_estimated": 2, "n_unlabelled": 50, "n_rows_known": 20}
    plain = headline(found)
    assert plain == "20 of 50 unlabelled rows look like known classes; 30 are 2 novel classes"
    assert headline({**found, "setting_in_doubt": False}) == plain
    doubt = headline({**found, "setting_in_doubt": True})
    end = "whether any is of a known class is not clear, --config.setting=ncd takes all for new"
    assert doubt == f"{plain}; {end}"
    assert "not clear" not in headline({**found, "n_rows_known": 0, "setting_in_doubt": True})
