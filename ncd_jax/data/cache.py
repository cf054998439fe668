"""Raw files of benchmark tables: kept in a folder, downloaded where they are missing.

By the standard library: `pooch` checks archives, not the files in them, and opens no archive in
an archive; with it this module was no shorter.
"""

import contextlib
import hashlib
import http.client
import os
import stat
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import platformdirs

from ncd_jax.errors import UserError

__all__ = ["Progress", "RawFile", "cache_dir", "ensure_files", "user_cache"]

Progress = Callable[[int, int | None], None]
"""Told the bytes downloaded so far and the bytes in all, where the server says."""

_TIMEOUT = 30.0
_DEAD = 3600.0
"""Seconds after which a file that is still on its way to its place is nobody's."""
_CHUNK = 1 << 20
_MOST_BYTES = 1 << 30
"""Largest download and largest file unpacked; the largest real one has a third of it."""


@dataclass(frozen=True)
class RawFile:
    """A file of a benchmark table as it is published.

    Attributes:
        name: its name in the folder, and in the archive whatever folder it lies in there.
        sha256: of its content; none where it is not known, then the reader's check of the
            shape has to do.
    """

    name: str
    sha256: str | None = None


def cache_dir(data_dir: Path | None) -> Path:
    """The folder of all benchmark tables.

    It is `data_dir`, else the environment variable `NCD_JAX_DATA`, else `ncd_jax` in the
    user's cache folder.
    """
    if data_dir is not None:
        return data_dir.expanduser()
    if chosen := os.environ.get("NCD_JAX_DATA"):
        return Path(chosen).expanduser()
    return user_cache()


def user_cache() -> Path:
    """`ncd_jax` where the system keeps caches of this user: `~/.cache`, `~/Library/Caches`, ..."""
    return platformdirs.user_cache_path("ncd_jax", appauthor=False)


def ensure_files(
    folder: Path, files: Sequence[RawFile], url: str, progress: Progress | None = None
) -> None:
    """Makes sure that the folder holds the files, each as published.

    Files that are there are checked and never replaced. Only if one is missing is the zip
    archive at `url` downloaded; each file appears whole or not at all.

    Raises:
        UserError: a file is damaged, or is missing and cannot be had.
    """
    missing = []
    for file in files:
        path = folder / file.name
        if not path.exists():
            missing.append(file)
        elif file.sha256 and _sha256(path) != file.sha256:
            raise UserError(f"{path} is damaged; delete it and it will be downloaded again")
    if not missing:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as archive:
            _download(url, archive, progress)
            _unpack(archive, {file.name: file for file in missing}, folder)
    except (OSError, http.client.HTTPException, *_BAD_ARCHIVE) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{', '.join(file.name for file in missing)} not found in {folder} and could not be"
            f" downloaded ({reason}); get {url} and put what is missing there"
        ) from None


# What zipfile raises for damaged, encrypted or oddly compressed archives.
_BAD_ARCHIVE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the file") from None


def _download(url: str, target: IO[bytes], progress: Progress | None) -> None:
    try:
        response = urllib.request.urlopen(url, timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    with response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        done = _copy(response, target, progress, total)
    if total is not None and done < total:
        raise EOFError(f"the connection ended after {done} of {total} bytes")


def _unpack(archive: IO[bytes], wanted: dict[str, RawFile], folder: Path) -> None:
    """Writes the wanted files of an archive to the folder.

    Only the last part of a member's name is looked at, and the file is written under the
    name that we asked for, so no archive can write outside the folder.
    """
    missing = dict(wanted)
    for name, member in _members(archive, depth=1):
        if name in missing:
            _install(member, missing.pop(name), folder)
    if missing:
        raise zipfile.BadZipFile(f"the archive does not hold {', '.join(missing)}")


def _members(archive: IO[bytes], depth: int) -> Iterator[tuple[str, IO[bytes]]]:
    """Regular files of a zip archive, and of the archives in it (HAR lies in such a one)."""
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
                continue
            name = PurePosixPath(info.filename).name
            with opened.open(info) as member:
                if depth and name.endswith(".zip"):
                    with tempfile.TemporaryFile() as inner:
                        _copy(member, inner)
                        yield from _members(inner, depth - 1)
                else:
                    yield name, member


def _install(member: IO[bytes], file: RawFile, folder: Path) -> None:
    """Copies a member to its place in the folder, by way of a temporary file."""
    for left in folder.glob(f".{file.name}.*"):  # of processes that were killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _DEAD:
                left.unlink()
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{file.name}.")
    path = Path(temporary)
    try:
        with os.fdopen(handle, "wb") as target:
            _copy(member, target)
        if file.sha256 and _sha256(path) != file.sha256:
            raise zipfile.BadZipFile(f"{file.name} is not what was once published")
        path.chmod(0o644)
        path.replace(folder / file.name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _copy(
    source: IO[bytes],
    target: IO[bytes],
    progress: Progress | None = None,
    total: int | None = None,
) -> int:
    """Copies all there is, up to a limit, and returns the number of bytes."""
    done = 0
    while chunk := source.read(_CHUNK):
        done += len(chunk)
        if done > _MOST_BYTES:
            raise zipfile.BadZipFile(f"it holds more than {_MOST_BYTES} bytes")
        target.write(chunk)
        if progress is not None:
            progress(done, total)
    return done
