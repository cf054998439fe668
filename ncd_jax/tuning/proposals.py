"""Hyperparameter candidates from Optuna: ask for a batch, tell the scores, go on after a kill."""

import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

import ncd_jax
from ncd_jax.errors import UserError
from ncd_jax.tuning.processes import share
from ncd_jax.tuning.samplers import SAMPLERS, distribution_of, without_chatter
from ncd_jax.tuning.storage import Storage, in_memory
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import Interval

__all__ = ["LockstepProposals", "Proposal", "Proposals", "Workers", "trial_from"]

_OWNER = "worker"
_RELEASE = "ncd_jax"
_BEATS_IN_GRACE = 6
_GONE = -1


class Proposal(NamedTuple):
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
        self._space = {name: distribution_of(interval) for name, interval in space.items()}
        self._fixed = dict(fixed)
        self._sampler = SAMPLERS[sampler](space, seed)
        self._storage = storage or in_memory()
        self._finished: dict[int, Trial] = {}
        with self._storage.in_reach(), self._storage.proposing(), without_chatter():
            self._study = optuna.create_study(
                storage=self._storage.optuna,
                study_name=self._storage.study,
                direction="maximize",
                load_if_exists=True,
            )
            if self._storage.shared:
                _check_release(self._study, self._storage.name)
            self._study_id = self._storage.optuna.get_study_id_from_name(self._storage.study)
        self._workers = Workers(self._study, self._storage)

    def at_work(self) -> AbstractContextManager[None]:
        """To be entered by who asks and tells, so that others see that it is alive."""
        return self._workers.at_work()

    def ask(self, batch: int, wanted: int) -> list[Proposal]:
        """Up to `batch` candidates: first those that other processes left without a score.

        Where nobody else searches these are of a batch that a kill has cut short, and all of it
        comes along: who stops early depends on the others.

        None beyond the next multiple of `batch`: the candidates of a batch are proposed without
        each other's scores, also when a kill came in the middle of it. And none where all that
        are wanted have a score or are in the hands of a living worker.

        Args:
            batch: how many are evaluated together.
            wanted: how many are to have a score in the end.
        """
        with self._storage.in_reach(), self._storage.proposing():
            left, trials = self._abandoned()[:batch], self._study.get_trials(deepcopy=False)
            if left and not self._storage.shared:
                left = _batch_of(left[0], trials, batch)
            asked = [self._take_over(trial) for trial in left]
            self._sampler.look_at(trials)
            live = sum(trial.state != TrialState.FAIL for trial in trials)
            for number in range(len(trials), len(trials) + max(wanted - live, 0)):
                if len(asked) == batch or (asked and number % batch == 0):
                    break
                asked.append(self._propose(number))
        self._storage.release()
        return asked

    def tell(self, trial: Trial) -> None:
        """Stores the result of a candidate; from then on it survives the process.

        Where another worker has taken this one for dead and was faster, its result stays.
        """
        with self._storage.in_reach(), suppress(optuna.exceptions.UpdateFinishedTrialError):
            trial_id = self._id_of(trial.number)
            self._storage.optuna.set_trial_user_attr(trial_id, "record", asdict(trial))
            self._storage.optuna.set_trial_state_values(
                trial_id, TrialState.COMPLETE, [trial.worth]
            )

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

    def _take_over(self, trial: FrozenTrial) -> Proposal:
        if self._storage.shared:
            trial_id = self._id_of(trial.number)
            self._storage.optuna.set_trial_user_attr(trial_id, _OWNER, self._workers.me)
        return Proposal(trial.number, self._fixed | trial.params)

    def _propose(self, number: int) -> Proposal:
        """The next candidate, stored in one transaction with its owner."""
        params, attributes = self._sampler.draw(number)
        trial = create_trial(
            state=TrialState.RUNNING,
            params=params,
            distributions=self._space,
            user_attrs={_OWNER: self._workers.me},
            system_attrs=attributes,
        )
        self._study.add_trial(trial)
        return Proposal(number, self._fixed | params)

    def _id_of(self, number: int) -> int:
        return self._storage.optuna.get_trial_id_from_study_id_trial_number(self._study_id, number)


class Workers:
    """The workers of a study, this process among them, and which of them are alive.

    No clock is compared with another one. A worker counts upwards in the storage while it works;
    others look at the count now and then. One that has stood still for the whole grace, by the
    watch of who looks, belongs to a worker that is dead or has lost the storage.

    Args:
        study: the search.
        storage: where it is kept.
    """

    def __init__(self, study: optuna.Study, storage: Storage):
        self.me = uuid.uuid4().hex[:12]
        self._study = study
        self._storage = storage
        self._seen: dict[str, tuple[int, float]] = {}

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Gives signs of life for as long as the block runs; says in the end that it is over."""
        if not self._storage.shared:
            yield
            return
        over = threading.Event()
        self._say(0)
        thread = threading.Thread(target=self._beat, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            with suppress(ConnectionError):
                self._say(_GONE)
            self._storage.release()

    def alive(self) -> set[str]:
        """Those that have given a sign of life within the grace, or that nobody has watched yet."""
        now = time.monotonic()
        for key, count in self._study.user_attrs.items():
            _, is_worker, worker = key.partition("worker ")
            if is_worker and self._seen.get(worker, (_GONE, now))[0] != count:
                self._seen[worker] = (count, now)
        return {
            worker
            for worker, (count, since) in self._seen.items()
            if count != _GONE and (worker == self.me or now - since < self._storage.grace)
        }

    def _beat(self, over: threading.Event) -> None:
        count = 0
        while not over.wait(self._storage.grace / _BEATS_IN_GRACE):
            count += 1
            # Who works with the storage in earnest will hear of it.
            with suppress(ConnectionError):
                self._say(count)

    def _say(self, count: int) -> None:
        with self._storage.in_reach():
            self._study.set_user_attr(f"worker {self.me}", count)


class LockstepProposals:
    """`Proposals` whose every answer is the same in all processes, as all ask in step.

    Args:
        own: the search itself, in process 0; none in the others.
    """

    def __init__(self, own: Proposals | None):
        self._own = own
        self._finished: dict[int, Trial] = {}

    def at_work(self) -> AbstractContextManager[None]:
        """See `Proposals`."""
        return self._own.at_work() if self._own else nullcontext()

    def ask(self, batch: int, wanted: int) -> list[Proposal]:
        """See `Proposals`."""
        asked = self._own.ask(batch, wanted) if self._own else []
        return [Proposal(*each) for each in share(asked)]

    def tell(self, trial: Trial) -> None:
        """See `Proposals`; all processes have the same result."""
        if self._own:
            self._own.tell(trial)

    def finished(self) -> list[Trial]:
        """See `Proposals`; what was told before is not told again."""
        trials = self._own.finished() if self._own else []
        new = [asdict(trial) for trial in trials if trial.number not in self._finished]
        self._finished |= {record["number"]: trial_from(record) for record in share(new)}
        return [self._finished[number] for number in sorted(self._finished)]

    def wait(self) -> None:
        """See `Proposals`; the others wait for process 0 anyway."""
        if self._own:
            self._own.wait()


def trial_from(record: Mapping[str, Any]) -> Trial:
    """A trial from what `dataclasses.asdict` made of it, and JSON of that."""
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
    return Trial(**given)


def _batch_of(left: FrozenTrial, trials: Sequence[FrozenTrial], batch: int) -> list[FrozenTrial]:
    """The candidates that were proposed together with this one, with a score or without."""
    proposed = [trial for trial in trials if trial.number // batch == left.number // batch]
    return [trial for trial in proposed if trial.state != TrialState.FAIL]


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
