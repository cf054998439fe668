"""Where one comes in: a table is brought, and the runs of the folder are listed."""

import pandas as pd
from sklearn.datasets import load_wine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, run_of
from ncd_jax.app.folder import Run, safe_name
from ncd_jax.app.guard import read_form, save_upload
from ncd_jax.app.jobs import Jobs
from ncd_jax.app.plan import Plan
from ncd_jax.app.rendering import show
from ncd_jax.app.screen_table import first_plan
from ncd_jax.errors import UserError

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


async def upload(request: Request) -> Response:
    """Takes a table; says where to go on."""
    desk, file = desk_of(request), safe_name(request.query_params.get("name", ""))
    run = await run_in_threadpool(desk.folder.new, file)
    try:
        await save_upload(request, run.own / file)
    except UserError as error:
        return JSONResponse({"error": str(error)}, 422)
    await run_in_threadpool(run.save, first_plan(run, file))
    return JSONResponse({"to": f"/runs/{run.name}/table"})


async def example(request: Request) -> Response:
    """Brings wine of three growers, of which nobody has labelled the third."""
    await read_form(request)
    run = desk_of(request).folder.new("wine.csv")
    run.own.mkdir(parents=True, exist_ok=True)
    await run_in_threadpool(_wine().to_csv, run.own / "wine.csv", index=False)
    run.save(Plan("wine.csv", "grower"))
    return RedirectResponse(f"/runs/{run.name}/table", 303)


async def forget(request: Request) -> Response:
    """Forgets a table that no run was made of."""
    await read_form(request)
    run, jobs = run_of(request), desk_of(request).jobs
    jobs.stop(run.name)
    await run_in_threadpool(run.forget)
    return RedirectResponse("/", 303)


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
    Route("/upload", upload, methods=["PUT"]),
    Route("/example", example, methods=["POST"]),
    Route("/runs/{name}", whole),
    Route("/runs/{name}/forget", forget, methods=["POST"]),
]
