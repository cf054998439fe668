import io
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from ncd_jax.report import console as module
from ncd_jax.report.console import Phase, Reporter, make_reporter, summary
from ncd_jax.report.findings import Findings


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def plain_console() -> Console:
    return Console(file=io.StringIO(), width=60)


def live_console() -> Console:
    return Console(file=io.StringIO(), width=110, force_terminal=True)


def text(console: Console) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def test_a_log_gets_few_whole_lines(clock: Clock):
    console = plain_console()
    with make_reporter(console).phase("tune", "[b]32[/b] candidates", 8) as phase:
        for _ in range(8):
            clock.now += 2
            phase.advance()
            phase.note("best 81%")
    assert text(console).splitlines() == [
        "tune: [b]32[/b] candidates",
        "tune: 3/8, 6 s, 10 s left, best 81%",
        "tune: 6/8, 12 s, 4 s left, best 81%",
        "tune: done in 16.0 s, best 81%",
    ]


def test_work_that_cannot_be_counted(clock: Clock):
    console = plain_console()
    with make_reporter(console).phase("refit") as phase:
        clock.now += 3725
        phase.advance(2)
    assert text(console).splitlines() == [
        "refit: started",
        "refit: 2 done, 1 h 02 min",
        "refit: done in 3725.0 s",
    ]


@pytest.mark.parametrize("total", [None, 0, 4])
def test_a_terminal_gets_one_line_a_phase(total: int | None):
    console = live_console()
    with make_reporter(console).phase("tune", "[b]x[/b]", total) as phase:
        for _ in range(total or 0):
            phase.advance()
        phase.note("best 81%")
    last = text(console).strip().splitlines()[-1].split("\r")[-1]
    assert last.startswith("✓ tune")
    assert "[b]x[/b]" in last
    assert last.rstrip().endswith("best 81%")


def test_the_time_left_counts_from_the_last_advance():
    now = 0.0
    progress = Progress(console=live_console(), get_time=lambda: now)
    progress.add_task("tune", total=4, last_advance=0.0)
    task = progress.tasks[0]
    phase = module._LivePhase(progress, task)
    column = module._TimeColumn()
    assert column.render(task).plain == "0 s"
    now = 30.0
    phase.advance()
    assert column.render(task).plain == "30 s, 1 min 30 s left"
    now = 50.0
    assert column.render(task).plain == "50 s, 1 min 10 s left"
    now = 500.0
    assert column.render(task).plain == "8 min 20 s, 0 s left"


@pytest.mark.parametrize("make", [plain_console, live_console])
def test_a_phase_that_fails_is_not_called_done(make):
    console = make()
    with pytest.raises(ZeroDivisionError), make_reporter(console).phase("tune"):
        raise ZeroDivisionError
    assert "done" not in text(console)
    assert "✓" not in text(console)


def test_the_silent_reporter_is_silent(capfd):
    with Reporter().phase("tune", "x", 3) as phase:
        phase.advance()
        phase.note("best")
    assert type(phase) is Phase
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_stderr_and_the_summary_to_stdout(capsys, findings: Findings):
    with make_reporter().phase("tune"):
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert "tune" in err
    summary(findings.metrics, Path("report.html"))
    out, err = capsys.readouterr()
    assert "5 novel classes" in out
    assert err == ""


def test_the_summary_says_it_all(findings: Findings):
    console = Console(file=io.StringIO(), width=100)
    summary(findings.metrics, Path("runs/[b]/report.html"), console)
    shown = text(console)
    assert "5 novel classes among 890 unlabelled rows" in shown
    for i, size in enumerate(findings.metrics["novel_sizes"]):
        assert re.search(rf"novel_{i} +{size} ", shown)
    for part in ("96.2%", "0.93", "87.3%", "0.81", "0.78", "runs/[b]/report.html", "2 min 42 s"):
        assert part in shown


def test_the_summary_without_truth(least_findings: Findings):
    console = Console(file=io.StringIO(), width=100)
    summary({**least_findings.metrics, "known_accuracy": None}, Path("r.html"), console)
    shown = text(console)
    assert "1 novel class among 1 unlabelled row\n" in shown
    assert "truth" not in shown
    assert "stability" not in shown
    assert "known accuracy" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_without_the_signs_gets_others(findings: Findings, encoding: str):
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=100, force_terminal=True, legacy_windows=False)
    with make_reporter(console).phase("tune", "candidates", 2) as phase:
        phase.advance(2)
    summary(findings.metrics, Path("report.html"), console)
    file.flush()
    shown = file.buffer.getvalue().decode(encoding)
    assert "####" in shown
    assert "+\x1b[0m \x1b[1mtune" in shown


def test_the_summary_of_a_run_that_was_there_already(findings: Findings):
    console = Console(file=io.StringIO(), width=100)
    summary(findings.metrics, Path("r.html"), console, there_already=True)
    shown = text(console)
    assert "report r.html" in shown
    assert "there already" in shown
    assert "took" not in shown
