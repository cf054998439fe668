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

from ncd_jax.errors import printable
from ncd_jax.progress import Phase, Reporter
from ncd_jax.read.columns import TableReading
from ncd_jax.report.headline import headline

__all__ = ["make_reporter", "print_reading", "summary"]

_REMEDIES = (
    "--numbers= --dates= --categories= --circular= --missing= --drop= --encoding= --decimal="
    " --sheet="
)
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
        self._console.print(_text(text, "yellow"))

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
            name, detail = printable(name), printable(detail)
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
        self._progress.update(self._task.id, note=printable(text))


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
        self._console.out(printable(text), highlight=False)

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
        self._console.out(printable(f"{self._name}: {noted}"), highlight=False)
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
    """Prints what a run found, warnings first; to stdout by default.

    Where it was `there_already` it was found earlier, and is only read now.
    """
    console = console or Console()
    console.print()
    for warning in metrics["warnings"]:
        console.print(_text(f"warning: {warning}", "bold yellow"), soft_wrap=True)
    console.print(_text(headline(metrics), "bold green"))
    likely = metrics.get("n_novel_probability", {}).get(str(metrics["n_novel_estimated"]))
    if likely is not None:
        console.print(f"the chance that this number is right: {likely:.0%}", highlight=False)
    console.print(_sizes(metrics, "#" if console.options.ascii_only else "█"))
    console.print(_scores(metrics))
    took = f"took   {_clock(metrics['seconds']['total'])}"
    if there_already:
        took = "it was there already; to run again, choose another --workdir or delete it"
    console.print(_text(f"report {report}\n{took}"), soft_wrap=True)


def print_reading(reading: TableReading, console: Console | None = None) -> None:
    """Prints a line for each column, and the notes, to stdout."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(width=max(console.width, 160), file=console.file)
    facts = [f"{name} {value!r}" for name, value in reading.facts.items()]
    console.print(_text(", ".join(facts) or "columns with types of their own"))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("column", "read as", "filled", "gaps", "remark"):
        table.add_column(title, justify="right" if title == "filled" else "left", overflow="fold")
    for each in reading.columns:
        style = "dim" if each.kind == "left out" else "bold" if each.kind == "label" else ""
        cells = (each.name, each.read_as, str(each.filled), each.gap_text(), each.remark)
        table.add_row(*map(_text, cells), style=style)
    console.print(table)
    for note in reading.notes:
        console.print(_text(f"note: {note}", "yellow"))
    console.print(_text(f"Read otherwise with {_REMEDIES}", "dim"))


def _text(text: str, style: str = "") -> Text:
    """Text that may hold names of the user's: no markup, and nothing that moves the cursor."""
    return Text(printable(text), style=style)


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
        table.add_row(_text(name), str(size), Text(bar, style=style))
    return table


def _scores(metrics: Mapping[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column(style="dim")
    by_chance = metrics.get("known_accuracy_by_chance")
    recognised = "rows whose label was taken away that got it back"
    if metrics["n_known_classes"] == 1:
        recognised = "rows whose label was taken away that were not taken for new"
    elif by_chance is not None:
        recognised += f"; always naming the largest class: {by_chance:.0%}"
    found = "rows of known classes, hidden on purpose, that were found again"
    apart = metrics.get("hidden_class_accuracy_by", {})
    if len(apart) > 1:
        found += f"; several hidden {apart['several']:.0%}, one hidden {apart['one']:.0%}"
    lines = [
        ("confidence", "mean_confidence", "how likely a row is to be sorted right, on average"),
        ("on hidden classes", "hidden_class_accuracy", found),
        ("known accuracy", "known_accuracy", recognised),
        ("stability", "stability", "agreement of trainings from other random starts, at best 1"),
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
