"""One question at a time: two groups side by side, an answer, and what it changes at once."""

import json
from typing import Any, NamedTuple

import numpy as np
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import Desk, desk_of, run_of
from ncd_jax.app.folder import Run
from ncd_jax.app.guard import read_form
from ncd_jax.app.opened import Opened
from ncd_jax.app.rendering import show
from ncd_jax.app.screen_answer import map_of
from ncd_jax.ask.state import ANSWERS
from ncd_jax.errors import UserError
from ncd_jax.report.asking import both_groups, differing, outlook, question_in_words
from ncd_jax.report.headline import headline
from ncd_jax.store.answers import Answers

__all__ = ["ROUTES", "Asked", "asked_now"]

_FIRST_LINES = 12
"""Columns that are seen before more are wanted."""


class Asked(NamedTuple):
    """A question as the screen shows it.

    Attributes:
        name: that the answer goes by.
        words: the question.
        sides: of each group, its letter and the rows that are shown.
        lines: of each column its name, and the cells of all rows that are shown.
        first: how many lines are seen at first.
        outlook: what the answer may bring.
    """

    name: str
    words: str
    sides: list[tuple[str, list[int]]]
    lines: list[tuple[str, list[str]]]
    first: int
    outlook: str


def asked_now(opened: Opened) -> Asked | None:
    """The next question; none where nothing is left."""
    asking = opened.asking
    state, questions = asking.following(asking.said)
    if not questions:
        return None
    question, number = questions[0], asking.rows[asking.asked.row]
    a, b = both_groups(asking, state, question)
    others = b if len(b) else np.setdiff1d(number, a)
    cells = opened.cells
    columns = [name for name in asking.copied if name in cells.columns]
    columns += differing(cells.loc[a].drop(columns=columns), cells.loc[others])
    shown = {"A": number[question.rows_a].tolist(), "B": number[question.rows_b].tolist()}
    rows = [row for side in shown.values() for row in side]
    return Asked(
        name=f"{question.name}@{asking.mark}",
        words=question_in_words(asking, question),
        sides=[(letter, side) for letter, side in shown.items() if side],
        lines=[(name, [str(cells.at[row, name]) for row in rows]) for name in columns],
        first=_FIRST_LINES,
        outlook=outlook(questions, asking.n_asked, asking.n_new),
    )


def _page(request: Request, run: Run, error: str = "", status: int = 200) -> Response:
    opened = desk_of(request).opened.get(run)
    part = request.headers.get("x-part") == "yes"
    values: dict[str, Any] = {"opened": opened, "why_not": opened.why_not_asked, "part": part}
    if not opened.why_not_asked:
        found = map_of(opened)
        moving = {k: found[k] for k in ("label", "confidence", "runner_up", "classes")}
        values |= {
            "asked": asked_now(opened),
            "n_said": len(opened.asking.said),
            "moving": json.loads(json.dumps(moving), parse_constant=lambda _: None),
        }
    return show(
        request,
        "question" if part else "ask",
        run,
        status,
        **{**values, "screen": "ask"},
        metrics=opened.metrics,
        headline=headline(opened.metrics),
        classes=opened.classes(),
        error=error,
    )


def ask(request: Request) -> Response:
    """The screen."""
    return _page(request, run_of(request))


async def answered(request: Request) -> Response:
    """Takes an answer, or the last one back."""
    run, form = run_of(request), await read_form(request)
    try:
        question, answer = (form.get(name, [""])[0] for name in ("question", "answer"))
        await run_in_threadpool(_tell, desk_of(request), run, question, answer)
    except UserError as error:
        return await run_in_threadpool(_page, request, run, str(error), 422)
    if request.headers.get("x-part") == "yes":
        return await run_in_threadpool(_page, request, run)
    return RedirectResponse(f"/runs/{run.name}/ask", 303)


def _tell(desk: Desk, run: Run, question: str, answer: str) -> None:
    said = desk.opened.get(run).asking.said
    answers = dict(said.answers)
    if answer == "back":
        if not answers:
            raise UserError("there is no answer to take back")
        answers.pop(question if question in answers else list(answers)[-1])
    elif answer in ANSWERS:
        answers[question] = answer
    else:
        raise UserError(f"{answer!r} is no answer; choose one of the buttons")
    desk.opened.tell(run, Answers(answers, said.labels))


ROUTES = [
    Route("/runs/{name}/ask", ask),
    Route("/runs/{name}/ask", answered, methods=["POST"]),
]
