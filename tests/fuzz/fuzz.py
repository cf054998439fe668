"""`make fuzz`: many inputs, told from their seeds, through the program; what fails is kept.

Every process has inputs of its own and writes what it tries before it tries it, so what ends a
process is known too. An input that fails in a new way is made smaller and kept as a file, to be
tried again by `test_fuzz.py` in every `make test` once what it found is mended.

    python tests/fuzz/fuzz.py --inputs=100000 --processes=2 --seed=0 --found=runs/fuzz
"""

import argparse
import collections
import dataclasses
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from fuzz_inputs import KINDS, Input, draw  # noqa: E402 - found beside this file

OFTEN = {"cells": 6, "bytes": 5, "workbook": 2, "typed": 2, "flags": 3, "config": 3, "model": 3}
"""How often each kind is drawn; the others once."""
TURN = [kind for kind in KINDS for _ in range(OFTEN.get(kind, 1))]
WHOLE = 8
"""One input in so many has threads and pages that are drawn; see `stubs`."""
TRIES = 60
"""Inputs that are tried to make one smaller."""
SAID_SECONDS = 30.0


def main() -> int:
    """Tries inputs; the exit status is 1 where one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--found", type=Path, default=Path("runs/fuzz"))
    parser.add_argument("--part", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.found.mkdir(parents=True, exist_ok=True)
    if given.part >= 0:
        return try_part(given)
    parts = [_start(given, part, 0) for part in range(given.processes)]
    failed = False
    for part, process in enumerate(parts):
        while (status := process.wait()) not in (0, 1):
            place = given.found / f".last-{part}"
            last = int(place.with_suffix(".number").read_text())
            place.rename(given.found / f"crash-{part}-{last}.json")
            print(f"process {part} ended with {status} on its input {last}: kept", flush=True)
            failed, process = True, _start(given, part, last + given.processes)
        failed |= status == 1
    return int(failed)


def _start(given: argparse.Namespace, part: int, start: int) -> subprocess.Popen:
    said = [f"--{name}={value}" for name, value in vars(given).items() if name not in _OWN]
    return subprocess.Popen(
        [sys.executable, __file__, *said, f"--part={part}", f"--start={max(start, part)}"]
    )


_OWN = ("part", "start")


def try_part(given: argparse.Namespace) -> int:
    """Every `--processes`-th input."""
    from fuzz_outcome import Outcome, bounded_memory, finished_run, outcome, place, stubs

    counts, whole, ways = (collections.Counter() for _ in range(3))
    last, began, said = given.found / f".last-{given.part}", time.monotonic(), time.monotonic()
    turn = [kind for kind in TURN if kind in given.kinds.split(",")]
    with tempfile.TemporaryDirectory(dir=place()) as scratch:
        needs_run = {"model", "records"} & set(turn)
        run = finished_run(Path(scratch)) if needs_run else None

        def check(tried: Input, is_whole: bool = True) -> Outcome:
            with tempfile.TemporaryDirectory(dir=scratch) as folder, stubs(is_whole):
                return outcome(tried, Path(folder), run)

        def fails_alike(wrong: str, tried: Input) -> bool:
            return _way(check(tried).wrong) == _way(wrong)

        with bounded_memory():
            for i in range(given.start, given.inputs, given.processes):
                if time.monotonic() - began > 60 * given.minutes:
                    break
                tried = draw(turn[i % len(turn)], given.seed * 10_000_000 + i)
                last.write_text(tried.to_json())
                last.with_suffix(".number").write_text(str(i))
                counts[tried.kind] += 1
                status, wrong = check(tried, i % WHOLE == 0)
                whole[tried.kind] += status == 0
                if wrong:
                    way = f"{tried.kind}: {_way(wrong)}"
                    ways[way] += 1
                    if ways[way] == 1:
                        small = smaller(tried, functools.partial(fails_alike, wrong))
                        name = f"{tried.kind}-{given.seed}-{i}.json"
                        (given.found / name).write_text(small.to_json())
                        print(f"{name}: {wrong}", flush=True)
                if time.monotonic() - said > SAID_SECONDS:
                    said = time.monotonic()
                    rate = sum(counts.values()) / (said - began)
                    print(f"{given.part}: {sum(counts.values())} tried, {rate:.0f}/s", flush=True)
    print(f"{given.part}: done as asked: {dict(whole)}", flush=True)
    seconds, of_cpu = time.monotonic() - began, time.process_time()
    took = f"{seconds:.0f} s, {of_cpu:.0f} s of CPU"
    print(f"{given.part}: {dict(counts)} in {took}; ways to fail: {dict(ways)}", flush=True)
    return int(bool(ways))


def _way(wrong: str) -> str:
    return wrong.partition(": ")[0]


def smaller(tried: Input, fails: Callable[[Input], bool]) -> Input:
    """The input with less in it that fails all the same: halves are taken out, then quarters."""
    left = TRIES

    def shortened(whole: list, made: Callable[[list], Input]) -> list:
        nonlocal left
        size = len(whole) // 2
        while size and left:
            for at in range(0, len(whole), size):
                part = whole[:at] + whole[at + size :]
                left -= 1
                if left >= 0 and fails(made(part)):
                    whole = part
                    break
                left = max(left, 0)
            else:
                size //= 2
        return whole

    tried = _with_argv(tried, shortened(tried.argv, functools.partial(_with_argv, tried)))
    for name in tried.files:
        whole = functools.partial(_with_file, tried, name)
        tried = whole(shortened(list(tried.files[name]), whole))
    return tried


def _with_argv(tried: Input, argv: list[str]) -> Input:
    return dataclasses.replace(tried, argv=argv)


def _with_file(tried: Input, name: str, signs: list[str]) -> Input:
    return dataclasses.replace(tried, files=tried.files | {name: "".join(signs)})


if __name__ == "__main__":
    sys.exit(main())
