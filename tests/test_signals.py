"""Who stops the program is told what is kept, soon, whatever it is at."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ncd_jax import flags
from ncd_jax.cli import main
from ncd_jax.signals import Interrupted, ended_by_signals

ROOT = Path(__file__).parent.parent
LINE = "launch.py: interrupted; what is finished is kept, the same command goes on"
BUSY = {
    "python": "time.sleep(60)",
    # As JAX does with what is raised in its callbacks.
    "dropped": "while True:\n    with suppress(BaseException): time.sleep(60)",
}
PROGRAM = """
import sys, time
from contextlib import suppress
from ncd_jax import cli
def busy(given):
    print("at work", flush=True)
    {}
cli._MODES["inspect"] = busy
sys.exit(cli.main(["launch.py", "--mode=inspect"]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("busy", BUSY)
def test_a_signal_is_the_end_with_a_line(busy, number, status, tmp_path):
    code = PROGRAM.format(BUSY[busy].replace("\n", "\n    "))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    with process:
        assert process.stdout.readline() == "at work\n"
        start = time.monotonic()
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        took = time.monotonic() - start
    assert said == f"{LINE}\n"
    assert process.returncode == status
    assert took < 5, "measured 0.1 and 1.1"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_is_heard_from_the_beginning(number, status, monkeypatch, capsys):
    """Before the flags are read, which takes the first half second."""
    monkeypatch.setattr(flags, "read_flags", lambda argv: signal.raise_signal(number))
    assert main(["launch.py", "--mode=inspect"]) == status
    assert capsys.readouterr().err == f"{LINE}\n"


def become_another():
    try:
        signal.raise_signal(signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise RuntimeError("as where a callback ends with an error") from error


def test_signals_mean_afterwards_what_they_meant_before():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as end, ended_by_signals("stopped"):
        become_another()
    assert end.value.status == 143
    with pytest.raises(ZeroDivisionError), ended_by_signals("stopped"):
        raise ZeroDivisionError
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert signal.set_wakeup_fd(-1) == -1
