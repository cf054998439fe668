"""The report asks, saves answers, and speaks of the answer after them."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from asked_runs import lines, true_answers, write
from html_pages import Page, squeeze, without_figures

from ncd_jax import experiment
from ncd_jax.errors import UserError
from ncd_jax.report.questions import contradictions
from ncd_jax.report.renaming import rename_classes
from ncd_jax.store.answers import Answers, read_answers
from ncd_jax.store.asking import Asking
from ncd_jax.store.frames import frame_of, frame_parts

CHOOSE = """<script>
const choose = (i, pick) => pick(document.querySelectorAll("[data-question]")[i]);
const click = (value) => (question) => question.querySelector(`[value=${value}]`).click();
choose(0, click("yes"));
choose(0, click("no"));
choose(1, click("mixed"));
choose(1, click("mixed"));
choose(2, (question) => {
  question.querySelector("select").value = "b";
  question.querySelector("select").dispatchEvent(new Event("change"));
});
URL.createObjectURL = (blob) => {
  blob.text().then((text) => { document.body.dataset.saved = text; });
  return "#";
};
document.getElementById("save-answers").click();
</script>"""


def questions_of(page):
    return [dict(tag)["data-question"] for _, tag in page.tags if "data-question" in tag]


def timeless(page):
    """Its text but for how long all took."""
    return squeeze(page.text).partition("Reproduce")[0]


def test_the_report_asks(run, made):
    html, table = run.read_text("report.html"), pd.read_csv(made[0], dtype=str)
    page, first = Page(html), lines(run, "questions.csv")[0]
    assert questions_of(page) == [line["question"] for line in lines(run, "questions.csv")]
    shown = html[html.index('<section id="asking"') : html.index("</details>", html.index("<ol"))]
    rows = [int(row) for row in (first["rows_a"] + " " + first["rows_b"]).split()]
    cells = re.findall(r'<tr class=copied><td class="text">name</td>(.*?)</tr>', shown)
    assert re.findall(r">(item \d+)<", "".join(cells)) == table["name"][rows].tolist()
    colours = re.findall(r'<td class="text">colour</td>(.*?)</tr>', shown)
    assert re.findall(r">([^<]+)</td>", "".join(colours)) == table["colour"][rows].tolist()
    assert re.search(r"If not, \d+ rows of <span[^>]*>novel_\d</span> would become", shown)
    assert "expected to put" in page.text


def test_the_report_speaks_of_the_answer_after_the_answers(run, made, tmp_path):
    """Taken back, it says again what it said before."""
    before = Page(run.read_text("report.html"))
    assert "2 novel classes among 115" in before.text
    answers = true_answers(run, made[1])
    experiment.apply_answers(run, write(tmp_path / "a.csv", ("question", "answer"), answers))
    after = Page(run.read_text("report.html"))
    assert "3 novel classes among 115" in after.text
    assert "1 answer was given" in squeeze(after.text)
    assert list(after.figures["sizes"]["data"][0]["x"]) == [45, 40, 30]
    points = {trace["name"]: len(trace["x"]) for trace in after.figures["map"]["data"]}
    assert points == {"known classes": 100, "novel_0": 45, "novel_1": 40, "novel_2": 30}
    assert answers[0][0] not in questions_of(after)
    assert questions_of(after) == [line["question"] for line in lines(run, "questions.csv")]
    write(run.path("answers.csv"), ("question", "answer"), [])
    experiment.apply_answers(run, run.path("answers.csv"))
    again = Page(run.read_text("report.html"))
    assert again.figures == before.figures
    assert timeless(again) == timeless(before)


def test_names_stay_in_the_report(run, made, tmp_path):
    sizes = run.read_json("metrics.json")["novel_sizes"]
    whole = next(i for i, size in enumerate(sizes) if size in (30, 40, 45))
    rename_classes(run, [f"novel_{whole}=A <b> name"])
    answers = true_answers(run, made[1])
    experiment.apply_answers(run, write(tmp_path / "a.csv", ("question", "answer"), answers))
    html = run.read_text("report.html")
    assert "A <b> name" in Page(html).text
    assert "A <b> name" not in html.partition('id="names"')[0]


def test_answers_are_saved_as_a_file_that_is_read_as_it_is(run, tmp_path, opened):
    html = without_figures(run.read_text("report.html")).replace("</body>", f"{CHOOSE}</body>")
    with opened(html, ready="body[data-saved]") as seen:
        saved = seen.page.locator("body").get_attribute("data-saved")
        assert seen.page.get_by_text("2 answers").count()
        assert seen.said == []
    (tmp_path / "answers.csv").write_text(saved)
    names = [line["question"] for line in lines(run, "questions.csv")]
    assert read_answers(tmp_path / "answers.csv").answers == {names[0]: "no", names[2]: "known:b"}
    asking = Asking(run)
    said = read_answers(tmp_path / "answers.csv")
    assert asking.outcome(said).metrics["n_answers"] == 2


def test_answers_that_do_not_hold_are_named_with_those_against_them(run, made, tmp_path):
    """Two groups are one class, are they not?"""
    name, answer = true_answers(run, made[1])[0]
    again = Asking(run).outcome(Answers({name: answer}, {})).questions[0].name
    other = f"{again}@{name.partition('@')[2]}"
    both = write(tmp_path / "a.csv", ("question", "answer"), [(name, answer), (other, "yes")])
    outcome = experiment.apply_answers(run, both)
    assert outcome.contradicted() == {name: (other,), other: (name,)}
    sentence = f"'no' to {name} does not hold against 'yes' to {other}"
    assert contradictions(outcome.contradicted(), outcome.said.answers) == (sentence,)
    said = squeeze(Page(run.read_text("report.html")).text)
    assert f"The answer {sentence}." in said


def without(path, key):
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({name: whole[name] for name in whole if name != key}))


def without_the_last_line(path):
    path.write_bytes(path.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n")


DAMAGES = {
    "arrays": lambda run: run.path("model/drawn.npz").write_bytes(b"PK"),
    "facts": lambda run: run.path("model/drawn.json").write_text("{}"),
    "figure": lambda run: without(run.path("metrics.json"), "diverged_runs"),
    "columns": lambda run: run.path("assignments.csv").write_text("row,label\n0,novel_0\n"),
    "rows": lambda run: without_the_last_line(run.path("assignments.csv")),
}
SAID = {
    "figure": r"metrics\.json lacks",
    "columns": r"assignments\.csv has other columns",
    "rows": r"assignments\.csv has other rows",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_changes_nothing(run, made, tmp_path, damage):
    answers = write(tmp_path / "a.csv", ("question", "answer"), true_answers(run, made[1]))
    DAMAGES[damage](run)
    before = run.path("assignments.csv").read_bytes()
    said = SAID.get(damage, r"drawn\.npz is damaged")
    with pytest.raises(UserError, match=rf"^\S+{said}.*; run again in a new workdir$"):
        experiment.apply_answers(run, answers)
    assert run.path("assignments.csv").read_bytes() == before
    assert not run.has("answers.csv")


def test_frames_are_kept_as_they_are():
    frame = pd.DataFrame({"number": [1.5, np.nan, -3.0], "whole": [1, 2, 2**60]})
    frame["flag"] = [True, False, True]
    frame["day"] = pd.to_datetime(["2024-01-01", None, "2024-02-03"])
    frame["word"] = np.array(["=a", None, "b, c"], object)
    frame["kind"] = pd.Categorical(["x", "z", None], ["z", "y", "x"], ordered=True)
    frame["code"] = pd.Categorical([3, 1, 3])
    arrays, facts = frame_parts(frame)
    assert all(array.dtype.kind != "O" for array in arrays.values())
    pd.testing.assert_frame_equal(frame_of(arrays, facts), frame)
    assert frame_of({}, []).shape == (0, 0)
