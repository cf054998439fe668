"""Several workers in one storage, each a process of its own, one of them killed."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from worker import GRACE, SPACE

from ncd_jax.tuning.proposals import Proposals
from ncd_jax.tuning.storage import open_shared

ROOT = Path(__file__).parent.parent.parent
KINDS = ["journal", "sqlite", "postgresql"]
CANDIDATES, BATCH = 24, 3


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    if request.param == "postgresql":
        return request.getfixturevalue("postgresql")
    path = tmp_path / f"search.{request.param}"
    return str(path) if request.param == "journal" else f"sqlite:///{path}"


class Nursery:
    """Starts workers; see `worker.py`."""

    def __init__(self):
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(Path(__file__).with_name("worker.py"))],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *words):
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        self._process.communicate(timeout=10)


@pytest.fixture(scope="module")
def nursery():
    nursery = Nursery()
    yield nursery
    nursery.close()


def lines(log, word):
    """The numbers behind this word, line by line."""
    text = log.read_text() if log.exists() else ""
    return [
        [int(number) for number in line.removeprefix(word).split()]
        for line in text.splitlines()
        if line.startswith(word + " ")
    ]


def test_a_killed_worker_loses_nothing(place, nursery, tmp_path):
    """What it had is evaluated by the others, everything once, and all see the same in the end."""
    logs = [tmp_path / f"{i}.log" for i in range(3)]
    # The first would take for ever; it is killed with a batch in its hands.
    first = nursery.ask(place, logs[0], CANDIDATES, BATCH, 1000)
    others = [nursery.ask(place, log, CANDIDATES, BATCH, 0.02) for log in logs[1:]]
    end = time.monotonic() + 30
    while not lines(logs[0], "has") and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(first, signal.SIGKILL)
    statuses = [nursery.ask("wait", pid) for pid in (first, *others)]
    assert statuses == [-signal.SIGKILL, 0, 0]
    evaluated = Counter(number for log in logs for one in lines(log, "evaluated") for number in one)
    assert evaluated == Counter(range(CANDIDATES))
    lost = lines(logs[0], "has")[0]
    assert any(set(lost) & set(batch) for log in logs[1:] for batch in lines(log, "has"))
    for log in logs[1:]:
        assert lines(log, "sees") == [list(range(CANDIDATES))]
    again = Proposals(SPACE, {}, "quasi_random", 0, open_shared(place, GRACE))
    values = {trial.hparams["w"] for trial in again.finished()}
    assert len(values) == CANDIDATES, "no two workers have tried the same"
