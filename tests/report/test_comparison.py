import csv
import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ncd_jax.errors import UserError
from ncd_jax.report.comparison import compare_runs, render_comparison, write_comparison
from ncd_jax.store.workdir import Workdir, harmless

TABLE = {"name": "t", "sha256": "abc"}


def finished(path: Path, labels: dict[int, str], table: dict = TABLE) -> Path:
    workdir = Workdir.open(path, {"table": table}, {})
    rows = [(row, label, "0.5") for row, label in labels.items()]
    workdir.write_csv("assignments.csv", ("row", "label", "confidence"), rows)
    workdir.write_json("metrics.json", {})
    return path


def two_runs(tmp_path: Path, a: str, b: str) -> tuple[Path, Path]:
    """Runs whose rows 10, 20, ... are in the classes that the digits say."""
    return (
        finished(tmp_path / "a", {10 * i: f"novel_{c}" for i, c in enumerate(a)}),
        finished(tmp_path / "b", {10 * i: f"novel_{c}" for i, c in enumerate(b)}),
    )


def test_renumbered_classes_are_the_same(tmp_path: Path):
    found = compare_runs(*two_runs(tmp_path, "0001122", "2220011"))
    assert found.moves == ()
    assert found.agreement == 1.0
    assert [(m.name, m.other, m.shared) for m in found.matches] == [
        ("novel_0", "novel_2", 3),
        ("novel_1", "novel_0", 2),
        ("novel_2", "novel_1", 2),
    ]


def test_moves_by_hand(tmp_path: Path):
    found = compare_runs(*two_runs(tmp_path, "00000011122", "11111200300"))
    # B's 0 is half of A's 1 and all of A's 2; most rows stay where it counts as the latter.
    assert [(m.row, m.from_class, m.to_class) for m in found.moves] == [
        (50, "novel_0", "B:novel_2"),
        (60, "novel_1", "novel_2"),
        (70, "novel_1", "novel_2"),
    ]
    assert (found.vanished, found.new) == ((), ("novel_2",))
    assert list(found.table.index) == ["novel_0", "novel_1", "novel_2"]
    assert list(found.table) == ["novel_1", "novel_3", "novel_0", "novel_2"]
    np.testing.assert_array_equal(found.table, [[5, 0, 0, 1], [0, 1, 2, 0], [0, 0, 2, 0]])


def test_a_class_that_vanished(tmp_path: Path):
    found = compare_runs(*two_runs(tmp_path, "0001", "0000"))
    assert (found.vanished, found.new) == (("novel_1",), ())
    assert [(m.row, m.from_class, m.to_class) for m in found.moves] == [(30, "novel_1", "novel_0")]


@pytest.mark.parametrize("seed", range(3))
def test_agreement_and_counts_against_scikit_learn(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 12, (2, 300))
    first = finished(tmp_path / "a", {i: f"novel_{c}" for i, c in enumerate(a)})
    # In another order: rows are found by their number.
    second = finished(tmp_path / "b", {int(i): f"novel_{b[i]}" for i in rng.permutation(300)})
    found = compare_runs(first, second)
    assert found.agreement == pytest.approx(adjusted_rand_score(a, b))
    assert list(found.table.index) == [f"novel_{i}" for i in range(12)]
    assert found.table.to_numpy().sum() == found.n_rows == 300
    assert len(found.moves) == 300 - sum(m.shared for m in found.matches)
    assert sum(m.size for m in found.matches) == sum(m.other_size for m in found.matches) == 300


def test_known_names_are_their_own_counterparts(tmp_path: Path):
    a = finished(tmp_path / "a", {0: "cat", 1: "cat", 2: "novel_0", 3: "novel_0", 4: "dog"})
    b = finished(tmp_path / "b", {0: "novel_0", 1: "novel_0", 2: "cat", 3: "novel_1", 4: "dog"})
    moves = compare_runs(a, b).moves
    assert [(m.row, m.from_class, m.to_class) for m in moves] == [
        (0, "cat", "B:novel_0"),
        (1, "cat", "B:novel_0"),
        (2, "novel_0", "cat"),
    ]


def test_classes_without_a_shared_row_are_no_counterparts(tmp_path: Path):
    a = finished(tmp_path / "a", {0: "cat", 1: "novel_0"})
    found = compare_runs(a, finished(tmp_path / "b", {0: "novel_0", 1: "cat"}))
    assert (found.vanished, found.new) == (("novel_0",), ("novel_0",))
    assert [(m.from_class, m.to_class) for m in found.moves] == [
        ("cat", "B:novel_0"),
        ("novel_0", "cat"),
    ]


