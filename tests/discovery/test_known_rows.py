"""The gate on whole tables: what is given to known classes, and what is called new."""

import dataclasses

import numpy as np
import pytest
from tiers import few

from ncd_jax.data.folds import make_gate_folds
from ncd_jax.data.table import Table
from ncd_jax.discovery import known_rows
from ncd_jax.discovery.known_rows import observe, pass_gate
from ncd_jax.discovery.problem import middle, prepare
from ncd_jax.known_or_new import decision
from ncd_jax.known_or_new.decision import FoldRows, Gated, Observations, decide
from ncd_jax.known_or_new.gate_weights import Observed, read_gate_prior
from ncd_jax.types import UNLABELLED

N_KNOWN = 4


@pytest.fixture
def gate_of(gaussians, judged_config):
    """`gate_of(setting, novel, spare)` is what the gate says, and the class of the rows."""

    def make(setting, novel, spare=0, seed=0, **changes):
        table, classes = gaussians([25] * N_KNOWN, novel, spare, seed=seed)
        config = dataclasses.replace(judged_config, setting=setting, **changes)
        return pass_gate(prepare(config, table, None), table), classes[table.y == UNLABELLED]

    return make


@pytest.mark.parametrize("setting", ["auto", "gcd"])
def test_rows_of_known_classes_are_given_back(setting, gate_of):
    found, true = gate_of(setting, [40, 30], spare=12)
    assert found.is_open
    assert np.mean(found.is_new == (true >= N_KNOWN)) > 0.97
    known = ~found.is_new
    assert np.mean(found.known[known] == true[known]) > 0.97
    assert ((found.p_known >= 0) & (found.p_known <= 1)).all()
    assert ((found.p_class > 0.25) & (found.p_class <= 1)).all()
    trust = found.trust
    assert min(trust.precision, trust.recall, trust.class_accuracy) > 0.9
    assert trust.missed < 0.1


@pytest.mark.parametrize("seed", few(range(2), 0))
def test_where_all_is_new_the_gate_closes(seed, gate_of):
    found, _ = gate_of("auto", [60, 50], seed=seed)
    assert not found.is_open
    assert found.is_new.all()
    assert np.mean(gate_of("gcd", [60, 50], seed=seed)[0].is_new) > 0.9


def test_in_doubt_the_gate_is_open_and_gives_few_rows_away(gate_of, monkeypatch):
    """Two tables of nothing but new rows, of which it is taken not to be sure."""
    monkeypatch.setattr(decision, "DOUBT", np.inf)
    found, _ = gate_of("auto", [60, 50])
    asked, _ = gate_of("gcd", [60, 50])
    assert found.is_open
    assert found.in_doubt > asked.in_doubt
    assert found.is_new.sum() >= asked.is_new.sum()
    assert found.p_known.mean() < asked.p_known.mean()
    assert all(
        (a.p_known != b.p_known).any() for a, b in zip(found.folds, asked.folds, strict=True)
    )
    monkeypatch.setattr(decision, "DOUBT", 0.0)
    found, _ = gate_of("auto", [60, 50])
    assert not found.is_open
    assert not found.in_doubt


def test_rows_on_the_side_that_nobody_labelled_are_known_again(judged_config, monkeypatch):
    """In each class the rows above its mean in a mixed direction have no label."""
    rng = np.random.default_rng(0)
    true = rng.permutation(np.repeat(np.arange(N_KNOWN + 1), 51))
    inner = rng.normal(size=(len(true), 6))
    x = (4 * rng.normal(size=(N_KNOWN + 1, 6)))[true] + inner
    labelled = (true < N_KNOWN) & (inner @ [1, -1, 1, -1, 0, 0] < 0)
    y = np.where(labelled, true, UNLABELLED).astype(np.int32)
    names = tuple(f"v{i}" for i in range(6))
    table = Table("sided", x, y, names, tuple("abcd"))
    problem = prepare(dataclasses.replace(judged_config, setting="gcd"), table, None)

    def right(gated):
        said = np.where(gated.is_new, N_KNOWN, gated.known)
        return np.mean(said == true[~labelled])

    seen = right(pass_gate(problem, table))
    monkeypatch.setattr(known_rows, "direction_of_missing", lambda x, y: None)
    assert seen > right(pass_gate(problem, table)) + 0.05
    assert seen > 0.85


@pytest.mark.parametrize(("spare", "novel"), [(12, [40, 30]), (25, [])])
def test_told_the_number_as_many_rows_are_new_at_least(spare, novel, gaussians, judged_config):
    table, _ = gaussians([25] * N_KNOWN, novel, spare)
    problem = prepare(dataclasses.replace(judged_config, setting="gcd"), table, None)
    free = pass_gate(problem, table)
    told = pass_gate(problem._replace(n_novel=90), table)
    assert free.is_new.sum() == sum(novel)
    assert told.is_new.sum() == 90
    assert told.is_new[free.is_new].all()
    # Those are new that are likeliest to be.
    assert free.p_known[told.is_new].mean() < free.p_known[~told.is_new].mean()


