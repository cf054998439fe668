import dataclasses
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncd_jax.errors import UserError
from ncd_jax.read.words import as_text
from ncd_jax.report.findings import Findings
from ncd_jax.store.records import (
    Assignments,
    read_assignments,
    read_config,
    read_metrics,
    write_assignments,
    write_records,
)
from ncd_jax.store.workdir import Workdir, as_it_was


def write(path: Path, findings: Findings) -> None:
    write_records(Workdir(path), findings.trials, findings.assignments, findings.metrics)


def test_trials_say_all_about_every_candidate(tmp_path: Path, findings: Findings):
    write(tmp_path, findings)
    trials = pd.read_csv(tmp_path / "trials.csv")
    names = ["number", "score", "lr", "w", "dropout", "latent_dim"]
    names += [f"fold_{i}" for i in range(5)] + [f"fold_{i}_k" for i in range(5)]
    assert list(trials) == [*names, "diverged", "stopped_after_epoch"]
    assert len(trials) == len(findings.trials)
    for trial, line in zip(findings.trials, trials.to_dict("records"), strict=True):
        # Text keeps floats exactly.
        assert {name: line[name] for name in trial.hparams} == trial.hparams
        assert tuple(line[f"fold_{i}"] for i in range(5)) == trial.fold_scores
        assert tuple(line[f"fold_{i}_k"] for i in range(5)) == trial.fold_k
        assert (line["number"], line["score"]) == (trial.number, trial.score)
        assert line["diverged"] == trial.diverged
        stopped = line["stopped_after_epoch"]
        assert (None if np.isnan(stopped) else stopped) == trial.stopped


def test_assignments_are_in_order_of_row(tmp_path: Path, findings: Findings):
    write(tmp_path, findings)
    lines = (tmp_path / "assignments.csv").read_text().splitlines()
    assert lines[0] == "row,label,confidence,runner_up,runner_up_confidence"
    rows, labels, sure, seconds, second_sure, _ = findings.assignments
    assert lines[1:] == [
        f"{rows[i]},{labels[i]},{sure[i]:.4f},{seconds[i]},{second_sure[i]:.4f}"
        for i in np.argsort(rows)
    ]


def test_what_a_spreadsheet_would_run_is_shown_instead(tmp_path: Path):
    """Names of classes and columns come from the table as much as its cells do."""
    cells = ["=1+1", "+49 170", "-5", "@SUM(A1)", "-1,234.5", "- none", "+3 %", "x=1", "", "-2e-3"]
    copied = pd.DataFrame({"=HYPERLINK(1)": cells, "\tcode": np.arange(10) - 5})
    labels = ["=cmd|' /C calc'!A0", *["novel_0"] * 9]
    seconds = ["-a", *[""] * 9]
    half = np.full(10, 0.5)
    answer = Assignments(np.arange(10), labels, half, seconds, half, copied)
    write_assignments(Workdir(tmp_path), "a.csv", answer)
    found = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    safe = [
        "'=1+1",
        "'+49 170",
        "-5",
        "'@SUM(A1)",
        "-1,234.5",
        "'- none",
        "+3 %",
        "x=1",
        "",
        "-2e-3",
    ]
    assert found.columns[1:3].tolist() == ["'=HYPERLINK(1)", "'\tcode"]
    assert found.iloc[:, 1].tolist() == safe
    assert found.iloc[:, 2].tolist() == [str(i) for i in range(-5, 5)]
    assert found["label"].tolist() == ["'" + labels[0], *labels[1:]]
    assert found["runner_up"].tolist() == ["'-a", *seconds[1:]]
    assert found["runner_up_confidence"].tolist() == ["0.5000", *[""] * 9]
    assert [as_it_was(name) for name in found["label"]] == labels
    assert [as_it_was(cell) for cell in safe] == cells
    assert as_it_was("'tis") == "'tis"


def test_metrics_come_last(tmp_path: Path, findings: Findings, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(b.name), replace(a, b))[1])
    write(tmp_path, findings)
    assert order == ["trials.csv", "assignments.csv", "metrics.json"]


def test_a_run_that_stops_in_between_is_not_complete(tmp_path: Path, findings, monkeypatch):
    replace = os.replace

    def stop(source, target):
        if target.name == "assignments.csv":
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, findings)
    assert not Workdir(tmp_path).is_complete
    assert [p.name for p in tmp_path.iterdir()] == ["trials.csv"]


def test_metrics_survive_nan(tmp_path: Path, findings: Findings):
    metrics = {**findings.metrics, "stability": float("nan")}
    write(tmp_path, dataclasses.replace(findings, metrics=metrics))
    assert Workdir(tmp_path).read_json("metrics.json") == {**findings.metrics, "stability": None}


