"""The gate on whole tables: what is given to known classes, and what is called new."""

import dataclasses

import numpy as np
import pytest

from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.gate_folds import make_gate_folds
from ncd_jax.data.table import Table
from ncd_jax.discovery import gate_looks
from ncd_jax.discovery.gate_looks import look
from ncd_jax.discovery.gating import Gated, decide, pass_gate
from ncd_jax.discovery.hyperparameters import middle
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.scoring import score_all
from ncd_jax.discovery.solve import solve
from ncd_jax.known_or_new.gate_weights import read_gate_prior
from ncd_jax.types import UNLABELLED

CONFIG = RunConfig(method="rca", search=SearchConfig(folds=3))
N_KNOWN = 4


def gaussians(labelled, others, novel, d=6, seed=0):
    """Four known classes with `labelled` rows each, `others` more without label, and novel ones.

    Returns the table and the class of its unlabelled rows, novel ones from 4 on.
    """
    rng = np.random.default_rng(seed)
    sizes = [labelled + others] * N_KNOWN + list(novel)
    classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = 4.5 * rng.normal(size=(len(sizes), d))
    x = centres[classes] + rng.normal(size=(len(classes), d))
    y = np.full(len(classes), UNLABELLED, np.int32)
    for c in range(N_KNOWN):
        y[np.flatnonzero(classes == c)[:labelled]] = c
    table = Table("gaussians", x, y, tuple(map(str, range(d))), tuple("abcd"))
    return table, classes[y == UNLABELLED]


def gate_of(table, setting="auto"):
    config = dataclasses.replace(CONFIG, setting=setting)
    return pass_gate(prepare(config, table, None), table)


@pytest.mark.parametrize("setting", ["auto", "gcd"])
def test_rows_of_known_classes_are_given_back(setting):
    table, true = gaussians(40, 25, [40, 30])
    found = gate_of(table, setting)
    assert found.is_open
    assert np.mean(found.is_new == (true >= N_KNOWN)) > 0.97
    known = ~found.is_new
    assert np.mean(found.known[known] == true[known]) > 0.97
    assert ((found.p_known >= 0) & (found.p_known <= 1)).all()
    assert ((found.p_class > 0.25) & (found.p_class <= 1)).all()
    trust = found.trust
    assert min(trust.precision, trust.recall, trust.class_accuracy) > 0.9
    assert trust.swallowed < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_nothing_may_be_new(seed):
    table, true = gaussians(30, 25, [], seed=seed)
    solution = solve(CONFIG, table)
    assert solution.setting == "gcd"
    assert solution.answer.k == 0
    assert not solution.is_new.any()
    assert np.mean(solution.labels(N_KNOWN) == true) > 0.97
    assert solution.model.classes == tuple("abcd")
    assert solution.judged is None
    assert len(solution.confidence) == len(true)


@pytest.mark.parametrize("seed", range(3))
def test_where_all_is_new_the_gate_closes(seed):
    table, _ = gaussians(40, 0, [60, 50], seed=seed)
    found = gate_of(table)
    assert not found.is_open
    assert found.is_new.all()
    np.testing.assert_array_equal(found.confidence(np.full(110, 0.7)), 0.7)
    assert np.mean(gate_of(table, "gcd").is_new) > 0.9


def test_the_whole_answer_is_right_and_its_confidence_is_that_of_gate_and_judge():
    table, true = gaussians(60, 40, [80])
    solution = solve(CONFIG, table)
    labels = solution.labels(N_KNOWN)
    assert score_all(labels, true, N_KNOWN)["all"] > 0.97
    assert solution.answer.k == 1
    assert len(solution.answer.labels) == solution.is_new.sum()
    gate = solution.gate
    assert (solution.confidence <= np.maximum(gate.p_known, 1 - gate.p_known) + 1e-9).all()
    assert solution.model.classes == (*"abcd", "novel_0")


def test_rows_beyond_the_sample_do_as_their_neighbours(monkeypatch):
    table, true = gaussians(100, 150, [200, 200])
    whole = gate_of(table)
    monkeypatch.setattr(gate_looks, "MOST_ROWS", 500)
    sampled = gate_of(table)
    assert len(sampled.known) == len(true)
    for found in (whole, sampled):
        assert np.mean(np.where(found.is_new, N_KNOWN, found.known) == np.minimum(true, 4)) > 0.97


