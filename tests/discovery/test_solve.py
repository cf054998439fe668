"""The procedure in memory: one answer for a row, whoever asks, and each part what it is said."""

import dataclasses
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score
from tiers import few

import ncd_jax
from ncd_jax.data.folds import hold_out
from ncd_jax.data.table import Table
from ncd_jax.discovery import solve as module
from ncd_jax.discovery.evaluate import all_new
from ncd_jax.discovery.model import apply_model, assign, latents
from ncd_jax.discovery.problem import middle
from ncd_jax.discovery.solve import fit_untuned, prepare_methods, solve, solve_problems
from ncd_jax.discovery.tune import Tuned
from ncd_jax.errors import UserError
from ncd_jax.known_or_new.decision import Gated
from ncd_jax.methods import METHODS
from ncd_jax.progress import Reporter
from ncd_jax.scoring import score
from ncd_jax.tuning.storage import own_journal
from ncd_jax.tuning.trials import SearchResult, Trial
from ncd_jax.types import UNLABELLED

PACKAGE = Path(ncd_jax.__file__).parent
N_KNOWN = 4
ALL = pytest.mark.parametrize("setting", ["ncd", "gcd"])
BOTH = pytest.mark.parametrize("how", ["index", "judge"])


def given(config, n_novel, **changes):
    return dataclasses.replace(config, k=dataclasses.replace(config.k, n_novel=n_novel), **changes)


@BOTH
@ALL
def test_assign_repeats_the_run_on_every_row(how, setting, run_of):
    """Of all rows of the table: labelled ones have their label, the others the run's answer."""
    table, _, found = run_of(how, setting)
    said, new = assign(found.model, table.x), table.y == UNLABELLED
    assert found.setting == setting
    np.testing.assert_array_equal(said.labels[new], found.found)
    np.testing.assert_array_equal(said.confidence[new], found.confidence)
    np.testing.assert_array_equal(said.labels[~new], table.y[~new])
    np.testing.assert_array_equal(said.confidence[~new], 1)
    np.testing.assert_array_equal(said.shares.argmax(axis=1), said.labels)
    if setting == "gcd":  # the gate sees more than the model alone
        alone = assign(found.model._replace(remembered=None), table.x[new])
        assert not np.array_equal(alone.confidence, found.confidence)


@BOTH
@ALL
def test_the_parts_fit_together(how, setting, run_of):
    table, classes, found = run_of(how, setting)
    new, model, answer = table.y == UNLABELLED, found.model, found.answer
    n = new.sum()
    assert found.tuned == [found.winner]
    for each in (found.confidence, found.runner_up, found.runner_up_confidence):
        assert len(each) == len(found.found) == n
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    assert (found.runner_up_confidence <= found.confidence).all()
    assert (found.runner_up != found.found).all()
    np.testing.assert_array_equal(answer.labels, found.found[found.is_new] - N_KNOWN)
    sizes = np.bincount(answer.labels)
    assert len(sizes) == answer.k == (3 if setting == "ncd" else 2)
    assert (np.diff(sizes) <= 0).all(), "the largest class comes first"
    assert model.classes == (*table.classes, *(f"novel_{i}" for i in range(answer.k)))
    assert adjusted_rand_score(classes[new], found.found) > 0.95
    first = "tune" if how == "index" else "learn"
    assert {first, "refit", "discover", "evaluate", "total"} <= set(found.seconds)
    np.testing.assert_array_equal(found.z[new], apply_model(model, table.x[new]).z)
    np.testing.assert_array_equal(found.z[~new], latents(model, table.x[~new]))
    np.testing.assert_allclose(found.z, latents(model, table.x), atol=1e-5)
    assert found.known_accuracy > 0.8
    assert 0 <= model.reference.usual <= 0.5
    assert (found.judged is None) == (how == "index")


