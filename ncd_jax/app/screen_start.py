"""Where one comes in: a table is brought, and the runs of the folder are listed."""

from pathlib import Path

import pandas as pd
from sklearn.datasets import load_wine
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import brought, desk_of, posted, run_of, show
from ncd_jax.app.folder import Plan, Run
from ncd_jax.app.guard import Form
from ncd_jax.app.jobs import Jobs
from ncd_jax.app.screen_table import first_plan

__all__ = ["ROUTES", "progress_in_a_word"]


def start(request: Request) -> Response:
    """The page that one comes in by."""
    desk = desk_of(request)
    runs = [(run, progress_in_a_word(run, desk.jobs)) for run in desk.folder.runs()]
    return show(request, "start", runs=runs, folder=desk.folder.root)


def progress_in_a_word(run: Run, jobs: Jobs) -> str:
    """How far a run is."""
    if word := jobs.state(run.name):
        return word
    if run.is_done:
        return "done"
    if run.status in (1, 2):
        return "refused" if run.status == 2 else "failed"
    return "stopped" if run.is_begun or run.status is not None else "not begun"


def place(request: Request, name: str) -> tuple[Run, Path]:
    """Where a table that is brought goes."""
    run = desk_of(request).folder.new(name)
    return run, run.own / name


def begin(_: Request, run: Run, path: Path) -> str:
    """Makes the first plan for a table that was brought."""
    run.save(first_plan(run, path.name))
    return f"/runs/{run.name}/table"


def example(request: Request, _: Form) -> str:
    """Brings wine of three growers, of which nobody has labelled the third."""
    run = desk_of(request).folder.new("wine.csv")
    run.own.mkdir(parents=True, exist_ok=True)
    _wine().to_csv(run.own / "wine.csv", index=False)
    run.save(Plan("wine.csv", "grower"))
    return f"/runs/{run.name}/table"


def forget(request: Request, _: Form) -> str:
    """Forgets a table that no run was made of."""
    run = run_of(request)
    desk_of(request).jobs.stop(run.name)
    run.forget()
    return "/"


def _wine() -> pd.DataFrame:
    wine = load_wine(as_frame=True)
    grower = pd.Series(wine.target_names[wine.target], name="grower")
    blank = (grower == "class_2") | (grower.index % 3 == 0)
    return wine.data.assign(grower=grower.mask(blank))


def whole(request: Request) -> Response:
    """A run by its name alone: where one would go on."""
    run, jobs = run_of(request), desk_of(request).jobs
    screen = "answer" if run.is_done else "run" if run.is_begun or jobs.state(run.name) else "table"
    return RedirectResponse(f"/runs/{run.name}/{screen}", 303)


ROUTES = [
    Route("/", start),
    Route("/upload", brought(place, begin), methods=["PUT"]),
    Route("/example", posted(example), methods=["POST"]),
    Route("/runs/{name}", whole),
    Route("/runs/{name}/forget", posted(forget), methods=["POST"]),
]
