"""The screens as a browser asks for them, without one: forms in, pages and files out."""

import csv
import html
import io
import json
import logging
import re
import shlex
import shutil
import sys
import time
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
from absl import logging as absl_logging
from html_pages import HOSTILE, Page, squeeze

from ncd_jax import cli, startup
from ncd_jax.app.folder import Plan
from ncd_jax.app.jobs import Jobs, complaint, steps
from ncd_jax.app.opened import MOST_OPEN, OpenedRuns
from ncd_jax.app.screen_keep import as_excel
from ncd_jax.cli import main
from ncd_jax.config import parse
from ncd_jax.flags import read_flags
from ncd_jax.read.options import ReadOptions
from ncd_jax.store.answers import read_answers
from ncd_jax.store.asking import Asking
from ncd_jax.store.workdir import Workdir

SCREENS = ("table", "run", "answer", "ask", "keep", "later")
TABLE = b"p,q,kind\n" + b"".join(
    f"{i % 7},{i * 37 % 11},{'abc?'[i % 4]}\n".encode() for i in range(40)
)


# Of ml_collections, where it reads a config file.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def wait_until(holds, seconds=10):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def bring(client, name="t.csv", content=TABLE):
    answer = client.put("/upload", params={"name": name}, content=content)
    return answer.json().get("to", answer.json())


def read(client, place, **fields):
    """The screen of the table after its form was sent."""
    return client.post(place, data=fields, follow_redirects=True)


def labels_of(run):
    return pd.read_csv(run / "assignments.csv").set_index("row")["label"]


def rest_of(client, path):
    return squeeze(Page(client.get(path).text).text)


def test_a_table_is_read_and_corrected_and_its_plan_kept(client, folder):
    place = bring(client, "../../T ä<b>.csv")
    assert re.fullmatch(r"/runs/T_ä_b_/table", place)
    page = Page(client.get(place).text)
    chosen = [dict(attrs) for tag, attrs in page.tags if tag == "option" and "selected" in attrs]
    assert chosen, "a column is proposed"
    page = read(client, place, label="kind")
    text = squeeze(Page(page.text).text)
    assert "3 known classes and 10 rows without a label" in text
    assert "'?' is taken for unlabelled" in text
    fields = {"label": "kind", "kind-0": "categories", "kind-1": "circular", "period-1": "11"}
    page = read(client, place, **fields, **{"keep-0": "yes", "missing": "3, x"})
    text = squeeze(Page(page.text).text)
    assert "categories (6 levels)" in text, "3 means an empty cell"
    assert "circular, period 11" in text
    plan = Plan(**json.loads((folder / ".app" / "T_ä_b_" / "plan.json").read_text()))
    assert plan.reading == {
        "missing": ["3", "x"],
        "categories": ["p"],
        "circular": ["q:11"],
        "keep": ["p"],
    }


@pytest.mark.parametrize(
    ("fields", "words", "field"),
    [
        ({"label": "p", "kind-1": "circular"}, "does not say after what", "columns"),
        ({"label": "kind", "unlabelled": "zz", "says-unlabelled": "yes"}, "'zz'", None),
        ({"label": "kind", "encoding": "utf-99"}, "utf-99", None),
        ({"label": "kind", "kind-0": "drop", "kind-1": "drop"}, "only the label column", None),
        ({"label": "nope"}, "'nope'", None),
        ({"label": "kind", "kind-0": "nonsense"}, "nonsense", None),
    ],
    ids=str,
)
def test_a_refusal_is_said_where_it_can_be_mended(client, fields, words, field):
    place = bring(client)
    page = read(client, place, **fields)
    assert words in squeeze(Page(page.text).text)
    assert 'role="alert"' in page.text
    assert 'name="label"' in page.text, "the form is still there"
    if field:
        assert f'href="{place}#{field}"' in page.text
        assert f'id="{field}"' in page.text
    mended = read(client, place, label="kind")
    assert "10 rows without a label" in squeeze(Page(mended.text).text)


