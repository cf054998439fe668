"""A disk that is full, a place that cannot be written, a cache that is damaged."""

import errno
import shutil
import subprocess
import sys
from contextlib import contextmanager

import jax
import numpy as np
import pytest
from launching import ROOT, call
from modes import MODES
from moments import watched

pytestmark = [
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The value of `grace_period` might be too small"),
]
SHORT = {"run, rca": 1, "ask": 1, "assign": 1, "rename": 3, "compare": 2}
"""Writes of each mode that fail in every session; the others are of `make faults`."""


def is_one_line(ended):
    """Whether a command ended as it should: its last line says what is wrong."""
    last = ended.stderr.splitlines()[-1]
    return ended.returncode in (1, 2) and last.startswith("launch.py: ") and "No space" in last


@pytest.mark.parametrize("name", MODES)
def test_no_room_from_a_write_on(name, stage, is_long, count):
    """The command says so in one line; with room again it comes to what it would have come to."""
    if not is_long and name not in SHORT:
        pytest.skip("of `make faults`")
    mode, n_writes = MODES[name], sum(map(needs_room, stage.undisturbed(name).calls))
    n = min(20 if is_long else SHORT.get(name, 0), n_writes)
    for first in np.random.default_rng(1).permutation(n_writes)[:n].tolist():
        folder, left = stage.folder(mode), first

        def full(event):
            nonlocal left
            if needs_room(event):
                left -= 1
                if left < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")

        with watched(folder / "work", full):
            ended = call(*mode.flags, cwd=folder)
        assert is_one_line(ended), (first, ended.stderr)
        assert stage.difference(name, folder) == []
        count(f"no room from a write on: {name}")["survived"] += 1


def needs_room(event):
    return event in ("open", "os.fsync")


@contextmanager
def disk(folder, kilobytes):
    """A disk of its own, `grow` of which makes it large; skips who may not have one."""
    folder.mkdir()
    options = ["-o", f"size={kilobytes}k"]
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk of its own: {mounted.stderr.decode().strip()}")
    try:
        yield lambda options: subprocess.run(
            ["mount", "-o", f"remount,{options}", folder], check=True
        )
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
@pytest.mark.parametrize("name", ["run, rca", "run, pbn", "rename", "ask"])
def test_a_small_disk(name, stage, is_long, count):
    mode = MODES[name]
    if name != "rename" and not is_long:
        pytest.skip("of `make faults`")
    for kilobytes in np.geomspace(4, 6000, 20 if is_long else 1).astype(int).tolist():
        folder = stage.folder(mode)
        there = sum(f.stat().st_size + 4096 for f in folder.glob("work/**/*")) // 1024
        shutil.move(folder / "work", folder / "before") if mode.needs else None
        with disk(folder / "work", kilobytes + there) as remount:
            if mode.needs:
                shutil.copytree(folder / "before", folder / "work", dirs_exist_ok=True)
            ended = call(*mode.flags, cwd=folder)
            assert ended.returncode == 0 or is_one_line(ended), (kilobytes, ended.stderr)
            count(f"small disk: {name}")["fitted" if ended.returncode == 0 else "survived"] += 1
            remount("size=64m")
            assert stage.difference(name, folder) == []


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_a_place_that_is_only_read(stage):
    """Each command says so in one line; what only reads works."""
    mode = MODES["compare"]
    folder = stage.folder(mode)
    shutil.move(folder / "work", folder / "before")
    with disk(folder / "work", 8000) as remount:
        shutil.copytree(folder / "before", folder / "work", dirs_exist_ok=True)
        remount("ro")
        for name in ("assign", "rename", "ask", "compare"):
            ended = call(*MODES[name].flags, cwd=folder)
            assert ended.returncode == 2, ended.stderr
            assert ended.stderr.count("\n") == 1
            assert "work cannot be written (Read-only file system)" in ended.stderr
        there = call(*MODES["run, rca"].flags, cwd=folder)
        assert (there.returncode, "was there already" in there.stdout) == (0, True)
        flags = [flag.replace("=work", "=work/new") for flag in MODES["run, rca"].flags]
        assert "cannot be written" in call(*flags, cwd=folder).stderr


PROGRAM = """
import sys, jax, jax.numpy as jnp, numpy as np
from pathlib import Path
from ncd_jax.startup import keep_compiled_programs
keep_compiled_programs(sys.argv[1])
def answer():
    jax.clear_caches()
    return float(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x))(jnp.arange(9.0)))
right = answer()
programs = {path: path.read_bytes() for path in Path(sys.argv[1]).iterdir()}
assert any(programs.values())
damages = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "noise": lambda data: np.random.default_rng(0).bytes(len(data)),
}
for how, damage in damages.items():
    for path, data in programs.items():
        path.write_bytes(damage(data))
    assert answer() == right, how
"""


def test_a_damaged_cache_of_programs_costs_time_and_nothing_else(tmp_path):
    """In a process of its own, which looks for every program again."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_memory_that_ran_out_is_a_line(stage, monkeypatch):
    from ncd_jax import experiment

    for error, word in (
        (MemoryError("Unable to allocate 7 GiB"), "memory ran out (Unable to allocate 7 GiB)"),
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 7"),
            "EXHAUSTED: 7; where memory",
        ),
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(experiment, "solve_problems", fail)
        ended = call(*MODES["run, rca"].flags, cwd=stage.folder(MODES["run, rca"]))
        assert ended.returncode == 1
        assert word in ended.stderr.splitlines()[-1]
