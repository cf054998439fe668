"""The program as its users start it, and in this process, which has imported everything."""

import io
import logging
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from absl import logging as absl_logging

from ncd_jax import startup
from ncd_jax.cli import main

ROOT = Path(__file__).parent.parent


def launch(*flags, cwd, **environment):
    """The program as its users start it, in a process of its own."""
    return subprocess.run(
        [sys.executable, str(ROOT / "launch.py"), *flags],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )


def call(*flags, cwd):
    """The same program in this process, which has imported everything and started JAX."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(startup, "one_device_per_core", lambda: None)
        patch.setattr(startup, "keep_compiled_programs", lambda folder: None)
        level = absl_logging.get_verbosity(), logging.getLogger("jax").level
        try:
            status = main(["launch.py", *flags])
        finally:
            absl_logging.set_verbosity(level[0])
            logging.getLogger("jax").setLevel(level[1])
    return subprocess.CompletedProcess(flags, status, out.getvalue(), err.getvalue())


AS_USERS_COMPILE = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
"""Of a process: what `conftest` says to compile quickly is taken back."""


class Nursery:
    """A process that has imported what takes longest and forks others: a line to it, a number back.

    Args:
        script: what it runs.
        environment: of it, beside where the package is.
    """

    def __init__(self, script, environment):
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(script)],
            env=environment | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, line):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self):
        self._process.communicate(timeout=10)
