"""Questions as people see them: rows of both groups side by side, in the words of the table."""

import html
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import Question
from ncd_jax.discovery.solution import Asked
from ncd_jax.errors import printable
from ncd_jax.report.headline import plural
from ncd_jax.store.answers import Answers
from ncd_jax.store.asking import Asking

__all__ = [
    "MOST_LINES",
    "AskingStory",
    "Line",
    "ShownQuestion",
    "Sorted",
    "contradictions",
    "differing",
    "first_story",
    "outlook",
    "show_question",
    "unsorted",
]

MOST_LINES = 14
"""Columns of the table that are shown, as lines."""


class Line(NamedTuple):
    """A column of the table: cells of both groups of a question, as text.

    One that is copied names rows and is no feature.
    """

    name: str
    is_copied: bool
    a: tuple[str, ...]
    b: tuple[str, ...]


class ShownQuestion(NamedTuple):
    """A question in words.

    Attributes:
        name: with the fingerprint of the run.
        effect: what another answer than the assumed one would do, in pieces, of which some are
            names of classes.
        chance_yes: how likely the answer is yes.
        gain: what the answer is expected to bring.
        rows_a: numbers of the rows that are shown of the one group; likewise `rows_b`.
        lines: the columns: those that name rows, then those that differ most.
    """

    name: str
    asks: str
    effect: tuple[str, ...]
    chance_yes: float
    gain: str
    rows_a: tuple[int, ...]
    rows_b: tuple[int, ...]
    lines: tuple[Line, ...]

    def table(self) -> pd.DataFrame:
        """The rows side by side, a line for each of the first columns."""
        sides = [f"A {row}" for row in self.rows_a] + [f"B {row}" for row in self.rows_b]
        lines = self.lines[:MOST_LINES]
        cells = [line.a + line.b for line in lines]
        return pd.DataFrame(cells, [line.name for line in lines], sides, dtype=object)

    def __repr__(self) -> str:
        words = f"{self.asks} {self._outlook()}\n{self.table().to_string()}"
        return printable(f"{words}\n{self.name}")

    def _repr_html_(self) -> str:
        """For a notebook; cells and names of classes are text, whatever is in them."""
        name, asks, outlook = map(html.escape, (self.name, self.asks, self._outlook()))
        table = self.table().to_html(border=0)
        return f"<p><strong>{asks}</strong> {outlook}</p>{table}<p><code>{name}</code></p>"

    def _outlook(self) -> str:
        likely = f"Yes: {self.chance_yes:.0%} likely. The answer is expected to put {self.gain}."
        return f"{''.join(self.effect)} {likely}"


class AskingStory(NamedTuple):
    """What the report says of questions and answers.

    Attributes:
        questions: the next ones, the most useful first.
        outlook: what the first one is expected to bring.
        known: names of the known classes.
        mark: of the answers that the report speaks of.
        n_moved: rows that were in another class before any answer.
        contradicted: answers that do not hold, in words.
        n_drawn: rows that the report was drawn from again; none where these are all of them.
    """

    questions: tuple[ShownQuestion, ...]
    outlook: str
    known: tuple[str, ...]
    mark: str = Answers({}, {}).mark
    n_answers: int = 0
    n_moved: int = 0
    contradicted: tuple[str, ...] = ()
    n_drawn: int | None = None


class Sorted(NamedTuple):
    """The rows that are asked about, as they are sorted now.

    Attributes:
        asked: what the run left.
        rows: `i[u]`, row numbers of the unlabelled rows.
        labels: `i[u]`, their classes; none where nobody has looked yet: groups are A and B then.
        classes: names of the classes.
        mark: the fingerprint of the run.
        cells: rows that may be shown, as text, by their number.
        copied: columns of them that name the rows and are no features.
    """

    asked: Asked
    rows: np.ndarray
    labels: np.ndarray | None
    classes: Sequence[str]
    mark: str
    cells: pd.DataFrame
    copied: Sequence[str]


def unsorted(asking: Asking, cells: pd.DataFrame) -> Sorted:
    """The rows of a run before anybody has looked at their classes; see `Asking.cells`."""
    classes, mark = asking.base.classes, asking.mark
    return Sorted(asking.asked, asking.rows, None, classes, mark, cells, asking.copied)


def show_question(question: Question, now: Sorted) -> ShownQuestion:
    """A question with the rows that it is about."""
    number = now.rows[now.asked.row]
    shown = [number[rows] for rows in (question.rows_a, question.rows_b)]
    of_a, of_b = number[question.all_a], number[question.all_b]
    others = of_b if len(of_b) else np.setdiff1d(number, of_a)  # the rest of the new rows
    names = [name for name in now.copied if name in now.cells.columns]
    order = differing(now.cells.loc[of_a].drop(columns=names), now.cells.loc[others])
    values = [now.cells.loc[rows] for rows in shown]
    lines = [
        Line(name, name in names, *(tuple(map(_short, each[name])) for each in values))
        for name in (*names, *order)
    ]
    asks = "Are A and B one class?"
    if question.known >= 0:
        asks = f"Are these rows of the known class {now.classes[question.known]}?"
    n_new, n_asked = int((now.asked.like >= 0).sum()), len(number)
    return ShownQuestion(
        name=f"{question.name}@{now.mark}",
        asks=asks,
        effect=_effect(question, now, round(question.rows_moved * n_new / n_asked)),
        chance_yes=question.chance_yes,
        gain=_gain(question, n_asked, n_new),
        rows_a=tuple(shown[0].tolist()),
        rows_b=tuple(shown[1].tolist()),
        lines=tuple(lines),
    )


