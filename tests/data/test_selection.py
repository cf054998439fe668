"""Whether labels are a random sample: made-up tables of each kind, and plain oracles."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from ncd_jax.data import own_table
from ncd_jax.data.selection import (
    STRICT,
    contrast_of_all,
    contrast_of_columns,
    direction_of_missing,
    find_direction,
    is_by_column,
    rounded,
    sampled,
    without_absent,
)
from ncd_jax.read.options import ReadOptions

NOT_RANDOM = "labels are no random sample"
N_KNOWN, EACH, COLUMNS = 4, 150, 6


def rows_of(n_novel=2, seed=0):
    """Four known classes and some new ones, all round, and the class of every row."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.repeat(np.arange(N_KNOWN + n_novel), EACH))
    means = 4 * rng.normal(size=(N_KNOWN + n_novel, COLUMNS))
    return means[true] + rng.normal(size=(len(true), COLUMNS)), true


def half(score, true, strength, seed=0):
    """Labels of known classes, the likelier the smaller the score."""
    chance = np.random.default_rng(seed).random(len(true))
    labelled = chance < 1 / (1 + np.exp(strength * score))
    return np.where((true < N_KNOWN) & labelled, true, -1)


def notes_of(x, y, options=None, **columns):
    frame = pd.DataFrame(x, columns=[f"v{i}" for i in range(x.shape[1])]).assign(**columns)
    frame["kind"] = np.where(y < 0, None, np.char.add("class ", y.astype(str)))
    table = own_table.read_table(frame, "kind", options=options or ReadOptions())
    return table, [note for note in table.notes if note.startswith(NOT_RANDOM)]


