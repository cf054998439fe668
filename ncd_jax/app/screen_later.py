"""Next month: rows that the run has not seen, and which of them are of which class."""

import csv
import io
import json
from collections import Counter
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, run_of
from ncd_jax.app.folder import Run, from_here, safe_name
from ncd_jax.app.guard import save_upload
from ncd_jax.app.rendering import show
from ncd_jax.errors import UserError
from ncd_jax.new_rows import assign_rows
from ncd_jax.read.options import ReadOptions
from ncd_jax.store.workdir import as_it_was

__all__ = ["ROUTES", "assigned_files"]

_SHOWN = 200


def assigned_files(run: Run) -> list[str]:
    """Files of new rows that were sorted, the last one first."""
    paths = sorted(run.root.glob("assigned/*.csv"), key=lambda path: -path.stat().st_mtime)
    return [path.name for path in paths]


def _page(request: Request, run: Run, error: str = "", status: int = 200) -> Response:
    opened = desk_of(request).opened.get(run)
    files = assigned_files(run)
    chosen = request.query_params.get("file") or (files[0] if files else "")
    if chosen and chosen not in files:
        error, chosen = f"there is no file {chosen!r} of new rows; bring it", ""
    return show(
        request,
        "later",
        run,
        status,
        opened=opened,
        files=files,
        chosen=chosen,
        result=_result(run, chosen) if chosen else None,
        error=error,
    )


def _result(run: Run, name: str) -> dict[str, Any]:
    """What was said of a file: how many rows of each class, and the first rows."""
    text = io.StringIO(run.workdir.read_text(f"assigned/{name}"), newline="")
    header, *lines = ([as_it_was(cell) for cell in line] for line in csv.reader(text))
    label = header.index("label")
    facts = _facts(run).get(name, {})
    return {
        "header": header,
        "lines": lines[:_SHOWN],
        "n_rows": len(lines),
        "sizes": Counter(line[label] for line in lines).most_common(),
        **facts,
    }


def _facts(run: Run) -> dict[str, Any]:
    path = run.own / "assigned.json"
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def later(request: Request) -> Response:
    """The screen."""
    return _page(request, run_of(request))


async def bring(request: Request) -> Response:
    """Takes a file of new rows and sorts it; says where to see them."""
    run, params = run_of(request), request.query_params
    file = safe_name(params.get("name", ""))
    path = run.own / "new" / file
    try:
        await save_upload(request, path)
        encoding, sheet = (params.get(name, "") for name in ("encoding", "sheet"))
        options = ReadOptions(encoding=encoding, sheet=sheet)
        await run_in_threadpool(_sort, run, file, options)
    except UserError as error:
        message = str(error).replace(f"{path}", file).replace(f"{from_here(path)}", file)
        return JSONResponse({"error": message}, 422)
    name = file.rpartition(".")[0] if "." in file else file
    return JSONResponse({"to": f"/runs/{run.name}/later?file={name}.csv"})


def _sort(run: Run, file: str, options: ReadOptions) -> None:
    new = assign_rows(run.workdir, run.own / "new" / file, options)
    facts = {
        "n_unfamiliar": new.n_unfamiliar,
        "expected": round(new.expected),
        "measured": new.usual >= 0,
        "is_due": new.new_run_is_due,
        "notes": list(new.notes),
    }
    said = json.dumps(_facts(run) | {new.file.name: facts}, ensure_ascii=False)
    (run.own / "assigned.json").write_text(said, encoding="utf-8")


ROUTES = [
    Route("/runs/{name}/later", later),
    Route("/runs/{name}/later", bring, methods=["PUT"]),
]
