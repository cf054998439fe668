"""Hyperparameter candidates from Optuna: ask for a batch, tell the scores, go on after a kill."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

import ncd_jax
from ncd_jax.errors import UserError
from ncd_jax.tuning.storage import Storage, in_memory
from ncd_jax.tuning.workers import Workers
from ncd_jax.types import Interval

__all__ = ["Proposal", "Proposals", "Trial", "trial_from"]

_OWNER = "worker"
_RELEASE = "ncd_jax"


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
    """A search in Optuna's ask-and-tell form, for one process after another or many at once.

    The sampler of trial `i` is seeded by `seed` and `i`, so a search that was killed and
    continued proposes what an uninterrupted one would have. Where several processes search, what
    `tpe` proposes depends on whose scores come first.

    Args:
        space: ranges of the tuned hyperparameters.
        fixed: hyperparameters that every candidate shares.
        sampler: `tpe` or `quasi_random`.
        seed: source of the randomness.
        storage: where the search is kept; in memory by default.

    Raises:
        UserError: another release of this package began the search.
        ConnectionError: the storage cannot be reached.
    """

    def __init__(
        self,
        space: Mapping[str, Interval],
        fixed: Mapping[str, float],
        sampler: str,
        seed: int,
        storage: Storage | None = None,
    ):
        self._space = {name: _distribution(range_) for name, range_ in space.items()}
        self._fixed = dict(fixed)
        self._sampler = sampler
        self._seed = seed
        self._storage = storage or in_memory()
        self._finished: dict[int, Trial] = {}
        with self._storage.in_reach(), self._storage.proposing(), _without_chatter():
            self._study = optuna.create_study(
                storage=self._storage.optuna,
                study_name=self._storage.study,
                direction="maximize",
                load_if_exists=True,
            )
            if self._storage.shared:
                _check_release(self._study, self._storage.name)
        self._workers = Workers(self._study, self._storage)

    def at_work(self) -> AbstractContextManager[None]:
        """To be entered by who asks and tells, so that others see that it is alive."""
        return self._workers.at_work()

    def ask(self, batch: int, wanted: int) -> list[Proposal]:
        """Up to `batch` candidates: first those that other processes left without a score.

        None beyond the next multiple of `batch`: the candidates of a batch are proposed without
        each other's scores, also when a kill came in the middle of it. And none where all that
        are wanted have a score or are in the hands of a living worker.

        Args:
            batch: how many are evaluated together.
            wanted: how many are to have a score in the end.
        """
        with self._storage.in_reach(), self._storage.proposing():
            asked = [
                Proposal(trial.number, self._complete(trial.params))
                for trial in self._abandoned()[:batch]
            ]
            trials = self._study.get_trials(deepcopy=False)
            live = sum(trial.state != TrialState.FAIL for trial in trials)
            for number in range(len(trials), len(trials) + max(wanted - live, 0)):
                if len(asked) == batch or (asked and number % batch == 0):
                    break
                self._study.sampler = self._make_sampler(number)
                trial = self._study.ask(self._space)
                asked.append(Proposal(trial.number, self._complete(trial.params)))
            for proposal in asked:
                self._own(proposal.number)
        self._storage.release()
        return asked

    def tell(self, trial: Trial) -> None:
        """Stores the result of a candidate; from then on it survives the process.

        Where another worker has taken this one for dead and was faster, its result stays.
        """
        with self._storage.in_reach(), suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial_id = self._id_of(trial.number)
            self._storage.optuna.set_trial_user_attr(trial_id, "record", asdict(trial))
            self._study.tell(trial.number, trial.worth, skip_if_finished=True)

    def finished(self) -> list[Trial]:
        """Every candidate that has a score, in order of number."""
        with self._storage.in_reach():
            done = self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        for trial in done:
            if trial.number not in self._finished:
                self._finished[trial.number] = trial_from(trial.user_attrs["record"])
        return [self._finished[number] for number in sorted(self._finished)]

    def wait(self) -> None:
        """Gives the others time to finish what they have."""
        self._storage.release()
        time.sleep(self._storage.grace / 30)

    def _abandoned(self) -> list[FrozenTrial]:
        """Candidates without a score that no living worker has."""
        alive = self._workers.alive() if self._storage.shared else set()
        left = []
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(_OWNER) in alive:
                continue
            if trial.params.keys() != self._space.keys():
                # Killed before all of its hyperparameters were drawn.
                self._study.tell(trial.number, state=TrialState.FAIL)
            else:
                left.append(trial)
        return left

    def _own(self, number: int) -> None:
        if self._storage.shared:
            trial_id = self._id_of(number)
            self._storage.optuna.set_trial_user_attr(trial_id, _OWNER, self._workers.me)

    def _id_of(self, number: int) -> int:
        optuna_storage = self._storage.optuna
        study_id = optuna_storage.get_study_id_from_name(self._storage.study)
        return optuna_storage.get_trial_id_from_study_id_trial_number(study_id, number)

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


def trial_from(record: Mapping[str, Any]) -> Trial:
    """A trial from what `dataclasses.asdict` made of it, and JSON of that."""
    folds = {name: tuple(record[name]) for name in ("fold_scores", "fold_k")}
    return Trial(**{**record, **folds})


def _check_release(study: optuna.Study, name: str) -> None:
    """Scores of different releases are not compared with each other."""
    there = study.user_attrs.get(_RELEASE)
    if there is None:
        study.set_user_attr(_RELEASE, ncd_jax.__version__)
    elif there != ncd_jax.__version__:
        raise UserError(
            f"config.search.storage={name} holds this search as ncd_jax {there} began it and this"
            f" is {ncd_jax.__version__}; use one release on all machines, or another storage"
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
