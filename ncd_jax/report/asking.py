"""The conversation in the terminal: two small tables, one key an answer."""

import shutil
import sys
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncd_jax.errors import UserError, printable
from ncd_jax.precision import in_single_precision
from ncd_jax.report.headline import headline, plural
from ncd_jax.report.questions import (
    MOST_LINES,
    ShownQuestion,
    contradictions,
    outlook,
    show_question,
    unsorted,
)
from ncd_jax.report.redraw import apply
from ncd_jax.store.answers import KNOWN, Answers
from ncd_jax.store.asking import Asking, Outcome
from ncd_jax.store.workdir import Workdir

__all__ = ["answers_in_words", "converse", "question_table"]

_KEYS = {"y": "yes", "n": "no", "m": "mixed", "u": "unknown"}
_WIDEST = 18
"""Characters of a cell."""


def answers_in_words(outcome: Outcome) -> str:
    """What answers have changed, and what the next one would bring, in a few lines."""
    metrics, next_ones = outcome.metrics, outcome.questions
    n = metrics["n_answers"]
    lines = [
        f"{n} {plural('answer', n)}: {headline(metrics)}; {outcome.n_moved:,}"
        f" {plural('row', outcome.n_moved)} moved",
        f"mean confidence {metrics['mean_confidence']:.1%}",
    ]
    if before := metrics.get("before_answers"):
        k = before["n_novel_estimated"]
        lines[1] += f" (before answers: {k} novel {plural('class', k)}, "
        lines[1] += f"{before['mean_confidence']:.1%})"
    lines += contradictions(outcome.contradicted(), outcome.said.answers)
    lines.append(outlook(next_ones, outcome.n_asked, outcome.n_new))
    return printable("\n".join(lines))


@in_single_precision
def converse(
    workdir: Workdir,
    console: Console | None = None,
    read_key: Callable[[], str] | None = None,
) -> None:
    """Asks until somebody says `q`, nothing is left, or the input ends; then all is written.

    What is written to is the terminal by default; `read_key`, by default the keyboard, gives one
    key at a time and none at the end of the input.

    Raises:
        UserError: the run cannot be asked about, or nobody is there to answer.
    """
    asking = Asking(workdir)
    if read_key is None and not sys.stdin.isatty():
        raise UserError("--mode=ask needs a terminal to ask in; give --answers=FILE instead")
    console, read_key = console or Console(), read_key or _read_key
    known = asking.base.classes[: asking.base.n_known]
    now = unsorted(asking, asking.cells())
    answers, first, given = dict(asking.said.answers), asking.said, list[str]()
    try:
        while True:
            questions = asking.following(Answers(answers, first.labels))[1]
            if not questions:
                console.print("there is nothing left to ask")
                break
            question = show_question(questions[0], now)
            console.print()
            console.print(Text(printable(f"{len(answers) + 1}. {question.asks}"), style="bold"))
            console.print(question_table(question))
            console.print(Text(printable("".join(question.effect))))
            console.print(Text(outlook(questions, asking.n_asked, asking.n_new)))
            console.print(
                "[b]y[/] yes  [b]n[/] no  [b]k[/] it is a known class  [b]m[/] mixed  "
                "[b]u[/] do not know  [b]b[/] take back  [b]q[/] stop"
            )
            key = read_key().lower()
            if key in ("q", "", "\x03", "\x04"):
                break
            if key == "b" and given:
                answers.pop(given.pop())
            answer = _KEYS.get(key) or (_known(known, console, read_key) if key == "k" else None)
            if answer:
                answers[question.name] = answer
                given.append(question.name)
    except KeyboardInterrupt:
        pass
    said = Answers(answers, first.labels)
    if said != first:
        console.print(Text(answers_in_words(apply(asking, said))))


def _known(classes: Sequence[str], console: Console, read_key: Callable[[], str]) -> str | None:
    """Which known class it is, by its number; none where somebody has thought better of it."""
    for number, name in enumerate(classes, start=1):
        console.print(Text(printable(f"{number:>3} {name}")))
    console.print("its number; Enter ends it, any other key goes back")
    digits = ""
    while (key := read_key()).isascii() and key.isdigit():
        digits += key
        if 10 * int(digits) > len(classes):  # no other number begins so
            break
    number = int(digits or 0)
    is_one = (key.isdigit() or key in "\r\n") and 1 <= number <= len(classes)
    return f"{KNOWN}{classes[number - 1]}" if is_one else None


def question_table(question: ShownQuestion) -> Table:
    """Rows of both groups side by side: a line for each column, as many as there is room for."""
    room = max(shutil.get_terminal_size().columns - 24, 20)
    most = max(room // 9 // (2 if question.rows_b else 1), 2)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("", style="cyan", max_width=_WIDEST, no_wrap=True)
    for side, rows in zip("AB", (question.rows_a, question.rows_b), strict=True):
        for row in rows[:most]:
            style = "" if side == "A" else "yellow"
            table.add_column(f"{side} {row}", style=style, max_width=_WIDEST, no_wrap=True)
    for line in question.lines[:MOST_LINES]:
        values = (line.name, *line.a[:most], *line.b[:most])
        table.add_row(*(Text(printable(each)) for each in values))
    if len(question.lines) > MOST_LINES:
        table.add_row(Text(f"{len(question.lines) - MOST_LINES} more", style="dim"))
    return table


def _read_key() -> str:
    """One key from the keyboard, without waiting for the end of a line where that can be done."""
    try:
        import termios
        import tty
    except ImportError:  # no such terminal here: a line, of which the first sign counts
        return (sys.stdin.readline().strip() or "?")[:1]
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        return sys.stdin.read(1)
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
