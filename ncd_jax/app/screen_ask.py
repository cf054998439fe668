"""One question at a time: two groups side by side, an answer, and what it changes at once."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, posted, run_of, show
from ncd_jax.app.guard import Form
from ncd_jax.app.screen_answer import map_of
from ncd_jax.errors import UserError
from ncd_jax.report.headline import headline, plural
from ncd_jax.report.questions import outlook, show_question, unsorted
from ncd_jax.store.answers import KNOWN, Answers, is_answer

__all__ = ["ROUTES"]

_MOST_COLUMNS = 60


def page(
    request: Request, error: str = "", _: Form | None = None, *, at_once: bool = False
) -> Response:
    """The screen, or the part of it that moves; `at_once`, before all of it is worked out."""
    run, desk, part = run_of(request), desk_of(request), _wants_part(request)
    opened = desk.opened.get(run, as_promised=not at_once)
    values: dict[str, Any] = {
        "screen": "ask",
        "metrics": opened.metrics,
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
        asking = opened.asking
        asked = show_question(questions[0], unsorted(asking, opened.cells)) if questions else None
        sides = [("A", asked.rows_a), ("B", asked.rows_b)] if asked else []
        now = opened.labels_at_once(state) if at_once else None
        if now is not None:
            k = state.n_novel
            values["classes"] = opened.classes_at_once(now)
            values["headline"] = f"{k} novel {plural('class', k)} by now"
        moving = map_of(opened, now)
        values |= {
            "asked": asked,
            "outlook": outlook(questions, asking.n_asked, asking.n_new),
            "lines": asked.lines[:_MOST_COLUMNS] if asked else [],
            "known": opened.known,
            "marked": [side for side in sides if side[1]],
            "n_said": len(said),
            "can_take_back": bool(said.answers),
            "moving": {k: moving[k] for k in ("label", "confidence", "runner_up", "classes")},
        }
    return show(request, "question" if part else "ask", run, **values)


def answered(request: Request, form: Form) -> str | Response:
    """Takes an answer, or the last one back."""
    run, desk = run_of(request), desk_of(request)
    answer, said = form.get("answer", ""), desk.opened.said(run)
    answers = dict(said.answers)
    if answer == "known":
        answer = f"{KNOWN}{form.get('known', '')}"
    if answer == "back":
        if not answers:
            raise UserError("there is no answer to take back")
        answers.pop(list(answers)[-1])
    elif is_answer(answer):
        answers[form.get("question", "")] = answer
    else:
        raise UserError(f"{answer!r} is no answer; choose one of the buttons")
    now = Answers(answers, said.labels)
    desk.opened.get(run, as_promised=False).asking.following(now)  # says what is wrong with it
    desk.opened.promise(run, now)
    return page(request, at_once=True) if _wants_part(request) else f"/runs/{run.name}/ask"


def _wants_part(request: Request) -> bool:
    return request.headers.get("x-part") == "yes"


ROUTES = [
    Route("/runs/{name}/ask", page),
    Route("/runs/{name}/ask", posted(answered, page), methods=["POST"]),
]
