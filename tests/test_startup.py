"""Compiled programs are kept by our own programs, within bounds."""

import json
import os
import subprocess
import sys
from pathlib import Path

from ncd_jax.startup import _forget_least_recent

ROOT = Path(__file__).parent.parent
COMPILE = """
import json, os, sys
import jax
from ncd_jax.startup import keep_compiled_programs
for home, arguments, variables in json.loads(sys.argv[1]):
    if not os.fork():  # imports take longest
        os.chdir(home)
        os.environ.update(variables, XDG_CACHE_HOME=home + "/user")
        keep_compiled_programs(*arguments)
        jax.jit(lambda x: x + 1)(1.0)
        os._exit(0)
    assert os.wait()[1] == 0
"""
CASES = [
    ([], {}, {"user/ncd_jax/compiled"}),
    (["flag"], {"NCD_JAX_COMPILATION_CACHE": "variable"}, {"flag"}),
    ([], {"NCD_JAX_COMPILATION_CACHE": "variable"}, {"variable"}),
    (["off"], {}, set()),
    ([], {"NCD_JAX_COMPILATION_CACHE": "off"}, set()),
    # What JAX itself was told counts; it was told nothing when it was imported.
    ([], {"JAX_COMPILATION_CACHE_DIR": "mine"}, set()),
]


def compile_in(folder, *cases):
    """Compiles a program for each case, in a process of its own; returns where each was kept."""
    environment = {k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k}
    environment |= {"PYTHONPATH": str(ROOT)}
    homes = [folder / str(i) for i in range(len(cases))]
    for home in homes:
        home.mkdir()
    told = json.dumps([(str(home), *case) for home, case in zip(homes, cases, strict=True)])
    command = [sys.executable, "-W", "ignore", "-c", COMPILE, told]
    answer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return [{str(p.parent.relative_to(home)) for p in home.rglob("*-cache")} for home in homes]


def test_where_programs_are_kept(tmp_path):
    kept = compile_in(tmp_path, *((arguments, variables) for arguments, variables, _ in CASES))
    assert kept == [folders for _, _, folders in CASES]


def test_the_least_recently_used_are_forgotten(tmp_path):
    for age, name in enumerate(["new", "used", "old"]):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    os.utime(tmp_path / "used", (2e9, 1e9 - 1))
    _forget_least_recent(tmp_path, 300)
    assert len(list(tmp_path.iterdir())) == 3
    _forget_least_recent(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {"new", "used"}
    _forget_least_recent(tmp_path, 100)
    assert {path.name for path in tmp_path.iterdir()} == {"used"}


def test_who_imports_the_library_decides_for_himself():
    users = [p for p in (ROOT / "ncd_jax").rglob("*.py") if "keep_compiled" in p.read_text()]
    assert {path.name for path in users} == {"startup.py", "cli.py"}
