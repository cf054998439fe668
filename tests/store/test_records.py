import dataclasses
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from ncd_jax.errors import UserError
from ncd_jax.report.findings import Findings
from ncd_jax.store.records import (
    Assignments,
    package_versions,
    read_model,
    write_assignments,
    write_model,
    write_records,
)
from ncd_jax.store.spreadsheet import as_it_was
from ncd_jax.store.workdir import Workdir

MODEL = {
    "encoder": {"dense": {"kernel": jnp.ones((2, 3)), "bias": np.arange(3)}},
    "centroids": np.array([[1.5, -2.0]], np.float32),
    "scalar": 3,
}


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
    columns = (findings.rows, findings.labels, findings.confidence, findings.runner_up_confidence)
    expected = sorted(zip(*columns, strict=True), key=lambda r: r[0])
    assert lines[1:] == [
        f"{row},novel_{label},{sure:.4f},novel_{(label + 1) % 5},{second:.4f}"
        for row, label, sure, second in expected
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


def test_a_model_comes_back(tmp_path: Path):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {"method": "pbn", "classes": ["a/b", "é"]})
    arrays, metadata = read_model(workdir)
    assert metadata == {"method": "pbn", "classes": ["a/b", "é"]}
    assert set(arrays) == set(MODEL)
    np.testing.assert_array_equal(arrays["encoder"]["dense"]["kernel"], np.ones((2, 3)))
    np.testing.assert_array_equal(arrays["encoder"]["dense"]["bias"], np.arange(3))
    assert arrays["centroids"].dtype == np.float32
    assert arrays["scalar"] == 3
    description = workdir.read_json("model/model.json")
    assert description["versions"] == package_versions()
    assert description["versions"]["numpy"] == np.__version__


def test_a_name_with_the_separator_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="separates levels"):
        write_model(Workdir(tmp_path), {"a/b": np.zeros(1)}, {})


@pytest.mark.parametrize(("version", "remedy"), [(4, "upgrade ncd_jax"), (2, "run again")])
def test_a_model_of_another_release_is_refused(tmp_path: Path, version: int, remedy: str):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    other = workdir.read_json("model/model.json") | {"format_version": version}
    workdir.write_json("model/model.json", other)
    with pytest.raises(UserError, match=rf"^.*format {version}, .* reads 3; {remedy}$"):
        read_model(workdir)


def test_a_missing_model_is_the_users_to_mend(tmp_path: Path):
    with pytest.raises(UserError, match=r"^.* holds no model; .*$"):
        read_model(Workdir(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("arrays.npz", b""),
        ("arrays.npz", b"PK\x03\x04 cut"),
        ("model.json", b"[]"),
        ("model.json", b'{"format_version": "?", "metadata": {}}'),
        ("model.json", b'{"format_version": 2}'),
    ],
)
def test_a_damaged_model_is_the_users_to_mend(tmp_path: Path, name: str, content: bytes):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    workdir.path(f"model/{name}").write_bytes(content)
    with pytest.raises(UserError, match=r"^.* is damaged; .*$"):
        read_model(workdir)


def test_pickled_arrays_are_not_opened(tmp_path: Path):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    np.savez(workdir.path("model/arrays.npz"), a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="is damaged"):
        read_model(workdir)


def test_an_interrupted_overwrite_leaves_no_model(tmp_path: Path, monkeypatch):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {"of": "the first"})

    def stop(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_model(workdir, {"other": np.zeros(1)}, {"of": "the second"})
    with pytest.raises(UserError, match="holds no model"):
        read_model(workdir)