@BOTH
def test_numbering_changes_nothing_but_numbers(how, run_of):
    """What the model says of new rows is what the run said, before it remembered any of them."""
    table, _, found = run_of(how, "ncd")
    x = table.x[table.y == UNLABELLED]
    applied = apply_model(found.model, x, all_new(len(x)))
    np.testing.assert_array_equal(applied.labels, found.found)
    np.testing.assert_array_equal(applied.confidence, found.confidence)


@pytest.mark.parametrize(("how", "setting"), [("index", "ncd"), ("judge", "gcd")])
def test_rows_in_another_order_get_the_same_answer(how, setting, run_of):
    table, _, found = run_of(how, setting)
    order = np.random.default_rng(5).permutation(len(table.y))
    other = dataclasses.replace(table, x=table.x[order], y=table.y[order])
    again = solve(found.winner.problem.config, other)
    for name in ("found", "confidence", "runner_up"):
        one, two = np.full((2, len(order)), np.nan)
        one[table.y == UNLABELLED] = getattr(found, name)
        two[other.y == UNLABELLED] = getattr(again, name)
        np.testing.assert_array_equal(two, one[order])
    np.testing.assert_array_equal(again.z, found.z[order])


@ALL
def test_three_cuts_agree_on_classes_that_are_apart(setting, run_of):
    _, _, found = run_of("judge", setting)
    assert found.answer.stability == 1.0


@ALL
def test_folds_ask_for_as_many_rows_as_are_new(setting, run_of):
    table, _, found = run_of("judge", setting)
    folds = found.winner.problem.hidden_folds
    n_new = found.is_new.sum()
    n_hidden = folds.hidden @ np.bincount(table.y[table.y != UNLABELLED])
    np.testing.assert_array_equal(
        folds.hidden_mask.sum(axis=1), np.minimum(max(n_new, 60), n_hidden)
    )
    assert (folds.hidden_mask.sum(axis=1) < n_hidden).any() == (setting == "gcd")
    assert {each.shape for each in (folds.hidden_rows, folds.hidden_y)} == {(len(folds.y), 128)}


@BOTH
def test_what_folds_called_known_counts_as_wrong(how, run_of):
    """Rows of hidden classes in the folds of the gate, one after the other."""
    _, _, found = run_of(how, "gcd")
    evaluation = found.evaluation
    asked = [each.fold.hidden[each.fold.true] for each in found.gate.folds]
    new = np.concatenate([d.is_new[a] for d, a in zip(found.gate.folds, asked, strict=True)])
    assert len(evaluation.right) == len(new)
    assert not evaluation.right[~new].any()
    np.testing.assert_array_equal(
        evaluation.y,
        np.concatenate([d.fold.true[a] for d, a in zip(found.gate.folds, asked, strict=True)]),
    )
    assert {1, 2} <= set(evaluation.n_hidden)


def test_later_rows_are_no_surer_than_they_are_right(solved):
    """Nobody knows of a later row that it is new.

    Two folds of four classes share them and teach each other nothing: the prior alone is 0.77 sure
    of rows of which 0.75 are right, and 0.70 of those of which 0.73 would be right later; measured.
    """
    evaluation = solved("rca").evaluation
    assert evaluation.later.mean() < evaluation.right.mean()
    assert not (evaluation.later & ~evaluation.right).any()
    assert evaluation.later_confidence.mean() < evaluation.later.mean() + 0.03
    assert evaluation.confidence.mean() < evaluation.right.mean() + 0.05


