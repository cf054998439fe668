"""The conversation in the terminal: two small tables, one key an answer."""

import shutil
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ncd_jax.ask.choose import Question
from ncd_jax.ask.state import State
from ncd_jax.ask.subject import parse_subject
from ncd_jax.errors import UserError, printable
from ncd_jax.precision import in_single_precision
from ncd_jax.report.headline import headline, plural
from ncd_jax.store.answers import Answers
from ncd_jax.store.asking import Asking, Outcome
from ncd_jax.store.workdir import Workdir

__all__ = [
    "answers_in_words",
    "both_groups",
    "converse",
    "differing",
    "outlook",
    "question_in_words",
    "question_table",
]

_KEYS = {"y": "yes", "n": "no", "m": "mixed", "u": "unknown"}
_WIDEST = 18
"""Characters of a cell."""
_MOST_ROWS = 14
"""Columns of the table that are shown, as lines."""


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
    if outcome.contradicted:
        lines.append(f"these answers do not all hold: {', '.join(outcome.contradicted)}")
    lines.append(outlook(next_ones, outcome.n_asked, outcome.n_new))
    return printable("\n".join(lines))


def outlook(questions: Sequence[Question], n_asked: int, n_new: int) -> str:
    """What the next question would bring, told of `n_new` rows of which it is about `n_asked`."""
    if not questions:
        return "there is nothing left to ask"
    if not questions[0].is_worth_asking(n_asked):
        return "the next question is expected to change little: one may stop"
    rows = max(round(questions[0].gain * n_new / n_asked), 1)
    points = questions[0].points(n_asked)
    return (
        f"the next question is expected to put {rows:,} {plural('row', rows)} right"
        f" ({points:.1f} points)"
    )


@in_single_precision
def converse(
    workdir: Workdir,
    console: Console | None = None,
    read_key: Callable[[], str] | None = None,
) -> None:
    """Asks until somebody says `q`, nothing is left, or the input ends; then all is written.

    Args:
        workdir: of a finished run.
        console: where to write; the terminal by default.
        read_key: gives one key at a time, none at the end of the input; the keyboard by default.

    Raises:
        UserError: the run cannot be asked about, or nobody is there to answer.
    """
    asking = Asking(workdir)
    if read_key is None and not sys.stdin.isatty():
        raise UserError("--mode=ask needs a terminal to ask in; give --answers=FILE instead")
    console, read_key = console or Console(), read_key or _read_key
    cells, given = asking.cells(), list[str]()
    answers, first = dict(asking.said.answers), asking.said
    try:
        while True:
            said = Answers(answers, asking.said.labels)
            state, questions = asking.following(said)
            if not questions:
                console.print("there is nothing left to ask")
                break
            question = questions[0]
            a, b = both_groups(asking, state, question)
            console.print()
            words = f"{len(answers) + 1}. {question_in_words(asking, question)}"
            console.print(Text(printable(words), style="bold"))
            console.print(question_table(cells, asking, question, a, b))
            console.print(outlook(questions, asking.n_asked, asking.n_new))
            console.print(
                "[b]y[/] yes  [b]n[/] no  [b]m[/] mixed  [b]u[/] do not know  "
                "[b]b[/] take back  [b]q[/] stop"
            )
            key = read_key().lower()
            if key in ("q", "", "\x03", "\x04"):
                break
            if key == "b" and given:
                answers.pop(given.pop())
            elif key in _KEYS:
                name = f"{question.name}@{asking.mark}"
                answers[name] = _KEYS[key]
                given.append(name)
    except KeyboardInterrupt:
        pass
    said = Answers(answers, first.labels)
    if said != first:
        console.print(Text(answers_in_words(asking.write(said))))


def both_groups(asking: Asking, state: State, question: Question) -> tuple[np.ndarray, np.ndarray]:
    """All rows of both groups of a question, as numbers in the table."""
    parsed = parse_subject(question.name)
    assert parsed is not None
    number = asking.rows[asking.asked.row]
    sides = []
    for nodes in (parsed[0].a, parsed[0].b):
        under = state.leaves.under(nodes).tolist()
        rows = state.leaves.rows_of(under) if under else np.zeros(0, int)
        sides.append(number[rows])
    return sides[0], sides[1]


def question_in_words(asking: Asking, question: Question) -> str:
    """What is asked, in a sentence."""
    if question.known >= 0:
        return f"Are these rows of the known class {asking.base.classes[question.known]}?"
    return "Are A and B one class?"


def question_table(
    cells: pd.DataFrame, asking: Asking, question: Question, a: np.ndarray, b: np.ndarray
) -> Table:
    """Rows of both groups side by side: a line for each column, the most different ones first.

    What names a row, and is no feature, stands in front.

    Args:
        cells: rows that may be shown, by their number.
        asking: the run.
        question: what is asked.
        a: all rows of the one group, by number.
        b: of the other; where there is none, all other rows stand for it.
    """
    number = asking.rows[asking.asked.row]
    others = b if len(b) else np.setdiff1d(number, a)
    columns = [name for name in asking.copied if name in cells.columns]
    columns += differing(cells.loc[a].drop(columns=columns), cells.loc[others])
    room = max(shutil.get_terminal_size().columns - 24, 20)
    shown = [number[question.rows_a], number[question.rows_b]]
    most = max(room // 9 // (2 if len(b) else 1), 2)
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("", style="cyan", max_width=_WIDEST, no_wrap=True)
    for side, rows in zip("AB", shown, strict=True):
        for row in rows[:most]:
            style = "" if side == "A" else "yellow"
            table.add_column(f"{side} {row}", style=style, max_width=_WIDEST, no_wrap=True)
    for name in columns[:_MOST_ROWS]:
        values = [cells.at[row, name] for rows in shown for row in rows[:most]]
        table.add_row(*(Text(printable(_short(str(each)))) for each in (name, *values)))
    if len(columns) > _MOST_ROWS:
        table.add_row(Text(f"{len(columns) - _MOST_ROWS} more", style="dim"))
    return table


def differing(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """The columns, those first in which rows `a` and `b` differ most.

    Numbers: how seldom a number of the one is on the same side of one of the other; words: half
    the sum of the differences of their shares. Both are between 0 and 1.
    """
    score = {}
    for name in a.columns:
        both = pd.concat([a[name], b[name]])
        numbers = pd.to_numeric(both.replace("", np.nan), errors="coerce")
        if numbers.notna().sum() >= (both != "").sum() > 0:
            rank, n = numbers.rank(), numbers.iloc[: len(a)].notna().sum()
            m = numbers.notna().sum() - n
            above = rank.iloc[: len(a)].sum() - n * (n + 1) / 2
            score[name] = abs(2 * above / (n * m) - 1) if n and m else 0.0
        else:
            shares = [each[name].value_counts(normalize=True) for each in (a, b)]
            apart = shares[0].sub(shares[1], fill_value=0).abs().sum() / 2
            # What differs in every row, as names do, says nothing of groups.
            score[name] = 0.0 if both.nunique() > 0.5 * len(both) else float(apart)
    order = {name: i for i, name in enumerate(a.columns)}
    return sorted(order, key=lambda name: (-round(score[name], 6), order[name]))


def _short(text: str) -> str:
    try:
        number = float(text)
    except ValueError:
        return text
    return text if len(text) <= 8 or number.is_integer() else f"{number:.4g}"


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
