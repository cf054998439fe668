"""Partitions: the central one, those of an index, and cells after the vote of neighbours."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from ncd_jax.config import KConfig
from ncd_jax.discovery import by_judge as judging
from ncd_jax.discovery import partition as module
from ncd_jax.discovery.by_judge import TAINTED, Judgement, cells_of, judge_all
from ncd_jax.discovery.fit import Refits
from ncd_jax.discovery.partition import Fitted, central, choose, means_of, nothing_new, see_folds
from ncd_jax.discovery.problem import prepare
from ncd_jax.judge.vote import nearest_rows
from ncd_jax.types import UNLABELLED, Clusters, KEstimate

S, KS, M = 4, np.arange(2, 6), 6
VALUES = [
    [0.1, 0.5, 0.9, np.inf],
    [0.9, 0.8, 0.1, np.inf],
    [np.inf] * 4,
    [0.0, 0.0, 9.0, 0.0],
]
FINITE = [True, True, True, False]


def test_the_central_partition_agrees_best_with_the_others():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, 90)
    drawn = [(rng.random(90) < share, rng.integers(0, 3, 90)) for share in (0.4, 0.1, 0.6)]
    labels = np.stack([np.where(wrong, other, true) for wrong, other in drawn])
    best, stability = central(labels)
    agree = [adjusted_rand_score(labels[a], labels[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert best == 1
    assert stability == pytest.approx(np.mean(agree))
    assert central(labels[:1]) == (0, None)
    assert central(np.stack([true, (true + 1) % 3])) == (0, 1.0)


def test_means_by_hand():
    z = np.array([[0.0, 2.0], [2.0, 0.0], [5.0, 5.0]], np.float32)
    assert means_of(z, np.array([1, 1, -1]), 3).tolist() == [[0, 0], [1, 1], [0, 0]]


@pytest.fixture(scope="module")
def fitted_of(overlapping, quick):
    """`fitted_of(index, values, n_novel)`: refits with these values of the index."""

    def make(index, values, finite=FINITE, n_novel=None, tolerance=None):
        k = KConfig(index=index, max=5, restarts=1)
        problem = prepare(dataclasses.replace(quick, method="kmeans", k=k), overlapping, n_novel)
        if tolerance is not None:
            info = dataclasses.replace(problem.info, k_tolerance=tolerance)
            problem = problem._replace(info=info)
        rows = np.asarray(problem.data.x)[np.asarray(problem.target_rows)]
        z, ks = np.stack([rows] * S), np.stack([KS] * S)
        estimate = KEstimate(ks[:, 0], ks, np.asarray(values, np.float32))
        refits = Refits(np.zeros(S), np.zeros((S, 1)), z, z, estimate, np.array(finite))
        return Fitted(problem, refits, [], np.zeros(4, bool))

    return make


@pytest.fixture
def dealt_out(monkeypatch):
    """Rows are dealt out to the slots, without a program, where the number of them matters."""

    def partition(method, key, state, z, k, mask):
        return Clusters(np.full((S, 5, 6), 7.0), np.stack([np.arange(len(mask)) % k] * S))

    monkeypatch.setattr(module, "_partition", partition)


@pytest.mark.usefixtures("dealt_out")
@pytest.mark.parametrize("index", ["silhouette", "davies_bouldin"])
def test_best_mean_over_the_refits_that_have_a_value(index, fitted_of):
    """Means are 0.5, 0.65, 0.5; the third refit collapsed, the last diverged, k = 5 cannot be."""
    larger_is_better = index == "silhouette"
    values = np.array(VALUES)
    if larger_is_better:
        values = np.where(np.isinf(values), -np.inf, values)
    found = choose(fitted_of(index, values, tolerance=0.0))
    assert found.n_classes == (3 if larger_is_better else 2)
    assert found.view in (0, 1, 2), "the last one diverged"


@pytest.mark.usefixtures("dealt_out")
@pytest.mark.parametrize(
    ("index", "tolerance", "expected"),
    [("silhouette", 0.0, 4), ("silhouette", 0.07, 3), ("silhouette", 0.5, 2), ("km_acc", 0.5, 4)],
)
def test_a_method_may_take_a_smaller_number_that_is_nearly_as_good(
    index, tolerance, expected, fitted_of
):
    """What the refits say together has the mean 0.5, 0.7, 0.72, 0.1."""
    values = np.array([[0.5, 0.7, 0.72, 0.1]] * S) + np.array([[-0.02], [0.02], [0.0], [0.0]])
    assert choose(fitted_of(index, values, tolerance=tolerance)).n_classes == expected


@pytest.mark.usefixtures("dealt_out")
def test_nothing_can_be_told_apart_in_any_refit(fitted_of):
    assert choose(fitted_of("dunn", np.full((S, 4), -np.inf))).n_classes == 2


def test_padded_rows_count_for_nothing(fitted_of):
    """The same answer whatever stands behind the rows in the list."""
    padded = fitted_of("silhouette", VALUES, n_novel=2)
    z = np.array(padded.refits.z)
    n = padded.problem.n_targets
    assert z.shape[1] > n
    z[1] = -z[1]
    ours, theirs = (
        choose(padded._replace(refits=padded.refits._replace(z=np.where(is_row, z, behind))))
        for is_row in [np.arange(z.shape[1])[:, None] < n]
        for behind in (np.float32(99), z[:, ::-1])
    )
    assert len(ours.labels) == n
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    assert ours.view == theirs.view
    assert ours.view != 3, "it diverged"


def test_refits_may_leave_different_slots_empty(monkeypatch, fitted_of):
    """Heads that call the same two classes slots 0 and 1, and slots 2 and 3: all agree."""
    fitted = fitted_of("silhouette", VALUES, [True] * S, n_novel=2)
    two = np.arange(fitted.refits.z.shape[1]) % 2
    labels, centroids = np.stack([two, two + 2] * (S // 2)), np.full((S, 5, 6), 7.0)
    monkeypatch.setattr(module, "_partition", lambda *_, **__: Clusters(centroids, labels))
    found = choose(fitted)
    assert found.n_classes == 2
    assert found.stability == 1.0
    assert found.places.owners.tolist() == [0, 1, -1, -1, -1]
    np.testing.assert_array_equal(found.labels, two[fitted.problem.target_mask])


def test_where_no_row_is_asked_for_there_is_no_class(fitted_of):
    found = nothing_new(fitted_of("silhouette", VALUES, [False, False, True, True]), 3)
    assert (found.n_classes, found.view, found.features.shape) == (0, 2, (1, 3))
    assert found.places.owners.tolist() == [-1]


def cells(z, groups, micro, n_voters, n_novel=None):
    """Cells of four micro clusters in front of empty slots, merged into the groups."""
    path = np.full((M, M), -1)
    path[0, :4] = range(4)
    path[1:, :4] = groups
    linkage = np.full(M - 1, -1.0)
    linkage[0] = 1.0
    nothing = np.zeros(0)
    sizes = np.bincount(micro, minlength=M)
    scene = SimpleNamespace(labels=micro)
    judged = Judgement(scene, np.zeros((M, M)), sizes, path, linkage, nothing, nothing, nothing)
    problem = SimpleNamespace(n_novel=n_novel, target_mask=np.ones(len(z), bool))
    return cells_of(problem, judged, z, nearest_rows(z, n_voters))


def test_rows_of_the_other_class_leave_their_micro_cluster():
    """Two classes on a line; the second micro cluster has rows of both, most of the first."""
    z = np.concatenate([np.linspace(0, 2, 30), np.linspace(4, 6, 30)])[:, None].astype(np.float32)
    micro, truth = np.repeat([0, 1, 2, 3], [18, 15, 17, 10]), np.repeat([0, 1], 30)
    found = cells(z, [0, 0, 1, 2], micro, 7)
    assert np.mean((found.groups[micro] > 0) == truth) < 1
    np.testing.assert_array_equal(found.labels > 0, truth)


def test_a_row_has_the_group_of_the_nearest_cell():
    rng = np.random.default_rng(0)
    z, micro = rng.normal(size=(200, 3)).astype(np.float32), rng.integers(0, 4, 200)
    found = cells(z, [0, 0, 1, 2], micro, 5)
    owners = found.owners[found.owners >= 0]
    nearest = cdist(z, found.centroids[: len(owners)]).argmin(axis=1)
    np.testing.assert_array_equal(found.labels, owners[nearest])


def test_a_group_that_nobody_votes_for_goes_unless_the_number_is_given():
    z = np.linspace(0, 1, 43)[:, None].astype(np.float32)
    micro = np.repeat([0, 3, 1, 2], [18, 3, 10, 12])
    assert set(cells(z, [0, 0, 0, 1], micro, 9).owners) == {0, -1}
    given = cells(z, [0, 0, 0, 1], micro, 9, n_novel=2)
    assert set(given.owners) == {0, 1, -1}
    assert (given.labels[18:21] == 1).all()


def test_few_rows_of_a_micro_cluster_are_no_cell():
    z = np.concatenate([np.zeros(20), np.ones(20)])[:, None].astype(np.float32)
    z += np.linspace(0, 0.1, 40, dtype=np.float32)[:, None]
    micro = np.repeat([0, 2], 20)
    micro[[19, 18]] = 2
    found = cells(z, [0, 0, 1, 2], micro, 5)
    assert (found.owners >= 0).sum() == 2
    np.testing.assert_array_equal(found.labels, np.repeat([0, 1], 20))


def test_nobody_is_judged_by_what_his_own_classes_taught(run_of, monkeypatch):
    """What the judge is told of a fold leaves out all micro clusters of its hidden classes."""
    table, _, solution = run_of("judge", "ncd")
    problem = prepare(solution.winner.problem.config, table, None)
    folded, told, run = see_folds(problem, problem.candidates), [], judging._JUDGE
    monkeypatch.setattr(
        judging, "_JUDGE", lambda lessons, prior: told.append(lessons) or run(lessons, prior)
    )
    judge_all(folded, folded.fits[:1])  # of as many scenes as a run has
    teaches = np.asarray(told[0].teaches)
    for f, each in enumerate(folded.fits):
        mask, sizes = each.problem.target_mask, np.asarray(each.scenes[0].sizes)
        micro = np.asarray(each.scenes[0].labels)[mask]
        for g, other in enumerate(folded.fits):
            tainted = other.hidden[each.problem.true_targets[mask]]
            share = np.bincount(micro, tainted, minlength=len(sizes)) / np.maximum(sizes, 1)
            assert not teaches[g, f][share > TAINTED].any()
    assert teaches.any()
    assert not teaches[:, len(folded.fits) :].any(), "those that only fill up"
    assert UNLABELLED not in each.problem.true_targets