def test_files_are_written_into_a(tmp_path: Path):
    a, b = two_runs(tmp_path, "0011", "0001")
    page = write_comparison(compare_runs(a, b))
    assert page == a / "comparison_b.html"
    with (a / "moved_b.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["row", "from", "to"], ["20", "novel_1", "novel_0"]]
    assert not list(b.glob("moved*"))
    text = re.sub(r"\s+", " ", page.read_text())
    assert "1 row is in another class" in text
    assert "25.0%" in text
    assert not re.search(r"<script|<link|src=|https?:", text)
    assert set(re.findall(r'href="([^"]*)"', text)) == {"moved_b.csv"}
    assert "Nothing: table and configuration are the same." in text


def test_every_other_run_has_files_of_its_own(tmp_path: Path):
    a, b = two_runs(tmp_path, "0011", "0001")
    elsewhere = finished(tmp_path / "old" / "b", {10 * i: "novel_0" for i in range(4)})
    pages = [write_comparison(compare_runs(a, other)) for other in (b, elsewhere)]
    assert [page.name for page in pages] == ["comparison_b.html", "comparison_old_b.html"]
    assert "Run A is" in pages[0].read_text()
    assert sorted(path.name for path in a.glob("moved*")) == ["moved_b.csv", "moved_old_b.csv"]


def test_what_differed_is_said(tmp_path: Path):
    a, b = two_runs(tmp_path, "01", "01")
    configs = (
        {"seed": 0, "k": {"index": "judge", "max": 20}, "hparams": {}},
        {"seed": 1, "k": {"index": "judge", "max": 9}, "hparams": {"lr": 0.1}},
    )
    for path, config in zip((a, b), configs, strict=True):
        Workdir(path).write_json("config.json", {"run": {"config": config, "table": TABLE}})
    changes = compare_runs(a, b).changes
    assert changes == (("seed", "0", "1"), ("k.max", "20", "9"), ("hparams.lr", "not set", "0.1"))
    text = re.sub(r"\s+", " ", render_comparison(compare_runs(a, b)))
    assert '<td>k.max</td><td class="text">20</td><td class="text">9</td>' in text


def test_names_that_people_gave_are_shown_and_change_nothing(tmp_path: Path):
    a, b = two_runs(tmp_path, "00000011122", "11111200300")
    plain = compare_runs(a, b)
    for path, names in ((a, {"novel_1": "=Trial"}), (b, {"novel_1": "Export", "novel_2": "Odd"})):
        workdir = Workdir(path)
        text = workdir.path("assignments.csv").read_text()
        for novel, name in names.items():
            text = text.replace(novel, harmless(name))
        workdir.write_text("assignments.csv", text)
        workdir.write_json("names.json", names)
    found = compare_runs(a, b)
    assert found.agreement == plain.agreement
    assert [(m.row, m.from_class, m.to_class) for m in found.moves] == [
        (50, "novel_0", "B:Odd"),
        (60, "=Trial", "novel_2"),
        (70, "=Trial", "novel_2"),
    ]
    assert [(m.name, m.other) for m in found.matches][:2] == [
        ("novel_0", "Export"),
        ("=Trial", "novel_3"),
    ]
    assert list(found.table) == ["Export", "novel_3", "novel_0", "Odd"]


def test_nothing_moved(tmp_path: Path):
    found = compare_runs(*two_runs(tmp_path, "01", "01"))
    page = render_comparison(found)
    assert "0 rows are in another class" in page
    assert "Rows that moved" not in page


def test_hostile_names_stay_text(tmp_path: Path):
    name = "<script>alert(1)</script>{{ 7 * 7 }}"
    a = finished(tmp_path / "<b>a", {0: name, 1: "novel_0"})
    b = finished(tmp_path / "<i>b", {0: "novel_1", 1: "novel_0"})
    page = render_comparison(compare_runs(a, b))
    for tag in ("<script", "<b>", "<i>"):
        assert tag not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in page


def test_runs_that_cannot_be_compared(tmp_path: Path):
    a, b = two_runs(tmp_path, "01", "01")
    unfinished = finished(tmp_path / "c", {0: "novel_0"})
    (unfinished / "metrics.json").unlink()
    foreign = tmp_path / "d"
    foreign.mkdir()
    (foreign / "config.json").write_text("[]")
    (foreign / "metrics.json").write_text("{}")
    gone = finished(tmp_path / "e", {0: "novel_0"})
    (gone / "assignments.csv").unlink()
    damaged = finished(tmp_path / "f", {0: "novel_0"})
    (damaged / "assignments.csv").write_text("row,name\nx,y\n")
    cases = {
        "does not exist": tmp_path / "nowhere",
        "is not finished": unfinished,
        "different tables": finished(tmp_path / "g", {0: "novel_0"}, {"name": "t", "sha256": "x"}),
        "different rows": finished(tmp_path / "h", {0: "novel_0"}),
        "something else": foreign,
        "assignments.csv does not exist": gone,
        "is damaged": damaged,
        "are both": a / ".." / "a",
    }
    for message, other in cases.items():
        with pytest.raises(UserError, match=message) as error:
            compare_runs(a, other)
        assert "\n" not in str(error.value)
    copy = finished(tmp_path / "i", {0: "novel_0", 10: "novel_1"}, {**TABLE, "name": "copy"})
    assert compare_runs(a, copy).moves == ()
    assert b.exists()