def test_a_fold_is_decided_without_what_its_hidden_classes_taught(run_of):
    """Other folds are told the opposite of rows of these classes: it changes nothing."""
    _, _, solution = run_of("judge", "gcd")
    folds = [each.fold for each in solution.gate.folds]
    nothing = np.arange(len(folds[0].rows))
    like = np.tile(nothing[:, None], 3)

    def first(others):
        seen = Observations([folds[0], *others], folds[0].observed, nothing, like)
        decided = decide(seen, read_gate_prior(), "gcd").folds[0]
        assert decided.fold is folds[0]
        return decided

    def told_otherwise(of_hidden):
        for each in folds[1:]:
            turned = folds[0].hidden[each.true] == of_hidden
            known = np.where(each.hidden[each.true], each.true, UNLABELLED)
            truth = np.where(turned, known, each.observed.truth)
            yield each._replace(observed=each.observed._replace(truth=truth))

    usual, same, other = (
        first(each) for each in (folds[1:], told_otherwise(True), told_otherwise(False))
    )
    for name in ("p_known", "p_class", "is_new", "likeliest"):
        np.testing.assert_array_equal(getattr(usual, name), getattr(same, name))
    assert np.abs(usual.p_known - other.p_known).max() > 0.05


def test_rows_beyond_the_sample_do_as_their_neighbours(gate_of, monkeypatch):
    monkeypatch.setattr(known_rows, "MOST_ROWS", 140)
    found, true = gate_of("auto", [40, 40], spare=10)
    assert len(found.known) == len(true) == 120
    said = np.where(found.is_new, N_KNOWN, found.known)
    assert np.mean(said == np.minimum(true, N_KNOWN)) > 0.95


def test_equal_rows_get_one_answer(gaussians, judged_config, monkeypatch):
    """Half of the rows stand there twice; what is seen of a row is taken to hang on its place."""

    def decided(seen, *_):
        n = len(seen.like)
        said = np.arange(n, dtype=float)
        return Gated(True, said % 2 == 0, said.astype(int) % N_KNOWN, said, said, None)

    table, _ = gaussians([25] * N_KNOWN, [30, 30], spare=12)
    x, (rows,) = table.x.copy(), np.nonzero(table.y == UNLABELLED)
    x[rows[1::2]] = x[rows[::2]]
    table = dataclasses.replace(table, x=x)
    monkeypatch.setattr(known_rows, "decide", decided)
    found = pass_gate(prepare(judged_config, table, None), table)
    for said in (found.is_new, found.likeliest, found.p_known, found.p_class):
        np.testing.assert_array_equal(said[::2], said[1::2])
    assert len(np.unique(found.p_known)) == len(rows) / 2


def test_folds_without_a_known_row_say_nothing_of_them():
    """Every row of theirs is of a class that was hidden."""
    new = np.full(3, UNLABELLED)
    observed = Observed(*[np.zeros((3, 1))] * 4, np.arange(3), "many", new)
    fold = FoldRows(observed, new, np.arange(3), np.zeros(3, int), np.array([True]))
    trust = decision._trust([decision.Decided(fold, new < 0, new + 1.0, new + 1, new + 1.0)])
    assert np.isnan([trust.precision, trust.recall, trust.class_accuracy]).all()
    assert trust.missed == 0


def test_one_known_class_is_enough(gaussians, judged_config):
    table, classes = gaussians([80], [50], spare=40)
    problem = prepare(dataclasses.replace(judged_config, setting="gcd"), table, None)
    found = pass_gate(problem, table)
    assert found.trust is None
    assert np.mean(found.is_new == (classes[table.y == UNLABELLED] > 0)) > 0.9


@pytest.mark.parametrize("method", few(["kmeans", "ncd_kmeans", "pbn", "sc"], "kmeans"))
def test_it_looks_through_the_representation_of_a_method(method, gaussians, quick):
    table, classes = gaussians([25] * N_KNOWN, [30], spare=15)
    problem = prepare(dataclasses.replace(quick, method=method, setting="gcd"), table, None)
    found = decide(observe(problem, table, [middle(problem.space)]), read_gate_prior(), "gcd")
    true = classes[table.y == UNLABELLED]
    assert len(found.known) == len(true)
    assert np.isfinite(found.p_known).all()
    if method in ("kmeans", "ncd_kmeans"):  # the others are hardly trained
        assert np.mean(found.is_new == (true >= N_KNOWN)) > 0.95


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
