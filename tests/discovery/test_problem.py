"""A table made ready: its order, what folds ask for, and rows that are none."""

import dataclasses

import jax
import numpy as np
import pandas as pd
import pytest

from ncd_jax.config import KConfig
from ncd_jax.data.folds import make_judged_folds, sample_hidden
from ncd_jax.discovery.evaluate import fit_decided
from ncd_jax.discovery.fit import refit_all
from ncd_jax.discovery.problem import ordered, padded_size, prepare
from ncd_jax.errors import UserError
from ncd_jax.known_or_new.decision import Decided, FoldRows
from ncd_jax.types import UNLABELLED


def test_the_order_hangs_on_what_rows_are(gaussians):
    table, _ = gaussians([20] * 4, [30])
    table.x[7] = table.x[3]
    frame = pd.DataFrame(table.x, columns=table.columns)
    table = dataclasses.replace(table, frame=frame, rows=np.arange(110) + 500)
    inner, order = ordered(table)
    np.testing.assert_array_equal(inner.x, table.x[order])
    np.testing.assert_array_equal(inner.y, table.y[order])
    np.testing.assert_array_equal(inner.row_numbers, order + 500)
    assert inner.frame is None, "nobody looks at its columns, and they may be large"
    shuffled = np.random.default_rng(1).permutation(110)
    other = dataclasses.replace(table, x=table.x[shuffled], y=table.y[shuffled])
    again = ordered(dataclasses.replace(other, frame=None, rows=None))[0]
    np.testing.assert_array_equal(again.x, inner.x)
    np.testing.assert_array_equal(again.y, inner.y)


@pytest.fixture(scope="module")
def problem(gaussians, judged_config):
    table, _ = gaussians([25] * 4, [40, 30], spare=10)
    return prepare(judged_config, table, 2)


def test_a_fold_asks_for_what_it_hides(problem):
    for f, hidden in enumerate(problem.hidden_folds.hidden):
        fold = problem.of_fold(f)
        rows = np.asarray(fold.target_rows)[fold.target_mask]
        y = np.asarray(problem.data.y)
        assert set(y[rows]) == set(np.flatnonzero(hidden))
        assert (np.asarray(fold.data.y)[rows] == UNLABELLED).all()
        np.testing.assert_array_equal(fold.true_targets[fold.target_mask], y[rows])
        assert fold.n_novel == hidden.sum()
        assert fold.drawn == pytest.approx(len(rows) / (25 * hidden.sum()))


def test_asking_for_some_rows_makes_folds_of_their_number(problem):
    rows = np.flatnonzero(np.asarray(problem.data.y)[:210] == UNLABELLED)[:66]
    asked = problem.asking_for(rows)
    np.testing.assert_array_equal(np.asarray(asked.target_rows)[asked.target_mask], rows)
    assert (asked.n_targets, asked.n_asked, asked.drawn) == (66, 66, 1.0)
    assert asked.target_rows.shape == problem.target_rows.shape, "one program for both"
    assert asked.hidden_folds.hidden_rows.shape == problem.hidden_folds.hidden_rows.shape
    several = problem.hidden_folds.hidden.sum(axis=1) > 2
    assert (asked.hidden_folds.hidden_mask.sum(axis=1) <= 66).all()
    assert (problem.hidden_folds.hidden_mask.sum(axis=1)[several] > 66).all()
    few = problem.asking_for(rows[:7])
    assert few.hidden_folds.hidden_mask.sum(axis=1).max() <= 60
    # A class is at most a sixth of what is asked about, in the table and in its folds.
    assert few.class_size == few.of_fold(0).class_size == 7 / 6
    y = np.asarray(problem.data.y)[:210].copy()
    y[:5] = UNLABELLED
    fold = problem.asking_for(rows, y)
    np.testing.assert_array_equal(np.asarray(fold.data.y)[:210], y)
    assert fold.hidden_folds is problem.hidden_folds