def test_what_the_gate_missed_does_not_vouch_for_itself(run_of, monkeypatch):
    """Five rows far from all are called known: neither they nor later ones there are sure."""
    table, classes, before = run_of("index", "gcd")
    new = table.y == UNLABELLED
    rng = np.random.default_rng(0)
    away = table.x.mean(axis=0) + 8 * table.x.std(axis=0)
    x, far = table.x.copy(), np.flatnonzero(new & (classes == 0))[:5]
    x[far] = away + 0.1 * rng.normal(size=(5, 6))

    def swallow(problem, table, best):
        true = classes[table.row_numbers[table.y == UNLABELLED]]
        p_known, p_class = np.where(true < N_KNOWN, 0.95, 0.05), np.full(len(true), 0.9)
        return Gated(True, p_known < 0.5, np.minimum(true, 3), p_known, p_class, None)

    monkeypatch.setattr(module, "pass_gate", swallow)
    found = solve(before.winner.problem.config, dataclasses.replace(table, x=x))
    sure = np.zeros(len(x))
    sure[new] = found.confidence
    assert not found.is_new[np.isin(np.flatnonzero(new), far)].any()
    assert sure[far].max() < 0.05
    others = new & (classes < N_KNOWN) & ~np.isin(np.arange(len(x)), far)
    assert np.median(sure[others]) > 0.8
    later = assign(found.model, away + 0.1 * rng.normal(size=(20, 6)))
    assert later.confidence.max() < 0.05
    assert later.unfamiliar.all()


