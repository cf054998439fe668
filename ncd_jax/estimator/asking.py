"""Questions and answers of a fit, as the estimator's users hold them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import Question, plan_questions
from ncd_jax.ask.resort import Resorted, resort, sight_of
from ncd_jax.ask.state import ANSWERS
from ncd_jax.data.table import Table
from ncd_jax.data.targets import Targets
from ncd_jax.discovery.solution import Asked
from ncd_jax.errors import UserError
from ncd_jax.estimator.fitting import Fit, as_value_errors
from ncd_jax.read.words import as_text
from ncd_jax.report.questions import ShownQuestion, Sorted, show_question
from ncd_jax.store.answers import KNOWN, Answers, is_answer
from ncd_jax.store.asked_files import QUESTION_COLUMNS, fingerprint, question_lines
from ncd_jax.store.asking import as_user_errors, in_resort
from ncd_jax.types import UNLABELLED

__all__ = [
    "FitRows",
    "question_frame",
    "question_shown",
    "resorted",
    "shown_cells",
]

Said = tuple[Mapping[str, Any], Mapping[int, Any]]
"""Answers to questions by their name, and classes of rows by their place."""


class FitRows(NamedTuple):
    """The rows of a fit.

    Attributes:
        targets: their labels.
        index: what their frame calls them.
        found: `i[u]`, the unlabelled ones that were sorted.
        blank: `bool[n]`, unlabelled ones without any cell.
        blank_rows: these; none where there is none.
        cells: those that questions may show, as text, by their place; none where there are none.
    """

    targets: Targets
    index: "pd.Index[Any]"
    found: np.ndarray
    blank: np.ndarray
    blank_rows: Any
    cells: pd.DataFrame | None


def shown_cells(asked: Asked | None, table: Table, found: np.ndarray) -> pd.DataFrame | None:
    """The rows that questions may show, as text, by their place; none where nothing is asked.

    Args:
        asked: what the fit left.
        table: that was fitted.
        found: `i[u]`, places of the unlabelled rows.
    """
    if asked is None:
        return None
    cells = table.original().iloc[np.flatnonzero(table.y == UNLABELLED)[asked.row]]
    text = cells.astype(object).map(lambda cell: "" if pd.isna(cell) else as_text(cell))
    return text.set_axis(found[asked.row], axis=0)


def resorted(fitted: Fit, rows: FitRows, told: Said) -> Resorted:
    """What follows from what a person said.

    Args:
        fitted: what fitting ended with.
        rows: of the fit.
        told: by a person.

    Raises:
        ValueError: there is nothing to ask, or no such question, answer, or unlabelled row.
    """
    (answers, labels), base = told, fitted.model
    if (asked := fitted.asked) is None:
        raise ValueError(
            "there is nothing to ask: no row is new, or the fit was without the judge"
            " (method='rca' has it)"
        )
    known = dict(zip(rows.targets.classes.tolist(), base.classes, strict=False))
    with as_value_errors():
        for name, answer in answers.items():
            if not (isinstance(answer, str) and is_answer(answer)):
                raise UserError(
                    f"{answer!r} is no answer to {name}; say {', '.join(ANSWERS)} or {KNOWN}CLASS"
                )
        said = Answers(
            {str(name): answer for name, answer in answers.items()},
            {int(row): known.get(name, str(name)) for row, name in labels.items()},
        )
        in_run = in_resort(said, asked, rows.found, base.classes[: base.n_known])
        with as_user_errors():
            return resort(base, asked, sight_of(asked), *in_run)


def question_frame(fitted: Fit, rows: FitRows, told: Said) -> pd.DataFrame:
    """The next ten questions, with the columns of `questions.csv`; see `resorted`."""
    lines, questions = list[tuple[Any, ...]](), list[Question]()
    if (asked := fitted.asked) is not None:
        found = resorted(fitted, rows, told)
        questions = plan_questions(sight_of(asked), found.answers, found.state.written)
        lines = question_lines(questions, asked, rows.found, found.model)
    frame = pd.DataFrame(lines, columns=list(QUESTION_COLUMNS))
    classes = rows.targets.classes
    frame["known_class"] = [classes[q.known] if q.known >= 0 else None for q in questions]
    return frame


def question_shown(
    fitted: Fit, rows: FitRows, told: Said, name: str | None = None
) -> ShownQuestion:
    """One of the next ten questions with its rows; see `resorted`.

    Args:
        fitted: what fitting ended with.
        rows: of the fit.
        told: by a person.
        name: of the question; the first one by default.

    Raises:
        ValueError: there is nothing to ask, or no such question.
    """
    found, asked = resorted(fitted, rows, told), fitted.asked
    assert asked is not None  # else it is an error already
    assert rows.cells is not None
    mark = fingerprint(asked, rows.found)
    now = Sorted(asked, rows.found, found.labels, found.model.classes, mark, rows.cells, ())
    for question in plan_questions(sight_of(asked), found.answers, found.state.written):
        if name in (None, f"{question.name}@{mark}"):
            return show_question(question, now)
    if name is None:
        raise ValueError("there is nothing left to ask")
    raise ValueError(f"{name!r} is none of the next questions; ask one of questions_")
