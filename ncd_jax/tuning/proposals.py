"""Hyperparameter candidates from Optuna: ask for a batch, tell the scores, go on after a kill.

The storage on disk is Optuna's own journal, so its dashboards read a run while it lasts.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import TrialState

from ncd_jax.types import Interval

__all__ = ["Proposal", "Proposals", "Trial"]

_STUDY = "ncd_jax"


@dataclass(frozen=True)
class Trial:
    """One hyperparameter candidate after cross-validation.

    Attributes:
        number: its place in the search, from 0.
        hparams: its hyperparameters by name.
        score: hidden-class score: accuracy on hidden classes, mean over folds and seeds.
        fold_scores: the same for each fold.
        fold_k: number of clusters used in each fold, mean over seeds.
        diverged: number of its trainings that diverged; each scored 0.
        log_loss: of the judge's prior on pairs of the folds, mean; none where it was not asked.
    """

    number: int
    hparams: dict[str, float]
    score: float
    fold_scores: tuple[float, ...]
    fold_k: tuple[float, ...]
    diverged: int
    log_loss: float | None = None

    @property
    def worth(self) -> float:
        """What candidates are chosen by: the log-loss, which is finer, or else the score."""
        return self.score if self.log_loss is None else -self.log_loss


@dataclass(frozen=True)
class Proposal:
    """A candidate that waits for its score."""

    number: int
    hparams: dict[str, float]


class Proposals:
    """A search in Optuna's ask-and-tell form that any later process can continue.

    The sampler of trial `i` is seeded by `seed` and `i`, so a search that was killed and
    continued proposes what an uninterrupted one would have.

    Args:
        space: ranges of the tuned hyperparameters.
        fixed: hyperparameters that every candidate shares.
        sampler: `tpe` or `quasi_random`.
        seed: source of the randomness.
        storage: journal file on disk, or none to keep the search in memory.
    """

    def __init__(
        self,
        space: Mapping[str, Interval],
        fixed: Mapping[str, float],
        sampler: str,
        seed: int,
        storage: Path | None = None,
    ):
        self._space = {name: _distribution(range_) for name, range_ in space.items()}
        self._fixed = dict(fixed)
        self._sampler = sampler
        self._seed = seed
        # The open lock works on network file systems and Windows too, unlike a symlink.
        # A folder has one run, so a lock that a killed process left may soon be taken over.
        backend = storage and JournalFileBackend(
            str(storage), lock_obj=JournalFileOpenLock(str(storage), grace_period=3)
        )
        self._storage = JournalStorage(backend) if backend else InMemoryStorage()
        with _without_chatter():
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=_STUDY,
                direction="maximize",
                load_if_exists=True,
            )

    def ask(self, n: int, batch: int) -> list[Proposal]:
        """Up to `n` candidates: first those that an earlier process left without a score.

        None beyond the next multiple of `batch`: the candidates of a batch are proposed without
        each other's scores, also when a kill came in the middle of it.
        """
        proposals: list[Proposal] = []
        for waiting in self._study.get_trials(states=(TrialState.RUNNING,)):
            if waiting.params.keys() != self._space.keys():
                # Killed before all of its hyperparameters were drawn.
                self._study.tell(waiting.number, state=TrialState.FAIL)
            elif len(proposals) < n:
                proposals.append(Proposal(waiting.number, self._complete(waiting.params)))
        while len(proposals) < n:
            number = len(self._study.get_trials(deepcopy=False))
            if proposals and number % batch == 0:
                break
            self._study.sampler = self._make_sampler(number)
            trial = self._study.ask(self._space)
            proposals.append(Proposal(trial.number, self._complete(trial.params)))
        return proposals

    def tell(self, trial: Trial) -> None:
        """Stores the result of a candidate; from then on it survives the process."""
        study_id = self._storage.get_study_id_from_name(_STUDY)
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        self._storage.set_trial_user_attr(trial_id, "record", asdict(trial))
        self._study.tell(trial.number, trial.worth)

    def finished(self) -> list[Trial]:
        """Every candidate that has a score, in order of number."""
        done = self._study.get_trials(states=(TrialState.COMPLETE,))
        records = [dict(t.user_attrs["record"]) for t in done]
        for record in records:
            record["fold_scores"] = tuple(record["fold_scores"])
            record["fold_k"] = tuple(record["fold_k"])
        return [Trial(**record) for record in records]

    def _complete(self, params: Mapping[str, float]) -> dict[str, float]:
        return {**self._fixed, **params}

    def _make_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        if self._sampler == "quasi_random":
            with warnings.catch_warnings():
                # Experimental in name only: it has been there since Optuna 3.
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return optuna.samplers.QMCSampler(scramble=True, seed=self._seed)
        return optuna.samplers.TPESampler(
            seed=(self._seed * 1_000_003 + number) % 2**32, constant_liar=True
        )


def _distribution(range_: Interval) -> BaseDistribution:
    if range_.integer:
        return IntDistribution(int(range_.low), int(range_.high), log=range_.log)
    return FloatDistribution(range_.low, range_.high, log=range_.log)


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Optuna says of every study that it was made; its log level is that of whoever imports us."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)
