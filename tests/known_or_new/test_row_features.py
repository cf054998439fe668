"""Rows by their surroundings: against plain NumPy, row by row."""

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ncd_jax.known_or_new.row_features import (
    ABSENT,
    CLASS_FEATURES,
    ROW_FEATURES,
    SECOND_FEATURES,
    second_features,
    see_rows,
)

C = 4  # one more than there are
ROOM = 150
"""Rows are filled up to so many, and seen in two views: all tests share a program."""
SEE = jax.jit(see_rows, static_argnames="n_known")


@pytest.fixture
def rows():
    """Three known classes, two thirds of them labelled, and one novel one."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(4), 30))
    x = (rng.normal(size=(4, 5))[classes] * 3 + rng.normal(size=(120, 5))).astype(np.float32)
    y = np.where((classes < 3) & (rng.random(120) < 0.67), classes, -1).astype(np.int32)
    return x, y


def see(x, y, views=None, behind=3.0):
    """What is seen of rows, before others that do not count."""
    rest = ROOM - len(x)
    views = np.pad(np.stack(views or [x, x]), ((0, 0), (0, rest), (0, 0)), constant_values=behind)
    filled = np.pad(x, ((0, rest), (0, 0)), constant_values=behind)
    seen = SEE(views, filled, np.pad(y, (0, rest)), np.arange(ROOM) < len(x), n_known=C)
    return [np.asarray(each)[: len(x)] for each in seen]


def plainly(x, y):
    """The features of `see_rows` in loops, as their docstring and the names say."""
    x = x.astype(np.float64)
    lab, n = y >= 0, len(x)
    apart = cdist(x, x)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1)
    present = np.unique(y[lab])
    n_c = {c: np.sum(y == c) for c in present}
    means = {c: x[y == c].mean(axis=0) for c in present}
    extent = np.median([np.sqrt(((x[y == c] - means[c]) ** 2).sum(1).mean()) for c in present])
    soft, share, log_norm = 0.1 * extent, lab.mean(), np.log(np.linalg.norm(x, axis=1))

    def nearest(i, kind):
        return [j for j in order[i][: n - 1] if kind[j]]

    def mean_of(values, c):
        w = n_c[c] / (n_c[c] + 5)
        return w * values[y == c].mean() + (1 - w) * values[lab].mean()

    ten = np.array([lab[order[i][:10]].mean() for i in range(n)])
    thirty = np.array([lab[order[i][:30]].mean() for i in range(n)])
    votes, l3, l10, to_means = np.zeros((n, C)), np.zeros(n), np.zeros(n), np.full((n, C), np.inf)
    for i in range(n):
        near = nearest(i, lab)
        for place, j in enumerate(near[:10]):
            votes[i, y[j]] += 1 + 1e-3 * (place < 5)
        l3[i], l10[i] = apart[i, near[2]], apart[i, near[9]]
        for c in present:
            without = n_c[c] / (n_c[c] - 1) if y[i] == c else 1
            to_means[i, c] = np.linalg.norm(x[i] - means[c]) * without
    voted = votes.argmax(axis=1)
    own = np.where(lab, y, to_means.argmin(axis=1))
    to_own = to_means[np.arange(n), own]
    width = np.median([np.sort(apart[i])[9] for i in range(n)]) + soft

    def log_rank(values, classes):
        same = [lab & (y == classes[i]) for i in range(n)]
        above = [np.sum(values[s] >= values[i]) + (not lab[i]) for i, s in enumerate(same)]
        return np.log([max(a, 1) / (s.sum() + 1) for a, s in zip(above, same, strict=True)])

    def ratio(a, b):
        return np.log((a + soft) / (b + soft))

    found = {name: np.zeros(n) for name in ROW_FEATURES}
    ranked = np.where(lab, y, voted)
    found["log_rank_mean"] = log_rank(to_own, own)
    found["log_rank_3"], found["log_rank_10"] = log_rank(l3, ranked), log_rank(l10, ranked)
    suits = np.full((n, C, 4), ABSENT)
    second = np.sort(to_means, axis=1)[:, 1] - to_means.min(axis=1)
    usual = np.median(second[~lab]) + 1e-6
    for i in range(n):
        others, c = nearest(i, ~lab), voted[i]
        near, kernel = order[i][:30], np.exp(-0.5 * (apart[i][order[i][:30]] / width) ** 2)
        by_place = [(1, nearest(i, lab)[0], others[0]), (3, nearest(i, lab)[2], others[2])]
        for place, a, b in [*by_place, (10, nearest(i, lab)[9], others[9])]:
            found[f"log_labelled_to_unlabelled_{place}"][i] = ratio(apart[i, a], apart[i, b])
        found["labelled_10_rel"][i] = ten[i] / (mean_of(ten, c) + 0.02)
        found["labelled_30_rel"][i] = thirty[i] / (mean_of(thirty, c) + 0.02)
        found["labelled_10"][i], found["labelled_30_excess"][i] = ten[i], thirty[i] - share
        found["log_mean_scale"][i] = np.log(to_means[i].min() / extent)
        found["log_labelled_3"][i] = ratio(l3[i], np.median(l3[y == c]))
        found["agreement"][i] = votes[i].max() / 10
        found["log_gap"][i] = np.log(np.sort(to_means[i])[1] / to_means[i].min())
        norm = (log_norm[i] - np.median(log_norm[y == c])) / (log_norm[lab].std() + 1e-6)
        found["norm"][i] = np.clip(norm, -4, 4)
        found["density"][i] = (kernel * lab[near]).sum() / kernel.sum() - share
        for c in present:
            of_near = y[nearest(i, lab)]
            suits[i, c] = [
                np.log((of_near[:3] == c).mean() + 0.03),
                np.log((of_near[:15] == c).mean() + 0.03),
                -min((to_means[i, c] - to_means[i].min()) / usual, 10),
                np.log(n_c[c] / lab.sum()),
            ]
    return np.clip(np.column_stack([found[name] for name in ROW_FEATURES]), -8, 8), suits


def test_features_are_those_of_plain_loops(rows):
    found, suits, near, near_unlabelled = see(*rows)
    expected, expected_suits = plainly(*rows)
    for i, name in enumerate(ROW_FEATURES):
        np.testing.assert_allclose(found[:, i], expected[:, i], atol=2e-3, err_msg=name)
    np.testing.assert_allclose(suits, expected_suits, atol=2e-3)
    assert suits.shape[2] == len(CLASS_FEATURES)
    apart = cdist(rows[0], rows[0])
    np.fill_diagonal(apart, np.inf)
    for i in (0, 50, 119):
        assert set(near[i]) == set(np.argsort(apart[i])[:30])
        others = [j for j in np.argsort(apart[i]) if rows[1][j] < 0][:10]
        assert set(near_unlabelled[i]) == set(others)


def test_rows_that_do_not_count_change_nothing(rows):
    for one, other in zip(see(*rows), see(*rows, behind=-60.0), strict=True):
        np.testing.assert_array_equal(one, other)


def test_views_are_averaged(rows):
    x, y = rows
    turned = x[:, ::-1] * np.float32([1, 2, 1, 1, 1])
    both = see(x, y, views=[x, turned])
    first, second = see(x, y), see(x, y, views=[turned, turned])
    np.testing.assert_allclose(both[0], (first[0] + second[0]) / 2, atol=1e-4)
    np.testing.assert_array_equal(both[2], first[2])


@pytest.mark.parametrize("n_labelled", [1, 3, 119])
def test_few_rows_of_a_kind_are_no_trouble(rows, n_labelled):
    x, y = rows
    y = np.where(np.arange(120) < n_labelled, np.arange(120) % 3, -1).astype(np.int32)
    for each in see(x, y):
        assert np.isfinite(each).all()


def test_second_features_by_hand():
    """Four rows in a line, the first labelled; 4 stands for no row."""
    near = np.array([[1, 2], [0, 2], [1, 3], [2, 4]])
    near_unlabelled = np.array([[1, 2], [2, 3], [1, 3], [2, 4]])
    logits = np.array([2.0, 0.0, -9.0])
    found = second_features(logits, np.array([1, 2, 3]), near, near_unlabelled)
    assert found.shape == (3, len(SECOND_FEATURES))

    def chance(logit):
        return 1 / (1 + np.exp(-logit))

    np.testing.assert_array_equal(found[:, 0], [2, 0, -6])
    around = [(chance(6) + 0.5) / 2, (chance(2) + chance(-6)) / 2, 0.5]
    np.testing.assert_allclose(found[:, 1], around)
    np.testing.assert_allclose(found[:, 3], [-3, -2, 0])
    mean = (chance(2) + 0.5 + chance(-6)) / 3
    np.testing.assert_allclose(found[:, 4], np.log((mean + 0.01) / (1.01 - mean)))
    np.testing.assert_allclose(found[:, 5], np.log(0.01 / 1.01))
