"""Names, merges and notes by hand; what is taken away; how to repeat it all without the page."""

import io
import re
import shlex
import zipfile
from collections import Counter
from collections.abc import Sequence
from operator import attrgetter
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, posted, run_of, show
from ncd_jax.app.folder import Folder, Run, from_here
from ncd_jax.app.guard import REPORT_POLICY, Form
from ncd_jax.app.opened import Opened
from ncd_jax.app.screen_run import command_line
from ncd_jax.app.telling import merge_classes, take_back
from ncd_jax.data.table import is_novel_name
from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import extra
from ncd_jax.report.comparison import compare_runs, write_comparison
from ncd_jax.report.renaming import rename_classes
from ncd_jax.store.answers import Answers
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
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What no cell of Excel may hold."""


def commands_of(run: Run, opened: Opened) -> list[str]:
    """The commands that do what was done here, in order."""
    lines = [command_line(run)] if run.plan is not None else []
    here, flags = from_here(run.root), list[list[str]]()
    for name in _said(opened):
        flags.append(["--mode=ask", f"--answers={here / name}.csv"])
    if opened.names:
        given = ",".join(f"{novel}={name}" for novel, name in opened.names.items())
        flags.append(["--mode=rename", f"--names={given}"])
    flags.append(["--mode=assign", "--table=next_month.csv"])
    python = ["python", "-m", "ncd_jax"]
    lines += [shlex.join([*python, mode, f"--workdir={here}", rest]) for mode, rest in flags]
    return lines


def _said(opened: Opened) -> list[str]:
    """What files hold something that somebody has said of a run: `answers`, `labels`."""
    if opened.why_not_asked:
        return []
    said = opened.asking.said
    return [name for name, given in zip(said._fields, said, strict=True) if given]


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
    lines += [f'apply_answers(workdir, workdir.path("{name}.csv"))' for name in _said(opened)]
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
            if n > 0 and i in numbers and text != "":
                cells.append(write_cell(sheet, value=float(text)))
            else:
                cells.append(write_cell(sheet, value=_NO_TEXT.sub("\ufffd", text)))
                cells[-1].data_type = "s"
        sheet.append(cells)
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def page(request: Request, error: str = "", form: Form | None = None) -> Response:
    """The screen."""
    run, desk = run_of(request), desk_of(request)
    opened, typed = desk.opened.get(run), dict(form or {})
    said = Answers({}, {}) if opened.why_not_asked else opened.asking.said
    others = [each.name for each in desk.folder.runs() if each.is_done and each.name != run.name]
    notes = run.workdir.read_text(_NOTES) if run.workdir.has(_NOTES) else ""
    return show(
        request,
        "keep",
        run,
        classes=opened.classes(),
        known=opened.known,
        why_not=opened.why_not_asked,
        answers=said.answers,
        labels=Counter(said.labels.values()),
        others=others,
        comparisons=sorted(path.name for path in run.root.glob("comparison_*.html")),
        commands=commands_of(run, opened),
        python=python_of(run, opened),
        error=error,
        notes=notes,
        typed=typed,
    )


def change(request: Request, form: Form) -> str:
    """Does one of the things that the screen has a form for, and says where to go on."""
    run, desk, what = run_of(request), desk_of(request), form.get("do", "")
    if what == "name":
        names = {novel: name.strip() for novel, name in form.items() if is_novel_name(novel)}
        rename_classes(run.workdir, [f"{novel}={name or novel}" for novel, name in names.items()])
    elif what == "merge":
        merge_classes(desk.opened, run, form.get("one", ""), form.get("other", ""))
    elif what == "back":
        take_back(desk.opened, run, form.getlist("question"), form.getlist("class"))
    elif what == "notes":
        text = form.get("notes", "")
        if len(text) > _LONGEST_NOTE:
            raise UserError(f"notes have at most {_LONGEST_NOTE:,} characters; shorten them")
        with run.workdir.alone():
            run.workdir.write_text(_NOTES, text.replace("\r\n", "\n"))
    elif what == "compare":
        other = desk.folder.find(form.get("other", ""))
        if other is None:
            raise UserError("choose the run to compare this one with")
        found = write_comparison(compare_runs(run.root, other.root))
        return f"/runs/{run.name}/files/{found.name}"
    else:
        raise UserError(f"{what!r} is nothing that this screen does")
    return f"/runs/{run.name}/keep#{what}"


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
    return _download(as_excel(*read_assignments(run.workdir)), f"{run.name}_assignments.xlsx")


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
    Route("/runs/{name}/keep", page),
    Route("/runs/{name}/keep", posted(change, page), methods=["POST"]),
    Route("/runs/{name}/assignments.xlsx", excel),
    Route("/runs/{name}/model.zip", model),
    Route("/runs/{name}/files/{file:path}", file),
]
