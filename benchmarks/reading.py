"""Reading a table, and sorting a file that is larger than what is read at once.

python -m benchmarks.reading                              # three tables, three turns: ten minutes
python -m benchmarks.reading --small                      # a tenth of the rows, one turn
python -m benchmarks.reading --assigned=20000000          # and so many rows in Parquet

`--mode=inspect` in turns with a process that does nothing but `pandas.read_csv`: seconds from start
to end, CPU seconds of all threads, which say more on a machine with others, and peak memory. Then
`--mode=assign` on a file of 16 columns.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from absl import app, flags

from benchmarks.processes import LAUNCH, Spent, spent
from benchmarks.timing import write_results
from ncd_jax.read.dtypes import extra

_SMALL = flags.DEFINE_bool("small", False, "A tenth of the rows, one turn.")
_ASSIGNED = flags.DEFINE_integer("assigned", 4_000_000, "Rows that are given a class.")
_TABLES = flags.DEFINE_list("tables", ["numbers", "mixed"], "Which to read: numbers, mixed, long.")
_PEER = "import sys, pandas; pandas.read_csv(sys.argv[1])"
_AT_ONCE, _COLUMNS, _ASSIGNED_COLUMNS = 100_000, 64, 16


def main(_: list[str]) -> None:
    """Reads every table in turns, gives rows a class, and writes the figures."""
    part = 10 if _SMALL.value else 1
    tables: dict[str, tuple[Callable[[Path, int], None], int]] = {
        "numbers": (_write_numbers, 300_000),
        "mixed": (_write_mixed, 200_000),
        "long": (_write_numbers, 1_000_000),
    }
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in _TABLES.value:
            write, n = tables[kind]
            write(folder / "t.csv", n // part)
            rows.append({"table": kind, "rows": n // part} | _read(folder / "t.csv"))
            print(rows[-1], flush=True)
        if _ASSIGNED.value:
            rows.append(_assign(folder, _ASSIGNED.value // part))
            print(rows[-1], flush=True)
    write_results("reading_small" if _SMALL.value else "reading", rows)


def _read(path: Path) -> dict[str, Any]:
    ours = [sys.executable, LAUNCH, "--mode=inspect", f"--table={path}", "--label=label"]
    peer = [sys.executable, "-c", _PEER, str(path)]
    turns = [(spent(ours), spent(peer)) for _ in range(1 if _SMALL.value else 3)]
    found = {
        f"{name}_{field}": round(float(np.median([getattr(t[i], field) for t in turns])), 2)
        for i, name in enumerate(("ours", "pandas"))
        for field in Spent._fields
    }
    for field in ("seconds", "cpu"):
        ratios = [getattr(a, field) / getattr(b, field) for a, b in turns]
        found[f"ratio_{field}"] = round(float(np.median(ratios)), 2)
    return found


def _assign(folder: Path, n: int) -> dict[str, Any]:
    _write_numbers(folder / "known.csv", 3000, _ASSIGNED_COLUMNS)
    run = f"--workdir={folder / 'run'}"
    spent([sys.executable, LAUNCH, f"--table={folder / 'known.csv'}", "--label=label", run])
    _write_parquet(folder / "new.parquet", n)
    found = {}
    for rows in (n // 4, n):  # what starting takes drops out of the difference
        if rows < n:
            _write_parquet(folder / "few.parquet", rows)
        name = "few.parquet" if rows < n else "new.parquet"
        found[rows] = spent(
            [sys.executable, LAUNCH, "--mode=assign", f"--table={folder / name}", run]
        )
    few, all_rows = found[n // 4], found[n]
    return {
        "table": "assign, Parquet",
        "rows": n,
        "ours_seconds": round(all_rows.seconds, 1),
        "ours_cpu": round(all_rows.cpu, 1),
        "ours_peak": round(all_rows.peak),
        "peak_of_a_quarter": round(few.peak),
        "rows_per_second": round((n - n // 4) / (all_rows.seconds - few.seconds)),
        "rows_per_cpu_second": round((n - n // 4) / (all_rows.cpu - few.cpu)),
    }


def _numbers(n: int, n_columns: int, seed: int) -> pd.DataFrame:
    """Ten known classes and five without a label."""
    means = 2 * np.random.default_rng(0).normal(size=(15, n_columns))
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 15, n)
    x = (means[y] + 2 * rng.normal(size=(n, n_columns))).round(3)
    frame = pd.DataFrame(x, columns=[f"c{i}" for i in range(n_columns)])
    frame["label"] = np.where(y < 10, np.char.add("class ", y.astype(str)), "")
    return frame


def _write_numbers(path: Path, n: int, n_columns: int = _COLUMNS) -> None:
    for start in range(0, n, _AT_ONCE):
        frame = _numbers(min(_AT_ONCE, n - start), n_columns, seed=start)
        frame.to_csv(path, mode="a" if start else "w", header=not start, index=False)


def _write_parquet(path: Path, n: int) -> None:
    arrow, parquet, writer = extra("pyarrow"), extra("pyarrow.parquet"), None
    for start in range(0, n, _AT_ONCE):
        frame = _numbers(min(_AT_ONCE, n - start), _ASSIGNED_COLUMNS, seed=1 + start)
        part = arrow.Table.from_pandas(frame.drop(columns="label"), preserve_index=False)
        writer = writer or parquet.ParquetWriter(path, part.schema)
        writer.write_table(part)
    if writer is not None:
        writer.close()


def _write_mixed(path: Path, n: int) -> None:
    """22 columns as people export them; three have a different word on nearly every row."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, n)
    columns: dict[str, Any] = {}
    for i in range(6):
        columns[f"number {i}"] = (0.7 * y + 3 * rng.normal(size=n)).round(2).astype(str)
    for i, gap in enumerate(("", "NA", "?")):
        filled = (100 * rng.random(n)).round(1).astype(str)
        columns[f"gaps {i}"] = np.where(rng.random(n) < 0.05, gap, filled)
    for i in range(2):
        columns[f"whole {i}"] = rng.integers(0, 5000, n)
    day = pd.to_datetime(np.datetime64("2020-01-01") + rng.integers(0, 1500, n))
    time_of_day = pd.to_timedelta(rng.integers(0, 86400, n), unit="s")
    columns |= {
        "money": [f"${value:,.2f}" for value in rng.lognormal(7, 1, n)],
        "share": [f"{value:.1f}%" for value in 100 * rng.random(n)],
        "date": day.strftime("%Y-%m-%d"),
        "stamp": (day + time_of_day).strftime("%Y-%m-%d %H:%M:%S"),
        "german": day.strftime("%d.%m.%Y"),
        "clock": (day + time_of_day).strftime("%H:%M"),
        "city": rng.choice(["Berlin", "Paris", "Rome", "Oslo", "Bern"], n),
        "item": np.char.add("item ", rng.integers(0, 3000, n).astype(str)),
        "flag": rng.choice(["yes", "no", "Yes"], n),
        "note": [f"order {i} of {j}" for i, j in rng.integers(0, 10**7, (n, 2)).tolist()],
        "label": np.where(y < 6, np.char.add("k", y.astype(str)), ""),
    }
    pd.DataFrame(columns).to_csv(path, index=False)


if __name__ == "__main__":
    app.run(main)
