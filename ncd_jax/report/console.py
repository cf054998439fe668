"""What a person sees while a run goes on, and at its end."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.table import Table
from rich.text import Text

from ncd_jax.discovery.progress import Phase, Reporter
from ncd_jax.report.headline import headline

__all__ = ["make_reporter", "summary"]

_QUIET_SECONDS = 5.0
"""A log file gets at most one line of progress in this time."""


def make_reporter(console: Console | None = None) -> Reporter:
    """A reporter for stderr: live on a terminal, plain lines everywhere else."""
    console = console or Console(stderr=True)
    live = console.is_terminal and not console.is_dumb_terminal
    return _LiveReporter(console) if live else _PlainReporter(console)


class _LiveReporter(Reporter):
    """One line a phase, redrawn by Rich's own thread while XLA holds the main one."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.print(Text(text, style="yellow"))

    @contextmanager
    def phase(self, name: str, detail: str = "", total: int | None = None) -> Iterator[Phase]:
        plain = self._console.options.ascii_only
        done_sign = f"[green]{'+' if plain else '✓'}[/]"
        columns = (
            SpinnerColumn("line" if plain else "dots", finished_text=done_sign),
            TextColumn("{task.description:<9}", style="bold", markup=False),
            TextColumn("{task.fields[detail]:<24}", markup=False),
            BarColumn(bar_width=16),
            _TimeColumn(),
            TextColumn("{task.fields[note]}", style="cyan", markup=False),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(name, total=total, detail=detail, note="", last_advance=0.0)
            yield _LivePhase(progress, progress.tasks[0])
            # A phase that was not counted, or skipped some of its work, is done all the same.
            done = progress.tasks[0].completed if total is None else total
            progress.update(task, total=max(done, 1), completed=max(done, 1))


class _LivePhase(Phase):
    def __init__(self, progress: Progress, task: Task) -> None:
        self._progress, self._task = progress, task

    def advance(self, n: int = 1) -> None:
        self._progress.update(self._task.id, advance=n, last_advance=self._task.elapsed or 0.0)

    def note(self, text: str) -> None:
        self._progress.update(self._task.id, note=text)


class _TimeColumn(ProgressColumn):
    """Elapsed and remaining time; Rich's own estimate needs far more frequent steps."""

    def render(self, task: Task) -> Text:
        elapsed = task.elapsed or 0.0
        text = _clock(elapsed)
        if not task.finished and task.total and task.completed:
            expected = task.fields["last_advance"] * task.total / task.completed
            text += f", {_clock(max(0.0, expected - elapsed))} left"
        return Text(text, style="dim")


class _PlainReporter(Reporter):
    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        self._console.out(text, highlight=False)

    @contextmanager
    def phase(self, name: str, detail: str = "", total: int | None = None) -> Iterator[Phase]:
        plain = _PlainPhase(self._console, name, total)
        plain.say(detail or "started")
        yield plain
        plain.say(f"done in {plain.elapsed:.1f} s")


class _PlainPhase(Phase):
    def __init__(self, console: Console, name: str, total: int | None) -> None:
        self._console, self._name, self._total = console, name, total
        self._start = self._last_line = time.monotonic()
        self._done = 0
        self._note = ""

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        noted = f"{text}, {self._note}" if self._note else text
        self._console.out(f"{self._name}: {noted}", highlight=False)
        self._last_line = time.monotonic()

    def advance(self, n: int = 1) -> None:
        self._done += n
        if time.monotonic() - self._last_line < _QUIET_SECONDS:
            return
        text = f"{self._done} done, {_clock(self.elapsed)}"
        if self._total:
            left = self.elapsed * (self._total - self._done) / self._done
            text = f"{self._done}/{self._total}, {_clock(self.elapsed)}, {_clock(left)} left"
        self.say(text)

    def note(self, text: str) -> None:
        self._note = text


def summary(
    metrics: Mapping[str, Any],
    report: Path,
    console: Console | None = None,
    *,
    there_already: bool = False,
) -> None:
    """Prints what a run found.

    Args:
        metrics: the content of `metrics.json`.
        report: where the HTML report lies.
        console: stdout where none is given.
        there_already: whether it was found earlier, and only read now.
    """
    console = console or Console()
    console.print()
    console.print(Text(headline(metrics), style="bold green"))
    likely = metrics.get("n_novel_probability", {}).get(str(metrics["n_novel_estimated"]))
    if likely is not None:
        console.print(f"the number of novel classes has a chance of {likely:.0%}", highlight=False)
    console.print(_sizes(metrics, "#" if console.options.ascii_only else "█"))
    console.print(_scores(metrics))
    took = f"took   {_clock(metrics['seconds']['total'])}"
    if there_already:
        took = "it was there already; to run again, choose another --workdir or delete it"
    console.print(f"report {report}\n{took}", markup=False, highlight=False, soft_wrap=True)


def _sizes(metrics: Mapping[str, Any], sign: str) -> Table:
    names, sizes = metrics.get("names", {}), metrics["novel_sizes"]
    rows = {names.get(f"novel_{i}", f"novel_{i}"): size for i, size in enumerate(sizes)}
    rows |= metrics["known_sizes"]
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("class")
    table.add_column("rows", justify="right")
    table.add_column()
    for name, size in rows.items():
        bar = sign * max(1, round(24 * size / max(rows.values())))
        style = "dim" if name in metrics["known_sizes"] else "blue"
        table.add_row(Text(name), str(size), Text(bar, style=style))
    return table


def _scores(metrics: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    by_chance = metrics.get("known_accuracy_by_chance")
    chance = "" if by_chance is None else f", by chance {by_chance:.0%}"
    lines = [
        ("confidence", "mean_confidence", "of a row to be in the class that stands for its own"),
        ("on hidden classes", "hidden_class_accuracy", "rows of hidden known classes found again"),
        ("known accuracy", "known_accuracy", f"held-out known rows recognised{chance}"),
        ("stability", "stability", "agreement of independent retrainings, at best 1"),
        ("accuracy against truth", "novel_acc", "novel rows in their true class"),
        ("NMI against truth", "novel_nmi", "agreement with the true classes, at best 1"),
        ("ARI against truth", "novel_ari", "the same, corrected for chance"),
    ]
    percent = {"mean_confidence", "hidden_class_accuracy", "known_accuracy", "novel_acc"}
    for name, key, meaning in lines:
        value = metrics.get(key)
        if value is not None and not math.isnan(value):
            table.add_row(name, f"{value:.1%}" if key in percent else f"{value:.2f}", meaning)
    if "n_novel_true" in metrics:
        table.add_row("true number of classes", str(metrics["n_novel_true"]), "")
    return table


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
