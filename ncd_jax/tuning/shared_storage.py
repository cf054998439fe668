"""Storages in which many workers search: a database or a journal file.

Operating system and database let go of a lock however its holder ends.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError

from ncd_jax.errors import UserError, without_password
from ncd_jax.tuning.storage import Storage, journal, reason

__all__ = ["open_shared"]

_PROPOSING = 0x6E63645F6A6178
"""Number of the lock in PostgreSQL, the name of the package in ASCII."""
_SQLITE_SECONDS = 60.0
_FAILURES = (SQLAlchemyError, OptunaError)


def open_shared(
    where: str, grace: float, say: Callable[[str], None] = lambda text: None
) -> Storage:
    """Opens a storage in which several workers may search; makes it where there is none.

    Args:
        where: `postgresql://...`, `sqlite:///...`, or the path of a journal file.
        grace: see `Storage`.
        say: told where a journal had to be mended.

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
        timeout = {"connect_args": {"timeout": _SQLITE_SECONDS}}
        with proposing:
            storage = RDBStorage(where, timeout) if scheme else journal(path, say)
        return Storage(
            storage,
            name,
            shared=True,
            grace=grace,
            proposing=lambda: proposing.acquire(),
            failures=_FAILURES,
        )
    except (*_FAILURES, RuntimeError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"config.search.storage={name} cannot be used ({reason(error)}); check it"
        ) from error


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

    return Storage(database, name, "ncd_jax", True, grace, proposing, release, _FAILURES)
