"""Names, merges and notes by hand; what is taken away; how to repeat it all without the page."""

import io
import re
import shlex
import zipfile
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import Desk, desk_of, run_of
from ncd_jax.app.folder import Folder, Run, from_here
from ncd_jax.app.guard import REPORT_POLICY, read_form
from ncd_jax.app.opened import Opened
from ncd_jax.app.rendering import show
from ncd_jax.app.screen_run import command_line
from ncd_jax.app.telling import merge_classes, name_classes, take_back, told_labels
from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra
from ncd_jax.report.comparison import compare_runs, write_comparison
from ncd_jax.store.records import read_assignments

__all__ = ["ROUTES", "as_excel", "commands_of", "python_of"]

_NOTES = "notes.txt"
_LONGEST_NOTE = 100_000
_NUMBERS = ("row", "confidence", "runner_up_confidence")
_FILES = re.compile(
    r"(report|comparison_[\w.-]+)\.html|(assignments|trials|questions|answers|labels|moved_[\w.-]+)\.csv"
    r"|(metrics|config|columns|names)\.json|notes\.txt|assigned/[^/\\\0]+\.csv"
)
"""What may be taken out of the folder of a run."""


def commands_of(run: Run, opened: Opened) -> list[str]:
    """The commands that do what was done here, in order."""
    here = from_here(run.root)
    lines = [command_line(run)] if run.plan is not None else []
    python = ["python", "-m", "ncd_jax"]
    if not opened.why_not_asked:
        for name, said in zip(("answers", "labels"), opened.asking.said, strict=True):
            if said:
                flags = ["--mode=ask", f"--workdir={here}", f"--answers={here / name}.csv"]
                lines.append(shlex.join([*python, *flags]))
    if opened.names:
        given = ",".join(f"{novel}={name}" for novel, name in opened.names.items())
        lines.append(
            shlex.join([*python, "--mode=rename", f"--workdir={here}", f"--names={given}"])
        )
    lines.append(
        shlex.join([*python, "--mode=assign", f"--workdir={here}", "--table=next_month.csv"])
    )
    return lines


def python_of(run: Run, opened: Opened) -> str:
    """The same in Python, by the functions that the commands call."""
    here, plan, table = from_here(run.root), run.plan, run.table
    lines = [
        "from pathlib import Path",
        "from ncd_jax.experiment import apply_answers, run",
        "from ncd_jax.new_rows import assign_rows",
        "from ncd_jax.report.renaming import rename_classes",
        "from ncd_jax.store.workdir import Workdir",
        "",
        f"workdir = Workdir(Path({str(here)!r}))",
    ]
    if plan is not None and table is not None:
        lines[2:2] = [
            "from ncd_jax.config import default_config, parse",
            "from ncd_jax.data.own_table import read_table",
            "from ncd_jax.read.options import ReadOptions",
        ]
        told = "" if plan.unlabelled is None else f", unlabelled={plan.unlabelled!r}"
        reading = ", ".join(f"{name}={value!r}" for name, value in plan.reading.items())
        config = plan.config()
        settings = {key: attrgetter(key)(config) for key in plan.settings}
        lines += [
            f"options = ReadOptions({reading})",
            f"file = Path({str(from_here(table))!r})",
            f"table = read_table(file, {plan.label!r}{told}, options=options)",
            "config = default_config()",
            'config.dataset = ""',
            *(f"config.{key} = {value!r}" for key, value in settings.items()),
            "run(parse(config), table, None, workdir.root)",
        ]
    if not opened.why_not_asked:
        for name, said in zip(("answers", "labels"), opened.asking.said, strict=True):
            if said:
                lines.append(f'apply_answers(workdir, workdir.path("{name}.csv"))')
    if opened.names:
        given = [f"{novel}={name}" for novel, name in opened.names.items()]
        lines.append(f"rename_classes(workdir, {given!r})")
    lines.append('print(assign_rows(workdir, Path("next_month.csv")).text)')
    return "\n".join(lines)


def as_excel(header: Sequence[str], lines: Sequence[Sequence[str]]) -> bytes:
    """The assignments as a sheet; no cell of text is a formula.

    Raises:
        UserError: openpyxl is not installed.
    """
    book = extra("openpyxl").Workbook(write_only=True)
    sheet = book.create_sheet("assignments")
    write_cell = extra("openpyxl.cell").WriteOnlyCell
    numbers = {i for i, name in enumerate(header) if name in _NUMBERS}
    for n, line in enumerate([header, *lines]):
        cells = []
        for i, text in enumerate(line):
            is_number = n > 0 and i in numbers and text != ""
            cell = write_cell(sheet, value=float(text) if is_number else _without_controls(text))
            if not is_number:
                cell.data_type = "s"
            cells.append(cell)
        sheet.append(cells)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def _without_controls(text: str) -> str:
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


