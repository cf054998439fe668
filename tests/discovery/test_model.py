"""The one rule, on models made by hand: which class, and how sure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial import cKDTree
from scipy.special import expit, softmax

from ncd_jax.data.preprocess import fingerprints
from ncd_jax.discovery.around import Reference, rows_by_kind
from ncd_jax.discovery.evaluate import all_new
from ncd_jax.discovery.model import Arrays, Places, apply, nothing_told, shares
from ncd_jax.discovery.partition import limits_of
from ncd_jax.discovery.problem import make_method
from ncd_jax.discovery.solution import second_of
from ncd_jax.methods import Spec

RNG = np.random.default_rng(0)
# Two known classes below, two new ones above; in two columns, which are the representation.
CENTRES = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
OF_ROW = np.repeat(np.arange(4), 25)
POINTS = (CENTRES[OF_ROW] + 0.5 * RNG.normal(size=(100, 2))).astype(np.float32)
VOTES = np.array([1.0, 0.5, 2.0, 0.25], np.float32)
SCORE = np.array([0.5, 1.0, -1.0, 0.0], np.float32)
SLOPE, NEARER = 2.0, np.array([3.0, 0.4])
KMEANS = make_method("kmeans", Spec(n_features=2, n_known=2, latent_width=2, max_clusters=4))
IDENTITY = KMEANS._replace(represent=lambda state, x: x * state)
APPLY, ROOM = jax.jit(apply, static_argnames=["method", "judged"]), 64


def places(**changes):
    """Cells and micro clusters that differ: the second class has a cell nearer to the first."""
    usual = Places(
        cells=np.array([[0, 10], [4, 10], [0, 0], [0, 0]], np.float32),
        owners=np.array([0, 1, -1, -1], np.int32),
        micro=np.array([[0, 10], [10, 10], [0, 9], [0, 0]], np.float32),
        groups=np.array([0, 1, 0, -1], np.int32),
        score=SCORE,
        slope=np.float32(SLOPE),
        most=np.ones(4, np.float32),
    )
    return usual._replace(**changes)


def arrays(**changes):
    labelled = OF_ROW < 2
    limit = [limits_of(POINTS, OF_ROW, ~labelled, 6)] * 2
    reference = Reference(
        x=POINTS,
        z=POINTS,
        y=np.where(labelled, OF_ROW, -1).astype(np.int32),
        limits=np.array(limit, np.float32),
        nearer=NEARER.astype(np.float32),
        votes=VOTES,
        log_share=np.log([0.5, 0.5]).astype(np.float32),
        apart=np.float32(4.0),
        usual=np.float32(np.nan),
    )
    means = np.concatenate([CENTRES, np.zeros((2, 2))]).astype(np.float32)
    is_class = np.arange(6) < 4
    by_kind = rows_by_kind(reference)
    return Arrays(jnp.ones(1), np.int32(0), means, is_class, places(**changes), *by_kind)


def said(x, told=None, **changes):
    """By one program for all: the first row fills it up, and what is said of that goes."""
    n = len(x)
    rows = np.arange(ROOM) * (np.arange(ROOM) < n)
    x, told = np.asarray(x, np.float32)[rows], (told or nothing_told(n))
    told = jax.tree.map(lambda leaf: np.asarray(leaf)[rows], told)
    found = APPLY(IDENTITY, True, arrays(**changes), x, told)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[:n], found)


def test_a_position_is_measured_to_the_class_that_is_given():
    """The nearest cell of the first row is one of the class that lies further away."""
    found = said([[3, 10], [9, 10], [0, 9.5], [10, 10]], all_new(4))
    assert (found.labels - 2).tolist() == [1, 1, 0, 1]
    assert found.micro.tolist() == [1, 1, 0, 1]
    np.testing.assert_allclose(
        found.position, [0, 8 / 9, 1 - 0.5 / np.hypot(10, 0.5), 1], rtol=1e-4
    )
    right = expit(SCORE[found.micro] + SLOPE * np.asarray(found.position))
    np.testing.assert_allclose(found.confidence, right * found.familiar, rtol=1e-4)
    most = np.full(4, 0.25, np.float32)
    np.testing.assert_allclose(
        said([[9, 10]], all_new(1), most=most).confidence,
        0.25 * right[1] * found.familiar[1],
        rtol=1e-4,
    )
    alone = np.array([-1, 1, -1, -1], np.int32)
    assert said([[3, 10]], all_new(1), owners=alone, groups=alone).position.tolist() == [1]


def test_known_classes_by_votes_and_means():
    """Against plain NumPy, row by row; rows between both classes."""
    x = RNG.uniform([-1, -1], [11, 1], size=(20, 2)).astype(np.float32)
    found = said(x)
    labelled = POINTS[OF_ROW < 2]
    for i, row in enumerate(x):
        nearest = np.argsort(np.linalg.norm(labelled - row, axis=1))[:15]
        votes = OF_ROW[nearest][:, None] == np.arange(2)
        away = np.linalg.norm(CENTRES[:2] - row, axis=1)
        logits = (
            VOTES[0] * np.log(votes[:3].mean(axis=0) + 0.03)
            + VOTES[1] * np.log(votes.mean(axis=0) + 0.03)
            - VOTES[2] * np.minimum((away - away.min()) / 4.0, 10)
            + VOTES[3] * np.log(0.5)
        )
        chances = softmax(logits)
        assert found.labels[i] == chances.argmax()
        expected = found.p_known[i] * chances.max() * found.familiar[i]
        assert found.confidence[i] == pytest.approx(float(expected), rel=1e-4)


def test_known_or_new_by_the_third_neighbour():
    x = RNG.uniform(-2, 12, size=(60, 2)).astype(np.float32)
    found, kinds = said(x), (OF_ROW < 2, OF_ROW >= 2)
    known, new = (cKDTree(POINTS[kind]).query(x, k=3)[0][:, 2] for kind in kinds)
    nearness = np.log((new + 1e-6) / (known + 1e-6))
    np.testing.assert_allclose(found.nearness, nearness, rtol=1e-3, atol=1e-3)
    logit = NEARER[0] * np.clip(nearness, -3, 3) + NEARER[1]
    np.testing.assert_allclose(found.p_known, expit(logit), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(found.labels) >= 2, logit < -0.3)
    assert 0.1 < np.mean(np.asarray(found.labels) >= 2) < 0.9
    # Where no class is new no row is.
    nobody = np.full(4, -1, np.int32)
    assert (np.asarray(said(x, owners=nobody, groups=nobody).labels) < 2).all()
    # A row of the reference is no neighbour of its own.
    rows = np.arange(0, 100, 7)
    told = nothing_told(len(rows))._replace(itself=rows.astype(np.int32))
    own = cKDTree(POINTS[kinds[0]]).query(POINTS[rows], k=4)[0]
    own = np.where(kinds[0][rows], own[:, 3], own[:, 2])
    other = cKDTree(POINTS[kinds[1]]).query(POINTS[rows], k=4)[0]
    other = np.where(kinds[1][rows], other[:, 3], other[:, 2])
    np.testing.assert_allclose(said(POINTS[rows], told).nearness, np.log(other / own), atol=1e-3)


def test_what_is_told_counts():
    told = nothing_told(3)._replace(
        p_known=np.array([0.9, 0.2, 0.6], np.float32),
        is_new=np.array([False, True, True]),
        likeliest=np.array([1, -1, 0], np.int32),
        p_class=np.array([0.5, 0.0, 0.7], np.float32),
    )
    found = said([[10, 0], [10, 10], [10, 10]], told)
    assert found.labels.tolist() == [1, 3, 3]
    right = expit(SCORE[1] + SLOPE)
    np.testing.assert_allclose(found.confidence, [0.45, 0.8 * right, 0.4 * right], rtol=1e-4)


def test_limits_are_those_of_third_neighbours_of_a_kind():
    """Against a tree: the rank 0.995 of a class with many rows, that of all of its kind else."""
    classes = np.where(np.arange(100) < 6, 4, OF_ROW)  # six known rows, a class of their own
    is_new = (classes == 2) | (classes == 3)
    limits, third = limits_of(POINTS, classes, is_new, 6), np.zeros(100)
    for kind in (is_new, ~is_new):
        third[kind] = cKDTree(POINTS[kind]).query(POINTS[kind], k=4)[0][:, 3]
    # Nineteen rows of class 0 are too few for a limit of their own.
    of = {1: classes == 1, 2: classes == 2, 3: classes == 3, 0: ~is_new, 4: ~is_new}
    for c, rows in of.items():
        expected = np.sort(third[rows])[int(0.995 * (rows.sum() - 1))]
        assert limits[c] == pytest.approx(expected, rel=1e-5)
    assert limits[5] == pytest.approx(1e-6)


@pytest.mark.parametrize("away", [30.0, 1e3])
def test_far_from_everything_no_class_is_its_own(away):
    rows = POINTS[::5]
    here, far = said(rows), said(rows + np.float32(away))
    assert np.median(here.familiar) == 1
    assert np.asarray(far.familiar).max() < 0.01
    assert np.asarray(far.confidence).max() < 0.01


def test_labelled_rows_alone_vouch_for_known_classes():
    """A row among new rows that is told to be known is as unfamiliar as one among nobody."""
    told = nothing_told(1)._replace(
        p_known=np.ones(1, np.float32), likeliest=np.zeros(1, np.int32), p_class=np.ones(1)
    )
    assert said([[0, 10]], told).confidence[0] < 0.05
    assert said([[0, 0]], told).confidence[0] > 0.9


def test_shares_by_hand():
    """Two known and two new classes; distances 1, 2, 1, 3 squared; half sure to be of class 2."""
    squared = np.array([[1.0, 2.0, 1.0, 3.0]])
    share = shares(squared, np.array([0.4]), np.array([2]), np.array([0.5]), 2)[0]
    # Of the other half: known ones 0.4 as 2 : 1, the new one 0.6 * (1/3) / (4/3).
    rest = np.array([0.4 * 2 / 3, 0.4 / 3, 0.6 / 4])
    expected = 0.5 * rest / rest.sum()
    np.testing.assert_allclose(share, [*expected[:2], 0.5, expected[2]])


@pytest.mark.parametrize(("n_known", "m"), [(1, 1), (0, 3), (3, 3), (2, 5)])
def test_shares_add_up_and_none_is_likelier_than_the_own_one(n_known, m):
    rng = np.random.default_rng(m)
    squared, p_known = rng.exponential(size=(200, m)), rng.random(200)
    squared[:20] = 0.0
    labels, sure = rng.integers(0, m, 200), rng.random(200) * (m > 1) + (m == 1)
    sure[::7] = 0.0
    share = shares(squared, p_known, labels, sure, n_known)
    np.testing.assert_allclose(share.sum(axis=1), 1)
    assert (share >= 0).all()
    np.testing.assert_array_equal(share.argmax(axis=1), labels)
    surest = sure > 0.5  # then nothing has to be levelled
    np.testing.assert_allclose(share[np.arange(200), labels][surest], sure[surest])


def test_the_second_likeliest_class():
    share = np.array([[0.5, 0.2, 0.3], [0.4, 0.4, 0.2]])
    second, sure = second_of(share, np.array([0, 1]), np.array([0.25, 0.4]))
    assert second.tolist() == [2, 0]
    assert sure.tolist() == [0.25, 0.4]
    second, sure = second_of(np.ones((1, 1)), np.zeros(1, int), np.ones(1))
    assert (second.tolist(), sure.tolist()) == ([-1], [0])


def test_equal_rows_and_no_others_have_equal_fingerprints():
    x = np.random.default_rng(0).normal(size=(100_000, 3)).astype(np.float32)
    keys = fingerprints(x)
    assert keys.dtype == np.uint64
    assert len(np.unique(keys)) == len(x)
    np.testing.assert_array_equal(fingerprints(x[::-1])[::-1], keys)
    np.testing.assert_array_equal(fingerprints(np.asfortranarray(x)), keys)
    zero, minus = np.zeros((2, 3), np.float32), np.array([[-0.0] * 3, [0.0, -0.0, 0.0]], np.float32)
    np.testing.assert_array_equal(fingerprints(zero), fingerprints(minus))
    assert fingerprints(np.array([[1, 0]])) != fingerprints(np.array([[0, 1]]))
    near = np.nextafter(x[:1000], np.float32(np.inf))
    assert not np.isin(fingerprints(near), keys).any()
    whole = np.indices((40, 40, 40)).reshape(3, -1).T.astype(np.float32)
    assert len(np.unique(fingerprints(whole))) == 40**3
