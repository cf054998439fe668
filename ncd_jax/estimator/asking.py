"""Questions and answers of a fit, as the estimator's users hold them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import plan_questions
from ncd_jax.ask.resort import Resorted, resort, sight_of
from ncd_jax.ask.state import ANSWERS
from ncd_jax.data.targets import Targets
from ncd_jax.discovery.asked import Asked
from ncd_jax.discovery.model import Model
from ncd_jax.errors import UserError
from ncd_jax.estimator.fitting import Fit, as_value_errors
from ncd_jax.store.answers import KNOWN, Answers, is_answer
from ncd_jax.store.asked_files import QUESTION_COLUMNS, question_lines
from ncd_jax.store.asking import as_user_errors, in_resort

__all__ = ["FitRows", "question_frame", "resorted", "what_is_asked"]


class FitRows(NamedTuple):
    """The rows of a fit.

    Attributes:
        targets: their labels.
        index: what their frame calls them.
        found: `i[u]`, the unlabelled ones that were sorted.
        blank: `bool[n]`, unlabelled ones without any cell.
        blank_rows: these; none where there is none.
    """

    targets: Targets
    index: "pd.Index[Any]"
    found: np.ndarray
    blank: np.ndarray
    blank_rows: Any


def what_is_asked(fitted: Fit) -> Asked:
    """What a person can be asked about.

    Raises:
        ValueError: nothing.
    """
    if fitted.asked is None:
        raise ValueError(
            "there is nothing to ask: no row is new, or the fit was without the judge"
            " (method='rca' has it)"
        )
    return fitted.asked


def resorted(
    asked: Asked,
    base: Model,
    rows: np.ndarray,
    answers: Mapping[str, Any],
    labels: Mapping[int, Any],
    targets: Targets,
) -> Resorted:
    """What follows from what a person said.

    Args:
        asked: what the fit left.
        base: the model before any answer.
        rows: `i[u]`, places of the unlabelled rows.
        answers: to questions by their name.
        labels: classes of rows by their place.
        targets: the labels of the fit.

    Raises:
        ValueError: there is no such question, answer, or unlabelled row.
    """
    known = dict(zip(targets.classes.tolist(), base.classes, strict=False))
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
        told = in_resort(said, asked, rows, base.classes[: base.n_known])
        with as_user_errors():
            return resort(base, asked, sight_of(asked), *told)


def question_frame(
    asked: Asked, rows: np.ndarray, found: Resorted, targets: Targets
) -> pd.DataFrame:
    """The next ten questions, with the columns of `questions.csv`.

    Args:
        asked: what the fit left.
        rows: `i[u]`, places of the unlabelled rows.
        found: what follows from the answers so far.
        targets: the labels of the fit.
    """
    questions = plan_questions(sight_of(asked), found.answers, found.state.written)
    lines = question_lines(questions, asked, rows, found.model)
    frame = pd.DataFrame(lines, columns=list(QUESTION_COLUMNS))
    frame["known_class"] = [targets.classes[q.known] if q.known >= 0 else None for q in questions]
    return frame
