"""The answer: what was found, how far to trust it, the map, the classes, rows to check first."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, posted, run_of, show
from ncd_jax.app.guard import Form
from ncd_jax.app.opened import Opened
from ncd_jax.app.telling import label_rows
from ncd_jax.errors import UserError
from ncd_jax.report.figures import profile_plot
from ncd_jax.report.headline import headline
from ncd_jax.report.plot_style import class_style

__all__ = ["ROUTES", "map_of"]

_MOST_TO_CHECK = 20


def map_of(opened: Opened, now: Mapping[int, str] | None = None) -> dict[str, Any]:
    """The map as the browser draws it: points with their class, and how classes look.

    Classes that are not those that were read stand in `now`, by row.
    """
    drawn, of_row = opened.drawn, opened.rows
    classes = {line.name: None for line in opened.classes()} | dict.fromkeys((now or {}).values())
    label = now or opened.labels()
    novel = [name for name in classes if name not in opened.known]
    sure = [of_row[i].confidence if i in of_row else np.nan for i in drawn["row"]]
    return {
        **drawn,
        "known": drawn["label"],
        "label": [label.get(i, "") for i in drawn["row"]],
        "confidence": [None if np.isnan(each) else each for each in sure],
        "runner_up": [of_row[i].runner_up if i in of_row else "" for i in drawn["row"]],
        "classes": [
            {"name": name, "style": class_style(novel.index(name)) if name in novel else None}
            for name in classes
        ],
    }


def page(request: Request, error: str = "", _: Form | None = None) -> Response:
    """The screen."""
    run = run_of(request)
    opened = desk_of(request).opened.get(run)
    return show(
        request,
        "answer",
        run,
        metrics=opened.metrics,
        headline=headline(opened.metrics),
        opened=opened,
        classes=opened.classes(),
        to_check=opened.least_sure(_MOST_TO_CHECK),
        why_not=opened.why_not_asked,
        error=error,
    )


def map_data(request: Request) -> Response:
    """The map's points, for our script."""
    opened = desk_of(request).opened.get(run_of(request))
    try:
        return JSONResponse(map_of(opened))
    except UserError as error:
        return JSONResponse({"error": str(error)}, 422)


def classes(request: Request) -> Response:
    """What the new classes are: a part of the screen, for which trees are grown."""
    run = run_of(request)
    opened = desk_of(request).opened.get(run)
    try:
        profiles = opened.profiles()
    except UserError as error:
        return show(request, "no_profiles", run, screen="answer", why=str(error))
    figure = profile_plot(profiles.grid)
    figures = {"profiles": figure.plain()} if figure is not None else {}
    called = {novel: name for name, novel in opened.novel().items()}
    return show(
        request,
        "profiles_part",
        run,
        screen="answer",
        profiles=profiles,
        figures=figures,
        called=called,
    )


def write(request: Request, form: Form) -> str:
    """Keeps what somebody says the class of some rows is."""
    run = run_of(request)
    rows = [int(row) for row in form.getlist("row") if row.isascii() and row.isdigit()]
    name = form.get("class", "").strip()
    if not rows or not name:
        raise UserError("choose rows on the map or in a table, and write what class they are")
    label_rows(desk_of(request).opened, run, rows, name)
    return f"/runs/{run.name}/answer#map"


ROUTES = [
    Route("/runs/{name}/answer", page),
    Route("/runs/{name}/answer", posted(write, page), methods=["POST"]),
    Route("/runs/{name}/map.json", map_data),
    Route("/runs/{name}/classes", classes),
]
