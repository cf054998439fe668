"""What all screens share: folder, jobs and runs that are open; pages, forms and files."""

import html
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import jinja2
from jinja2.filters import do_mark_safe
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from ncd_jax.app.folder import Folder, Run, from_here, safe_name
from ncd_jax.app.guard import Form, read_form, save_upload
from ncd_jax.app.jobs import Jobs
from ncd_jax.app.opened import OpenedRuns
from ncd_jax.errors import UserError
from ncd_jax.report.templating import environment

__all__ = ["Desk", "NoSuchRunError", "brought", "desk_of", "posted", "run_of", "show"]

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


class NoSuchRunError(UserError):
    """There is no run of this name in the folder."""


@dataclass(frozen=True)
class Desk:
    """The folder, runs that are on their way, and finished ones in memory: of the whole program."""

    folder: Folder
    jobs: Jobs = field(default_factory=Jobs)
    opened: OpenedRuns = field(default_factory=OpenedRuns)


def desk_of(request: Request) -> Desk:
    """The one of the program that got the request."""
    return cast(Desk, request.app.state.desk)


def run_of(request: Request) -> Run:
    """The run that an address names.

    Raises:
        NoSuchRunError: there is none.
    """
    name = request.path_params["name"]
    run = desk_of(request).folder.find(name)
    if run is None:
        raise NoSuchRunError(f"there is no run {name!r} in this folder; choose one of the list")
    return run


def posted(
    do: Callable[[Request, Form], str | Response], page: Callable[..., Response] | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """What answers a form.

    Args:
        do: what it asks for; gives the address to go on at.
        page: says on its screen, with the form as it was filled in, why that could not be done; an
            error page does where there is none.
    """

    async def answer(request: Request) -> Response:
        form = await read_form(request)

        def work() -> Response:
            try:
                there = do(request, form)
            except UserError as error:
                if page is None:
                    raise
                refused = page(request, str(error), form)
                refused.status_code = 422
                return refused
            return RedirectResponse(there, 303) if isinstance(there, str) else there

        return await run_in_threadpool(work)

    return answer


def brought(
    place: Callable[[Request, str], tuple[Run, Path]],
    do: Callable[[Request, Run, Path], str],
) -> Callable[[Request], Awaitable[Response]]:
    """What takes a file, for our script.

    Args:
        place: from its name to the run that it is for, and where it goes.
        do: what is done with it; gives the address to go on at.
    """

    async def answer(request: Request) -> Response:
        name = safe_name(request.query_params.get("name", ""))
        run, path = await run_in_threadpool(place, request, name)
        try:
            await save_upload(request, path)
            return JSONResponse({"to": await run_in_threadpool(do, request, run, path)})
        except UserError as error:
            message = str(error).replace(f"{path}", name).replace(f"{from_here(path)}", name)
            return JSONResponse({"error": message}, 422)

    return answer


def templates() -> jinja2.Environment:
    """Our templates, with the filters of the report and one of our own."""
    found = environment("ncd_jax.app")
    found.filters["said_here"] = said_here
    return found


def said_here(message: str, run: Run | None) -> str:
    """A message of the command line as HTML: its flags lead to the fields that are the same here.

    It may name files of the run by their path, which nobody has to see.
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
    """A page about a run: a template, and what it needs beside what all of them do."""
    shared = {"screens": SCREENS, "screen": template, "run": run, "error": ""}
    page = templates().get_template(f"{template}.html.j2").render(**{**shared, **values})
    return HTMLResponse(page, status)
