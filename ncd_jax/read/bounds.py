"""How much a table may be: a file of a megabyte can unpack to more than any memory holds."""

import io
import stat
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, Any

from ncd_jax.errors import UserError
from ncd_jax.read.options import ReadOptions

__all__ = ["LONGEST_CELL", "Choose", "bounded", "check_path", "check_size", "one_line"]

Choose = Callable[[Sequence[str]], Collection[str]]
"""From the names of all columns of a file to those that are wanted."""

LONGEST_CELL = 1 << 24
"""Characters of a cell; in a longer one a quote is open that nobody closed."""
_GB = 1e9


def check_path(path: Path) -> None:
    """Checks that a path is that of a file.

    Raises:
        UserError: it holds a NUL, or is a folder, a pipe or a device.
        OSError: it does not exist, or cannot be looked at.
    """
    if "\0" in str(path):
        raise UserError("its path holds a character that no name of a file has; check it")
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError
    if not stat.S_ISREG(mode):
        raise UserError("it is a pipe or a device; save the table in a file")


def check_size(n_bytes: float, options: ReadOptions) -> None:
    """Checks that a table is no larger than somebody wants it to be.

    Raises:
        UserError: it is.
    """
    if n_bytes > options.max_gb * _GB:
        raise UserError(
            f"it holds more than {options.max_gb:g} GB when unpacked; if it is meant to, say"
            f" --max_gb={max(2 * options.max_gb, n_bytes / _GB):.0f}"
        )


def bounded(stream: IO[bytes], options: ReadOptions) -> IO[bytes]:
    """The same stream, which raises `UserError` as soon as it has given too much."""
    return io.BufferedReader(_Bounded(stream, options), 1 << 16)


def one_line(error: Exception) -> str:
    """What an error says, on one line and short."""
    return " ".join(str(error).split())[:120] or type(error).__name__


class _Bounded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], options: ReadOptions) -> None:
        self._stream: Any = stream
        self._options, self._n_read = options, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self._stream.readinto(buffer)
        self._n_read += n
        check_size(self._n_read, self._options)
        return n

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()
