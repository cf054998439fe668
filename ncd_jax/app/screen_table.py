"""The table: how each column was read, and fields to have it otherwise."""

import dataclasses
import functools
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, posted, run_of, show
from ncd_jax.app.folder import Plan, Run
from ncd_jax.app.guard import Form
from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.read.columns import TableReading
from ncd_jax.read.files import read_raw
from ncd_jax.read.options import ReadOptions
from ncd_jax.read.raw import is_empty
from ncd_jax.read.words import as_text
from ncd_jax.types import UNLABELLED

__all__ = ["ROUTES", "first_plan"]

KINDS = {
    "": "as found",
    "numbers": "numbers",
    "dates": "dates",
    "dates:dmy": "dates, day first",
    "dates:mdy": "dates, month first",
    "categories": "categories",
    "circular": "begins again after …",
    "drop": "left out",
    "use": "used all the same",
}
"""What somebody can say of a column, by the flag that says it."""
_TEXTS = ("decimal", "encoding", "sheet", "id", "group")
_SHOWN, _LONGEST = 3, 24
_MOST_CLASSES = 60
_SOME = 0.05
_CLEAR = 3.0
"""Of `_like_a_label`: few words, and a good many blanks or a name that says it."""


class Look(NamedTuple):
    """What was made of a table.

    Attributes:
        names: of all its columns.
        examples: a few cells of each.
        labels: columns that may be the one of the classes, the likeliest first.
        is_clear: whether there is little doubt of the first one.
        n_rows: rows of the file.
        words: of columns that have few.
        reading: how columns were read; none where they could not be.
        classes: rows of each known class.
        n_blank: rows without a label.
        error: why it cannot be used as it is.
    """

    names: tuple[str, ...] = ()
    examples: Mapping[str, str] = {}
    labels: tuple[str, ...] = ()
    is_clear: bool = False
    n_rows: int = 0
    words: Mapping[str, tuple[str, ...]] = {}
    reading: TableReading | None = None
    classes: Mapping[str, int] = {}
    n_blank: int = 0
    error: str = ""


def look_at(run: Run, plan: Plan) -> Look:
    """Reads the table of a run as its plan says."""
    path, look = run.own / plan.file, Look()
    try:
        ReadOptions(**plan.reading)  # says what is wrong with it
        raw = {k: plan.reading[k] for k in ("encoding", "sheet", "decimal") if k in plan.reading}
        look = _file(path, _changed(path), tuple(raw.items()))
        if plan.label:
            said = json.dumps([plan.label, plan.unlabelled, plan.reading])
            reading, classes, n_blank = _read(path, _changed(path), said)
            look = look._replace(reading=reading, classes=classes, n_blank=n_blank)
    except UserError as error:
        return look._replace(error=str(error))
    return look


def first_plan(run: Run, file: str) -> Plan:
    """The plan for a table that was just brought; its label column where there is little doubt."""
    plan = Plan(file)
    look = look_at(run, plan)
    return dataclasses.replace(plan, label=look.labels[0]) if look.is_clear else plan


@functools.lru_cache(4)
def _file(path: Path, _: int, options: tuple[tuple[str, Any], ...]) -> Look:
    frame = read_raw(path, options=ReadOptions(**dict(options))).frame
    head = frame.head(200)
    examples = {str(name): _examples(head[name]) for name in frame}
    score = {str(name): _like_a_label(frame[name]) for name in frame}
    return Look(
        tuple(map(str, frame)),
        examples,
        tuple(sorted(score, key=lambda name: -score[name])),
        sum(value >= _CLEAR for value in score.values()) == 1,
        len(frame),
        {str(name): _words(frame[name]) for name in frame},
    )


@functools.lru_cache(8)
def _read(path: Path, _: int, said: str) -> tuple[TableReading | None, dict[str, int], int]:
    label, unlabelled, reading = json.loads(said)
    table = read_table(path, label, unlabelled=unlabelled, options=ReadOptions(**reading))
    sizes = pd.Series(table.y).value_counts()
    classes = {name: int(sizes.get(i, 0)) for i, name in enumerate(table.classes)}
    return table.reading, classes, int(sizes.get(UNLABELLED, 0))


def _examples(cells: pd.Series) -> str:
    filled = cells[~is_empty(cells)].drop_duplicates().head(_SHOWN)
    return ", ".join(as_text(cell)[:_LONGEST] for cell in filled)


