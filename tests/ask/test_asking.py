"""Asking from end to end: a run in which two classes were merged, and one answer parts them."""

import hashlib
import io
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from asked_runs import contents, lines, true_answers, write
from rich.console import Console
from sklearn.base import clone

from ncd_jax import NovelClassDiscovery, cli, experiment
from ncd_jax.data.own_table import read_table
from ncd_jax.discovery.model import apply_model
from ncd_jax.errors import UserError
from ncd_jax.estimator.fitting import Page
from ncd_jax.new_rows import assign_rows
from ncd_jax.report import redraw
from ncd_jax.report.asking import converse
from ncd_jax.report.questions import differing
from ncd_jax.report.renaming import rename_classes
from ncd_jax.store.answers import Answers, read_answers
from ncd_jax.store.asking import Asking, _moved
from ncd_jax.store.model_files import load_model
from ncd_jax.store.workdir import Workdir

ANSWERED = ("answers.csv", "questions.csv", "assignments.csv", "metrics.json")
MODEL = ("model/arrays.npz", "model/model.json")


@pytest.fixture(autouse=True)
def no_page(monkeypatch):
    """The report is the matter of `test_redraw`, and takes as long as all else."""
    monkeypatch.setattr(redraw, "_findings", lambda asking, outcome, kept: None)
    monkeypatch.setattr(redraw, "render_report", lambda findings: "a page")


def partition_is(workdir, classes, n_classes):
    table = pd.read_csv(workdir.path("assignments.csv"))
    counts = pd.crosstab(table["label"], classes[table["row"]]).to_numpy()
    return counts.shape[0] == n_classes and (counts > 0).sum() == max(counts.shape)


def test_one_answer_parts_two_classes_everywhere(run, made, tmp_path):
    path, classes = made
    before = contents(run, (*ANSWERED, *MODEL))
    assert not partition_is(run, classes, 3)
    answers = write(tmp_path / "a.csv", ("question", "answer"), true_answers(run, classes))
    outcome = experiment.apply_answers(run, answers)
    assert partition_is(run, classes, 3)
    metrics = run.read_json("metrics.json")
    assert metrics["n_answers"] == 1
    assert metrics["n_novel_estimated"] == 3
    assert metrics["novel_sizes"] == [45, 40, 30]
    sizes = json.loads(before["metrics.json"])["novel_sizes"]
    assert metrics["before_answers"]["novel_sizes"] == sizes
    assert outcome.n_moved == min({30, 40, 45} - {*sizes})
    assert sum(p for p in metrics["n_novel_probability"].values()) == pytest.approx(1, abs=1e-2)
    new = lines(run, "assignments.csv")
    mean = np.mean([float(line["confidence"]) for line in new])
    assert metrics["mean_confidence"] == pytest.approx(mean, abs=1e-4)
    assert {line["name"] for line in new} == {f"item {line['row']}" for line in new}
    # Assign speaks of it, to rows of the run and to later ones.
    assign_rows(run, path)
    again = {line["row"]: line for line in lines(run, "assigned/made.csv")}
    assert all(again[line["row"]]["label"] == line["label"] for line in new)
    assert all(again[line["row"]]["confidence"] == line["confidence"] for line in new)
    model = load_model(run)
    later = apply_model(model._replace(remembered=None), read_table(path, "label").x)
    novel = classes > 3
    found = pd.crosstab(later.labels[novel], classes[novel]).to_numpy()
    assert found.max(axis=0).sum() >= 0.97 * novel.sum()
    assert len(found) == 3


