"""The whole way in a real browser: a table, a run, two answers, a name, a download, new rows.

`pytest --thorough -k penguins` makes the pictures of `docs/app.md` too, where NCD_JAX_SCREENSHOTS
names their folder.
"""

import functools
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from asked_runs import three_are_new
from html_pages import find_browser
from tiers import few

ROOT = Path(__file__).parent.parent.parent
PENGUINS = ROOT / "tests" / "data" / "penguins.csv"
NARROW, WIDE = {"width": 390, "height": 800}, {"width": 1280, "height": 800}
PICTURE = {"width": 1280, "height": 1160}


class Brought(NamedTuple):
    """A table, and what is done with it.

    Attributes:
        label, nobody: the column of the classes, and its word for rows of none.
        codes, alike: the one that holds numbers and is to be categories, and the one that says the
            classes again.
        need: one that new rows must have.
        settings: of the run, beside the defaults.
    """

    frame: pd.DataFrame
    label: str
    nobody: str
    codes: str
    alike: str
    need: str
    settings: str

    @property
    def n_nobody(self):
        return int((self.frame[self.label] == self.nobody).sum())


def penguins():
    return Brought(
        pd.read_csv(PENGUINS), "species", "Adelie", "year", "island", "bill_length_mm", ""
    )


def made():
    """Of the shape of the table of `test_launch`, and run as there: both share programs."""
    x, classes = three_are_new()
    frame = pd.DataFrame(x[:, :3], columns=["width", "height", "weight"])
    frame["code"] = np.array([1, 2, 3, 1, 2, 2, 3])[classes]
    frame["place"] = np.array(list("uvwxyyy"))[classes]
    frame["label"] = np.array([*"abcd", *["later"] * 3])[classes]
    frame = frame[(classes < 4) | (np.cumsum(classes >= 4) <= 60)]
    settings = "config.setting=ncd\nconfig.search.folds=2"
    return Brought(frame, "label", "later", "code", "place", "width", settings)


