import dataclasses

import jax
import numpy as np
import pytest

from ncd_jax.tuning import search as module
from ncd_jax.tuning.cross_validation import Protocol, SweepData
from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.search import Sweep, search
from ncd_jax.tuning.storage import own_journal
from ncd_jax.types import Interval

SPACE = {"lr": Interval(1e-4, 1e-2, log=True), "noise": Interval(0.0, 1.0)}
CANDIDATES, BATCH, S = 7, 3, 2
KEYS = jax.random.split(jax.random.key(0), S)
PROTOCOL = Protocol(epochs=4, batch_size=40, n_hidden=2, lanes=12, k_search=None)


class Kill(BaseException):
    pass


@pytest.fixture(scope="module")
def run(sorting_toy, toy_hparams, table, folds, count_traces):
    """Gives the result of a search, and after each batch: the trials so far, and traces."""
    # One method for all, so that searches of one protocol share its program.
    init = count_traces(sorting_toy.init)
    method = sorting_toy._replace(init=init)
    # Class sizes and known rows are for the judge, which is not asked here.
    for_judge = np.zeros(3, np.float32), np.zeros(1, np.int32)
    data = SweepData(KEYS, table[0].x, folds, np.full(3, 2, np.int32), *for_judge)

    def call(
        storage=None,
        candidates=CANDIDATES,
        on_batch=lambda trials: None,
        space=SPACE,
        protocol=PROTOCOL,
        say=lambda text: None,
    ):
        batches = []

        def after_batch(trials):
            batches.append((len(trials), init.traces))
            on_batch(trials)

        result = search(
            Sweep(method, toy_hparams, data, protocol),
            Proposals(space, {}, "tpe", 0, storage and own_journal(storage)),
            candidates=candidates,
            batch=BATCH,
            on_batch=after_batch,
            say=say,
        )
        return result, batches

    return call


@pytest.fixture(scope="module")
def uninterrupted(run):
    return run()


def test_one_compilation_for_all_batches(uninterrupted):
    """Seven candidates in three batches, the last of which is not full."""
    result, batches = uninterrupted
    trials_so_far, traces = zip(*batches, strict=True)
    assert trials_so_far == (3, 6, 7)
    assert len(set(traces)) == 1
    assert result.compilations == 1
    assert result.compile_seconds > 0


def test_every_candidate_has_its_own_result(uninterrupted):
    result, _ = uninterrupted
    assert [trial.number for trial in result.trials] == list(range(CANDIDATES))
    for trial in result.trials:
        assert len(trial.fold_scores) == len(trial.fold_k) == 3
        assert trial.score == pytest.approx(np.mean(trial.fold_scores))
        assert 0 < trial.score <= 1
        assert trial.fold_k == (2, 2, 2)
        assert trial.diverged == 0


def test_continued_search_equals_an_uninterrupted_one(run, uninterrupted, tmp_path):
    """Killed after its first batch, then in the next, then done; then there is nothing to do."""
    storage = tmp_path / "search.journal"

    def kill(trials):
        raise Kill

    with pytest.raises(Kill):
        run(storage, on_batch=kill)
    left = Proposals(SPACE, {}, "tpe", 0, own_journal(storage))
    assert left.finished() == uninterrupted[0].trials[:BATCH]
    left.ask(BATCH, BATCH + 2)
    result, _ = run(storage)
    assert result.trials == uninterrupted[0].trials
    again, batches = run(storage)
    assert again.trials == uninterrupted[0].trials
    assert (again.compilations, again.compile_seconds, batches) == (0, 0, [])


def test_candidates_that_diverge_are_counted_and_score_zero(run):
    result, _ = run(candidates=BATCH, space={**SPACE, "lr": Interval(1e30, 1e38, log=True)})
    for trial in result.trials:
        assert trial.diverged == 3 * S
        assert trial.score == 0
        assert trial.fold_scores == (0, 0, 0)


def test_worse_candidates_stop_early(run, uninterrupted):
    """In each batch of three one goes to the end, of the last candidate it is that one."""
    result, batches = run(protocol=dataclasses.replace(PROTOCOL, rungs=3))
    stopped = [trial.stopped for trial in result.trials]
    for first in (0, 3):
        assert sorted(stopped[first : first + 3], key=str) == [1, 2, None]
    assert stopped[6] is None
    assert len({traces for _, traces in batches}) == 1
    winner = result.trials[stopped.index(None)]
    to_the_end = uninterrupted[0].trials[winner.number]
    assert winner.hparams == to_the_end.hparams
    assert winner.score == pytest.approx(to_the_end.score, abs=0.02)


def test_where_memory_runs_out_fewer_run_side_by_side(run, uninterrupted, monkeypatch):
    """The batch is repeated, which is said; where one training has no room, that is the end."""
    compile_sweep, lanes, said = module.compile_sweep, [], []
    short = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    def fail(*_):
        raise short

    def compile_for(method, data, hparams, protocol, n):
        lanes.append(protocol.lanes)
        if protocol.lanes > room:  # while it runs, or before
            return fail if len(lanes) == 1 else fail()
        # With as many lanes as ever, whose program is there: they change no result.
        return compile_sweep(method, data, hparams, PROTOCOL, n)

    monkeypatch.setattr(module, "compile_sweep", compile_for)
    room = 0
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        run(candidates=BATCH)
    assert lanes == [12, 2, 1], "there are nine runs for two devices"
    lanes.clear()
    room = 1
    result, batches = run(candidates=BATCH, say=said.append)
    assert [so_far for so_far, _ in batches] == [BATCH]
    assert said == [f"memory ran out; {n} trainings side by side from now on" for n in (2, 1)]
    for ours, theirs in zip(result.trials, uninterrupted[0].trials[:BATCH], strict=True):
        assert ours.hparams == theirs.hparams
        assert ours.fold_scores == pytest.approx(theirs.fold_scores)
