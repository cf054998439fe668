"""Files of a run that are too large to be written at once: they grow, and take their place whole.

Beside the growing file lies a record of how far it is. Who is stopped goes on behind the last piece
that the record knows, if what is written is still the same; what came after it is cut off.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ncd_jax.store.workdir import Workdir

__all__ = ["Growing"]


class Growing:
    """A file that grows piece by piece; for who holds the folder alone.

    Attributes:
        state: what was said with the last piece that is there; empty at the beginning.
    """

    def __init__(self, workdir: Workdir, name: str, key: str) -> None:
        """Begins, or goes on; by its key it is this file and no other."""
        folder, _, last = name.rpartition("/")
        self._workdir, self._key = workdir, key
        self._record = f"{folder}/.{last}.part.json"
        self._target, self._path = workdir.path(name), workdir.path(f"{folder}/.{last}.part")
        self._n_bytes, self.state = 0, dict[str, Any]()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(OSError, ValueError, LookupError, TypeError):  # else from the beginning
            said = json.loads(workdir.path(self._record).read_bytes())
            if said["key"] == key and self._path.stat().st_size >= said["bytes"]:
                self._n_bytes, self.state = said["bytes"], said["state"]
        self._file = self._path.open("r+b" if self._n_bytes else "wb")
        self._file.truncate(self._n_bytes)
        self._file.seek(self._n_bytes)

    def add(self, piece: bytes, state: Mapping[str, Any]) -> None:
        """Writes a piece, and what is to be known when somebody goes on behind it."""
        self._write(piece)
        self.state = dict(state)
        record = {"key": self._key, "bytes": self._n_bytes, "state": self.state}
        self._workdir.write_json(self._record, record)

    def finish(self, piece: bytes) -> None:
        """Writes the last piece; the file takes its place."""
        self._write(piece)
        self._file.close()
        os.replace(self._path, self._target)
        self._workdir.path(self._record).unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the file; what is recorded stays, and nothing where nothing is."""
        self._file.close()
        if not self.state:
            self._path.unlink(missing_ok=True)

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._n_bytes += len(piece)
