"""Where a search is kept: in memory, in the journal of one run, or where many workers meet.

The storages are Optuna's own, so its dashboards read a search while it lasts. What is added is a
lock: whoever proposes or takes over candidates does so alone. Storages for many workers are opened
by `shared_storage`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ncd_jax.errors import without_password

__all__ = ["Storage", "in_memory", "journal", "own_journal", "reason"]


@dataclass(frozen=True)
class Storage:
    """Where a search is kept.

    Attributes:
        optuna: the storage as Optuna knows it.
        name: what to call it in messages; there is no password in it.
        study: the search in it.
        shared: whether other processes may be at work in it; if not, whatever is unfinished was
            left behind.
        grace: seconds without a sign of life after which a worker counts as dead.
        proposing: to be held by who proposes or takes over candidates.
        release: gives connections back, before work that takes long.
        failures: what it raises where it cannot be reached, or refuses.
    """

    optuna: BaseStorage
    name: str
    study: str = "ncd_jax"
    shared: bool = False
    grace: float = 0.0
    proposing: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)
    release: Callable[[], None] = field(default=lambda: None)
    failures: tuple[type[Exception], ...] = (OptunaError,)

    @contextmanager
    def in_reach(self) -> Iterator[None]:
        """Whatever goes wrong with the storage in this block is said in one line.

        Raises:
            ConnectionError: the storage cannot be reached, or has refused.
        """
        try:
            yield
        except self.failures as error:
            raise ConnectionError(f"{self.name}: {reason(error)}") from error


def in_memory() -> Storage:
    """A search that ends with the process."""
    return Storage(InMemoryStorage(), "memory")


def own_journal(path: Path) -> Storage:
    """The journal of a run that one process has at a time."""
    return Storage(journal(path), str(path))


def journal(path: Path) -> JournalStorage:
    """A journal file as Optuna knows it."""
    # The open lock works on network file systems and Windows too, unlike a symlink. It is held
    # for a moment, so one that a killed process left may soon be taken over.
    lock = JournalFileOpenLock(str(path), grace_period=3)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def reason(error: Exception) -> str:
    """The first line of what a storage says, without a password."""
    text = str(getattr(error, "orig", None) or error.__cause__ or error).strip() or repr(error)
    return without_password(text.splitlines()[0])
