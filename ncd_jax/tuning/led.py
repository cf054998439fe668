"""A search in several processes that run one program: the first asks and tells for all."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict

from ncd_jax.tuning.processes import share
from ncd_jax.tuning.proposals import Proposal, Proposals, Trial, trial_from

__all__ = ["LedProposals"]


class LedProposals:
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
        return [Proposal(**each) for each in share([asdict(proposal) for proposal in asked])]

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