def _words(cells: pd.Series) -> tuple[str, ...]:
    """All words of a column that has few of them."""
    words = cells[~is_empty(cells)].drop_duplicates()
    return tuple(sorted(map(as_text, words))) if len(words) <= _MOST_CLASSES else ()


def _like_a_label(cells: pd.Series) -> float:
    """How much a column looks like one of classes: few words, some blanks, a telling name."""
    empty = is_empty(cells)
    n_words = cells[~empty].nunique()
    name = str(cells.name).lower()
    telling = any(word in name for word in ("label", "class", "target", "segment", "species"))
    few = 2 <= n_words <= max(min(_MOST_CLASSES, len(cells) // 3), 2)
    blank = float(empty.mean())
    return 2.0 * few + telling + (few and _SOME < blank < 1) * (1 + blank)


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        raise UserError(f"{path.name} is not here any more; bring it again") from None


def _plan_of_form(plan: Plan, form: Form, names: Sequence[str]) -> Plan:
    """The plan as a form of the screen has it; fields of columns end in the column's number."""

    def text(field: str) -> str:
        return form.get(field, "").strip()

    reading: dict[str, Any] = {name: text(name) for name in _TEXTS if text(name)}
    if words := [word.strip() for word in text("missing").split(",") if word.strip()]:
        reading["missing"] = words
    for i, name in enumerate(names):
        kind = text(f"kind-{i}")
        if kind not in KINDS:
            raise UserError(f"there is no kind {kind!r}; choose one of the list")
        flag, _, order = kind.partition(":")
        if flag == "circular":
            reading.setdefault(flag, []).append(f"{name}:{text(f'period-{i}')}")
        elif flag and name != text("label"):
            reading.setdefault(flag, []).append(f"{name}:{order}" if order else name)
        if text(f"keep-{i}"):
            reading.setdefault("keep", []).append(name)
    told = text("unlabelled") if text("says-unlabelled") else None
    return Plan(plan.file, text("label"), told, reading, plan.settings)


def _kinds_of(plan: Plan, names: Sequence[str]) -> dict[str, tuple[str, str, bool]]:
    """What the plan says of every column: its kind, its period, whether it is copied."""
    said = dict.fromkeys(names, ("", "", False))
    for flag in ("numbers", "dates", "categories", "circular", "drop", "use"):
        for wish in plan.reading.get(flag, ()):
            name, _, behind = wish.rpartition(":")
            if flag == "circular":
                said[name] = (flag, behind, False)
            elif flag == "dates" and behind in ("dmy", "mdy"):
                said[name] = (f"dates:{behind}", "", False)
            else:
                said[wish] = (flag, "", False)
    for name in plan.reading.get("keep", ()):
        said[name] = (*said.get(name, ("", "", False))[:2], True)
    return said


def page(request: Request, error: str = "", form: Form | None = None) -> Response:
    """The screen, with what a form that was refused says."""
    run = run_of(request)
    plan = run.plan
    if plan is None:  # made on the command line: what it says of its columns is all there is
        there = run.workdir.has("columns.json")
        stored = run.workdir.read_json("columns.json", dict) if there else {}
        return show(request, "read", run, stored=stored, screen="table", error=error)
    if form is not None:
        with suppress(UserError):
            plan = _plan_of_form(plan, form, look_at(run, plan).names)
    look = look_at(run, plan)
    return show(
        request,
        "table",
        run,
        plan=plan,
        job=desk_of(request).jobs.state(run.name),
        look=look,
        error=error or look.error,
        readings={each.name: each for each in look.reading.columns} if look.reading else {},
        said=_kinds_of(plan, look.names),
        kinds=KINDS,
        guess=look.labels[0] if look.labels else "",
    )


def change(request: Request, form: Form) -> str:
    """Keeps what the form says; where the run is begun already, for another run."""
    run, desk = run_of(request), desk_of(request)
    plan = run.plan
    if plan is None:
        raise UserError(f"{run.name} was made on the command line; bring its table for another run")
    changed = _plan_of_form(plan, form, look_at(run, plan).names)
    ReadOptions(**changed.reading)  # says what is wrong with it
    if changed != plan:
        if run.is_begun or desk.jobs.state(run.name):
            run = desk.folder.sibling(run)
        run.save(changed)
    onward = "go" in form and not look_at(run, changed).error and changed.label
    return f"/runs/{run.name}/{'run' if onward else 'table'}"


ROUTES = [
    Route("/runs/{name}/table", page),
    Route("/runs/{name}/table", posted(change, page), methods=["POST"]),
]