def test_files_that_are_no_tables(client):
    assert "empty" in bring(client, "t.csv", b"")["error"]
    place = bring(client, "t.exe", b"MZ")
    page = client.get(place)
    assert "tables of this format (.exe) are not read" in squeeze(Page(page.text).text)
    place = bring(client, "two.xlsx", b"PK nothing")
    assert 'role="alert"' in client.get(place).text


def test_an_upload_has_a_bound(client, folder, monkeypatch):
    monkeypatch.setattr("ncd_jax.app.guard.MOST_BYTES", 1 << 20)
    answer = client.put("/upload", params={"name": "t.csv"}, content=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 422
    assert "more than 1 MB" in answer.json()["error"]
    assert not list(folder.rglob("*.csv*")), "nothing of it is left"


def test_settings_are_checked_before_a_run_is_begun(client, monkeypatch):
    started = []
    monkeypatch.setattr(Jobs, "start", lambda _, run: started.append(run.flags()))
    place = bring(client).replace("table", "run")
    read(client, place.replace("run", "table"), label="kind")
    page = client.post(place, data={"k.n_novel": "no"})
    assert page.status_code == 422
    assert "config.k.n_novel" in page.text
    page = client.post(place, data={"others": "--plugin=evil.py"})
    assert "is no setting" in page.text
    assert not started
    fields = {"method": "rca", "k.n_novel": "2", "others": "--config.hparams.lr=0.01"}
    client.post(place, data=fields)
    assert started[0][1:-1] == ["--label=kind", "--config.k.n_novel=2", "--config.hparams.lr=0.01"]
    text = rest_of(client, place)
    assert "--label=kind --config.k.n_novel=2 --config.hparams.lr=0.01" in text


def test_what_a_run_says_becomes_steps():
    console = "column x is odd: so\ntune: 3/12, 5 s, 15 s left\ngate: done in 0.1 s\n\n3 classes"
    found, said = steps(console)
    assert [each.name for each in found] == ["tune", "gate"]
    assert [(each.share, each.is_done) for each in found] == [(0.25, False), (1.0, True)]
    assert said == ["column x is odd: so"]
    assert complaint("tune: x\nncd-jax: t.csv: no row; add one\n") == "t.csv: no row; add one"


def test_one_run_at_a_time_and_others_wait(client, monkeypatch):
    """Processes that only sleep; an interrupt ends them, and the next one begins."""
    sleep = ["import sys, time; print('tune: x', flush=True); time.sleep(60)"]
    monkeypatch.setattr("ncd_jax.app.jobs.command", lambda run: [sys.executable, "-c", *sleep])
    places = [bring(client) for _ in range(2)]
    for place in places:
        read(client, place, label="kind")
        client.post(place.replace("table", "run"), data={"start": "yes"})
    names = [place.split("/")[2] for place in places]
    jobs = client.desk.jobs
    assert [jobs.state(name) for name in names] == ["running", "waiting"]
    assert "It waits for its turn" in client.get(f"/runs/{names[1]}/run").text
    client.post(f"/runs/{names[0]}/run", data={"stop": "yes"})
    wait_until(lambda: jobs.state(names[1]) == "running")
    assert jobs.state(names[0]) == ""
    part = client.get(f"/runs/{names[0]}/run?part=1")
    assert part.headers["x-word"] == "stopped"
    assert "Go on" in part.text
    client.post(f"/runs/{names[0]}/run", data={"go-on": "yes"})
    assert jobs.state(names[0]) == "waiting"
    client.post(f"/runs/{names[0]}/run", data={"stop": "yes"})
    jobs.close()
    assert jobs.state(names[1]) == ""


def test_a_run_that_is_refused_says_why(client, monkeypatch):
    complain = "import sys; print('ncd-jax: --missing is odd; mend it'); sys.exit(2)"
    monkeypatch.setattr("ncd_jax.app.jobs.command", lambda run: [sys.executable, "-c", complain])
    place = bring(client)
    read(client, place, label="kind")
    place = place.replace("table", "run")
    client.post(place, data={"start": "yes"})
    wait_until(lambda: client.get(f"{place}?part=1").headers["x-word"] == "refused")
    page = client.get(place)
    assert "is odd; mend it" in page.text
    assert 'table#missing"' in page.text


def test_every_screen_of_a_run_of_the_command_line_opens(client, run):
    listed = rest_of(client, "/")
    assert "made" in listed
    assert "2 novel classes" in listed
    for screen in SCREENS:
        page = client.get(f"/runs/made/{screen}")
        assert page.status_code == 200, screen
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        found = Page(page.text)
        scripts = [attrs for tag, attrs in found.tags if tag == "script"]
        assert all("src" in each or each["type"] == "application/json" for each in scripts)
        assert not [name for _, attrs in found.tags for name in attrs if name.startswith("on")]
        labelled = {attrs.get("for") for tag, attrs in found.tags if tag == "label"}
        for tag, attrs in found.tags:
            if tag in ("select", "textarea", "input") and attrs.get("type") != "hidden":
                named = attrs.get("aria-label") or attrs.get("id") in labelled
                assert named or attrs["type"] == "checkbox", attrs
    parts = client.get("/runs/made/classes").text
    assert "<img src=x" not in parts
    data = client.get("/runs/made/map.json").json()
    assert len(data["row"]) == 215
    assert sum(bool(label) for label in data["label"]) == 115
    pairs = zip(data["row"], data["label"], strict=True)
    assert {row: label for row, label in pairs if label} == labels_of(run).to_dict()


def test_rows_may_be_of_a_known_class_and_the_report_follows(client, run):
    page = client.get("/runs/made/ask").text
    question = re.search(r'name="question" value="([^"]+)"', page)[1]
    known = html.unescape(re.search(r'<select name="known"><option>(.*?)</option>', page)[1])
    said = {"question": question, "answer": "known", "known": known}
    assert client.post("/runs/made/ask", data=said).status_code == 200
    assert (labels_of(run) == known).sum() > 0
    assert read_answers(run / "answers.csv").answers == {question: f"known:{known}"}
    client.get("/runs/made/keep")  # waits for what is written
    name = labels_of(run)[lambda labels: labels.str.startswith("novel_")].iloc[0]
    named = client.post("/runs/made/keep", data={"do": "name", name: "Fine"})
    assert named.status_code == 200
    before = (run / "report.html").read_bytes()
    shown = client.get("/runs/made/files/report.html")
    assert shown.content != before
    assert client.get("/runs/made/files/report.html").content == shown.content
    nowhere = said | {"known": "of no table"}
    assert "no known class" in squeeze(Page(client.post("/runs/made/ask", data=nowhere).text).text)


def test_answers_move_rows_at_once_and_are_taken_back(client, run):
    before = labels_of(run)
    page = client.get("/runs/made/ask").text
    question = re.search(r'name="question" value="([^"]+)"', page)[1]
    said = {"question": question, "answer": "no"}
    part = {"headers": {"x-part": "yes"}}
    at_once = client.post("/runs/made/ask", data=said, **part).text
    whole = client.get("/runs/made/ask", **part).text
    rows = client.get("/runs/made/map.json").json()["row"]
    moved = []
    for text in (at_once, whole):
        assert "<html" not in text
        moving = json.loads(re.search(r'id="moving">(.*?)</script>', text)[1])
        moved.append({i: name for i, name in zip(rows, moving["label"], strict=True) if name})
    after = labels_of(run)
    assert moved[1] == after.to_dict()
    assert after.nunique() == 3
    same = pd.crosstab(pd.Series(moved[0]), pd.Series(moved[1])).to_numpy()
    assert same.shape == (3, 3), "at once there are as many"
    assert same.max(axis=1).sum() >= 0.9 * len(after), "and they are the same, less a few votes"
    assert read_answers(run / "answers.csv").answers == {question: "no"}
    assert "With 1 answer of yours" in rest_of(client, "/runs/made/answer")
    client.post("/runs/made/ask", data={"question": "", "answer": "back"})
    assert labels_of(run).equals(before)
    wrong = client.post("/runs/made/ask", data={"question": question, "answer": "perhaps"})
    assert wrong.status_code == 422
    assert "perhaps" in wrong.text
    other = client.post("/runs/made/ask", data={"question": "same-1-2@00000000", "answer": "no"})
    assert "no question of this run" in squeeze(Page(other.text).text)


def test_classes_are_split_and_merged_by_hand(client, run):
    before = labels_of(run)
    mixed = before.index[before == "novel_0"]  # two classes in one
    cells = Asking(Workdir(run)).cells().loc[mixed, "width"].astype(float)
    chosen = cells.index[cells > cells.mean()].tolist()
    page = client.post("/runs/made/answer", data={"row": chosen, "class": "Wide"})
    assert page.status_code == 200
    after = labels_of(run)
    assert set(after[chosen]) == {"Wide"}
    assert len(set(after)) == 3
    assert (after[mixed] == "Wide").sum() < len(mixed) - 5, "not all of it went"
    text = rest_of(client, "/runs/made/keep")
    assert "novel_0 without Wide" in text
    other = next(name for name in set(after) if name != "Wide")
    client.post("/runs/made/keep", data={"do": "merge", "one": "Wide", "other": other})
    merged = labels_of(run)
    assert merged[chosen].nunique() == 1
    assert len(set(merged)) == 2
    labels = set(read_answers(run / "labels.csv").labels.values())
    client.post("/runs/made/keep", data={"do": "back", "class": sorted(labels)})
    assert len(set(labels_of(run))) == 2
    assert json.loads((run / "metrics.json").read_text())["n_answers"] == 0
    refused = client.post("/runs/made/answer", data={"row": ["999999"], "class": "x"})
    assert refused.status_code == 422
    assert "row 999999 has a label" in refused.text


def test_names_notes_and_what_is_taken_away(client, run):
    client.post("/runs/made/keep", data={"do": "name", "novel_0": HOSTILE[2], "novel_1": "=1+2"})
    assert {HOSTILE[2], "'=1+2"} == set(labels_of(run))
    for screen in SCREENS[2:]:
        assert "<b>bold</b>" not in client.get(f"/runs/made/{screen}").text
    twice = client.post("/runs/made/keep", data={"do": "name", "novel_0": "x", "novel_1": "x"})
    assert twice.status_code == 422
    assert "give each its own" in twice.text
    client.post("/runs/made/keep", data={"do": "notes", "notes": "mind <the> gap"})
    assert "mind &lt;the&gt; gap" in client.get("/runs/made/keep").text
    got = client.get("/runs/made/files/assignments.csv")
    assert got.content == (run / "assignments.csv").read_bytes()
    assert "attachment" in got.headers["content-disposition"]
    book = openpyxl.load_workbook(io.BytesIO(client.get("/runs/made/assignments.xlsx").content))
    header, *lines = book.active.iter_rows()
    assert [cell.value for cell in header][:3] == ["row", "name", "label"]
    assert len(lines) == 115
    assert {line[2].data_type for line in lines} == {"s"}, "no cell is a formula"
    assert {line[2].value for line in lines} == {HOSTILE[2], "=1+2"}
    packed = zipfile.ZipFile(io.BytesIO(client.get("/runs/made/model.zip").content))
    assert "made/model/arrays.npz" in packed.namelist()
    report = client.get("/runs/made/files/report.html")
    assert report.headers["content-security-policy"].startswith("sandbox")


def test_controls_do_not_break_a_sheet():
    as_excel(["row", "label"], [["1", "a\x00b\x0bc"]])


def test_new_rows_are_sorted_and_refused_ones_named(client, run, made):
    frame = pd.read_csv(made)
    content = frame.drop(columns="label").head(60).to_csv(index=False).encode()
    said = client.put("/runs/made/later", params={"name": "next month.csv"}, content=content).json()
    assert said == {"to": "/runs/made/later?file=next_month.csv"}
    text = rest_of(client, said["to"])
    assert "60 rows" in text
    assert "like no class of this run" in text
    with (run / "assigned" / "next_month.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 60
    bad = client.put("/runs/made/later", params={"name": "x.csv"}, content=b"a,b\n1,2\n")
    assert bad.status_code == 422
    assert bad.json()["error"].startswith("x.csv: ")
    assert "width" in bad.json()["error"]


def command(*flags):
    """The command line in this process, which has started JAX already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(startup, "one_device_per_core", lambda: None)
        patch.setattr(startup, "keep_compiled_programs", lambda folder: None)
        level = absl_logging.get_verbosity(), logging.getLogger("jax").level
        try:
            assert main(["ncd-jax", *flags]) == 0
        finally:
            absl_logging.set_verbosity(level[0])
            logging.getLogger("jax").setLevel(level[1])


def test_the_commands_that_are_shown_repeat_it_all(client, run, finished):
    page = client.get("/runs/made/ask").text
    question = re.search(r'name="question" value="([^"]+)"', page)[1]
    client.post("/runs/made/ask", data={"question": question, "answer": "no"})
    client.post("/runs/made/keep", data={"do": "name", "novel_0": "Export"})
    text = Page(client.get("/runs/made/keep").text).text
    shown = [shlex.split(line) for line in re.findall("python -m ncd_jax .*", text)]
    assert [flags[3] for flags in shown] == ["--mode=ask", "--mode=rename", "--mode=assign"]
    wanted, answers = labels_of(run), (run / "answers.csv").read_bytes()
    shutil.rmtree(run)
    shutil.copytree(finished, run)
    (run / "answers.csv").write_bytes(answers)
    for flags in shown[:2]:
        command(*flags[3:])
    assert labels_of(run).equals(wanted)


def test_a_plan_is_the_command():
    """Whatever the names of columns hold."""
    reading = {
        "missing": ["x", "y z"],
        "drop": ["a,b", 'c"d'],
        "dates": ["day:dmy"],
        "circular": ["direction:360"],
        "decimal": "comma",
        "id": "=name",
        "keep": ["e"],
    }
    plan = Plan("t.csv", "kind", "", reading, {"k.n_novel": "3"})
    given = read_flags(["ncd-jax", *plan.flags(Path("t.csv"), Path("runs/t"))])
    assert cli._read_options(given) == ReadOptions(**reading)
    assert (given.label, given.unlabelled, given.workdir) == ("kind", "", "runs/t")
    assert parse(given.config).k.n_novel == 3


def test_a_run_is_read_again_once_the_command_line_has_changed_it(client, run):
    assert "novel_0" in rest_of(client, "/runs/made/answer")
    command("--mode=rename", f"--workdir={run}", "--names=novel_0=Elsewhere")
    assert "Elsewhere" in rest_of(client, "/runs/made/answer")


def test_few_runs_are_open_at_once(client, run, folder, finished):
    runs = OpenedRuns()
    names = [f"r{i}" for i in range(MOST_OPEN + 1)]
    for name in names:
        shutil.copytree(finished, folder / name)
    first = runs.get(client.desk.folder.find("r0"))
    for name in names[1:-1]:
        runs.get(client.desk.folder.find(name))
    assert runs.get(client.desk.folder.find("r0")) is first, "it is not read again"
    runs.get(client.desk.folder.find(names[-1]))
    assert runs.get(client.desk.folder.find("r0")) is first, "it was looked at last"
    assert set(runs._open) == {"r0", *names[2:]}
