"""The whole program, from the start of the process to its report, on made-up tables.

python -m benchmarks.whole_program                          # 1e3, 1e4 and 1e5 rows, five minutes
python -m benchmarks.whole_program --rows=1000000           # a quarter of an hour
python -m benchmarks.whole_program --method=pbn --rows=1000,10000

`cold` starts without any compiled program, `warm` with those that the cold run has left. The table
is a CSV file of 64 columns of numbers: ten known classes and five that have no label.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from absl import app, flags

from benchmarks.timing import write_results

__all__ = ["write_table"]

_ROWS = flags.DEFINE_list("rows", ["1000", "10000", "100000"], "Rows of each table.")
_SMALL = flags.DEFINE_bool("small", False, "A thousand rows alone.")
_METHOD = flags.DEFINE_string("method", "rca", "Method.")
_COLUMNS, _N_KNOWN, _N_NOVEL, _LAUNCH = 64, 10, 5, Path(__file__).parents[1] / "launch.py"


def main(_: list[str]) -> None:
    """Runs the program on every table, cold and warm, and writes the figures."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = [1000] if _SMALL.value else [int(n) for n in _ROWS.value]
        rows = [figures for n in sizes for figures in _runs(Path(folder), n)]
    largest = max(sizes)
    write_results(f"whole_program_{_METHOD.value}_{largest}", rows, columns=_COLUMNS)


def _runs(folder: Path, n: int) -> list[dict[str, Any]]:
    table = folder / "table.csv"
    write_table(table, n)
    rows = []
    for state in ("cold", "warm"):
        workdir = folder / f"run_{n}_{state}"
        command = [
            sys.executable,
            str(_LAUNCH),
            f"--table={table}",
            "--label=label",
            f"--workdir={workdir}",
            f"--config.method={_METHOD.value}",
            f"--compilation_cache={folder / f'compiled_{n}'}",
        ]
        start = time.perf_counter()
        peak = _peak_megabytes(command)
        seconds = time.perf_counter() - start
        metrics = json.loads((workdir / "metrics.json").read_text())
        phases = {name: round(s, 1) for name, s in metrics["seconds"].items() if s >= 0.5}
        rows.append(
            {
                "rows": n,
                "state": state,
                "seconds": round(seconds, 1),
                "peak_mb": round(peak),
                "classes": metrics["n_novel_estimated"],
                "phases": phases,
            }
        )
        print(rows[-1], flush=True)
        shutil.rmtree(workdir)
    return rows


def _peak_megabytes(command: list[str]) -> float:
    """Runs a command; the most memory that it held."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"the program ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return float(usage.ru_maxrss * unit / 1e6)


def write_table(path: Path, n: int, columns: int = _COLUMNS, at_once: int = 100_000) -> None:
    """Writes the table in parts, so that a million rows need no memory here."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(_N_KNOWN + _N_NOVEL, columns))
    names = [f"c{i}" for i in range(columns)]
    for start in range(0, n, at_once):
        y = rng.integers(len(means), size=min(at_once, n - start))
        x = (means[y] + 2.0 * rng.normal(size=(len(y), columns))).round(3)
        frame = pd.DataFrame(x, columns=names)
        frame["label"] = np.where(y < _N_KNOWN, np.char.add("class ", y.astype(str)), "")
        frame.to_csv(path, mode="w" if start == 0 else "a", header=start == 0, index=False)


if __name__ == "__main__":
    app.run(main)