TABLES = {"made": made, "penguins": penguins}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The program as its users start it: `served()` is its address; and the folder of its runs."""
    find_browser()
    folder = tmp_path_factory.mktemp("page")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "NCD_JAX_COMPILATION_CACHE": os.environ["NCD_JAX_TEST_PROGRAMS"],
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ncd_jax", "--mode=app", "--browser=false", "--workdir=runs"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    yield functools.cache(process.stdout.readline), folder / "runs"
    process.terminate()
    _, complaints = process.communicate(timeout=30)
    assert "Traceback" not in complaints, complaints


class Visit:
    """A person at a browser, who trusts nothing: every screen is loaded again and looked at."""

    def __init__(self, page):
        self.page, self.errors = page, []
        page.set_default_timeout(30_000)
        page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def looks_the_same_again(self, picture=""):
        """Loads the screen again: it says the same, fits a phone, and nobody complains."""
        page = self.page
        self.settle()
        title = page.locator("h1").inner_text()
        page.reload()
        self.settle()
        assert page.locator("h1").inner_text() == title
        if picture and (folder := os.environ.get("NCD_JAX_SCREENSHOTS")):
            page.set_viewport_size(PICTURE)
            page.evaluate("scrollTo(0, 0)")
            page.screenshot(path=f"{folder}/app_{picture}.png")
        page.set_viewport_size(NARROW)
        page.wait_for_function(f"document.documentElement.scrollWidth <= {NARROW['width']}")
        page.set_viewport_size(WIDE)
        assert self.errors == []

    def settle(self):
        if self.page.locator("#plot").count():
            self.page.wait_for_selector("body[data-ready]")

    @contextmanager
    def refused(self, words):
        """What is done within is answered by a refusal, and by nothing else."""
        yield
        self.page.locator("[role=alert]:visible", has_text=words).wait_for()
        assert all("422" in error for error in self.errors), self.errors
        self.errors.clear()

    def go(self, link):
        """Follows a link: what comes next is done on its page, not on the one before."""
        with self.page.expect_navigation():
            link.click()

    def go_to(self, step):
        self.go(self.page.get_by_role("navigation").get_by_role("link", name=step))


@pytest.fixture
def visit(served, chromium):
    """Who visits; the program starts meanwhile."""
    context = chromium.new_context(viewport=WIDE, color_scheme="light")
    yield Visit(context.new_page())
    context.close()


@pytest.mark.parametrize("name", few(TABLES, "made"))
def test_the_whole_way(served, visit, tmp_path, name):
    say, folder = served
    page, brought, run = visit.page, TABLES[name](), folder / name
    address = say().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", address), address
    brought.frame.to_csv(tmp_path / f"{name}.csv", index=False)
    page.goto(address)
    assert "token" not in page.url
    visit.looks_the_same_again()
    bring_a_table(visit, brought, tmp_path / f"{name}.csv")
    stop_and_go_on(visit, brought, run)
    look_at_the_answer(visit, brought)
    answer_two_questions(visit, run)
    name_and_take_away(visit, run)
    sort_new_rows(visit, brought, tmp_path)
    page.goto(address)
    assert page.locator(".runs").get_by_text(name, exact=True).is_visible()
    visit.looks_the_same_again()


def bring_a_table(visit, brought, path):
    page = visit.page
    path.with_name("letter.pdf").write_bytes(b"%PDF")
    with visit.refused("tables of this format (.pdf) are not read"):
        page.set_input_files("#file", path.with_name("letter.pdf"))
    visit.go(page.get_by_role("link", name="ncd_jax"))
    page.set_input_files("#file", path)
    page.locator("#label").select_option(brought.label)
    with visit.refused("is filled on every row"):
        page.get_by_role("button", name="Read it again").click()
    page.locator("#unlabelled").fill(brought.nobody)
    assert page.locator("[name=says-unlabelled]").is_checked()
    page.get_by_role("button", name="Read it again").click()
    page.get_by_text(f"{brought.n_nobody} rows without a label").wait_for()
    page.get_by_label(f"take {brought.codes} for").select_option("categories")
    page.get_by_label(f"take {brought.alike} for").select_option("drop")
    page.get_by_label(f"copy {brought.alike} to the answer").check()
    page.get_by_role("button", name="Read it again").click()
    n_levels = brought.frame[brought.codes].nunique()
    page.get_by_text(f"categories ({n_levels} levels)").wait_for()
    visit.looks_the_same_again("table")
    page.get_by_role("button", name="Go on to the run").click()


def stop_and_go_on(visit, brought, run):
    page = visit.page
    page.locator("#settings summary").click()
    page.locator("#others").fill(brought.settings)
    page.locator("#settings").get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.reload()
    page.locator(".phases").get_by_text(re.compile("gate|learn")).first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Go on").wait_for()
    assert (run / "config.json").is_file()
    assert not (run / "metrics.json").exists()
    visit.looks_the_same_again()
    page.get_by_role("button", name="Go on").click()
    page.locator(".phases li.done").first.wait_for()
    if shots := os.environ.get("NCD_JAX_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/app_run.png")
    page.wait_for_url("**/answer", timeout=120_000)


def look_at_the_answer(visit, brought):
    page = visit.page
    assert f"{brought.n_nobody} unlabelled rows" in page.locator("h1").inner_text()
    visit.looks_the_same_again("answer")
    page.locator("#colour").select_option("confidence")
    page.locator("#colour").select_option(label=brought.need)
    page.locator("#plot").scroll_into_view_if_needed()
    box = page.locator("#plot .nsewdrag").first.bounding_box()
    left, top, right, low = (
        box["x"] + 3, box["y"] + 3, box["x"] + box["width"] - 3, box["y"] + box["height"] - 3,
    )  # fmt: skip
    page.mouse.move(left, top)
    page.mouse.down()
    for x, y in ((right, top), (right, low), (left, low), (left, top)):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.get_by_text(f"{len(brought.frame)} rows chosen").wait_for()
    assert page.locator("#chosen input:checked").count() == brought.n_nobody
    page.get_by_role("button", name="Choose none").click()
    assert page.locator("#chosen").is_hidden()
    page.locator("#whole summary").click()
    report = page.frame_locator("#whole iframe")
    report.get_by_role("heading", name="Reproduce").wait_for()
    assert visit.errors == []


def answer_two_questions(visit, run):
    page = visit.page
    visit.go_to("Ask")
    visit.looks_the_same_again("ask")
    first = page.locator("[name=question]").get_attribute("value")
    page.keyboard.press("n")
    page.locator("h1", has_text="2.").wait_for()
    page.keyboard.press("y")
    page.locator("h1", has_text="3.").wait_for()
    page.keyboard.press("b")
    page.locator("h1", has_text="2.").wait_for()
    page.get_by_role("button", name="Yes").click()
    page.locator("h1", has_text="3.").wait_for()
    visit.looks_the_same_again()
    said = pd.read_csv(run / "answers.csv").set_index("question")["answer"]
    assert said[first] == "no"
    assert sorted(said) == ["no", "yes"]


def name_and_take_away(visit, run):
    page = visit.page
    visit.go_to("Name and keep")
    page.locator("#novel_0").fill("Gentle ones")
    page.get_by_role("button", name="Keep the names").click()
    page.locator("#novel_0[value='Gentle ones']").wait_for()
    visit.looks_the_same_again("keep")
    with page.expect_download() as download:
        page.get_by_role("link", name="Assignments, CSV").click()
    taken = Path(download.value.path()).read_bytes()
    assert taken == (run / "assignments.csv").read_bytes()
    assert b"Gentle ones" in taken
    assert visit.errors == []


def sort_new_rows(visit, brought, tmp_path):
    page = visit.page
    visit.go_to("Next month")
    (tmp_path / "empty.csv").write_text("nothing\n1\n")
    with visit.refused(brought.need):
        page.set_input_files("#file", tmp_path / "empty.csv")
    rows = brought.frame.tail(40).drop(columns=brought.label)
    rows.to_csv(tmp_path / "december.csv", index=False)
    page.set_input_files("#file", tmp_path / "december.csv")
    page.get_by_role("heading", name="december.csv: 40 rows").wait_for()
    visit.looks_the_same_again("later")
