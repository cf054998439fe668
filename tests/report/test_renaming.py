"""Names of novel classes: in every file, again and back, and refused in one line."""

import csv
import dataclasses
import io
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE, Page, squeeze
from rich.console import Console

from ncd_jax import experiment
from ncd_jax.errors import UserError
from ncd_jax.new_rows import assign_rows
from ncd_jax.report.comparison import compare_runs
from ncd_jax.report.console import summary
from ncd_jax.report.page import render_report
from ncd_jax.report.renaming import rename_classes, rename_page
from ncd_jax.store.model_files import load_model, names_of
from ncd_jax.store.records import read_assignments, read_metrics
from ncd_jax.store.workdir import Workdir


@pytest.fixture(scope="module")
def run(overlapping, quick, simple_maps, tmp_path_factory):
    """A finished run of four known classes and some novel ones; its page draws no figure."""
    path = tmp_path_factory.mktemp("named") / "run"
    experiment.run(dataclasses.replace(quick, method="rca"), overlapping, None, path)
    page = path / "report.html"
    light = re.sub(r'(?<=<script type="text/plain" id="packed-plotly")[^<]*', ">", page.read_text())
    assert len(light) < 0.5 * page.stat().st_size
    page.write_text(light)
    return Workdir(path)


@pytest.fixture(autouse=True)
def _numbers_again(request):
    yield
    if "run" in request.fixturenames:
        workdir = request.getfixturevalue("run")
        rename_classes(workdir, [f"novel_{i}=novel_{i}" for i in range(2)])


def answers(workdir, name="assignments.csv"):
    with workdir.path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def files(workdir):
    kept = ("assignments.csv", "report.html", "metrics.json", "model/model.json")
    return {name: workdir.path(name).read_bytes() for name in kept}


def test_names_are_used_everywhere_and_go_away_again(run, overlapping, tmp_path):
    rename_classes(run, ["novel_0=novel_0"])
    before, rows = files(run), answers(run)
    names = {"novel_0": "Export", "novel_1": "=Trial & <b>"}
    assert rename_classes(run, [f"{novel}={name}" for novel, name in names.items()]) == names
    assert run.read_json("names.json") == names
    assert run.read_json("metrics.json")["names"] == names
    safe = {"novel_0": "Export", "novel_1": "'=Trial & <b>"}
    for old, new in zip(rows, answers(run), strict=True):
        for column in ("label", "runner_up"):
            assert new[column] == safe.get(old[column], old[column])
        assert {**new, "label": 0, "runner_up": 0} == {**old, "label": 0, "runner_up": 0}
    assert {"Export", "=Trial & <b>"} <= set(load_model(run).classes)
    np.savetxt(
        tmp_path / "new.csv", overlapping.x, delimiter=",", header="a,b,c,d,e,f", comments=""
    )
    assert "Export" in assign_rows(run, tmp_path / "new.csv").sizes
    assert "Export" in {line["label"] for line in answers(run, "assigned/new.csv")}
    page = run.path("report.html").read_text()
    text = squeeze(Page(page).text)
    assert "Export: " in text
    assert "=Trial & <b>: " in text
    assert "novel_0" not in text
    rename_classes(run, ["Export=Old exports", "novel_1=novel_1"])
    assert {line["label"] for line in answers(run)} >= {"Old exports", "novel_1"}
    rename_classes(run, ["Old exports=novel_0"])
    assert files(run) == before


def test_two_classes_can_trade_their_names(run):
    before = [line["label"] for line in answers(run)]
    rename_classes(run, ["novel_0=a1", "novel_1=b1"])
    rename_classes(run, ["a1=b1", "b1=a1"])
    traded = {"novel_0": "b1", "novel_1": "a1"}
    assert [line["label"] for line in answers(run)] == [traded.get(n, n) for n in before]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["novel_9=x"], "there is no novel class 'novel_9'; there is novel_0, novel_1"),
        (["a=x"], "there is no novel class 'a'"),
        (["novel_0"], "write CLASS=NAME"),
        (["novel_0="], "'' is no name"),
        (["novel_0=x\ty"], "is no name"),
        (["novel_0=" + "x" * 41], "1 to 40 printable"),
        (["novel_0=w"], "'w' is a known class"),
        (["novel_0=novel_1"], "'novel_1' is a name that the run gives"),
        (["novel_0=q", "novel_1=q"], "'q' would be the name of novel_0 and novel_1"),
        (["novel_0=q", "novel_0=r"], "'novel_0' is named twice"),
    ],
)
def test_wrong_names_change_nothing(run, names, said):
    before = files(run)
    with pytest.raises(UserError, match=said) as error:
        rename_classes(run, names)
    assert "\n" not in str(error.value)
    assert files(run) == before


def states(workdir):
    """What every reader of the folder sees of the names, together."""
    labels = {line[1] for line in read_assignments(workdir)[1]}
    page = squeeze(Page(workdir.read_text("report.html")).text)
    return (
        frozenset(names_of(workdir).values()),
        frozenset(read_metrics(workdir).get("names", {}).values()),
        frozenset(name for name in load_model(workdir).classes if name.startswith("Ex")),
        frozenset(labels & {"Ex1", "Ex2"}),
        frozenset(name for name in ("Ex1", "Ex2") if f"{name}: " in page),
    )


