import numpy as np
import optuna
import pytest

from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.storage import own_journal
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import Interval

SPACE = {
    "lr": Interval(1e-4, 1e-2, log=True),
    "w": Interval(0.0, 1.0),
    "latent_dim": Interval(2, 40, log=True, integer=True),
}
SAMPLERS = ["tpe", "quasi_random"]
BATCH, CANDIDATES = 4, 14


class Kill(BaseException):
    pass


def score(proposal):
    value = 1 - (np.log10(proposal.hparams["lr"]) + 3) ** 2 - proposal.hparams["w"]
    return Trial(
        number=proposal.number,
        hparams=proposal.hparams,
        score=value,
        fold_scores=(value, value / 2),
        fold_k=(2.0, 3.5),
        diverged=0,
    )


def go_on(sampler, storage=None, tells=np.inf, asks=np.inf, seed=0, fixed=()):
    """Searches to the end, or until it is killed after so many scores or proposals."""
    space = {name: interval for name, interval in SPACE.items() if name not in dict(fixed)}
    proposals = Proposals(space, dict(fixed), sampler, seed, storage and own_journal(storage))
    while (missing := CANDIDATES - len(proposals.finished())) > 0:
        if asks < BATCH:
            proposals.ask(BATCH, len(proposals.finished()) + min(asks, missing))
            raise Kill
        asked = proposals.ask(BATCH, CANDIDATES)
        asks -= len(asked)
        for proposal in asked:
            if not tells:
                raise Kill
            tells -= 1
            proposals.tell(score(proposal))
    return proposals.finished()


@pytest.fixture(scope="module", params=SAMPLERS)
def sampler(request):
    return request.param


@pytest.fixture(scope="module")
def uninterrupted(sampler):
    return go_on(sampler)


def test_proposals_are_in_the_space(uninterrupted):
    assert [trial.number for trial in uninterrupted] == list(range(CANDIDATES))
    for trial in uninterrupted:
        assert list(trial.hparams) == list(SPACE)
        for name, interval in SPACE.items():
            assert interval.low <= trial.hparams[name] <= interval.high
        assert isinstance(trial.hparams["latent_dim"], int)
    assert len({trial.hparams["lr"] for trial in uninterrupted}) == CANDIDATES


def test_the_seed_decides(sampler, uninterrupted):
    assert go_on(sampler) == uninterrupted
    assert go_on(sampler, seed=1) != uninterrupted


@pytest.mark.parametrize("after", [0, 1, 4, 5, 7, 8, 11, 13])
def test_killed_between_scores(after, sampler, uninterrupted, tmp_path):
    """At the end of a batch or in the middle of one: what is told is kept, the rest goes on."""
    storage = tmp_path / "search.journal"
    with pytest.raises(Kill):
        go_on(sampler, storage, tells=after)
    kept = Proposals(SPACE, {}, sampler, 0, own_journal(storage)).finished()
    assert kept == uninterrupted[:after]
    assert go_on(sampler, storage) == uninterrupted


@pytest.mark.parametrize("after", [1, 3, 6, 9])
def test_killed_between_proposals(after, sampler, uninterrupted, tmp_path):
    storage = tmp_path / "search.journal"
    with pytest.raises(Kill):
        go_on(sampler, storage, asks=after)
    assert go_on(sampler, storage) == uninterrupted


def test_killed_within_a_proposal(sampler, tmp_path):
    """A trial without its hyperparameters can have no score; another takes its place."""
    storage = tmp_path / "search.journal"
    with pytest.raises(Kill):
        go_on(sampler, storage, tells=5)
    backend = optuna.storages.journal.JournalFileBackend(str(storage))
    journal = optuna.storages.JournalStorage(backend)
    optuna.load_study(study_name="ncd_jax", storage=journal).ask()
    trials = go_on(sampler, storage)
    assert len(trials) == CANDIDATES
    assert all(trial.hparams.keys() == SPACE.keys() for trial in trials)


def test_records_come_back_as_they_were(sampler, uninterrupted, tmp_path):
    """From the disk, to the last digit."""
    storage = own_journal(tmp_path / "search.journal")
    proposals = Proposals(SPACE, {}, sampler, 0, storage)
    trial = score(*proposals.ask(1, 1))
    proposals.tell(trial)
    assert Proposals(SPACE, {}, sampler, 0, storage).finished() == [trial]


def test_fixed_hyperparameters_are_not_searched(sampler):
    trials = go_on(sampler, fixed={"w": 0.25})
    assert {trial.hparams["w"] for trial in trials} == {0.25}
    assert len({trial.hparams["lr"] for trial in trials}) == CANDIDATES


def test_quasi_random_candidates_are_even():
    """A share of them in each third of a range, whatever their scores."""
    even = [trial.hparams["w"] for trial in go_on("quasi_random")]
    counts, _ = np.histogram(even[1:], bins=3, range=(0, 1))
    assert counts.min() >= 3
