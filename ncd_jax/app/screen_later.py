"""Next month: rows that the run has not seen, and which of them are of which class."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ncd_jax.app.desk import brought, desk_of, run_of, show
from ncd_jax.app.folder import Run, read_facts, write_facts
from ncd_jax.new_rows import assign_rows
from ncd_jax.read.options import ReadOptions
from ncd_jax.store.workdir import as_it_was

__all__ = ["ROUTES"]

_SHOWN, _FACTS = 200, "assigned.json"


def later(request: Request) -> Response:
    """The screen, with the file of new rows that was sorted last or is asked for."""
    run, error = run_of(request), ""
    paths = sorted(run.root.glob("assigned/*.csv"), key=lambda path: -path.stat().st_mtime)
    files = [path.name for path in paths]
    chosen = request.query_params.get("file") or (files[0] if files else "")
    if chosen and chosen not in files:
        error, chosen = f"there is no file {chosen!r} of new rows; bring it", ""
    return show(
        request,
        "later",
        run,
        opened=desk_of(request).opened.get(run),
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
    return {
        "header": header,
        "lines": lines[:_SHOWN],
        "n_rows": len(lines),
        "sizes": Counter(line[label] for line in lines).most_common(),
        **read_facts(run.own / _FACTS).get(name, {}),
    }


def place(request: Request, name: str) -> tuple[Run, Path]:
    """Where a file of new rows goes."""
    run = run_of(request)
    return run, run.own / "new" / name


def bring(request: Request, run: Run, path: Path) -> str:
    """Sorts new rows."""
    encoding, sheet = (request.query_params.get(name, "") for name in ("encoding", "sheet"))
    new = assign_rows(run.workdir, path, ReadOptions(encoding=encoding, sheet=sheet))
    facts = {
        "n_unfamiliar": new.n_unfamiliar,
        "expected": round(new.expected),
        "measured": new.usual >= 0,
        "is_due": new.new_run_is_due,
        "notes": list(new.notes),
    }
    write_facts(run.own / _FACTS, read_facts(run.own / _FACTS) | {new.file.name: facts})
    name = path.name.rpartition(".")[0] or path.name
    return f"/runs/{run.name}/later?file={name}.csv"


ROUTES = [
    Route("/runs/{name}/later", later),
    Route("/runs/{name}/later", brought(place, bring), methods=["PUT"]),
]