def test_the_same_answers_give_the_same_bytes_and_none_the_run(run, made, tmp_path):
    before = contents(run, (*ANSWERED, *MODEL))
    said = true_answers(run, made[1], 2)
    seen = []
    for order in (said, said[::-1]):
        write(run.path("answers.csv"), ("question", "answer"), order)
        experiment.apply_answers(run, run.path("answers.csv"))
        seen.append(contents(run, (*ANSWERED, *MODEL)))
    assert seen[0] == seen[1] != before
    # Told one after the other it is the same, and so it is when one is taken back.
    other = Workdir(shutil.copytree(run.root, tmp_path / "other"))
    write(other.path("answers.csv"), ("question", "answer"), [])
    experiment.apply_answers(other, other.path("answers.csv"))
    restored = contents(other, (*ANSWERED, *MODEL))
    assert restored.pop("answers.csv") == b"question,answer\n"
    assert restored == before
    for i, line in enumerate(said):
        file = write(tmp_path / f"{i}.csv", ("question", "answer"), [line])
        experiment.apply_answers(other, file)
    assert contents(other, (*ANSWERED, *MODEL)) == seen[0]


def test_labels_are_answers(run, made, tmp_path):
    classes = made[1]
    new = [int(line["row"]) for line in lines(run, "assignments.csv")]
    rows = [next(r for r in new if classes[r] == c) for c in (4, 5, 6)]
    labels = [(rows[0], "Export"), (rows[1], "Import"), (rows[2], "Other")]
    experiment.apply_answers(run, write(tmp_path / "l.csv", ("row", "label"), labels))
    assert run.read_json("metrics.json")["n_answers"] == 3
    assert partition_is(run, classes, 3)
    known = write(tmp_path / "k.csv", ("row", "label"), [(new[-1], "a")])
    experiment.apply_answers(run, known)
    of_row = {int(line["row"]): line for line in lines(run, "assignments.csv")}
    assert of_row[new[-1]]["label"] == "a"
    assert of_row[new[-1]]["confidence"] == "1.0000"
    assert run.read_json("metrics.json")["n_rows_known"] == 1
    assert len(lines(run, "labels.csv")) == 4


def test_a_group_may_be_a_known_class(run, made, tmp_path):
    """Of which the run, told that no row is of one, would not have asked."""
    question = next(q for q in lines(run, "questions.csv") if int(q["rows_moved"]) in (30, 40, 45))
    file = write(tmp_path / "a.csv", ("question", "answer"), [(question["question"], "Known: b")])
    outcome = experiment.apply_answers(run, file)
    metrics = run.read_json("metrics.json")
    assert metrics["n_rows_known"] == metrics["known_sizes"]["b"] > 0
    shown = {int(row) for row in (question["rows_a"] + " " + question["rows_b"]).split()}
    label = {int(line["row"]): line["label"] for line in lines(run, "assignments.csv")}
    assert {label[row] for row in shown} == {"b"}
    assert lines(run, "answers.csv")[0]["answer"] == "known:b"
    # It is against all that the run knows, so it is asked again with other rows.
    assert outcome.questions[0].kind == "known"


def test_mistakes_are_one_line_and_change_nothing(run, made, tmp_path, capsys):
    before = contents(run, (*ANSWERED, *MODEL))
    name = lines(run, "questions.csv")[0]["question"]
    old = next(line["row"] for line in lines(run, "assignments.csv"))
    known = next(str(i) for i, c in enumerate(made[1]) if c < 4)
    bad = {
        "another run": [("question", "answer"), (f"{name[:-1]}{int(name[-1] != '0')}", "no")],
        "no mark": [("question", "answer"), (name.partition("@")[0], "no")],
        "no node": [("question", "answer"), (f"same-1-fffff0@{name.partition('@')[2]}", "no")],
        "no answer": [("question", "answer"), (name, "perhaps")],
        "no known class": [("question", "answer"), (name, "known:e")],
        "two answers": [("question", "answer"), (name, "no"), (name, "yes")],
        "no header": [(name, "no")],
        "known row": [("row", "label"), (known, "a")],
        "two labels": [("row", "label"), (old, "a"), (old, "b")],
        "no row": [("row", "label"), ("x", "a")],
    }
    for rows in bad.values():
        file = write(tmp_path / "bad.csv", rows[0], rows[1:])
        arguments = ["ncd-jax", "--mode=ask", f"--workdir={run.root}", f"--answers={file}"]
        assert cli.main(arguments) == 2, rows
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert said.startswith("ncd-jax: ")
    for answers in (f"--answers={tmp_path}/none.csv", f"--answers={tmp_path}"):
        assert cli.main(["ncd-jax", "--mode=ask", f"--workdir={run.root}", answers]) == 2
    assert cli.main(["ncd-jax", "--mode=ask"]) == 2
    assert contents(run, (*ANSWERED, *MODEL)) == before


