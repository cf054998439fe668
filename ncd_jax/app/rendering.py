"""How screens become pages: templates, what all of them share, and messages that lead somewhere."""

import html
import re
from typing import Any
from urllib.parse import quote

import jinja2
from jinja2.filters import do_mark_safe
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ncd_jax.app.desk import Desk, desk_of
from ncd_jax.app.folder import Run
from ncd_jax.report.templating import environment

__all__ = ["SCREENS", "said_here", "show"]

SCREENS = {
    "table": "Table",
    "run": "Run",
    "answer": "Answer",
    "ask": "Ask",
    "keep": "Name and keep",
    "later": "Next month",
}
"""The way through, by the last part of an address."""
_ON_TABLE = {
    "label", "unlabelled", "missing", "decimal", "encoding", "sheet", "id", "group", "keep",
    "numbers", "dates", "categories", "circular", "drop", "use",
}  # fmt: skip
"""Flags that have a field on the screen of the table; those of columns share one."""
_OF_COLUMNS = {"keep", "numbers", "dates", "categories", "circular", "drop", "use"}


def templates() -> jinja2.Environment:
    """Our templates, with the filters of the report and one of our own."""
    found = environment("ncd_jax.app")
    found.filters["said_here"] = said_here
    return found


def said_here(message: str, run: Run | None) -> str:
    """A message of the command line as HTML: its flags lead to the fields that are the same here.

    Args:
        message: plain text.
        run: whose files it may name by their path, which nobody has to see.
    """
    if run is not None:
        for path in (run.own, run.root):
            message = message.replace(f"{path}/", "").replace(f"{path.absolute()}/", "")
    text = html.escape(message)
    if run is None:
        return do_mark_safe(text)

    def linked(found: re.Match[str]) -> str:
        flag, name = found[0], found[1]
        if name.startswith("config."):
            return f'<a href="/runs/{quote(run.name)}/run#settings">{flag}</a>'
        if name not in _ON_TABLE:
            return flag
        field = "columns" if name in _OF_COLUMNS else name
        return f'<a href="/runs/{quote(run.name)}/table#{field}">{flag}</a>'

    return do_mark_safe(re.sub(r"--([a-z_]+(?:\.[a-z_.]+)?)", linked, text))


def show(
    request: Request, template: str, run: Run | None = None, status: int = 200, **values: Any
) -> Response:
    """A page.

    Args:
        request: that it answers.
        template: its name without the ending.
        run: that the screen is about.
        status: of the answer.
        values: what the template needs beside these.
    """
    desk: Desk = desk_of(request)
    job = desk.jobs.state(run.name) if run is not None else ""
    shared = {"screens": SCREENS, "screen": template, "run": run, "job": job, "error": ""}
    page = templates().get_template(f"{template}.html.j2").render(**{**shared, **values})
    return HTMLResponse(page, status)