def _page(request: Request, error: str = "", status: int = 200, **typed: Any) -> Response:
    run, desk = run_of(request), desk_of(request)
    opened = desk.opened.get(run)
    others = [each.name for each in desk.folder.runs() if each.is_done and each.name != run.name]
    notes = run.workdir.read_text(_NOTES) if run.workdir.has(_NOTES) else ""
    return show(
        request,
        "keep",
        run,
        status,
        opened=opened,
        classes=opened.classes(),
        known=opened.known,
        why_not=opened.why_not_asked,
        answers={} if opened.why_not_asked else opened.asking.said.answers,
        labels=told_labels(opened),
        others=others,
        comparisons=sorted(path.name for path in run.root.glob("comparison_*.html")),
        commands=commands_of(run, opened),
        python=python_of(run, opened),
        error=error,
        **{"notes": notes, "typed": {}, **typed},
    )


def keep(request: Request) -> Response:
    """The screen."""
    return _page(request)


async def change(request: Request) -> Response:
    """Does one of the things that the screen has a form for."""
    run, form, desk = run_of(request), await read_form(request), desk_of(request)

    def work() -> Response:
        try:
            place = _do(desk, run, form)
        except UserError as error:
            typed = {key: values[0] for key, values in form.items()}
            return _page(request, str(error), 422, typed=typed)
        return RedirectResponse(place, 303)

    return await run_in_threadpool(work)


def _do(desk: Desk, run: Run, form: Mapping[str, Sequence[str]]) -> str:
    """Does it, and says where to go on."""
    what, here = form.get("do", [""])[0], f"/runs/{run.name}/keep"
    if what == "name":
        names = {key: values[0] for key, values in form.items() if re.fullmatch(r"novel_\d+", key)}
        name_classes(desk.opened, run, names)
    elif what == "merge":
        merge_classes(desk.opened, run, form.get("one", [""])[0], form.get("other", [""])[0])
    elif what == "back":
        take_back(desk.opened, run, form.get("question", []), form.get("class", []))
    elif what == "notes":
        text = form.get("notes", [""])[0]
        if len(text) > _LONGEST_NOTE:
            raise UserError(f"notes have at most {_LONGEST_NOTE:,} characters; shorten them")
        with run.workdir.alone():
            run.workdir.write_text(_NOTES, text.replace("\r\n", "\n"))
    elif what == "compare":
        other = desk.folder.find(form.get("other", [""])[0])
        if other is None:
            raise UserError("choose the run to compare this one with")
        page = write_comparison(compare_runs(run.root, other.root))
        return f"/runs/{run.name}/files/{page.name}"
    else:
        raise UserError(f"{what!r} is nothing that this screen does")
    return f"{here}#{what}"


def file(request: Request) -> Response:
    """A file of the run: reports are shown, and all others are taken away."""
    run, name = run_of(request), request.path_params["file"]
    path = run.root / name
    if not _FILES.fullmatch(name) or not _is_inside(path, run, desk_of(request).folder):
        raise UserError(f"{run.name} has no file {name!r}; choose one of the screen")
    if name == "report.html":
        desk_of(request).opened.draw_again(run)
    if name.endswith(".html"):
        return FileResponse(path, headers={"content-security-policy": REPORT_POLICY})
    return FileResponse(path, filename=f"{run.name}_{path.name}")


def _is_inside(path: Path, run: Run, folder: Folder) -> bool:
    root = run.root.resolve()
    inside = path.resolve().is_relative_to(root) and root.is_relative_to(folder.root.resolve())
    return inside and path.is_file()


def excel(request: Request) -> Response:
    """The assignments for Excel."""
    run = run_of(request)
    data = as_excel(*read_assignments(run.workdir))
    return _download(data, f"{run.name}_assignments.xlsx")


def model(request: Request) -> Response:
    """The model and what belongs to it, packed: unpacked it is a run that sorts new rows."""
    run = run_of(request)
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as packed:
        names = [*sorted((run.root / "model").glob("*")), run.root / "names.json"]
        for path in names:
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
                packed.write(path, f"{run.name}/{path.relative_to(run.root)}")
    return _download(data.getvalue(), f"{run.name}_model.zip")


def _download(data: bytes, name: str) -> Response:
    quoted = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII)
    headers = {"content-disposition": f'attachment; filename="{quoted}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


ROUTES = [
    Route("/runs/{name}/keep", keep),
    Route("/runs/{name}/keep", change, methods=["POST"]),
    Route("/runs/{name}/assignments.xlsx", excel),
    Route("/runs/{name}/model.zip", model),
    Route("/runs/{name}/files/{file:path}", file),
]
