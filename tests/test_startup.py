"""Compiled programs are kept by our own programs, within bounds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncd_jax.startup import _forget_least_recent

ROOT = Path(__file__).parent.parent
COMPILE = """
import jax, sys
from ncd_jax.startup import keep_compiled_programs
keep_compiled_programs(*sys.argv[1:])
jax.jit(lambda x: x + 1)(1.0)
"""


def compile_in(home, *arguments, **variables):
    """Compiles a program in a process of its own; returns the folders where it was kept."""
    environment = {k: v for k, v in os.environ.items() if "COMPILATION_CACHE" not in k}
    environment |= {"XDG_CACHE_HOME": str(home / "user"), "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", COMPILE, *arguments]
    answer = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    return {str(path.parent.relative_to(home)) for path in home.rglob("*-cache")}


@pytest.mark.parametrize(
    ("arguments", "variables", "folders"),
    [
        ([], {}, {"user/ncd_jax/compiled"}),
        (["flag"], {"NCD_JAX_COMPILATION_CACHE": "variable"}, {"flag"}),
        ([], {"NCD_JAX_COMPILATION_CACHE": "variable"}, {"variable"}),
        (["off"], {}, set()),
        ([], {"NCD_JAX_COMPILATION_CACHE": "off"}, set()),
    ],
)
def test_where_programs_are_kept(tmp_path, arguments, variables, folders):
    assert compile_in(tmp_path, *arguments, **variables) == folders


def test_what_jax_itself_was_told_counts(tmp_path):
    settings = {"JAX_COMPILATION_CACHE_DIR": "mine"}
    compile_in(tmp_path, **settings)
    assert not (tmp_path / "user").exists()


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
