"""From a file with empty labels to the answer: rows of known classes are given back."""

import dataclasses
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from solved_fixtures import JUDGED

from ncd_jax import experiment
from ncd_jax.data.own_table import read_table
from ncd_jax.estimator.novel_class_discovery import NovelClassDiscovery
from ncd_jax.new_rows import assign_rows
from ncd_jax.report.comparison import compare_runs
from ncd_jax.store.workdir import Workdir

pytestmark = pytest.mark.usefixtures("simple_maps")

CONFIG = dataclasses.replace(JUDGED, setting="auto")
CLASSES = ["apple", "banana", "cherry", "date", "NEW1", "NEW2"]


def fruit(sizes, seed=0):
    """A table, its labels with blanks on 40 % of the known and on all new rows, and the truth.

    As many columns and rows as `gaussians` has, with which it shares programs.
    """
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    x = 4 * np.random.default_rng(1).normal(size=(6, 6))[classes] + rng.normal(size=(sum(sizes), 6))
    truth = pd.Series(np.array(CLASSES)[classes])
    frame = pd.DataFrame(x, columns=[f"w{i}" for i in range(6)])
    blank = (classes >= 4) | (rng.random(len(classes)) < 0.4)
    return frame, truth.mask(blank), truth


@pytest.fixture(scope="module")
def partly(tmp_path_factory):
    """A finished run on a table with two new classes, its folder and the truth."""
    frame, kind, truth = fruit([45, 45, 42, 42, 24, 22])
    path = tmp_path_factory.mktemp("partly")
    frame.assign(kind=kind).to_csv(path / "fruit.csv", index=False)
    table = read_table(path / "fruit.csv", "kind")
    return path, experiment.run(CONFIG, table, None, path / "run"), truth


def test_every_file_speaks_of_known_and_new_rows_alike(partly):
    path, metrics, truth = partly
    rows = pd.read_csv(path / "run" / "assignments.csv")
    true = truth[rows.row].to_numpy()
    found = rows.label.to_numpy()
    known = ~np.char.startswith(found.astype(str), "novel_")
    assert np.mean(known == ~np.char.startswith(true.astype(str), "NEW")) > 0.97
    assert np.mean(found[known] == true[known]) > 0.97
    table = pd.crosstab(found[~known], true[~known]).to_numpy()
    assert table.shape == (2, 2)
    assert max(np.trace(table), np.trace(table[::-1])) > 0.95 * table.sum()
    assert metrics["setting"] == "gcd"
    assert metrics["n_rows_known"] == known.sum()
    assert metrics["known_sizes"] == {c: n for c in CLASSES[:4] if (n := int(sum(found == c)))}
    assert sum(metrics["novel_sizes"]) == (~known).sum()
    assert metrics["n_novel_estimated"] == 2
    assert metrics["gate"]["precision"] > 0.9
    page = (path / "run" / "report.html").read_text()
    for text in (
        f"{known.sum()} of {len(rows)} unlabelled rows",
        "2 novel classes",
        "and so missed",
    ):
        assert text in page


def test_the_same_rows_come_back_with_their_class(partly):
    path, _, truth = partly
    fruit([45, 45, 42, 42, 24, 22])[0].to_csv(path / "new.csv", index=False)
    assigned = assign_rows(Workdir(path / "run"), path / "new.csv")
    labels = pd.read_csv(assigned.file).label.to_numpy()
    known = ~truth.str.startswith("NEW").to_numpy()
    assert np.mean(labels[known] == truth[known]) > 0.95
    assert np.char.startswith(labels[~known].astype(str), "novel_").mean() > 0.95
    assert not assigned.new_run_is_due


def test_nothing_new_is_a_whole_run(tmp_path):
    frame, kind, truth = fruit([50, 50, 50, 50, 0, 0])
    frame.assign(kind=kind).to_csv(tmp_path / "fruit.csv", index=False)
    table = read_table(tmp_path / "fruit.csv", "kind")
    metrics = experiment.run(CONFIG, table, None, tmp_path / "run")
    assert metrics["n_novel_estimated"] == 0
    assert metrics["novel_sizes"] == []
    assert metrics["n_novel_probability"] == {}
    rows = pd.read_csv(tmp_path / "run" / "assignments.csv")
    assert np.mean(rows.label == truth[rows.row].to_numpy()) > 0.97
    page = (tmp_path / "run" / "report.html").read_text()
    assert "no novel class: all" in page
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["setting"] == "gcd"
    shutil.copytree(tmp_path / "run", tmp_path / "again")
    assert not compare_runs(tmp_path / "run", tmp_path / "again").moves


def test_the_estimator_says_the_same():
    frame, kind, truth = fruit([40, 40, 40, 40, 30, 0], seed=3)
    fitted = NovelClassDiscovery(random_state=0, n_folds=2).fit(frame, kind)
    assert fitted.setting_ == "gcd"
    assert fitted.n_novel_ == 1
    expected = truth.where(~truth.str.startswith("NEW"), "novel_0")
    assert np.mean(fitted.labels_ == expected) > 0.97
    assert np.mean(fitted.predict(frame) == expected) > 0.95
    ncd = NovelClassDiscovery(random_state=0, n_folds=2, setting="ncd").fit(frame, kind)
    assert ncd.setting_ == "ncd"
    blank = kind.isna().to_numpy()
    assert np.char.startswith(ncd.labels_[blank].astype(str), "novel_").all()
