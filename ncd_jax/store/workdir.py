"""The folder of a run: one run per folder, every file whole or absent."""

import csv
import hashlib
import io
import itertools
import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from filelock import FileLock, Timeout

import ncd_jax
from ncd_jax.errors import UserError

__all__ = [
    "Workdir",
    "as_cell",
    "as_it_was",
    "changes",
    "check_arrays",
    "digest_of",
    "harmless",
    "stored_arrays",
    "strict_json",
]

_CONFIG, _METRICS, _LOCK = "config.json", "metrics.json", ".lock"
_TEMPORARY, _STAGED, _PENDING = ".tmp", ".staged", ".pending.json"
_DAMAGED = "is damaged; run again in a new workdir"
_WAIT = 10.0
"""Seconds in which another process will have written its few files."""
_ONLY_HOW = (".search.lanes", ".search.storage", ".search.grace")
"""Ends of keys that say how to compute and not what: no part of what makes a run this run."""
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d+)*|[.,]\d+)(e[+-]?\d+)?\s?%?", re.ASCII | re.IGNORECASE)
_PLAIN = re.compile(r"-?\d+(\.\d+)?|[a-z0-9][\w.]*", re.ASCII | re.IGNORECASE)
"""What nearly all cells are, and what needs neither quotes nor an apostrophe."""
_BREAKS = r"\r\n\x0b\x0c\x85\u2028\u2029"
_BREAK, _BLANK = f"[{_BREAKS}]", rf"[^\S{_BREAKS}]|[\ufeff\u200b]"
_FORMULA = rf"(?='*(?:{_BLANK})*[=+\-@\uff1d\uff0b\uff0d\uff20]|'*[\t\r])"
"""Where a spreadsheet may see a formula begin: at a sign, whatever it skips before it."""


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
    _group: list[str] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls, path: str | Path, identity: Mapping[str, Any], environment: Mapping[str, Any]
    ) -> "Workdir":
        """Starts a run in a folder, or resumes the same run.

        Args:
            path: the folder; where it does not exist it is made, for its user alone.
            identity: what makes it this run and no other: configuration, table.
            environment: what may differ between two starts of one run: versions, device.

        Returns:
            The folder, with `config.json` written.

        Raises:
            UserError: the folder holds another run or foreign files, is not writable, or is in
                use by another process.
        """
        workdir = cls(Path(path))
        config = strict_json({"run": identity, "environment": environment})
        try:
            # What is in it holds rows of the table; who shares it says so.
            workdir.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            workdir._check_same_run(config["run"])
            if workdir.is_complete and not workdir.path(_PENDING).exists():
                return workdir
            workdir = replace(workdir, lock=_locked(workdir.path(_LOCK), 0))
            # Until now another process may have had the folder, and made it its own.
            workdir._check_same_run(config["run"])
            workdir._tidy()
            if not workdir.is_complete:
                workdir.write_json(_CONFIG, config)
        except OSError as error:
            workdir._refuse(error)
        return workdir

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from writing into the folder for as long as the block runs.

        What a process that was stopped has left there is put in order first.

        Raises:
            UserError: it is in use by another process, or cannot be written.
        """
        try:
            lock = _locked(self.path(_LOCK), _WAIT)
        except OSError as error:
            self._refuse(error)
        try:
            self._tidy()
            yield
        finally:
            lock.release()

    @contextmanager
    def together(self) -> Iterator["Workdir"]:
        """Files that are written in this block take their places together, or none of them does.

        They lie beside their targets until a list of them is written: that decides. Who is stopped
        behind it leaves the rest to whoever opens the folder next; reading sees it done.

        Within such a block another one is a part of it.

        Yields:
            What to write to.
        """
        if self._group is not None:
            yield self
            return
        group: list[str] = []
        try:
            yield replace(self, _group=group)
            self.write_json(_PENDING, group)
        except BaseException:
            self.path(_PENDING).unlink(missing_ok=True)
            for name in group:
                self._staged(name).unlink(missing_ok=True)
            raise
        self._finish()

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end: `metrics.json` is written last."""
        return self.has(_METRICS)

    def has(self, name: str) -> bool:
        """Whether there is a file of this name, in its place or on the way there."""
        with suppress(OSError):  # where the name of the folder is too long there is none
            return self.where(name).is_file()
        return False

    def path(self, name: str) -> Path:
        """Where the file `name` is; `/` separates folders."""
        return self.root / name

    @contextmanager
    def reading(self, name: str, wrong: str = _DAMAGED) -> Iterator[None]:
        """Whatever fails in this block is said of a file in one line: anybody may have written it.

        Raises:
            UserError: something failed; `wrong` says what, and what to do.
        """
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{self.path(name)} {wrong}") from error

    def read_bytes(self, name: str) -> bytes:
        """Reads a file.

        Raises:
            UserError: it is missing, or cannot be read.
        """
        try:
            with suppress(FileNotFoundError):
                return self.where(name).read_bytes()
            return self.path(name).read_bytes()  # it may have come there in this moment
        except FileNotFoundError:
            raise UserError(
                f"{self.path(name)} does not exist; give the workdir of a run"
            ) from None
        except OSError as error:
            raise UserError(
                f"{self.path(name)} cannot be read ({error.strerror}); check it"
            ) from None

    def read_text(self, name: str) -> str:
        """Reads text in UTF-8.

        Raises:
            UserError: it is missing, or something else.
        """
        with self.reading(name):
            return self.read_bytes(name).decode()

    def read_csv(self, name: str) -> tuple[list[str], list[list[str]]]:
        """Reads a header and the lines under it as `write_csv` was given them, as text.

        Raises:
            UserError: it is missing, or no such file.
        """
        text = io.StringIO(self.read_text(name), newline="")
        with self.reading(name):
            header, *lines = (list(map(as_it_was, line)) for line in csv.reader(text, strict=True))
            if any(len(line) != len(header) for line in lines):
                raise ValueError("a line has other columns than the header")
            return header, lines

    def read_json(self, name: str, kind: type | None = None) -> Any:
        """Reads a JSON file, whose value must be of a kind, `dict` or `list`, where one is given.

        Raises:
            UserError: it is missing, not JSON, or another kind of it.
        """
        with self.reading(name, "is not valid JSON; use another --workdir"):
            value = json.loads(self.read_bytes(name))
        if kind is not None and not isinstance(value, kind):
            raise UserError(f"{self.path(name)} is of something else; use another --workdir")
        return value

    def write_json(self, name: str, value: Any) -> None:
        """Writes strict JSON: NaN and infinities, which JSON lacks, become null."""
        text = json.dumps(strict_json(value), indent=2, ensure_ascii=False, allow_nan=False)
        self.write_text(name, text + "\n")

    def write_text(self, name: str, text: str) -> None:
        """Writes text in UTF-8; halves of signs, which UTF-8 lacks, become question marks."""
        self.write_bytes(name, text.encode("utf-8", errors="replace"))

    def write_csv(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Writes a header line and the rows under it, text as a spreadsheet only shows it."""
        lines = (",".join(map(as_cell, row)) for row in itertools.chain([header], rows))
        self.write_text(name, "".join(f"{line}\n" for line in lines))

    def write_arrays(self, name: str, arrays: Mapping[str, Any]) -> str:
        """Writes named arrays as npz; arrays of objects are refused, they need pickle.

        Returns:
            The SHA-256 of the file.
        """
        data = io.BytesIO()
        np.savez(data, allow_pickle=False, **arrays)
        self.write_bytes(name, data.getvalue())
        return hashlib.sha256(data.getvalue()).hexdigest()

    def write_bytes(self, name: str, data: bytes) -> None:
        """Writes a file."""
        with self._replacing(name) as file:
            file.write(data)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file that takes the place of `name` when the block ends without an error."""
        target = self.path(name) if self._group is None else self._staged(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}{_TEMPORARY}")
        try:
            with temporary.open("wb") as file:
                yield file
                file.flush()
                # A rename may reach the disk before the content does.
                os.fsync(file.fileno())
            if self._group is not None:
                self._group.append(name)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def where(self, name: str) -> Path:
        """Where a file is read from: its place, or beside it where it has been decided on."""
        is_on_the_way = name in self._pending() and self._staged(name).is_file()
        return self._staged(name) if is_on_the_way else self.path(name)

    def _staged(self, name: str) -> Path:
        target = self.path(name)
        return target.with_name(f".{target.name}{_STAGED}")

    def _pending(self) -> list[str]:
        """Files that have been decided on and may not be in their places yet."""
        if not self.path(_PENDING).is_file():
            return []
        root = self.root.resolve()
        try:
            names = list(map(str, json.loads(self.path(_PENDING).read_bytes())))
        except (ValueError, TypeError, RecursionError):
            names = [".."]
        if not all(self.path(name).resolve().is_relative_to(root) for name in names):
            raise UserError(f"{self.path(_PENDING)} is of something else; delete it")
        return names

    def _finish(self) -> None:
        for name in self._pending():
            if self._staged(name).is_file():
                os.replace(self._staged(name), self.path(name))
        self.path(_PENDING).unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Finishes what was decided, and drops what was not; for who holds the lock."""
        self._finish()
        for end in (_TEMPORARY, _STAGED):
            for left in [*self.root.glob(f".*{end}"), *self.root.glob(f"*/.*{end}")]:
                left.unlink(missing_ok=True)

    def _refuse(self, error: OSError) -> NoReturn:
        if isinstance(error, FileExistsError | NotADirectoryError):
            reason, remedy = "is not a folder", "choose another --workdir"
        elif isinstance(error, Timeout):
            reason = "is in use by another process"
            remedy = "wait for it or choose another --workdir"
        else:
            reason, remedy = f"cannot be written ({error.strerror})", "choose another --workdir"
        raise UserError(f"workdir {self.root} {reason}; {remedy}") from None

    def _check_same_run(self, identity: Any) -> None:
        if not self.path(_CONFIG).exists():
            ours = (_LOCK, _TEMPORARY, _STAGED, _PENDING)
            if not all(path.name.endswith(ours) for path in self.root.iterdir()):
                raise UserError(
                    f"workdir {self.root} holds files of something else; choose another --workdir"
                )
            return
        stored = self.read_json(_CONFIG, dict)
        if "run" not in stored:
            raise UserError(f"{self.path(_CONFIG)} is of something else; choose another --workdir")
        for key, there, here in changes(stored["run"], identity):
            if key.endswith(_ONLY_HOW):
                continue
            raise UserError(
                f"workdir {self.root} holds a different run ({key or 'run'} is {_short(there)}"
                f" there, {_short(here)} here){_begun_by(stored)}; choose another --workdir or"
                " delete it"
            )


def stored_arrays(data: bytes, digest: str | None = None) -> dict[str, Any]:
    """The arrays that `Workdir.write_arrays` wrote, by name.

    Args:
        data: the content of the file.
        digest: what writing them gave; none where nobody kept it.

    Raises:
        ValueError: they are other arrays than those that were written, or none at all.
        OSError, zipfile.BadZipFile, EOFError: the file is damaged.
    """
    if digest is not None and hashlib.sha256(data).hexdigest() != digest:
        raise ValueError("these are other arrays than those that were written")
    with np.load(io.BytesIO(data), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    if any(np.iscomplexobj(values) for values in arrays.values()):
        raise ValueError("nothing here writes complex numbers")
    return arrays


def check_arrays(arrays: Mapping[str, Any], forms: str, **lengths: int) -> None:
    """Whether arrays are of the kind and the shape that they should be.

    Args:
        arrays: by name.
        forms: names, and behind each the kind as NumPy has it, where `i` is any whole number, and
            the axes, such as `x f[n,d]`. An axis has one length wherever it stands.
        lengths: of axes that are known.

    Raises:
        KeyError, ValueError: one is missing, or is not.
    """
    words = forms.split()
    for name, form in zip(words[::2], words[1::2], strict=True):
        array, axes = np.asarray(arrays[name]), re.findall(r"\w+", form[1:])
        shape = [
            int(axis) if axis.isdigit() else lengths.setdefault(axis, n)
            for axis, n in zip(axes, array.shape, strict=True)
        ]
        if array.dtype.kind.replace("u", "i") != form[0] or shape != list(array.shape):
            raise ValueError(f"{name} is no {form}")


def digest_of(identity: Mapping[str, Any]) -> str:
    """A short name for what makes a run this run, the same wherever it is run."""

    def what(value: Any, key: str) -> Any:
        if not isinstance(value, dict):
            return value
        inner = {name: f"{key}.{name}" for name in value}
        return {n: what(value[n], inner[n]) for n in value if not inner[n].endswith(_ONLY_HOW)}

    text = json.dumps(what(strict_json(identity), ""), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def harmless(cell: Any) -> Any:
    """The cell with an apostrophe before all that would be run; numbers are left alone.

    That is so at its start and after each line break, where a reader that mistakes a break in a
    cell for the end of a row would see a cell begin.

    Source: OWASP, "CSV Injection".
    """
    if isinstance(cell, str) and not _NUMBER.fullmatch(cell):
        return re.sub(rf"(^|{_BREAK}){_FORMULA}", r"\1'", cell)
    return cell


def as_it_was(cell: str) -> str:
    """The cell without the apostrophes that `harmless` put into it."""
    if "'" not in cell:  # of nearly all
        return cell
    return re.sub(rf"(^|{_BREAK})'{_FORMULA}", r"\1", cell)


def as_cell(value: Any) -> str:
    """A cell of a CSV file, in quotes where any reader could see its end in the middle of it."""
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    text = "" if value is None else str(harmless(value))
    quoted = re.search(rf'[",]|{_BREAK}|^\s|\s$', text)
    return '"' + text.replace('"', '""') + '"' if quoted else text


def _locked(path: Path, seconds: float) -> FileLock:
    """The lock of a folder, held. Within one process it may be taken again.

    Raises:
        Timeout: another process holds it for longer.
    """
    lock = FileLock(path.absolute(), timeout=0, thread_local=False, is_singleton=True)
    lock.acquire(timeout=seconds)
    return lock


def strict_json(value: Any) -> Any:
    """The value as JSON can say it."""
    if hasattr(value, "tolist"):  # NumPy and JAX arrays and scalars
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): strict_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [strict_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def changes(there: Any, here: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """What differs in two values of JSON: dotted key, value there, value here.

    Where a key is missing the value is `...`.
    """
    if not (isinstance(there, dict) and isinstance(here, dict)):
        if there != here:
            yield key, there, here
        return
    for name in here | there:
        inner = f"{key}.{name}" if key else name
        yield from changes(there.get(name, ...), here.get(name, ...), inner)


def _begun_by(stored: Mapping[str, Any]) -> str:
    """Which release began a run, where that is another one."""
    try:
        release = stored["environment"]["versions"]["ncd_jax"]
    except (KeyError, TypeError):
        return ""
    return "" if release == ncd_jax.__version__ else f" of ncd_jax {release}"


def _short(value: Any) -> str:
    if value is ...:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:59] + "…"