@pytest.mark.parametrize("n_novel", [0, 1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_said_of_a_random_sample(n_novel, seed):
    x, true = rows_of(n_novel, seed)
    _, notes = notes_of(x, half(np.zeros(len(x)), true, 0, seed))
    assert not notes


def test_nothing_is_said_where_all_unlabelled_rows_are_new():
    x, true = rows_of()
    _, notes = notes_of(x, np.where(true < N_KNOWN, true, -1))
    assert not notes


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n_novel", [0, 2])
def test_a_date_at_which_labels_end_is_no_feature(sign, n_novel):
    x, true = rows_of(n_novel)
    day = np.random.default_rng(3).integers(0, 365, len(x))
    y = np.where((true < N_KNOWN) & (sign * day <= sign * 180), true, -1)
    joined = np.datetime64("2025-01-01", "s") + day.astype("timedelta64[D]")
    table, notes = notes_of(x, y, joined=joined)
    last = joined[y >= 0].max() if sign > 0 else joined[y >= 0].min()
    said = f"they {'end' if sign > 0 else 'begin'} on {str(last)[:10]} in 'joined'"
    assert said in notes[0]
    assert table.notes[0] == notes[0]
    assert "--use=joined" in notes[0]
    assert table.encoder.columns == tuple(f"v{i}" for i in range(COLUMNS))
    assert table.x.shape[1] == len(table.columns) == COLUMNS
    assert {r.name: r.kind for r in table.reading.columns}["joined"] == "left out"

    table, notes = notes_of(x, y, ReadOptions(use=["joined"]), joined=joined)
    assert said in notes[0]
    assert "joined" in table.encoder.columns


def test_a_date_that_tells_nothing_stays():
    x, true = rows_of()
    day = np.random.default_rng(3).integers(0, 365, len(x))
    joined = np.datetime64("2025-01-01", "s") + day.astype("timedelta64[D]")
    table, notes = notes_of(x, half(np.zeros(len(x)), true, 0), joined=joined)
    assert not notes
    assert "joined" in table.encoder.columns


def test_a_date_at_which_a_new_class_begins_stays():
    x, true = rows_of(1)
    day = np.random.default_rng(3).integers(0, 365, len(x))
    day[true == N_KNOWN] = 300 + day[true == N_KNOWN] % 65
    joined = np.datetime64("2025-01-01", "s") + day.astype("timedelta64[D]")
    table, notes = notes_of(x, half(np.zeros(len(x)), true, 0), joined=joined)
    assert not notes
    assert "joined" in table.encoder.columns


def test_a_running_number_is_no_feature_and_a_measured_one_is_told():
    x, true = rows_of()
    orders = 40000 + 37 * np.arange(len(x))
    y = np.where((true < N_KNOWN) & (orders < np.median(orders)), true, -1)
    table, notes = notes_of(x, y, order=orders)
    assert f"they end at {orders[y >= 0].max()} in 'order': labelled rows lie below" in notes[0]
    assert "'order' is left out, --use=order takes it back" in notes[0]
    assert "order" not in table.encoder.columns

    normal = np.random.default_rng(3).normal(size=len(x))
    for weight in (normal.round(1), 1e30 * normal):  # the latter are all whole, as floats go
        y = np.where((true < N_KNOWN) & (weight < 0), true, -1)
        table, notes = notes_of(x, y, weight=weight)
        assert "'weight'" in notes[0]
        assert "--drop=weight" in notes[0]
        assert "weight" in table.encoder.columns


def test_a_plate_without_labels_is_told_and_a_class_with_a_word_of_its_own_is_not():
    x, true = rows_of()
    second = np.random.default_rng(3).random(len(x)) < 0.5
    plate = np.where(second, "B", "A")
    shifted = x + second[:, None] * 2 * np.random.default_rng(4).normal(size=COLUMNS)
    y = np.where((true < N_KNOWN) & ~second, true, -1)
    table, notes = notes_of(shifted, y, plate=plate)
    assert "no labelled row is of 'B' in 'plate'" in notes[0]
    assert any("--use=plate makes it a feature" in note for note in table.notes)
    assert table.group_column == table.encoder.centres.column == "plate"
    assert "plate" not in table.encoder.columns
    table, notes = notes_of(shifted, y, ReadOptions(use=["plate"]), plate=plate)
    assert "no labelled row has 'B' in 'plate'" in notes[0]
    assert "--group=plate" in notes[0]
    assert "plate" in table.encoder.columns

    word = np.where(true == N_KNOWN, "odd", "usual")
    _, notes = notes_of(x, half(np.zeros(len(x)), true, 0), word=word)
    assert not notes


def test_one_side_of_a_direction_is_told_found_and_taken_away():
    x, true = rows_of()
    weights = np.array([1.0, -1.0, 1.0, -1.0, 0, 0])
    inner = x - np.stack([x[true == c].mean(axis=0) for c in range(true.max() + 1)])[true]
    score = inner @ weights / np.linalg.norm(weights)
    y = half(score, true, 3)
    _, notes = notes_of(x, y)
    assert len(notes) == 1
    assert "told from a labelled one" in notes[0]
    named = notes[0].partition("most of all by ")[2].partition(";")[0]
    assert set(named.split(", ")) < {"'v0'", "'v1'", "'v2'", "'v3'"}

    direction, contrast = direction_of_missing(x, y), contrast_of_all(rounded(x, y), STRICT)
    own = inner @ direction.reads
    assert abs(np.corrcoef(own, score)[0, 1]) > 0.9
    one = direction.without(x)
    np.testing.assert_allclose(direction.score(one), 0, atol=1e-8)
    np.testing.assert_allclose(direction.without(one), one, atol=1e-8)
    after = contrast_of_all(rounded(one, y), STRICT)
    assert after.auc < 0.62 < 0.7 < contrast.auc
    assert direction_of_missing(x, half(np.zeros(len(x)), true, 0)) is None


def test_contrasts_are_what_scikit_learn_says():
    x, true = rows_of(0)
    y = half(x[:, 0] - np.array([x[true == c, 0].mean() for c in range(N_KNOWN)])[true], true, 2)
    space = rounded(x, y)
    found = contrast_of_columns(space, [np.array([0]), np.array([1])], [x[:, 0], x[:, 1]])
    for column, contrast in enumerate(found):
        aside = space.axes[[column]].T
        like, _ = space.look_alikes(aside / np.linalg.norm(aside), STRICT)
        aucs, weights = [], []
        for c in range(N_KNOWN):
            rows = like == c
            aucs.append(roc_auc_score(y[rows] < 0, x[rows, column]))
            n, m = (y[rows] >= 0).sum(), (y[rows] < 0).sum()
            weights.append(n * m / (n + m))
        assert contrast.auc == pytest.approx(np.average(aucs, weights=weights))
        assert contrast.n_classes == N_KNOWN
    assert is_by_column(found[0], runs=True)
    assert not is_by_column(found[1], runs=True)


def test_known_classes_are_round_and_labelled_rows_look_like_themselves():
    x, true = rows_of(0)
    x = x @ np.random.default_rng(5).normal(size=(COLUMNS, COLUMNS))
    means = np.stack([x[true == c].mean(axis=0) for c in range(N_KNOWN)])
    # Without a distance between classes, the share of all variance that is added is theirs too.
    inner = rounded(x - means[true], true).z
    np.testing.assert_allclose(np.cov(inner.T), np.eye(COLUMNS), atol=0.05)
    space = rounded(x, true)
    np.testing.assert_allclose((x - x.mean(axis=0)) @ space.axes, space.z, atol=1e-8)
    like, _ = space.look_alikes(np.zeros((COLUMNS, 1)), STRICT)
    assert np.mean(like >= 0) == pytest.approx(STRICT, abs=0.02)
    assert (like[like >= 0] == true[like >= 0]).all()
    assert find_direction(space, STRICT) is None  # nobody is unlabelled


def test_rows_are_sampled_and_absent_classes_not_counted():
    y = np.repeat([0, -1], [5000, 100])
    rows = sampled(y)
    assert (np.diff(rows) > 0).all()
    assert (y[rows] < 0).sum() == 100
    assert len(rows) == 1600
    np.testing.assert_array_equal(without_absent(np.array([4, -1, 2, 4])), [1, -1, 0, 1])
