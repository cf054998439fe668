"""One question at a time: two groups side by side, an answer, and what it changes at once."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ncd_jax.app.at_once import classes_at_once, labels_at_once
from ncd_jax.app.desk import Desk, desk_of, run_of
from ncd_jax.app.folder import Run
from ncd_jax.app.guard import read_form
from ncd_jax.app.opened import Opened
from ncd_jax.app.rendering import show
from ncd_jax.app.screen_answer import map_of
from ncd_jax.ask.choose import Question
from ncd_jax.errors import UserError
from ncd_jax.report.headline import headline, plural
from ncd_jax.report.questions import outlook, show_question, unsorted
from ncd_jax.store.answers import KNOWN, Answers, is_answer

__all__ = ["ROUTES", "Asked", "asked_now"]

_MOST_COLUMNS = 60


class Asked(NamedTuple):
    """A question as the screen shows it.

    Attributes:
        name: that the answer goes by.
        words: the question.
        columns: of the table, those first in which the groups differ most.
        sides: of each group its letter and the rows that are shown, each with its cells.
        outlook: what the answer may bring.
    """

    name: str
    words: str
    columns: list[str]
    sides: list[tuple[str, list[tuple[int, list[str]]]]]
    outlook: str


def asked_now(opened: Opened, questions: Sequence[Question]) -> Asked | None:
    """The next question; none where nothing is left."""
    asking = opened.asking
    if not questions:
        return None
    shown = show_question(questions[0], unsorted(asking, opened.cells))
    lines = shown.lines[:_MOST_COLUMNS]
    rows_a = [(row, [line.a[i] for line in lines]) for i, row in enumerate(shown.rows_a)]
    rows_b = [(row, [line.b[i] for line in lines]) for i, row in enumerate(shown.rows_b)]
    return Asked(
        name=shown.name,
        words=shown.asks,
        columns=[line.name for line in lines],
        sides=[(letter, rows) for letter, rows in (("A", rows_a), ("B", rows_b)) if rows],
        outlook=outlook(questions, asking.n_asked, asking.n_new),
    )


def _page(
    request: Request, run: Run, error: str = "", status: int = 200, *, at_once: bool = False
) -> Response:
    desk, part = desk_of(request), request.headers.get("x-part") == "yes"
    opened = desk.opened.get(run, as_promised=not at_once)
    values: dict[str, Any] = {
        "why_not": opened.why_not_asked,
        "part": part,
        "classes": opened.classes(),
        "headline": headline(opened.metrics),
        "at_once": at_once,
        "error": error,
    }
    if not opened.why_not_asked:
        said = desk.opened.said(run)
        state, questions = opened.asking.following(said)
        asked = asked_now(opened, questions)
        now = labels_at_once(opened, state) if at_once else None
        if now is not None:
            k = state.n_novel
            values["classes"] = classes_at_once(opened, now)
            values["headline"] = f"{k} novel {plural('class', k)} by now"
        moving = map_of(opened, now)
        values |= {
            "asked": asked,
            "known": opened.known,
            "marked": []
            if asked is None
            else [(a, [r for r, _ in rows]) for a, rows in asked.sides],
            "n_said": len(said),
            "can_take_back": bool(said.answers),
            "moving": {k: moving[k] for k in ("label", "confidence", "runner_up", "classes")},
        }
    name = "question" if part else "ask"
    return show(request, name, run, status, screen="ask", metrics=opened.metrics, **values)


def ask(request: Request) -> Response:
    """The screen."""
    return _page(request, run_of(request))


async def answered(request: Request) -> Response:
    """Takes an answer, or the last one back."""
    run, form = run_of(request), await read_form(request)
    question, answer, known = (form.get(key, [""])[0] for key in ("question", "answer", "known"))
    if answer == "known":
        answer = f"{KNOWN}{known}"

    def work() -> Response:
        try:
            _tell(desk_of(request), run, question, answer)
        except UserError as error:
            return _page(request, run, str(error), 422)
        if request.headers.get("x-part") == "yes":
            return _page(request, run, at_once=True)
        return RedirectResponse(f"/runs/{run.name}/ask", 303)

    return await run_in_threadpool(work)


def _tell(desk: Desk, run: Run, question: str, answer: str) -> None:
    said = desk.opened.said(run)
    answers = dict(said.answers)
    if answer == "back":
        if not answers:
            raise UserError("there is no answer to take back")
        answers.pop(list(answers)[-1])
    elif is_answer(answer):
        answers[question] = answer
    else:
        raise UserError(f"{answer!r} is no answer; choose one of the buttons")
    now = Answers(answers, said.labels)
    desk.opened.get(run, as_promised=False).asking.following(now)  # says what is wrong with it
    desk.opened.promise(run, now)


ROUTES = [
    Route("/runs/{name}/ask", ask),
    Route("/runs/{name}/ask", answered, methods=["POST"]),
]
