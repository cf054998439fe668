"""Where a search is kept: in memory, in the journal of one run, or where many workers meet.

The storages are Optuna's own, so its dashboards read a search while it lasts. What is added is a
lock: whoever proposes or takes over candidates does so alone. Operating system and database let
go of it however its holder ends.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from ncd_jax.errors import UserError, without_password

__all__ = ["Storage", "in_memory", "open_shared", "own_journal"]

_PROPOSING = 0x6E63645F6A6178
"""Number of the lock in PostgreSQL, the name of the package in ASCII."""
_SQLITE_SECONDS = 60.0


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
    """

    optuna: BaseStorage
    name: str
    study: str = "ncd_jax"
    shared: bool = False
    grace: float = 0.0
    proposing: Callable[[], AbstractContextManager[Any]] = field(default=nullcontext)
    release: Callable[[], None] = field(default=lambda: None)

    @contextmanager
    def in_reach(self) -> Iterator[None]:
        """Whatever goes wrong with the storage in this block is said in one line.

        Raises:
            ConnectionError: the storage cannot be reached, or has refused.
        """
        try:
            yield
        except (SQLAlchemyError, OptunaError) as error:
            raise ConnectionError(f"{self.name}: {_reason(error)}") from error


def in_memory() -> Storage:
    """A search that ends with the process."""
    return Storage(InMemoryStorage(), "memory")


def own_journal(path: Path) -> Storage:
    """The journal of a run that one process has at a time."""
    return Storage(_journal(path), str(path))


def open_shared(where: str, grace: float) -> Storage:
    """Opens a storage in which several workers may search; makes it where there is none.

    Args:
        where: `postgresql://...`, `sqlite:///...`, or the path of a journal file.
        grace: see `Storage`.

    Raises:
        UserError: there is no such place, its driver is not installed, or it holds something else.
    """
    name = without_password(where)
    scheme = where.partition("://")[0].partition("+")[0] if "://" in where else ""
    if scheme not in ("", "sqlite", "postgresql"):
        raise UserError(
            f"config.search.storage={name} is of no known kind; give postgresql://..., sqlite:///..."
            " or the path of a journal file"
        )
    try:
        if scheme == "postgresql":
            return _postgresql(where, name, grace)
        path = Path(where.partition(":///")[2] if scheme else where)
        if not path.name or not path.absolute().parent.is_dir():
            raise UserError(f"config.search.storage={name}: its folder does not exist; make it")
        proposing = FileLock(path.with_name(f"{path.name}.proposing"), thread_local=False)
        with proposing:
            storage = _sqlite(where) if scheme else _journal(path)
        return Storage(
            storage, name, shared=True, grace=grace, proposing=lambda: proposing.acquire()
        )
    except (SQLAlchemyError, OptunaError, RuntimeError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"config.search.storage={name} cannot be used ({_reason(error)}); check it"
        ) from error


def _journal(path: Path) -> JournalStorage:
    # The open lock works on network file systems and Windows too, unlike a symlink. It is held
    # for a moment, so one that a killed process left may soon be taken over.
    lock = JournalFileOpenLock(str(path), grace_period=3)
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


def _sqlite(url: str) -> BaseStorage:
    arguments = {"connect_args": {"timeout": _SQLITE_SECONDS}}
    return RDBStorage(url, engine_kwargs=arguments)


def _postgresql(url: str, name: str, grace: float) -> Storage:
    # SQLAlchemy before 2.1 takes another driver where none is named.
    named = re.sub(r"^postgresql://", "postgresql+psycopg://", url)
    try:
        engine = create_engine(named)
    except ImportError:
        raise UserError(
            f"config.search.storage={name} needs a driver; run pip install 'ncd_jax[postgres]'"
        ) from None

    @contextmanager
    def proposing() -> Iterator[None]:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:n)"), {"n": _PROPOSING})
            yield

    with proposing():
        database = RDBStorage(named, engine_kwargs={"pool_pre_ping": True})

    def release() -> None:
        # A thousand idle workers must not hold a thousand connections.
        database.remove_session()
        for each in (engine, database.engine):
            each.dispose()

    return Storage(database, name, "ncd_jax", True, grace, proposing, release)


def _reason(error: Exception) -> str:
    """Its first line."""
    text = str(getattr(error, "orig", None) or error.__cause__ or error).strip() or repr(error)
    return without_password(text.splitlines()[0])