def test_a_rename_that_is_killed_is_done_or_undone(run, tmp_path, monkeypatch):
    """At every write: the same name everywhere, and the same command goes on."""
    replace, called = os.replace, 0

    def kill(source, target):
        nonlocal called
        called += 1
        if called == last:
            raise KeyboardInterrupt
        replace(source, target)

    seen = []
    for last in range(1, 30):
        workdir = Workdir(tmp_path / str(last))
        shutil.copytree(run.root, workdir.root)
        rename_classes(workdir, ["novel_0=Ex1"])
        called = 0
        monkeypatch.setattr(os, "replace", kill)
        with suppress(KeyboardInterrupt):
            rename_classes(workdir, ["Ex1=Ex2"])
        monkeypatch.setattr(os, "replace", replace)
        seen.append(states(workdir))
        assert len(set(seen[-1])) == 1, seen[-1]
        with suppress(UserError):  # where it was done there is no Ex1 any more
            rename_classes(workdir, ["Ex1=Ex2"])
        assert set(states(workdir)) == {frozenset({"Ex2"})}
        assert "Ex1" not in workdir.path("assignments.csv").read_text()
        assert not list(workdir.root.rglob("*.staged"))
        if called < last:
            break
    assert len(seen) > 8
    assert {next(iter(state)) for state in seen} == {frozenset({"Ex1"}), frozenset({"Ex2"})}


def said_by(act, workdir):
    try:
        act(workdir)
    except UserError as error:
        return str(error)
    return ""


def damages(rng, data):
    """Bytes that were a file once: cut, overwritten, of something else."""
    yield b""
    yield data[: len(data) // 2]
    yield data[:-3] + b"\0\0\0"
    yield rng.bytes(200)
    yield from (b"[]", b"3", b'"x"', b"{}", b"null", b"[" * 3000, b"a,b\n1,2\n", b'{"run": 1}')


def test_damaged_folders_are_told_in_one_line(run, overlapping, tmp_path):
    """Every file of a run, damaged in every way, before everything that reads a run."""
    rng, rows = np.random.default_rng(0), tmp_path / "new.csv"
    np.savetxt(rows, overlapping.x[:5], delimiter=",", header="a,b,c,d,e,f", comments="")
    whole = Workdir(tmp_path / "whole")
    shutil.copytree(run.root, whole.root)
    rename_classes(whole, ["novel_0=Export"])
    names = ["config.json", "metrics.json", "assignments.csv", "names.json", "report.html"]
    told = 0

    def rename(workdir):
        rename_classes(workdir, ["Export=Trial"])

    def compare(workdir):
        compare_runs(workdir.root, whole.root)

    for name in [*names, "model/model.json", "model/arrays.npz", ".pending.json"]:
        data = whole.path(name).read_bytes() if whole.has(name) else b"[]"
        for i, damage in enumerate(damages(rng, data)):
            workdir = Workdir(tmp_path / f"{name.replace('/', '_')}{i}")
            shutil.copytree(whole.root, workdir.root, copy_function=os.link)
            workdir.path(name).unlink(missing_ok=True)
            workdir.path(name).write_bytes(damage)
            for act in (rename, compare, load_model, read_metrics):
                if message := said_by(act, workdir):
                    told += 1
                    assert "\n" not in message
                    assert str(workdir.root) in message or message.startswith("--names")
            shutil.rmtree(workdir.root)
    assert told > 150
    assert assign_rows(whole, rows).sizes


def test_an_unfinished_run_has_no_classes_to_name(tmp_path: Path):
    with pytest.raises(UserError, match="is not finished"):
        rename_classes(Workdir(tmp_path), ["novel_0=x"])


def test_the_console_knows_them(findings):
    console = Console(file=io.StringIO(), width=90)
    summary({**findings.metrics, "names": {"novel_0": "Export"}}, Path("r.html"), console)
    said = console.file.getvalue()
    assert "Export" in said
    assert "novel_0" not in said
    assert "novel_1" in said


@pytest.mark.thorough
@pytest.mark.parametrize("given", [("Export",), HOSTILE], ids=["one", "hostile"])
def test_a_browser_shows_them_in_figures(findings, given, opened):
    html = render_report(findings)
    names = {f"novel_{i}": name for i, name in enumerate(given)}
    page = rename_page(html, names)
    assert rename_page(page, {}) == rename_page(html, {})
    assert json.loads(Page(page).scripts[2]) == names
    with opened(page) as seen:
        assert seen.said == []
        drawn = seen.now()
    assert not [a for t, a in drawn.tags if t in {"img", "b", "svg"} and "onload" in a]
    for i, name in enumerate(given):
        assert f"novel_{i}" not in drawn.text
        short = name if len(name) <= 18 else f"{name[:17]}…"
        assert drawn.text.count(name) >= 1, "the table"
        assert drawn.text.count(short) >= 2, "the bars, the legend of the map"
