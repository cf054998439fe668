"""What people wait for: the whole program, beside doing it by hand.

python -m benchmarks.whole_program                          # three minutes
python -m benchmarks.whole_program --small                  # without the largest table, one turn
python -m benchmarks.whole_program --tables=1000000x64.csv,1000000x64.parquet     # five minutes
python -m benchmarks.whole_program --method=pbn --tables=1000x64

From the start of the process to its end, on made-up tables. `cold` starts without any compiled
program, `warm` with those that the cold run has left. In turns with it the peer, by hand: pandas
reads the file, scikit-learn's linear discriminant analysis learns the known classes, and its
k-means sorts the unlabelled rows into as many groups as somebody has to know, without a report.
Help and a misspelt flag stand beside a Python that imports NumPy and no more.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks.processes import LAUNCH, Spent, spent, write_table
from benchmarks.timing import write_results

_TABLES = flags.DEFINE_list(
    "tables",
    ["344x7", "1000x20", "10000x64", "100000x64"],
    "Rows and columns of each; `.parquet` behind for one that is no CSV.",
)
_SMALL = flags.DEFINE_bool("small", False, "Without the largest table, one turn.")
_METHOD = flags.DEFINE_string("method", "rca", "Method.")
_TURNS = 3
_BY_HAND = """
import sys, pandas as pd
from sklearn.cluster import KMeans
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
read = pd.read_parquet if sys.argv[1].endswith("parquet") else pd.read_csv
frame = read(sys.argv[1])
y = frame.pop("label").fillna("").astype(str)
known = (y != "").to_numpy()
lda = LinearDiscriminantAnalysis().fit(frame[known], y[known])
groups = KMeans(5, n_init=10, random_state=0).fit_predict(lda.transform(frame[~known]))
pd.DataFrame({"group": groups}).to_csv(sys.argv[2])
"""


def main(_: list[str]) -> None:
    """Runs the program beside its peer on every table, and writes the figures."""
    tables = _TABLES.value[: -1 if _SMALL.value and len(_TABLES.value) > 1 else None]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [_told("--help", ["--help"], 0), _told("a misspelt flag", ["--tabel=t.csv"], 2)]
        for spec in tables:
            rows.append(_waited(folder, spec))
            print(rows[-1], flush=True)
    name = f"whole_program_{_METHOD.value}_{tables[-1].replace('.', '_')}"
    write_results(name, rows)


def _told(what: str, argv: Sequence[str], status: int) -> dict[str, Any]:
    ours, peer = [sys.executable, LAUNCH, *argv], [sys.executable, "-c", "import numpy"]
    found = _in_turns([(spent(ours, status), spent(peer)) for _ in range(_TURNS)])
    # Of a small process the system says as much memory as this one had when it was begun.
    return {"run": what} | {k: value for k, value in found.items() if not k.endswith("_mb")}


def _waited(folder: Path, spec: str) -> dict[str, Any]:
    size, _, suffix = spec.partition(".")
    n, columns = map(int, size.split("x"))
    table, workdir = folder / f"table.{suffix or 'csv'}", folder / "run"
    write_table(table, n, columns)
    ours = [
        *(sys.executable, LAUNCH, f"--table={table}", "--label=label", f"--workdir={workdir}"),
        f"--config.method={_METHOD.value}",
        f"--compilation_cache={folder / f'compiled_{size}'}",
    ]
    by_hand = [sys.executable, "-c", _BY_HAND, str(table), str(folder / "groups.csv")]

    def run() -> Spent:
        shutil.rmtree(workdir, ignore_errors=True)
        return spent(ours)

    cold = run()
    turns = [(run(), spent(by_hand)) for _ in range(1 if _SMALL.value else _TURNS)]
    metrics = json.loads((workdir / "metrics.json").read_text())
    return {
        "run": f"{spec}, {_METHOD.value}",
        "cold_s": round(cold.seconds, 1),
        **_in_turns(turns),
        "classes": metrics["n_novel_estimated"],
        "phases": {name: round(s, 1) for name, s in metrics["seconds"].items() if s >= 0.1},
    }


def _in_turns(turns: Sequence[tuple[Spent, Spent]]) -> dict[str, Any]:
    ours, peer = (np.median([turn[i] for turn in turns], axis=0) for i in range(2))
    return {
        "ours_s": round(float(ours[0]), 2),
        "by_hand_s": round(float(peer[0]), 2),
        "ratio": round(float(np.median([a.seconds / b.seconds for a, b in turns])), 2),
        "ours_cpu": round(float(ours[1]), 2),
        "ours_mb": round(float(ours[2])),
        "by_hand_mb": round(float(peer[2])),
    }


if __name__ == "__main__":
    app.run(main)
