"""Whenever a command is killed, the same command comes to what it would have come to."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launching import Nursery
from modes import MODES, outcome, recorded

pytestmark = [
    # Of ml_collections, where it reads a config file.
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The value of `grace_period` might be too small"),
]
SHORT = {"run, rca": 2, "assign": 4, "rename": 6, "ask": 3, "compare": 3}
"""Moments that every session tries; the others are of `make faults`. A search is killed in
`test_experiment`, too."""
AGAIN = {"run, rca": 10, "run, pbn": 30, "run, auto": 10, "rename": 400, "ask": 50, "benchmark": 5}
"""Moments of the command after the kill in which that is killed too, in `make faults`."""
RANDOM = {"run, rca": 12, "run, pbn": 12, "run, auto": 6, "ask": 12, "benchmark": 6}
"""Processes that `make faults` kills at random moments; of other modes thirty."""


def chosen(moments, n, rng):
    states = list(moments.states)
    return [states[i] for i in np.sort(rng.permutation(len(states))[:n])]


@pytest.mark.parametrize("name", MODES)
def test_a_kill_at_a_write_changes_nothing(name, stage, is_long, count):
    if not is_long and name not in SHORT:
        pytest.skip("of `make faults`")
    mode, rng, wrong = MODES[name], np.random.default_rng(0), []
    counted = count(f"killed at a write: {name}")

    def left_by(moments, state):
        """A folder as a process that was killed in this moment has left it."""
        folder = stage.folder(mode)
        shutil.rmtree(folder / "work", ignore_errors=True)
        moments.restore(state, folder / "work")
        return folder

    def try_again(moments, state, how):
        folder = left_by(moments, state)
        differ = stage.difference(name, folder)
        counted[how] += 1
        counted["lost"] += bool(differ)
        if differ:
            wrong.append((how, moments.states[state], differ, [n for n, d in state if d]))
        shutil.rmtree(folder)

    first = stage.undisturbed(name)
    for state in chosen(first, len(first.states) if is_long else SHORT[name], rng):
        try_again(first, state, "once")
    n_again = AGAIN.get(name, 100) if is_long else 0
    for state in chosen(first, n_again, rng):
        folder = left_by(first, state)
        second = recorded(mode, folder)
        shutil.rmtree(folder)
        for twice in chosen(second, -(-n_again // len(first.states)), rng):
            try_again(second, twice, "twice")
    assert not wrong, f"{len(wrong)} lost: {wrong[:3]}"


class Commands(Nursery):
    """Starts commands as processes; see `nursery.py`."""

    def __init__(self):
        programs = {"NCD_JAX_COMPILATION_CACHE": os.environ["NCD_JAX_TEST_PROGRAMS"]}
        super().__init__(Path(__file__).with_name("nursery.py"), os.environ | programs)

    def start(self, folder, flags):
        return self.ask(json.dumps([str(folder), list(flags)]))

    def wait(self, pid):
        return self.ask(json.dumps([pid]))


@pytest.fixture(scope="module")
def nursery(is_long):
    if not is_long:
        pytest.skip("of `make faults`")
    nursery = Commands()
    yield nursery
    nursery.close()


@pytest.mark.parametrize("name", MODES)
def test_a_process_that_is_killed_at_any_moment(name, stage, nursery, count):
    """Locks, children and buffers too, which no copy of a folder has. Three kills in a row."""
    mode, rng, counted = MODES[name], np.random.default_rng(0), count(f"killed at random: {name}")
    whole = stage.folder(mode)
    nursery.wait(nursery.start(whole, mode.flags))  # whatever is to be compiled
    whole, start = stage.folder(mode), time.monotonic()
    assert nursery.wait(nursery.start(whole, mode.flags)) == 0, said(whole)
    seconds, expected = time.monotonic() - start, outcome(whole / "work")
    for _ in range(RANDOM.get(name, 30) // 3):
        folder = stage.folder(mode)
        for _ in range(3):
            pid = nursery.start(folder, mode.flags)
            time.sleep(rng.uniform(0, seconds))
            os.kill(pid, signal.SIGKILL)
            counted["killed" if nursery.wait(pid) == -signal.SIGKILL else "too late"] += 1
        status = nursery.wait(nursery.start(folder, mode.flags))
        counted["lost"] += status != 0 or outcome(folder / "work") != expected
        assert not counted["lost"], (status, said(folder))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment(number, stage, nursery, count):
    """One line, within two seconds, and then as after a kill."""
    mode, rng, counted = MODES["run, rca"], np.random.default_rng(1), count(number.name)
    for _ in range(2):  # the first one compiles, the others take as long as the second
        start, whole = time.monotonic(), stage.folder(mode)
        assert nursery.wait(nursery.start(whole, mode.flags)) == 0, said(whole)
        seconds = time.monotonic() - start
    for _ in range(20):
        folder = stage.folder(mode)
        pid = nursery.start(folder, mode.flags)
        time.sleep(rng.uniform(0.2, seconds))
        start = time.monotonic()
        os.kill(pid, number)
        status = nursery.wait(pid)
        if status == 0:
            counted["too late"] += 1
            continue
        counted["within two seconds" if time.monotonic() - start < 2 else "later"] += 1
        assert status == 128 + number
        assert said(folder).splitlines()[-1].startswith("launch.py: interrupted; what is finished")


def said(folder):
    return (folder / "stderr").read_text()[-500:]


@pytest.mark.parametrize("name", ["run, rca", "rename"])
def test_three_processes_in_one_folder(name, stage, nursery, count):
    """One does it; the others are told so, or find it done."""
    mode, alone = MODES[name], stage.folder(MODES[name])
    assert nursery.wait(nursery.start(alone, mode.flags)) == 0, said(alone)
    for _ in range(5):
        folder = stage.folder(mode)
        pids = [nursery.start(folder, mode.flags) for _ in range(3)]
        statuses = [nursery.wait(pid) for pid in pids]
        count(f"three at once: {name}").update(f"status {status}" for status in statuses)
        assert 0 in statuses
        assert set(statuses) <= {0, 2}
        assert outcome(folder / "work") == outcome(alone / "work")