def test_a_run_without_the_judge_has_nothing_to_ask(run, tmp_path):
    """Of what such a run leaves `test_experiment` tells."""
    for path in (run.path("questions.csv"), *run.root.glob("model/asked.*")):
        path.unlink()
    with pytest.raises(UserError, match=r"^the run in \S+ has nothing to ask: .*$"):
        Asking(run)
    with pytest.raises(UserError, match="not finished"):
        Asking(Workdir(tmp_path))


@pytest.mark.parametrize("change", ["cut", "other", "less", "flat", "facts", "copied"])
def test_what_is_damaged_is_said(run, change):
    path = run.path("model/asked.npz")
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif change == "copied":
        facts = run.read_json("model/asked.json") | {"copied": True}
        run.path("model/asked.json").write_text(json.dumps(facts))
    elif change == "facts":
        run.path("model/asked.json").write_text("{}")
    else:
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays["micro"] = arrays["micro"] + (change == "other")
        if change == "less":
            del arrays["base_means"]
        elif change == "flat":
            arrays["z"] = arrays["z"][:, 0]
        np.savez(path, **arrays)
        facts = run.read_json("model/asked.json")
        facts["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        run.path("model/asked.json").write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"^\S+asked\.npz is damaged; .*$"):
        Asking(run)


def test_names_go_with_their_rows(run, made, tmp_path):
    classes = made[1]
    sizes = run.read_json("metrics.json")["novel_sizes"]
    whole = next(i for i, size in enumerate(sizes) if size in (30, 40, 45))
    rename_classes(run, [f"novel_{whole}=Whole"])
    before = {line["row"] for line in lines(run, "assignments.csv") if line["label"] == "Whole"}
    assert len(before) == sizes[whole]
    file = write(tmp_path / "a.csv", ("question", "answer"), true_answers(run, classes))
    experiment.apply_answers(run, file)
    after = {line["row"] for line in lines(run, "assignments.csv") if line["label"] == "Whole"}
    assert after == before
    place = sorted((30, 40, 45), reverse=True).index(sizes[whole])
    assert run.read_json("names.json") == {f"novel_{place}": "Whole"}
    assert "Whole" in load_model(run).classes


def test_the_terminal_asks_and_takes_back(run, made):
    keys = iter("ub?k9nq")
    out = Console(width=120, record=True, force_terminal=False, file=io.StringIO())
    converse(run, out, lambda: next(keys))
    said = out.export_text()
    first = lines(run, "answers.csv")
    assert [line["answer"] for line in first] == ["no"]
    assert partition_is(run, made[1], 3)
    assert "Are A and B one class?" in said
    assert "blue" in said
    assert "item " in said
    assert "1 answer: 3 novel classes" in said
    # The end of the input is the end; nothing is said, nothing is written.
    before = contents(run, (*ANSWERED, *MODEL))
    converse(run, out, lambda: "")
    assert contents(run, (*ANSWERED, *MODEL)) == before


def test_rows_have_moved_where_a_class_was_parted_joined_or_is_known():
    before = np.repeat([0, 2, 3], [2, 5, 4])
    for after, n in (
        ([0] * 2 + [3] * 5 + [2] * 4, 0),
        ([0] * 2 + [2] * 9, 4),
        ([0] * 2 + [2] * 3 + [4] * 2 + [3] * 4, 2),
        ([0] * 2 + [1] * 5 + [2] * 4, 5),
        ([1] * 2 + [1] * 9, 11),
    ):
        assert _moved(before, np.array(after), 2) == n


def test_columns_that_differ_most_come_first():
    a = pd.DataFrame({"id": ["i", "j"], "same": ["1", "2"], "far": ["9", "8"], "word": ["x", "y"]})
    b = pd.DataFrame({"id": ["k", "l"], "same": ["2", "1"], "far": ["1", ""], "word": ["x", "x"]})
    assert differing(a, b) == ["far", "word", "id", "same"]
    assert differing(a, b[:0]) == list(a)


def test_the_estimator_is_told(made):
    path, classes = made
    table = pd.read_csv(path)
    X, y = table.drop(columns=["label", "name"]).replace("blue", "<b>\x1b"), table["label"]
    ncd = NovelClassDiscovery(method="rca", setting="ncd", n_novel=2, n_folds=2, random_state=0)
    ncd.fit(X, y)
    labels, sure = ncd.labels_, ncd.confidence_
    question = ncd.questions_.iloc[0]
    assert set(classes[question["rows_a"]]) != set(classes[question["rows_b"]])
    shown = ncd.ask()
    assert shown.name == question["question"]
    assert (*shown.rows_a, *shown.rows_b) == (*question["rows_a"], *question["rows_b"])
    assert "<b>" not in shown._repr_html_()
    assert "&lt;b&gt;" in shown._repr_html_()
    assert repr(shown).startswith("Are A and B one class? ")
    assert "<b>\\x1b" in repr(shown)
    assert repr(ncd.ask(ncd.questions_["question"][1])) != repr(shown)
    with pytest.raises(ValueError, match="none of the next questions"):
        ncd.ask("same-1-2@0")
    assert ncd.tell({question["question"]: "no"}) is ncd
    assert ncd.n_novel_ == 3
    assert ncd.classes_.tolist() == [*"abcd", "novel_0", "novel_1", "novel_2"]
    novel = classes > 3
    assert (pd.crosstab(ncd.labels_[novel], classes[novel]).to_numpy() > 0).sum() == 3
    np.testing.assert_array_equal(ncd.predict(X), ncd.labels_)
    np.testing.assert_array_equal(ncd.assignments_["label"], ncd.labels_[novel])
    assert question["question"] not in set(ncd.questions_["question"])
    again = ncd.questions_.iloc[0]
    ncd.tell({again["question"]: "known:a"})
    assert (ncd.labels_[[*again["rows_a"], *again["rows_b"]]] == "a").all()
    ncd.tell({again["question"]: None})
    row = int(np.flatnonzero(novel)[0])
    ncd.tell(labels={row: "a"})
    assert ncd.labels_[row] == "a"
    for answers in ({"same-1-2@0": "no"}, {question["question"]: "perhaps"}):
        with pytest.raises(ValueError, match=r"no question|no answer"):
            ncd.tell(answers)
    ncd.tell({question["question"]: None}, {row: None})
    np.testing.assert_array_equal(ncd.labels_, labels)
    np.testing.assert_array_equal(ncd.confidence_, sure)
    again = clone(ncd).set_params(answers={question["question"]: "no"}).fit(X, y)
    assert again.n_novel_ == 3
    with pytest.warns(UserWarning, match="no unlabelled row"):
        other = NovelClassDiscovery(method="kmeans").fit(X, classes)
    with pytest.raises(ValueError, match="nothing to ask"):
        other.tell({})


def test_the_report_of_a_fit_says_that_it_is_older():
    page = Page(lambda: "<main><h1>Two classes</h1></main>")
    assert b"without" not in page.html()
    assert b"without the 1 answer told since.</p><h1>Two" in page.html(1)


def test_answers_are_read_as_people_write_them(tmp_path):
    file = tmp_path / "a.csv"
    file.write_bytes(b"\xef\xbb\xbfquestion,answer\r\n same-1-2@0 , Yes \r\n\r\n")
    assert read_answers(file) == Answers({"same-1-2@0": "yes"}, {})
    file.write_text('row,label\n7,"a, b"\n')
    assert read_answers(file) == Answers({}, {7: "a, b"})
