"""The whole way in a real browser: a table, a run, two answers, a name, a download, new rows.

It makes the pictures of `docs/app.md` too, where NCD_JAX_SCREENSHOTS names their folder.
"""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from html_pages import find_browser

ROOT = Path(__file__).parent.parent.parent
PENGUINS = ROOT / "tests" / "data" / "penguins.csv"
NARROW, WIDE = {"width": 390, "height": 800}, {"width": 1280, "height": 800}
PICTURE = {"width": 1280, "height": 1160}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The program as its users start it: its address, and the folder of its runs."""
    find_browser()
    folder = tmp_path_factory.mktemp("page")
    environment = {
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
        "NCD_JAX_COMPILATION_CACHE": os.environ["NCD_JAX_TEST_PROGRAMS"],
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "ncd_jax", "--mode=app", "--browser=false", "--workdir=runs"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    address = process.stdout.readline().strip()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]+", address), address
    yield address, folder / "runs"
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

    def go(self, step):
        self.page.get_by_role("navigation").get_by_role("link", name=step).click()


@pytest.fixture
def visit(served):
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu"]
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=find_browser(), args=flags)
        context = browser.new_context(viewport=WIDE, color_scheme="light")
        yield Visit(context.new_page())
        browser.close()


def test_the_whole_way(served, visit, tmp_path):
    address, folder = served
    page = visit.page
    page.goto(address)
    assert "token" not in page.url
    visit.looks_the_same_again()
    bring_a_table(visit, tmp_path)
    stop_and_go_on(visit, folder)
    look_at_the_answer(visit)
    answer_two_questions(visit, folder)
    name_and_take_away(visit, folder)
    sort_new_rows(visit, tmp_path)
    page.goto(address)
    assert page.locator(".runs").get_by_text("penguins", exact=True).is_visible()
    visit.looks_the_same_again()


def bring_a_table(visit, tmp_path):
    page = visit.page
    (tmp_path / "letter.pdf").write_bytes(b"%PDF")
    with visit.refused("tables of this format (.pdf) are not read"):
        page.set_input_files("#file", tmp_path / "letter.pdf")
    page.get_by_role("link", name="ncd_jax").click()
    page.set_input_files("#file", PENGUINS)
    page.locator("#label").select_option("species")
    with visit.refused("is filled on every row"):
        page.get_by_role("button", name="Read it again").click()
    page.locator("#unlabelled").fill("Adelie")
    assert page.locator("[name=says-unlabelled]").is_checked()
    page.get_by_role("button", name="Read it again").click()
    page.get_by_text("152 rows without a label").wait_for()
    page.get_by_label("take year for").select_option("categories")
    page.get_by_label("take island for").select_option("drop")
    page.get_by_label("copy island to the answer").check()
    page.get_by_role("button", name="Read it again").click()
    page.get_by_text("categories (3 levels)").wait_for()
    visit.looks_the_same_again("table")
    page.get_by_role("button", name="Go on to the run").click()


def stop_and_go_on(visit, folder):
    page = visit.page
    page.locator("#settings").get_by_role("button", name="Run").click()
    page.get_by_role("button", name="Stop").wait_for()
    page.reload()
    page.locator(".phases").get_by_text("tune").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Go on").wait_for()
    assert (folder / "penguins" / "config.json").is_file()
    assert not (folder / "penguins" / "metrics.json").exists()
    visit.looks_the_same_again()
    page.get_by_role("button", name="Go on").click()
    page.locator(".phases li.done").first.wait_for()
    if shots := os.environ.get("NCD_JAX_SCREENSHOTS"):
        page.screenshot(path=f"{shots}/app_run.png")
    page.wait_for_url("**/answer", timeout=120_000)


def look_at_the_answer(visit):
    page = visit.page
    assert "152 unlabelled rows" in page.locator("h1").inner_text()
    visit.looks_the_same_again("answer")
    page.locator("#colour").select_option("confidence")
    page.locator("#colour").select_option(label="bill_length_mm")
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
    page.get_by_text("344 rows chosen").wait_for()
    assert page.locator("#chosen input:checked").count() == 152
    page.get_by_role("button", name="Choose none").click()
    assert page.locator("#chosen").is_hidden()
    page.locator("#whole summary").click()
    report = page.frame_locator("#whole iframe")
    report.get_by_role("heading", name="Reproduce").wait_for()
    assert visit.errors == []


def answer_two_questions(visit, folder):
    page = visit.page
    visit.go("Ask")
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
    said = pd.read_csv(folder / "penguins" / "answers.csv").set_index("question")["answer"]
    assert said[first] == "no"
    assert sorted(said) == ["no", "yes"]


def name_and_take_away(visit, folder):
    page = visit.page
    visit.go("Name and keep")
    page.locator("#novel_0").fill("Gentle ones")
    page.get_by_role("button", name="Keep the names").click()
    page.locator("#novel_0[value='Gentle ones']").wait_for()
    visit.looks_the_same_again("keep")
    with page.expect_download() as download:
        page.get_by_role("link", name="Assignments, CSV").click()
    taken = Path(download.value.path()).read_bytes()
    assert taken == (folder / "penguins" / "assignments.csv").read_bytes()
    assert b"Gentle ones" in taken
    assert visit.errors == []


def sort_new_rows(visit, tmp_path):
    page = visit.page
    visit.go("Next month")
    (tmp_path / "empty.csv").write_text("nothing\n1\n")
    with visit.refused("bill_length_mm"):
        page.set_input_files("#file", tmp_path / "empty.csv")
    rows = pd.read_csv(PENGUINS).tail(40).drop(columns="species")
    rows.to_csv(tmp_path / "december.csv", index=False)
    page.set_input_files("#file", tmp_path / "december.csv")
    page.get_by_role("heading", name="december.csv: 40 rows").wait_for()
    visit.looks_the_same_again("later")
