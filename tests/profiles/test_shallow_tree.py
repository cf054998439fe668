"""Trees from counts in bins, against scikit-learn's, which sorts rows."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from ncd_jax.profiles.shallow_tree import MISSING, bins_of, nodes


def grown(bins, target, weights, depth=3):
    """The rows of each node but the root."""
    return [frozenset(np.flatnonzero(rows)) for _, rows in nodes(bins, target, weights, depth)]


def grown_by_peer(bins, target, weights, depth=3):
    x = np.where(bins == MISSING, np.nan, bins.astype(float))
    tree = DecisionTreeClassifier(max_depth=depth, random_state=0)
    paths = tree.fit(x, target, sample_weight=weights).decision_path(x).toarray()
    return [frozenset(np.flatnonzero(rows)) for rows in paths.T[1:]]


@pytest.mark.parametrize("share_missing", [0.0, 0.2])
@pytest.mark.parametrize("n_values", [2, 12, MISSING])
def test_nodes_are_those_of_scikit_learn(share_missing, n_values):
    rng = np.random.default_rng(n_values)
    bins = rng.integers(n_values, size=(400, 5))
    target = rng.random(400) < 0.1 + 0.8 * (bins[:, 0] * 2 < n_values) * (bins[:, 1] % 3 == 0)
    bins[rng.random(bins.shape) < share_missing] = MISSING
    weights = rng.random(400) + 0.5  # no two splits are equally good
    ours, peer = (f(bins, target, weights) for f in (grown, grown_by_peer))
    assert len(ours) == len(peer) > 6
    assert set(ours) == set(peer)


def test_the_way_to_a_node_is_told_by_its_sides():
    rng = np.random.default_rng(0)
    bins = rng.integers(9, size=(200, 3))
    bins[rng.random(bins.shape) < 0.2] = MISSING
    target = (bins[:, 0] > 5) & (bins[:, 2] < 3)
    for path, rows in nodes(bins, target, np.ones(200), 3):
        held = [side.holds(bins[:, side.column]) for side in path]
        np.testing.assert_array_equal(np.logical_and.reduce(held), rows)


def test_a_split_is_in_the_middle_of_a_gap():
    codes = np.array([0, 1, 2, 20, 21, 22])
    (path, _), *_ = nodes(codes[:, None], codes > 10, np.ones(6), 1)
    assert path[0].last == 10


def test_what_is_pure_or_empty_is_not_split():
    bins = np.arange(10)[:, None]
    assert not grown(bins, np.ones(10, bool), np.ones(10))
    assert not grown(np.zeros((10, 1), int), np.arange(10) < 5, np.ones(10))
    assert len(grown(bins, np.arange(10) < 5, np.full(10, 1 / 3))) == 2


def test_few_values_have_a_bin_each():
    codes = np.array([0, 5, 3, 7])
    np.testing.assert_array_equal(
        bins_of(codes, 7, codes < 4), [0, 1, 2, 3, 4, 5, 6, MISSING], strict=True
    )


@pytest.mark.parametrize("place", ["first", "last", "middle"])
def test_a_handful_among_thousands_of_values_is_set_apart(place):
    codes, start = np.arange(5000), {"first": 0, "last": 4991, "middle": 2221}[place]
    target = (codes >= start) & (codes < start + 9)
    bins = bins_of(codes, 5000, target)
    assert bins[:5000].max() < MISSING == bins[5000]
    assert (np.diff(bins) >= 0).all()
    assert frozenset(np.flatnonzero(target)) in grown(bins[codes][:, None], target, np.ones(5000))


def test_bins_hold_a_thirtieth_of_the_rows_at_most():
    codes = np.sort(np.random.default_rng(0).integers(3000, size=4000))
    bins = bins_of(codes, 3000, codes < 20)
    assert np.bincount(bins[codes]).max() < 4000 / 29
