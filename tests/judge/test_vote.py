"""Rows that are outvoted, against counting by hand."""

import numpy as np
import pytest

from ncd_jax.judge.vote import ROUNDS, nearest_rows, neighbour_vote, voters


def vote(z, labels, n_voters):
    return neighbour_vote(labels, nearest_rows(z, n_voters))


def counted(z, labels, n_voters):
    """The same, row by row."""
    for _ in range(ROUNDS):
        after = labels.copy()
        for i, row in enumerate(z):
            away = np.sum((z.astype(np.float64) - row) ** 2, axis=1)
            away[i] = np.inf
            asked = [*np.argsort(away, kind="stable")[:n_voters].tolist(), i]
            voices = np.bincount(labels[asked], minlength=labels.max() + 1).astype(float)
            voices[labels[i]] += 0.5
            after[i] = voices.argmax()
        labels = after
    return labels


@pytest.mark.parametrize("n_voters", [1, 2, 5, 24])
def test_as_counted_by_hand(n_voters):
    rng = np.random.default_rng(n_voters)
    z = rng.normal(size=(60, 3)).astype(np.float32)
    labels = rng.integers(0, 4, 60)
    np.testing.assert_array_equal(vote(z, labels, n_voters), counted(z, labels, n_voters))


def test_a_stranger_among_others_is_outvoted_and_a_border_stays():
    left, right = np.linspace(0, 1, 20), np.linspace(3, 4, 20)
    z = np.concatenate([left, right])[:, None].astype(np.float32)
    labels = np.repeat([0, 1], 20)
    labels[35] = 0
    np.testing.assert_array_equal(vote(z, labels, 6), np.repeat([0, 1], 20))


def test_a_label_may_lose_all_its_rows_and_others_keep_their_number():
    z = np.arange(20, dtype=np.float32)[:, None]
    labels = np.full(20, 2)
    labels[9] = 0
    np.testing.assert_array_equal(vote(z, labels, 6), np.full(20, 2))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_ask_all_others(n):
    labels = np.arange(n)
    z = np.arange(n, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(vote(z, labels, 24), counted(z, labels, n - 1))


def test_voters_follow_the_size_of_a_class():
    assert [voters(size) for size in (2.0, 24.0, 1000.0)] == [4, 10, 24]


def test_wide_rows_vote_in_random_directions():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(3, 400))
    truth = np.repeat(np.arange(3), 40)
    z = (centres[truth] + rng.normal(size=(120, 400))).astype(np.float32)
    labels = truth.copy()
    labels[::8] = rng.integers(0, 3, 15)
    np.testing.assert_array_equal(vote(z, labels, 12), truth)
