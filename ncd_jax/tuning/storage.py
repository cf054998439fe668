"""Where a search is kept: in memory, in the journal of one run, or where many workers meet.

The storages are Optuna's own, so its dashboards read a search while it lasts. What is added is a
lock: whoever proposes or takes over candidates does so alone. Storages for many workers are opened
by `shared_storage`. Optuna is imported where one is opened: most runs search for nothing.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncd_jax.errors import UserError, without_password

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, JournalStorage

__all__ = ["Storage", "in_memory", "journal", "own_journal", "reason"]

GRACE = 3
"""Seconds after which a lock that stands still is that of a killed process: it is held a moment."""
_REMEDY = "delete it, and the search begins anew"
_HEAD = b'{"op_code":'
_CREATE_STUDY, _LAST_OPERATION = 0, 10
"""Numbers of operations in a journal of Optuna's."""


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
        failures: what it raises where it cannot be reached, beside Optuna's own errors.
    """

    optuna: "BaseStorage"
    name: str
    study: str = "ncd_jax"
    shared: bool = False
    grace: float = 0.0
    proposing: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)
    release: Callable[[], None] = field(default=lambda: None)
    failures: tuple[type[Exception], ...] = ()

    @contextmanager
    def in_reach(self) -> Iterator[None]:
        """Whatever goes wrong with the storage in this block is said in one line.

        Raises:
            ConnectionError: the storage cannot be reached, or has refused.
        """
        from optuna.exceptions import OptunaError

        failures: tuple[type[Exception], ...] = (OptunaError, *self.failures)
        try:
            yield
        except failures as error:
            raise ConnectionError(f"{self.name}: {reason(error)}") from error


def in_memory() -> Storage:
    """A search that ends with the process."""
    from optuna.storages import InMemoryStorage

    return Storage(InMemoryStorage(), "memory")


def own_journal(
    path: Path, study: str = "ncd_jax", say: Callable[[str], None] = lambda text: None
) -> Storage:
    """The journal of a run that one process has at a time; it is made where there is none.

    The study is the search, by a name that no other configuration has.

    Raises:
        UserError: the file is damaged, or of another run.
    """
    storage = journal(path, say, study)
    return Storage(storage, str(path), study, failures=(json.JSONDecodeError,))


def journal(path: Path, say: Callable[[str], None], study: str = "") -> "JournalStorage":
    """A journal file as Optuna knows it, mended where its last record is not whole.

    Of a `study` it may hold no other search; where that is empty any.

    Raises:
        UserError: it is damaged, or holds another search.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    # The open lock works on network file systems and Windows too, unlike a symlink.
    lock = JournalFileOpenLock(str(path), grace_period=GRACE)
    if path.exists():
        lock.acquire()
        try:
            _mend(path, say, study)
        finally:
            lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} is damaged ({error!r}); {_REMEDY}") from error


def _mend(path: Path, say: Callable[[str], None], study: str) -> None:
    """Cuts off what follows the last whole record: a full disk or a stopped machine left it."""
    whole = end = 0
    with path.open("r+b") as file:
        # Whatever else somebody has named by mistake stays as it is; a run's own file is its own.
        if not study and (head := file.read(len(_HEAD))) != _HEAD[: len(head)]:
            raise UserError(f"{path} cannot be used: it is no journal of a search; give another")
        file.seek(0)
        for number, line in enumerate(file, start=1):
            start, end = end, end + len(line)
            if (record := _record(line)) is None:
                continue
            if whole < start:
                raise UserError(f"{path}: line {number - 1} is no record of a search; {_REMEDY}")
            if study and record["op_code"] == _CREATE_STUDY and record.get("study_name") != study:
                raise UserError(
                    f"{path} is of another configuration, table or release of ncd_jax; {_REMEDY}"
                )
            whole = end
        if whole < end:
            file.truncate(whole)
            os.fsync(file.fileno())
            say(f"{path}: the last record was not whole; {end - whole} bytes were cut off")


def _record(line: bytes) -> dict[str, Any] | None:
    """The operation in a line of a journal; none where there is none."""
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or type(record.get("op_code")) is not int:
        return None
    return record if 0 <= record["op_code"] <= _LAST_OPERATION else None


def reason(error: Exception) -> str:
    """The first line of what a storage says, without a password."""
    text = str(getattr(error, "orig", None) or error.__cause__ or error).strip() or repr(error)
    return without_password(text.splitlines()[0])