def first_story(questions: Sequence[Question], now: Sorted, n_known: int) -> AskingStory:
    """What the report of a run says of its questions, the most useful first."""
    n_new, n_asked = int((now.asked.like >= 0).sum()), len(now.asked.row)
    shown = tuple(show_question(question, now) for question in questions)
    return AskingStory(shown, outlook(questions, n_asked, n_new), tuple(now.classes[:n_known]))


def outlook(questions: Sequence[Question], n_asked: int, n_new: int) -> str:
    """What the next question is expected to bring.

    It is about `n_asked` rows, a sample of the `n_new` that were new before any answer.
    """
    if not questions:
        return "there is nothing left to ask"
    said = f"the next question is expected to put {_gain(questions[0], n_asked, n_new)}"
    if not questions[0].is_worth_asking(n_asked):
        said += "; that is little: one may stop"
    return said


def contradictions(
    against: Mapping[str, Sequence[str]], answers: Mapping[str, str]
) -> tuple[str, ...]:
    """Answers that do not hold, each with those that speak against it, in words."""
    said, told = list[str](), set[frozenset[str]]()
    for name, others in against.items():
        fresh = [other for other in others if frozenset((name, other)) not in told]
        if others and not fresh:  # said from the other side already
            continue
        told |= {frozenset((name, other)) for other in others}
        why = ", ".join(f"{answers[other]!r} to {other}" for other in fresh)
        why = why or "what the rows look like, and what follows from other answers"
        said.append(f"{answers[name]!r} to {name} does not hold against {why}")
    return tuple(said)


def differing(a: pd.DataFrame, b: pd.DataFrame) -> list[str]:
    """The columns, those first in which rows `a` and `b` differ most.

    Numbers: how seldom a number of the one is on the same side of one of the other; words: half
    the sum of the differences of their shares. Both are between 0 and 1. In their own order where
    there are no rows to differ from.
    """
    if a.empty or b.empty:
        return list(a)
    n, both, score = len(a), pd.concat([a, b[a.columns]]), {}
    for name, column in both.items():
        cells = column.to_numpy(object)
        filled = cells != ""
        numbers = _numbers(cells[filled])
        if len(numbers):
            of_a = int(filled[:n].sum())
            pairs = of_a * (len(numbers) - of_a)
            above = pd.Series(numbers).rank().to_numpy()[:of_a].sum() - of_a * (of_a + 1) / 2
            score[name] = abs(2 * above / pairs - 1) if pairs else 0.0
        else:
            codes, words = pd.factorize(cells)
            shares = [np.bincount(each, minlength=len(words)) for each in (codes[:n], codes[n:])]
            apart = np.abs(shares[0] / n - shares[1] / len(b)).sum() / 2
            # What differs in every row, as names do, says nothing of groups.
            score[name] = 0.0 if len(words) > 0.5 * len(both) else float(apart)
    order = {name: i for i, name in enumerate(a.columns)}
    return sorted(order, key=lambda name: (-round(score[name], 6), order[name]))


def _numbers(cells: np.ndarray) -> np.ndarray:
    """Cells as numbers; none if one of them is no number."""
    try:
        numbers = cells.astype(np.float64)
    except ValueError:
        return np.zeros(0)
    return np.zeros(0) if np.isnan(numbers).any() else numbers


def _effect(question: Question, now: Sorted, n_rows: int) -> tuple[str, ...]:
    """What another answer than the assumed one would do to the classes as they are."""
    rows = f"{n_rows:,} {plural('row', n_rows)}"
    groups = [each for each in (question.all_a, question.all_b) if len(each)]
    names = ["A", "B"]
    if now.labels is not None:
        labels = now.labels[now.asked.row]
        names = [now.classes[int(np.bincount(labels[each]).argmax())] for each in groups]
    if len(groups[0]) > len(groups[-1]):
        names = names[::-1]
    if question.known >= 0:
        known = now.classes[question.known]
        if question.assumed:
            return (f"If not, {rows} of ", known, " would be new.")
        return (f"If so, {rows} of ", names[0], " would become ", known, ".")
    if question.assumed or names[0] == names[1]:
        return (f"If not, {rows} of ", names[0], " would become a class of their own.")
    return (f"If so, {rows} of ", names[0], " would join ", names[1], ".")


def _gain(question: Question, n_asked: int, n_new: int) -> str:
    rows = max(round(question.gain * n_new / n_asked), 1)
    points = 100 * question.gain / n_asked
    return f"{rows:,} {plural('row', rows)} right ({points:.1f} points)"


def _short(cell: Any) -> str:
    """A cell as text, a number with four digits where it is long."""
    text = str(cell)
    try:
        number = float(text)
    except ValueError:
        return text
    return text if len(text) <= 8 or number.is_integer() else f"{number:.4g}"
