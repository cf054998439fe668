"""Whole processes: what they take from start to end, and made-up tables for them."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["LAUNCH", "Spent", "spent", "write_table"]

LAUNCH = str(Path(__file__).parents[1] / "launch.py")
_N_KNOWN, _N_NOVEL = 10, 5
_AT_ONCE = 100_000


class Spent(NamedTuple):
    """What a process took.

    Attributes:
        seconds: from its start to its end.
        cpu: CPU seconds of all its threads.
        peak: most memory, in megabytes.
    """

    seconds: float
    cpu: float
    peak: float


def spent(command: Sequence[str], status: int = 0) -> Spent:
    """Runs a command that ends with this status.

    Raises:
        RuntimeError: it ended with another one.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, ended, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    if process.returncode != status:
        raise RuntimeError(f"{command[1:3]} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = float(usage.ru_maxrss * unit / 1e6)
    return Spent(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, peak)


def write_table(path: Path, n: int, columns: int) -> None:
    """A table of numbers, ten known classes and five that have no label; CSV or Parquet.

    CSV is written in parts, so that a million rows need no memory here.
    """
    rng = np.random.default_rng(0)
    means = rng.normal(size=(_N_KNOWN + _N_NOVEL, columns))
    names, parts = [f"c{i}" for i in range(columns)], []
    for start in range(0, n, _AT_ONCE):
        y = rng.integers(len(means), size=min(_AT_ONCE, n - start))
        x = (means[y] + 2.0 * rng.normal(size=(len(y), columns))).round(3)
        frame = pd.DataFrame(x, columns=names)
        frame["label"] = np.where(y < _N_KNOWN, np.char.add("class ", y.astype(str)), "")
        if path.suffix == ".parquet":
            parts.append(frame)
        else:
            frame.to_csv(path, mode="w" if start == 0 else "a", header=start == 0, index=False)
    if parts:
        pd.concat(parts).to_parquet(path, index=False)