def test_one_known_class_is_enough():
    table, true = gaussians(60, 40, [50])
    one = np.where(table.y == 0, 0, UNLABELLED).astype(np.int32)
    kept = (one == 0) | (table.y == UNLABELLED)
    table = dataclasses.replace(table, x=table.x[kept], y=one[kept], classes=("a",))
    found = gate_of(table, "gcd")
    assert found.trust is None
    assert np.mean(found.is_new == (true > 0)) > 0.9


@pytest.mark.parametrize("method", ["kmeans", "ncd_kmeans", "rca", "pbn", "sc"])
def test_it_looks_through_the_representation_of_a_method(method):
    table, true = gaussians(30, 20, [30])
    train = TrainConfig(epochs=2, batch_size=64, refits=2)
    search = SearchConfig(candidates=1, folds=2)
    k = KConfig(index="silhouette", max=4, restarts=2)
    config = RunConfig(method=method, setting="gcd", search=search, train=train, k=k)
    problem = prepare(config, table, None)
    found = decide(look(problem, table, [middle(problem.space)]), read_gate_prior(), "gcd")
    assert len(found.known) == len(true)
    assert np.isfinite(found.p_known).all()
    if method in ("kmeans", "ncd_kmeans", "rca"):  # the others are hardly trained
        assert np.mean(found.is_new == (true >= N_KNOWN)) > 0.95


def test_confidence_joins_both_doubts():
    found = Gated(
        is_open=True,
        is_new=np.array([False, True, True]),
        likeliest=np.array([2, 0, 1]),
        p_known=np.array([0.9, 0.2, 0.4]),
        p_class=np.array([0.8, 0.5, 0.5]),
        trust=None,
    )
    np.testing.assert_allclose(found.confidence(np.array([0.5, 1.0])), [0.72, 0.4, 0.6])
    np.testing.assert_array_equal(found.known, [2, UNLABELLED, UNLABELLED])


@pytest.mark.parametrize(
    ("p_known", "fewest", "left"),
    [
        ([0.02, 0.02, 0.4, 0.3], 3, [True, True, False, False]),  # in doubt, and few
        ([0.02, 0.02, 0.4, 0.3], 2, [True] * 4),
        ([0.02, 0.02, 0.05, 0.08], 3, [True] * 4),
    ],
)
def test_strays_are_no_class(p_known, fewest, left):
    found = Gated(
        is_open=True,
        is_new=np.array([False, True, True, True, True]),
        likeliest=np.arange(5),
        p_known=np.array([0.9, *p_known]),
        p_class=np.ones(5),
        trust=None,
    )
    kept = found.without_strays(np.array([1, 1, 0, 0]), fewest)
    np.testing.assert_array_equal(kept.is_new, [False, *left])
    np.testing.assert_array_equal(kept.known[1:] == UNLABELLED, left)


def test_folds_hide_what_their_kind_says():
    y = np.repeat(np.arange(-1, 5), 40).astype(np.int32)
    folds = make_gate_folds(y, 4, seed=0)
    assert folds.kinds == ("many",) * 4 + ("one",) * 2 + ("none",) * 2 + ("ncd",) * 3
    for left, kind in zip(folds.y, folds.kinds, strict=True):
        assert (left[y == UNLABELLED] == UNLABELLED).all()
        kept = np.array([np.mean(left[y == c] == c) for c in range(5)])
        hidden = kept == 0
        assert {"many": 2 <= hidden.sum() <= 3, "one": hidden.sum() == 1}.get(kind, True)
        assert {"none": not hidden.any(), "ncd": 2 <= hidden.sum() <= 3}.get(kind, True)
        if kind == "ncd":
            assert (kept[~hidden] == 1).all()
        else:
            assert ((kept[~hidden] > 0.25) & (kept[~hidden] < 0.75)).all()


def test_classes_of_few_rows_keep_them_all():
    y = np.repeat(np.arange(3), [50, 50, 2]).astype(np.int32)
    for left in make_gate_folds(y, 3, seed=0).y:
        assert np.sum(left == 2) in (0, 2)


def test_score_all_matches_once_for_all_rows():
    """Class 1 was found under the name of a novel one: as good; but 1 is then nobody's name."""
    true = np.array([0, 0, 1, 1, 2, 2, 3])
    found = np.array([0, 0, 2, 2, 1, 3, 3])
    scores = score_all(found, true, 2)
    assert scores == {"all": pytest.approx(6 / 7), "old": 1.0, "new": pytest.approx(2 / 3)}
    assert np.isnan(score_all(found[:2], true[:2], 2)["new"])