@pytest.mark.parametrize(
    ("n_classes", "n_novel"), few([(20, 20), (3, 26), (3, 50)], (20, 20), (3, 26))
)
def test_as_many_classes_as_were_told(n_classes, n_novel, gaussians, judged_config):
    """Twenty small classes; and many more than there are: fifty of 120 rows take other programs."""
    table, _ = gaussians([25] * 4, [120 // n_classes] * n_classes, apart=8.0)
    found = solve(given(judged_config, n_novel), table)
    assert found.answer.k == n_novel
    assert set(found.answer.labels) == set(range(n_novel))
    assert found.winner.problem.max_micro == (80 if n_novel == 50 else 40)


@pytest.mark.parametrize("n_novel", [None, 1])
def test_nothing_is_new_unless_it_was_told(n_novel, gaussians, judged_config):
    table, classes = gaussians([25] * 4, [], spare=25)
    found = solve(given(judged_config, n_novel, setting="gcd"), table)
    assert found.answer.k == (n_novel or 0)
    assert found.is_new.sum() == (n_novel or 0)
    old = ~found.is_new
    assert np.mean(found.found[old] == classes[table.y == UNLABELLED][old]) > 0.97
    if n_novel is None:
        assert found.judged is None
        assert found.model.classes == table.classes


def test_told_the_number_it_is_no_less_sure(run_of, judged_config):
    """Where nothing is in doubt it can rise by nothing: 0.9732 told and 0.9734 free, measured."""
    table, _, free = run_of("judge", "ncd")
    told = solve(given(judged_config, 3), table)
    np.testing.assert_array_equal(told.found, free.found)
    assert told.confidence.mean() > free.confidence.mean() - 0.001
    assert told.judged.partition.numbers.argmax() == free.judged.partition.numbers.argmax() == 2


@pytest.mark.thorough
def test_a_number_given_to_an_index_is_taken(solved, quick):
    """As in `test_partition`, in a whole run."""
    found = solved("kmeans", k=given(quick, 3).k)
    assert found.answer.k == 3
    assert found.refits.estimate is None


def test_more_rows_than_the_judge_looks_at_join_what_it_has_seen(run_of, judged_config):
    table, classes, _ = run_of("judge", "ncd")
    least = dataclasses.replace(judged_config.k, max_rows=80)
    found = solve(dataclasses.replace(judged_config, k=least), table)
    assert found.winner.problem.n_targets == 80
    assert len(found.found) == 115
    new = classes[table.y == UNLABELLED] - N_KNOWN
    assert score(found.answer.labels, new)["acc"] > 0.95


def test_of_noise_nothing_is_sure(gaussians, judged_config):
    table, _ = gaussians([25] * 4, [100])
    noise = np.random.default_rng(0).normal(size=table.x.shape)
    found = solve(judged_config, dataclasses.replace(table, x=noise))
    assert found.known_accuracy < 0.5
    assert found.confidence.mean() < 0.85


def test_with_one_known_class_the_prior_speaks_alone(gaussians, judged_config):
    table, _ = gaussians([100], [50, 40], seed=1)
    found = solve(judged_config, table)
    assert found.evaluation is None
    assert found.answer.k >= 1
    assert ((found.confidence > 0) & (found.confidence < 1)).all()


def test_known_accuracy_is_that_of_rows_without_their_label(run_of):
    """Three neighbours vote among classes that are apart; some of each class had no label."""
    table, _, found = run_of("index", "ncd")
    config = found.winner.problem.config
    held = hold_out(table.y, config.search.held_out, config.seed)
    assert held.sum() >= N_KNOWN
    left = np.flatnonzero(~held)
    nearest = left[cdist(found.z[held], found.z[left]).argsort(axis=1)[:, :3]]
    like = np.array([np.bincount(v + 1).argmax() - 1 for v in table.y[nearest]])
    assert found.known_accuracy == pytest.approx(np.mean(like == table.y[held]), abs=0.1)


def test_known_accuracy_alone_is_lost_where_its_fit_diverges(run_of, monkeypatch):
    table, _, expected = run_of("judge", "ncd")
    fit, fits = module.refit_all, iter([False, True])

    def refit(problem, hparams):
        if next(fits):
            raise FloatingPointError
        return fit(problem, hparams)

    monkeypatch.setattr(module, "refit_all", refit)
    found = solve(expected.winner.problem.config, table)
    assert np.isnan(found.known_accuracy)
    np.testing.assert_array_equal(found.found, expected.found)
    np.testing.assert_array_equal(found.confidence, expected.confidence)


def test_the_same_again_and_another_seed(solved, overlapping, quick):
    config = dataclasses.replace(quick, method="rca")
    again, found = solve(config, overlapping), solved("rca")
    np.testing.assert_array_equal(again.found, found.found)
    np.testing.assert_array_equal(again.confidence, found.confidence)
    assert again.winner.found.trials == found.winner.found.trials
    other = solve(dataclasses.replace(config, seed=1), overlapping)
    assert other.winner.found.trials != found.winner.found.trials


@pytest.mark.parametrize(
    ("rca", "kmeans", "winner"),
    [
        # The best of two is 0.6, but in each fold the others prefer one that is worse there.
        ([[0.9, 0.5, 0.4], [0.3, 0.6, 0.6]], [[0.5, 0.5, 0.5]], "kmeans"),
        ([[0.6, 0.6, 0.6], [0.3, 0.6, 0.6]], [[0.5, 0.5, 0.5]], "rca"),
    ],
)
def test_auto_compares_scores_that_nobody_was_chosen_for(
    rca, kmeans, winner, overlapping, quick, monkeypatch
):
    def tune(problem, journal, on_batch, say):
        name = problem.config.method
        scores = {"rca": rca, "kmeans": kmeans}[name]
        hparams = {"shrinkage": 0.1} if name == "rca" else {}
        trials = [
            Trial(i, hparams, float(np.mean(folds)), tuple(folds), (), 0)
            for i, folds in enumerate(scores)
        ]
        best = max(trials, key=lambda trial: trial.score)
        return Tuned(problem, SearchResult(trials, 1, 0.0), [best], trials)

    monkeypatch.setattr(module, "tune", tune)
    found = solve(dataclasses.replace(quick, method="auto", methods="rca, kmeans"), overlapping)
    assert [each.problem.config.method for each in found.tuned] == ["rca", "kmeans"]
    assert found.winner.problem.config.method == found.model.method == winner


def test_phases_are_told_and_searches_kept_where_they_are_wanted(
    overlapping, quick, solved, tmp_path
):
    said = []

    class Listener(Reporter):
        def phase(self, name, detail="", total=None):
            said.append(name)
            return super().phase(name, detail, total)

    config = dataclasses.replace(quick, method="auto", methods="kmeans, rca")
    found = solve_problems(
        prepare_methods(config, overlapping, None),
        overlapping,
        Listener(),
        lambda method: own_journal(tmp_path / f"{method}.journal"),
    )
    assert said == ["tune", "tune", "learn", "refit", "discover", "evaluate"]
    assert {path.name for path in tmp_path.glob("*.journal")} == {"kmeans.journal", "rca.journal"}
    assert {len(each.found.trials) for each in found.tuned} == {1, 2}


def test_nothing_to_discover_is_the_users_mistake(overlapping, quick):
    labelled = dataclasses.replace(overlapping, y=np.arange(180, dtype=np.int32) % 4)
    with pytest.raises(UserError, match="no unlabelled row"):
        solve(quick, labelled)


@pytest.mark.parametrize(("n_known", "n_novel"), [(1, 4), (2, 4), (6, 0)])
def test_untuned_fits_of_any_number_of_known_classes(n_known, n_novel, blobs, quick):
    """With fewer classes than could be hidden, and without an unlabelled row."""
    x, classes = blobs([30] * (n_known + n_novel), 6)
    y = np.where(classes < n_known, classes, UNLABELLED).astype(np.int32)
    table = Table("blobs", x, y, tuple("abcdef"), tuple("uvwxyz"[:n_known]))
    found = fit_untuned(given(quick, n_novel or None, method="kmeans"), table)
    assert found.answer.k == n_novel
    assert found.evaluation is None
    assert found.model.classes[:n_known] == table.classes
    assert adjusted_rand_score(assign(found.model, x).labels, classes) == 1


@pytest.mark.thorough
def test_what_an_untuned_fit_takes(overlapping, quick):
    """What it is given, and the middle of the ranges of the rest."""
    pbn = dataclasses.replace(quick, method="pbn", hparams={"w": 0.25})
    found = fit_untuned(pbn, overlapping)
    assert found.model.hparams == middle(METHODS["pbn"].space(6)) | {"w": 0.25}
    with pytest.raises((FloatingPointError, UserError)):
        fit_untuned(dataclasses.replace(pbn, hparams={"lr": 1e12}), overlapping)


@pytest.mark.parametrize(
    ("method", "name", "message"),
    [("kmeans", "lr", "not a hyperparameter of kmeans"), ("rca", "shrinkage", "must lie in")],
)
def test_what_an_untuned_fit_refuses(method, name, message, overlapping, quick):
    config = dataclasses.replace(quick, method=method, hparams={name: 1e12})
    with pytest.raises(UserError, match=message):
        fit_untuned(config, overlapping)


def test_a_run_is_few_large_programs(gaussians, judged_config):
    """Folds, new rows and rows without their label share theirs."""
    table, _ = gaussians([30] * 4, [40, 40], spare=5, seed=4)
    table = dataclasses.replace(
        table, x=np.column_stack([table.x, table.x[:, 0]]), columns=tuple("tuvwxyz")
    )
    durations = {}

    def listen(event, duration, fun_name="", **_):
        if event == "/jax/core/compile/backend_compile_duration":
            durations.setdefault(fun_name, []).append(duration)

    jax.config.update("jax_enable_compilation_cache", False)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        solve(dataclasses.replace(judged_config, setting="gcd"), table)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
        jax.config.update("jax_enable_compilation_cache", True)
    # By name, as wall times say little where two threads compile at once. Other tests may have left
    # those that do not depend on the number of columns.
    defined = re.findall(r"def (\w+)\(", "".join(map(Path.read_text, PACKAGE.rglob("*.py"))))
    ours = {name: len(durations.get(f"jit({name})", ())) for name in set(defined)}
    assert ours["refit"] == ours["_see"] == 1
    small = {"_key": 1, "_keys": 2}
    assert all(ours.pop(name) <= most for name, most in small.items())
    assert max(ours.values()) == 1
    assert sum(map(len, durations.values())) <= 10, f"single operations are programs: {durations}"
    assert {name for name, times in ours.items() if times} <= {
        *("refit", "cut_rows", "judge", "apply", "_represent", "_see", "rows_at"),
    }
