import itertools
import math

import numpy as np
import pytest

from ncd_jax.data.folds import hold_out, known_fold, make_folds, make_gate_folds, take_away
from ncd_jax.errors import UserError


def labels_of(sizes, n_novel=11, seed=0):
    y = np.repeat([*range(len(sizes)), -1], [*sizes, n_novel])
    return np.random.default_rng(seed).permutation(y).astype(np.int32)


CASES = [
    labels_of([5, 9, 30]),
    labels_of([1, 1, 1]),
    labels_of([1, 40, 2, 7]),
    labels_of([20] * 5),
    labels_of([3, 1, 50, 12, 8, 2, 30]),
    labels_of([10] * 19, n_novel=0),
]


@pytest.mark.parametrize("y", CASES)
def test_every_row_is_in_its_place(y):
    """Says again, by sets of rows, what each fold must hold."""
    folds = make_folds(y, 5, 3)
    n_classes = y.max() + 1
    n_folds = len(folds.y)
    sizes = range(max(2, round(n_classes / 3)), max(2, round(2 * n_classes / 3)) + 1)
    assert n_folds == min(5, sum(math.comb(n_classes, size) for size in sizes))
    for f in range(n_folds):
        hidden = set(np.flatnonzero(folds.hidden[f]))
        assert len(hidden) in sizes
        assert len(hidden) < n_classes

        mask = folds.hidden_mask[f]
        rows = folds.hidden_rows[f][mask]
        assert sorted(rows) == [i for i in range(len(y)) if y[i] in hidden]
        codes = sorted(hidden)
        assert [codes[c] for c in folds.hidden_y[f][mask]] == list(y[rows])

        expected = y.copy()
        expected[rows] = -1
        np.testing.assert_array_equal(folds.y[f], expected)
        assert not hidden & set(folds.y[f])

    rows, mask, codes = folds.hidden_rows, folds.hidden_mask, folds.hidden_y
    assert rows.shape == mask.shape == codes.shape
    assert not rows[~mask].any()
    assert not codes[~mask].any()
    assert rows.shape[1] == mask.sum(axis=1).max()
    for name, value in folds._asdict().items():
        assert value.dtype == (bool if name in ("hidden", "hidden_mask") else "i4")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("y", CASES)
def test_some_rows_of_every_class_lose_their_label(y, share):
    held = hold_out(y, share, 3)
    assert not (held & (y == -1)).any()
    for c in range(y.max() + 1):
        size = np.sum(y == c)
        wanted = max(1, round(share * size)) if share else 0
        assert np.sum(held & (y == c)) == min(wanted, size - 1)
    np.testing.assert_array_equal(held, hold_out(y, share, 3))


@pytest.mark.parametrize("y", CASES)
def test_one_fold_asks_for_all_known_classes_and_hides_nothing(y):
    fold = known_fold(y)
    np.testing.assert_array_equal(fold.y, y[None])
    np.testing.assert_array_equal(fold.hidden_rows[0], np.flatnonzero(y >= 0))
    np.testing.assert_array_equal(fold.hidden_y[0], y[y >= 0])
    assert fold.hidden.all()
    assert fold.hidden_mask.all()


@pytest.mark.parametrize("n_classes", [3, 4, 5, 6, 9, 14, 26])
@pytest.mark.parametrize("n_folds", [1, 2, 5, 9, 30])
def test_subsets_are_distinct_and_classes_take_turns(n_classes, n_folds):
    for seed in range(5):
        hidden = make_folds(np.arange(n_classes), n_folds, seed).hidden
        assert len({tuple(row) for row in hidden}) == len(hidden)
        times = hidden.sum(axis=0)
        assert times.max() - times.min() <= 2


def test_classes_take_turns_exactly_where_nothing_stands_in_the_way():
    for seed in range(20):
        times = make_folds(np.arange(12), 4, seed).hidden.sum(axis=0)
        np.testing.assert_array_equal(times, 2)


@pytest.mark.parametrize(
    ("n_classes", "n_folds", "numbers"),
    [
        (3, 5, [2, 2, 2]),
        (4, 2, [2, 3]),
        (5, 5, [2, 2, 2, 3, 3]),
        (12, 5, [4, 5, 6, 7, 8]),
        (19, 3, [6, 9, 13]),
        (26, 1, [9]),
    ],
)
def test_no_one_number_of_classes_is_right_in_all_folds(n_classes, n_folds, numbers):
    hidden = make_folds(np.arange(n_classes), n_folds, 0).hidden
    assert hidden.sum(axis=1).tolist() == numbers


@pytest.mark.parametrize("n_folds", [20, 21, 1000])
def test_all_choices_are_taken_where_there_are_no_more(n_folds):
    folds = make_folds(np.arange(5), n_folds, 0)
    subsets = {tuple(np.flatnonzero(row)) for row in folds.hidden}
    pairs, triples = (set(itertools.combinations(range(5), size)) for size in (2, 3))
    assert subsets == pairs | triples
    assert len(folds.hidden) == 20


def test_all_choices_but_one():
    hidden = make_folds(np.arange(5), 19, 0).hidden
    assert len({tuple(row) for row in hidden}) == 19


def test_seed_decides():
    y = labels_of([30] * 8)
    first, again, other = (make_folds(y, 5, seed) for seed in (7, 7, 8))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first.hidden, other.hidden)
    assert not np.array_equal(first.y, other.y)


def test_input_is_left_alone():
    y = labels_of([5, 5, 5])
    before = y.copy()
    make_folds(y, 3, 0)
    np.testing.assert_array_equal(y, before)


@pytest.mark.parametrize("y", [[], [-1, -1], [0, 1, -1], [0]])
def test_fewer_than_three_classes_is_a_mistake_of_the_user(y):
    with pytest.raises(UserError, match="at least 3") as caught:
        make_folds(np.array(y, np.int32), 5, 0)
    assert "\n" not in str(caught.value)


def test_groups_lose_their_labels_whole():
    y = labels_of([60, 80, 100])
    group = np.random.default_rng(1).integers(0, 6, len(y))
    for seed in range(10):
        for off in (
            take_away(y, 0.5, np.random.default_rng(seed), group=group),
            hold_out(y, 0.5, seed, group=group),
        ):
            for g in range(6):
                own = off[(group == g) & (y >= 0)]
                assert own.all() or not own.any()
            assert 0 < off.sum() < (y >= 0).sum()
    # One group cannot be left out: labels go at random.
    assert take_away(y, 0.5, np.random.default_rng(0), group=0 * group).sum() == 120
    # A class that would go, or stay, whole gives up its share at random.
    held = hold_out(y, 0.5, 0, group=np.where(y == 0, 7, group % 2))
    assert held[y == 0].sum() == 30


def test_gate_folds_keep_groups_whole():
    y = labels_of([90, 90, 90, 90])
    group = np.random.default_rng(1).integers(0, 8, len(y))
    for left in make_gate_folds(y, 4, 0, group=group).y:
        seen = np.isin(y, left[left >= 0])
        for g in range(8):
            own = left[seen & (group == g)] < 0
            assert own.all() or not own.any()
