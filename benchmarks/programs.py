"""Where the large programs of a run spend their time: tracing, lowering, compiling or loading.

python -m benchmarks.programs              # three runs of a made-up table, two minutes

The same table is sorted three times, each time by a process of its own: `cold` finds no program,
`traced` finds compiled programs, which have to be traced and lowered before JAX knows which one it
needs, and `kept` finds traced ones too (`ncd_jax.kept_programs`). The answers have to be equal.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from absl import app

from benchmarks.processes import write_table
from benchmarks.timing import write_results

ROWS, COLUMNS = 1000, 20
_SHOWN = 0.05
"""Seconds below which a program is not listed."""
_EVENTS = {
    "jaxpr_trace_duration": "trace",
    "jaxpr_to_mlir_module_duration": "lower",
    "backend_compile_duration": "compile or load",
}
_CHILD = """
import json, sys, jax.monitoring
heard = []
def listen(event, seconds, **about):
    heard.append((event.rpartition("/")[2], about.get("fun_name"), seconds))
jax.monitoring.register_event_duration_secs_listener(listen)
from ncd_jax.cli import main
out = sys.argv.pop(1)
try:
    main()
finally:
    with open(out, "w") as file:
        json.dump(heard, file)
"""


def main(_: list[str]) -> None:
    """Runs the program three times and writes what each of its programs took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "table.csv", ROWS, COLUMNS)
        runs = {"cold": _run(folder, "cold")}
        for path in (folder / "programs").glob("traced-*"):
            path.unlink()
        runs |= {state: _run(folder, state) for state in ("traced", "kept")}
        answers = {(folder / state / "assignments.csv").read_bytes() for state in runs}
        if len(answers) != 1:
            raise AssertionError("the answers differ")
    for state, (seconds, parts) in runs.items():
        print(f"{state}: {seconds:.1f} s")
        for program, spent in sorted(parts.items(), key=lambda item: -sum(item[1].values())):
            if sum(spent.values()) > _SHOWN:
                print(f"  {program:<24}" + "".join(f"{k} {v:.2f}  " for k, v in spent.items()))
    rows = [
        {"state": state, "seconds": seconds, "program": program, **spent}
        for state, (seconds, parts) in runs.items()
        for program, spent in parts.items()
        if sum(spent.values()) > _SHOWN
    ]
    write_results("programs", rows, n_rows=ROWS, columns=COLUMNS)


def _run(folder: Path, state: str) -> tuple[float, dict[str, Any]]:
    """Seconds of a run, and by program and step."""
    start = time.perf_counter()
    subprocess.run(
        [
            sys.executable,
            "-c",
            _CHILD,
            str(folder / "heard.json"),
            f"--table={folder / 'table.csv'}",
            "--label=label",
            f"--workdir={folder / state}",
            f"--compilation_cache={folder / 'programs'}",
        ],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    parts = defaultdict[str, dict[str, float]](lambda: dict.fromkeys(_EVENTS.values(), 0.0))
    for event, program, spent in json.loads((folder / "heard.json").read_text()):
        if event in _EVENTS and program:
            parts[program.removeprefix("jit(").removesuffix(")")][_EVENTS[event]] += spent
    return seconds, {p: {k: round(v, 3) for k, v in each.items()} for p, each in parts.items()}


if __name__ == "__main__":
    app.run(main)