CELLS = [
    "a\rb",
    "a\r\nb,c",
    "\r=1+1",
    "two\n=cmd|' /C calc'!A0",
    "\u2028@SUM(A1)",
    "\uff1d1+1",
    "\uff0b1",
    "\ufeff=1+1",
    " \u200b-x",
    "\t=1",
    "'=1",
    "''-",
    'say "é"',
    " blank ",
    "a\x0b-b",
    "a\x85+b",
    "'tis\n'tis",
    "-5",
    "- none",
    "",
]


def test_no_cell_makes_a_row_or_runs_and_all_come_back(tmp_path: Path):
    """Read as Python's csv does and as pandas does; the guard is undone to the letter."""
    n = len(CELLS)
    copied = pd.DataFrame({"a\rb": CELLS, "=x": CELLS[::-1]})
    labels, half = [cell or "x" for cell in CELLS], np.full(n, 0.5)
    answer = Assignments(np.arange(n), labels, half, CELLS, half, copied)
    write_assignments(Workdir(tmp_path), "assignments.csv", answer)
    header, lines = read_assignments(Workdir(tmp_path))
    own = ["label", "confidence", "runner_up", "runner_up_confidence"]
    assert header == ["row", "a\rb", "=x", *own]
    kept = [as_text(cell) for cell in CELLS]
    expected = [list(cells) for cells in zip(kept, kept[::-1], labels, strict=True)]
    assert [line[1:4] for line in lines] == expected
    assert [line[5] for line in lines] == CELLS
    found = pd.read_csv(tmp_path / "assignments.csv", dtype=str, keep_default_na=False)
    assert found["row"].tolist() == [str(i) for i in range(n)]
    text = (tmp_path / "assignments.csv").read_bytes().decode()
    for cell in re.split(r'[",\r\n\x0b\x0c\x85\u2028]', text):
        bare = cell.strip("\ufeff\u200b \t")
        assert not bare.startswith(tuple("=+@\uff1d\uff0b\uff0d\uff20")), cell
        assert not bare.startswith("-") or bare == "-5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "row,name\n0,a\n",
        "row,label\n0\n",
        "row,label\nx,a\n",
        "row,label\n-1,a\n",
        "row,label\n0,a\n0,b\n",
        "row,label\n0,\n",
        'row,label\n0,"a\n',
        "\0",
    ],
)
def test_assignments_of_something_else(tmp_path: Path, text: str):
    (tmp_path / "assignments.csv").write_text(text)
    with pytest.raises(UserError, match=r"^.*assignments\.csv is damaged; .*$"):
        read_assignments(Workdir(tmp_path))


def test_metrics_of_something_else_are_no_run(tmp_path: Path, findings: Findings):
    workdir = Workdir(tmp_path)
    assert read_metrics_of(workdir, findings.metrics) == findings.metrics
    old = {k: v for k, v in findings.metrics.items() if k not in ("warnings", "n_answers")}
    assert read_metrics_of(workdir, old) == findings.metrics
    wrong = [[], 3, {}, {"accuracy": 0.5}]
    for key in ("n_rows", "n_novel_estimated", "novel_sizes", "known_sizes", "seconds"):
        for value in (None, "x", -1, [1.5], {"a": "b"}):
            wrong.append(findings.metrics | {key: value})
    for change in (
        {"warnings": [3]},
        {"names": {"novel_0": None}},
        {"stability": "high"},
        {"n_novel_probability": {"2": None}},
        {"hidden_class_accuracy_by": {"a": 0.5, "b": 0.5}},
        {"before_answers": [1]},
        {"before_answers": {"novel_acc": 0.5}},
    ):
        wrong.append(findings.metrics | change)
    for metrics in wrong:
        with pytest.raises(UserError, match=r"^.*metrics\.json is of something else; .*$"):
            read_metrics_of(workdir, metrics)


def test_configurations_of_something_else_are_no_run(tmp_path: Path):
    workdir, run = Workdir(tmp_path), {"config": {"seed": 0}, "table": {}}
    right = {"run": run, "environment": {}}
    workdir.write_json("config.json", right)
    assert read_config(workdir) == right
    for wrong in (
        {},
        {"run": 3},
        {"run": run},
        {"run": run, "environment": []},
        {"run": run | {"table": None}, "environment": {}},
        {"run": run | {"config": {"seed": "0"}}, "environment": {}},
    ):
        workdir.write_json("config.json", wrong)
        with pytest.raises(UserError, match=r"^.*config\.json is of something else; .*$"):
            read_config(workdir)


def read_metrics_of(workdir, metrics):
    workdir.write_json("metrics.json", metrics)
    return read_metrics(workdir)
