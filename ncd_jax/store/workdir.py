"""The folder of a run: one run per folder, every file whole or absent."""

import csv
import hashlib
import io
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from ncd_jax.errors import UserError
from ncd_jax.store.spreadsheet import harmless

__all__ = ["Workdir", "digest_of"]

_CONFIG = "config.json"
_METRICS = "metrics.json"
_LOCK = ".lock"
_TEMPORARY = ".tmp"
_ONLY_HOW = (".search.lanes", ".search.storage", ".search.grace")
"""Ends of keys that say how to compute and not what: no part of what makes a run this run."""


@dataclass(frozen=True)
class Workdir:
    """A folder that belongs to one run.

    Every write goes to a temporary file beside its target and is renamed over it, so a
    reader never meets half a file, whenever the writer was stopped.

    Attributes:
        root: the folder. Use `Workdir.open` to start or resume a run in it; the bare
            constructor is for reading a run that is there already.
        lock: keeps other processes from starting a run in the folder for as long as it lives.
            The operating system lets go of it however the process ends.
    """

    root: Path
    lock: FileLock | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls, path: str | Path, identity: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> "Workdir":
        """Starts a run in a folder, or resumes the same run.

        Args:
            path: the folder; it is made where it does not exist.
            identity: what makes it this run and no other: configuration, table.
            environment: what may differ between two starts of one run: versions, device.

        Returns:
            The folder, with `config.json` written.

        Raises:
            UserError: the folder holds another run or foreign files, is not writable, or is in
                use by another process.
        """
        workdir = cls(Path(path))
        config = _strict({"run": identity, "environment": environment})
        try:
            workdir.root.mkdir(parents=True, exist_ok=True)
            workdir._check_same_run(config["run"])
            if workdir.is_complete:
                return workdir
            workdir = replace(workdir, lock=_locked(workdir.path(_LOCK)))
            # Until now another process may have had the folder, and made it its own.
            workdir._check_same_run(config["run"])
            if not workdir.is_complete:
                workdir.write_json(_CONFIG, config)
        except (FileExistsError, NotADirectoryError):
            raise UserError(f"workdir {path} is not a folder; choose another --workdir") from None
        except Timeout:
            raise UserError(
                f"workdir {path} is in use by another process; wait for it or choose another"
                " --workdir"
            ) from None
        except OSError as error:
            raise UserError(
                f"workdir {path} cannot be written ({error.strerror}); choose another --workdir"
            ) from None
        return workdir

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end: `metrics.json` is written last."""
        return self.path(_METRICS).is_file()

    def path(self, name: str) -> Path:
        """Where the file `name` is; `/` separates folders."""
        return self.root / name

    def read_json(self, name: str) -> Any:
        """Reads a JSON file.

        Raises:
            UserError: it is missing or not JSON.
        """
        try:
            return json.loads(self.path(name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(
                f"{self.path(name)} does not exist; give the workdir of a run"
            ) from None
        except ValueError:
            raise UserError(f"{self.path(name)} is not valid JSON; use another --workdir") from None

    def write_json(self, name: str, value: Any) -> None:
        """Writes strict JSON: NaN and infinities, which JSON lacks, become null."""
        text = json.dumps(_strict(value), indent=2, ensure_ascii=False, allow_nan=False)
        self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes text in UTF-8."""
        with self._replacing(name) as file:
            file.write(text.encode("utf-8"))

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Writes a header line and the rows under it, text as a spreadsheet only shows it."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerows([harmless(cell) for cell in row] for row in itertools.chain([header], rows))
        self.write_text(name, text.getvalue())

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> None:
        """Writes named arrays as npz; arrays of objects are refused, they need pickle."""
        plain = {key: np.asarray(value) for key, value in arrays.items()}
        with self._replacing(name) as file:
            np.savez(file, allow_pickle=False, **plain)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file that takes the place of `name` when the block ends without an error."""
        target = self.path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}{_TEMPORARY}")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                # A rename may reach the disk before the content does.
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _check_same_run(self, identity: Any) -> None:
        if not self.path(_CONFIG).exists():
            if any(p.name != _LOCK and p.suffix != _TEMPORARY for p in self.root.iterdir()):
                raise UserError(
                    f"workdir {self.root} holds files of something else; choose another --workdir"
                )
            return
        stored = self.read_json(_CONFIG)
        if not isinstance(stored, dict) or "run" not in stored:
            raise UserError(f"{self.path(_CONFIG)} is of something else; choose another --workdir")
        if difference := _first_difference(stored["run"], identity):
            key, there, here = difference
            raise UserError(
                f"workdir {self.root} holds a different run ({key} is {there} there, {here} here);"
                " choose another --workdir or delete it"
            )


def digest_of(identity: Mapping[str, Any]) -> str:
    """A short name for what makes a run this run, the same wherever it is run."""

    def what(value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            return value
        inner = {name: f"{key}.{name}" for name in value}
        return {n: what(value[n], inner[n]) for n in value if not inner[n].endswith(_ONLY_HOW)}

    text = json.dumps(what(_strict(identity), ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _locked(path: Path) -> FileLock:
    """The lock of a folder, held. Within one process it may be taken again.

    Raises:
        Timeout: another process holds it.
    """
    lock = FileLock(path, timeout=0, thread_local=False, is_singleton=True)
    lock.acquire()
    return lock


def _strict(value: Any) -> Any:
    """The value as JSON can say it."""
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _first_difference(there: Any, here: Any, key: str = "") -> tuple[str, str, str] | None:
    """The dotted key of the first difference that matters, with both values as JSON."""
    if isinstance(there, dict) and isinstance(here, dict):
        for name in here | there:
            inner = f"{key}.{name}" if key else name
            if inner.endswith(_ONLY_HOW):
                continue
            if name not in there:
                return inner, "not set", _short(here[name])
            if name not in here:
                return inner, _short(there[name]), "not set"
            if difference := _first_difference(there[name], here[name], inner):
                return difference
        return None
    return None if there == here else (key or "run", _short(there), _short(here))


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
