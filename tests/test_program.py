"""The end of the process: soon, but nothing that others have asked for is left out."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROGRAM = """
import atexit, sys, threading, time
from ncd_jax import cli
class Slow:
    def __del__(self):
        print("taken apart")
slow = Slow()
def mode(given):
    atexit.register(print, "handlers")
    print("done")
    {}
cli._MODES["inspect"] = mode
sys.argv = ["launch.py", "--mode={}"]
cli.program()
"""


def ended(mode="inspect", more="", **how):
    code = PROGRAM.format(more, mode)
    return subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, text=True, **how
    )


def test_what_is_loaded_is_not_taken_apart():
    end = ended(capture_output=True)
    assert (end.returncode, end.stdout.split(), end.stderr) == (0, ["done", "handlers"], "")


def test_the_status_is_that_of_the_mode():
    end = ended("nothing", capture_output=True)
    assert end.returncode == 2
    assert "--mode=nothing is unknown" in end.stderr


def test_threads_are_waited_for():
    late = "threading.Thread(target=lambda: (time.sleep(0.2), print('late'))).start()"
    end = ended(more=late, capture_output=True)
    assert end.stdout.split() == ["done", "late", "handlers", *["taken", "apart"]]
    assert end.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_what_cannot_be_written_is_a_failure():
    with open("/dev/full", "w") as full:
        end = ended(stdout=full, stderr=subprocess.PIPE)
    assert end.returncode == 120, "what Python ends with where it cannot write"
    assert "No space left" in end.stderr
