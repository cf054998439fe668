"""Cells: what a vote leaves of micro clusters, and who joins them."""

import numpy as np
import pytest

from ncd_jax.discovery.cells import SeenRows, means_of, settle
from ncd_jax.discovery.joining import join
from ncd_jax.discovery.judging import Judgement
from ncd_jax.judge.vote import nearest_rows
from ncd_jax.types import UNLABELLED

M = 6


def judgement(groups, sizes):
    """Of four micro clusters in front of empty slots, merged into the groups."""
    path = np.full((M, M), -1)
    path[0, :4] = range(4)
    path[1:, :4] = groups
    linkage = np.full(M - 1, -1.0)
    linkage[0] = 1.0
    nothing = np.zeros(0)
    return Judgement(np.zeros((M, M)), sizes, path, linkage, nothing, nothing, nothing)


def seen(z, micro, n_voters):
    return SeenRows(z, micro, means_of(z, micro, M), nearest_rows(z, n_voters))


@pytest.fixture
def line():
    """Two classes on a line; the second micro cluster has rows of both, most of the first."""
    z = np.concatenate([np.linspace(0, 2, 30), np.linspace(4, 6, 30)])[:, None].astype(np.float32)
    micro = np.repeat([0, 1, 2, 3], [18, 15, 17, 10])
    sizes = np.bincount(micro, minlength=M)
    return z, micro, judgement([0, 0, 1, 2], sizes)


def test_rows_of_the_other_class_leave_their_micro_cluster(line):
    z, micro, judged = line
    cells = settle(seen(z, micro, 7), judged, None)
    truth = np.repeat([0, 1], 30)
    by_cut = cells.groups[micro]
    by_vote = cells.owners[cells.labels]
    assert np.mean((by_cut > 0) == truth) < 1
    assert np.mean((by_vote > 0) == truth) == 1
    assert cells.filled.tolist() == [True] * 4 + [False] * 2
    joined = join(seen(z, micro, 7), cells)
    np.testing.assert_array_equal(cells.owners[joined.cell] > 0, truth)
    assert np.isinf(joined.squared[:, ~cells.filled]).all()


def test_what_a_row_has_joined_is_of_one_group_and_the_nearest_there():
    rng = np.random.default_rng(0)
    z, micro = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(0, 4, 200)
    judged = judgement([0, 0, 1, 2], np.bincount(micro, minlength=M))
    cells = settle(seen(z, micro, 5), judged, None)
    joined = join(seen(z, micro, 5), cells)
    np.testing.assert_array_equal(cells.groups[joined.micro], cells.owners[joined.cell])
    away = np.where(cells.groups == cells.groups[joined.micro][:, None], joined.squared, np.inf)
    np.testing.assert_array_equal(joined.micro, away.argmin(axis=1))
    to_cells = ((z[:, None] - cells.centroids[cells.owners >= 0]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(joined.cell, to_cells.argmin(axis=1))


def test_a_group_that_nobody_votes_for_goes_unless_the_number_is_given():
    z = np.linspace(0, 1, 43)[:, None].astype(np.float32)
    micro = np.repeat([0, 3, 1, 2], [18, 3, 10, 12])
    judged = judgement([0, 0, 0, 1], np.bincount(micro, minlength=M))
    assert set(settle(seen(z, micro, 9), judged, None).owners) == {0, -1}
    given = settle(seen(z, micro, 9), judged, 2)
    assert set(given.owners) == {0, 1, -1}
    assert (given.owners[given.labels] == 1).sum() == 3


def test_few_rows_of_a_micro_cluster_are_no_cell():
    z = np.concatenate([np.zeros(20), np.ones(20)])[:, None].astype(np.float32)
    z += np.linspace(0, 0.1, 40, dtype=np.float32)[:, None]
    micro = np.repeat([0, 2], 20)
    micro[[19, 18]] = 2
    judged = judgement([0, 0, 1, 2], np.array([18, 0, 22, 0, 0, 0]))
    cells = settle(seen(z, micro, 5), judged, None)
    assert (cells.labels == UNLABELLED).sum() == 2
    assert (cells.owners >= 0).sum() == 2