def test_decided_folds_ask_for_rows_that_were_called_new(gaussians, quick):
    """A row of class 1, which is hidden, was called known; one of class 0 new."""
    table, _ = gaussians([25] * 4, [40])
    problem = prepare(dataclasses.replace(quick, method="kmeans"), table, None)
    y = np.where(table.y == 1, UNLABELLED, table.y)
    rows = np.concatenate([np.flatnonzero(table.y == 1), np.flatnonzero(table.y == 0)[:1]])
    y[rows] = UNLABELLED
    new = np.arange(26) != 0
    fold = FoldRows(None, y, rows, table.y[rows], np.arange(4) == 1)
    decided = Decided(fold, new, np.zeros(26), np.zeros(26, int), np.zeros(26))
    [(fitted, _)] = fit_decided(problem, [decided], [{}] * 2)
    mask = fitted.problem.target_mask
    np.testing.assert_array_equal(np.asarray(fitted.problem.target_rows)[mask], rows[new])
    np.testing.assert_array_equal(fitted.problem.true_targets[mask], table.y[rows][new])
    assert fit_decided(problem, [decided._replace(is_new=np.zeros(26, bool))], [{}] * 2) == []


def test_rows_that_are_none_change_nothing(gaussians, judged_config):
    """A table of 200 rows fills up 256; the map of RCA is that of its 200 rows."""
    table, _ = gaussians([40] * 3, [40, 40])
    problem = prepare(judged_config, table, None)
    assert len(problem.data.x) == padded_size(200) == 256
    alone = problem._replace(
        data=jax.tree.map(lambda leaf: leaf[:200], problem.data),
        known_rows=problem.known_rows[:120],
    )
    ours, theirs = (refit_all(each, each.candidates).state for each in (problem, alone))
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_a_class_named_like_a_novel_one_is_refused(overlapping, quick):
    named = dataclasses.replace(overlapping, classes=("a", "b", "novel_1", "d"))
    with pytest.raises(UserError, match="class 'novel_1' has a name"):
        prepare(dataclasses.replace(quick, method="kmeans"), named, None)


@pytest.mark.parametrize(
    ("n_classes", "n_hidden"),
    [(1, []), (2, [1, 1]), (5, [2, 2, 3, 1, 1, 1]), (3, [2, 2, 2, 1, 1, 1])],
)
def test_folds_hide_one_class_and_several(n_classes, n_hidden):
    y = np.repeat(np.arange(-1, n_classes), 10).astype(np.int32)
    folds = make_judged_folds(y, 3, 0)
    assert folds.hidden.sum(axis=1).tolist() == n_hidden
    for f, hidden in enumerate(folds.hidden):
        assert set(np.unique(folds.y[f])) == {-1, *np.flatnonzero(~hidden)}


def test_a_sample_of_hidden_rows_is_one_of_those_that_count():
    y = np.repeat(np.arange(4), [5, 50, 20, 30]).astype(np.int32)
    folds = make_judged_folds(y, 3, 0)
    few = sample_hidden(folds, 12, 0)
    for f in range(len(folds.y)):
        rows = few.hidden_rows[f][few.hidden_mask[f]]
        every = folds.hidden_rows[f][folds.hidden_mask[f]]
        assert len(rows) == min(12, len(every)) == len(set(rows))
        assert set(rows) <= set(every)
        codes = np.cumsum(folds.hidden[f]) - 1
        np.testing.assert_array_equal(few.hidden_y[f][few.hidden_mask[f]], codes[y[rows]])


def test_the_judge_needs_no_number_and_methods_that_do_have_their_own(overlapping, quick):
    for method, index, is_judged in (
        ("rca", "judge", True),
        ("rca", "silhouette", False),
        ("tabular_ncd", "judge", False),
    ):
        config = dataclasses.replace(quick, method=method, k=KConfig(index=index))
        ready = prepare(config, overlapping, None)
        assert ready.is_judged == is_judged
        assert (ready.candidates is not None) == is_judged
