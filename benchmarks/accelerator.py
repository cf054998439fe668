"""Everything on the device at hand, in eight minutes: all benchmarks, small, then the tests.

python -m benchmarks.accelerator            # writes benchmarks/results/<device>/
python -m benchmarks.accelerator --share=0.1     # a tenth of the time for each: a dry run

Each step is a process of its own with a time limit; one that fails or takes too long costs the
others nothing. What it printed is kept beside its figures, and `summary.json` says how it went.
"""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from absl import app, flags

_SHARE = flags.DEFINE_float("share", 1.0, "Share of the time limits that is granted.")
_OUT = flags.DEFINE_string("out", None, "Where the figures go [benchmarks/results/<device>].")

ROOT = Path(__file__).parent.parent
BENCHMARKS = {
    "sweep": 90,
    "kmeans": 40,
    "spectral": 40,
    "judge": 35,
    "k_estimation": 35,
    "sweep --method=tabular_ncd": 40,
    "assign": 25,
    "whole_program": 60,
}
"""Seconds for each; what matters most comes first."""
TESTS = ("tests/tuning", "tests/clustering", "tests/judge", "tests/methods", "tests/discovery")
TEST_SECONDS = 100
DEVICE = """
import jax, json
d = jax.devices()
print(json.dumps([d[0].platform, d[0].device_kind, len(d), d[0].client.platform_version]))
"""


def main(_: list[str]) -> None:
    """Runs the steps one after the other and sums them up."""
    begin = time.perf_counter()
    platform, kind, count, driver = _device()
    words = re.sub(r"\W+", "-", f"{count} {kind}".lower()).strip("-")
    out = Path(_OUT.value or ROOT / "benchmarks" / "results" / words)
    out.mkdir(parents=True, exist_ok=True)
    steps = {
        name: ([sys.executable, "-m", *f"benchmarks.{name}".split(), "--small"], limit)
        for name, limit in BENCHMARKS.items()
    }
    tests = ["-m", "pytest", "-n", "4", "--dist", "worksteal", "-p", "no:cacheprovider", *TESTS]
    steps["tests"] = ([sys.executable, *tests], TEST_SECONDS)
    done: dict[str, dict[str, object]] = {}
    device = {"platform": platform, "kind": kind, "count": count, "driver": driver}
    for name, (command, limit) in steps.items():
        said = out / f"{name.rpartition('=')[2]}.txt"
        done[name] = _step(command, limit * _SHARE.value, said)
        print(f"{name}: {done[name]}", flush=True)
        seconds = round(time.perf_counter() - begin, 1)
        summary = {"device": device, "seconds": seconds, "steps": done}
        (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n")


def _device() -> list:
    """Looked at by another process: one that holds the device keeps its memory from the steps."""
    answer = subprocess.run([sys.executable, "-c", DEVICE], capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"JAX finds no device: {answer.stderr.strip().splitlines()[-1]}")
    device: list = json.loads(answer.stdout.splitlines()[-1])
    return device


def _step(command: list[str], limit: float, log: Path) -> dict[str, object]:
    begin = time.perf_counter()
    environment = os.environ | {
        "NCD_JAX_RESULTS": str(log.parent),
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }
    with log.open("w") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            outcome = f"status {process.wait(limit)}"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            outcome = "stopped at its limit"
    return {"outcome": outcome, "seconds": round(time.perf_counter() - begin, 1)}


if __name__ == "__main__":
    app.run(main)
