"""The whole procedure on a small table: what it writes, what it must not see, what it survives."""

import dataclasses
import errno
import json
from contextlib import contextmanager

import jax
import numpy as np
import pandas as pd
import pytest
from solved_fixtures import QUICK

from ncd_jax import experiment
from ncd_jax.config import KConfig, SearchConfig
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.model import assign
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS
from ncd_jax.new_rows import assign_rows
from ncd_jax.progress import Phase, Reporter
from ncd_jax.report import page
from ncd_jax.store.model_files import load_model, read_model
from ncd_jax.store.workdir import Workdir
from ncd_jax.types import UNLABELLED

pytestmark = pytest.mark.usefixtures("simple_maps", "toy_method")

CONFIG = dataclasses.replace(
    QUICK, method="toy", search=dataclasses.replace(QUICK.search, candidates=4)
)
SCORES = {"novel_acc", "novel_nmi", "novel_ari"}
PRIVATE = SCORES | {"seconds", "test", "compilations"}


@pytest.fixture(scope="module")
def problem():
    """Seven blobs in the plane and two columns of noise: four known classes, three novel."""
    rng = np.random.default_rng(0)
    centers = 6 * rng.normal(size=(7, 4)) * [1, 1, 0, 0]
    classes = rng.permuted(np.repeat(np.arange(7), 30))
    x = centers[classes] + rng.normal(size=(210, 4))
    known = classes < 4
    table = Table(
        name="blobs",
        x=x,
        y=np.where(known, classes, UNLABELLED).astype(np.int32),
        columns=("a", "b", "c", "d"),
        classes=("w", "x", "y", "z"),
        x_test=x[:70],
        y_test=np.where(known, classes, UNLABELLED).astype(np.int32)[:70],
    )
    novel = np.where(known, UNLABELLED, classes - 4).astype(np.int32)
    return table, Truth(classes=("p", "q", "r"), y=novel, y_test=novel[:70])


@pytest.fixture(scope="module")
def finished(problem, tmp_path_factory):
    """One undisturbed run, which others are compared with."""
    path = tmp_path_factory.mktemp("run") / "work"
    return path, experiment.run(CONFIG, *problem, path)


def outcome(path):
    """Everything that a run decided, scores against the truth and times left out."""
    metrics = json.loads((path / "metrics.json").read_text())
    arrays, metadata = read_model(Workdir(path))
    return {
        "metrics": {k: v for k, v in metrics.items() if k not in PRIVATE},
        "assignments": (path / "assignments.csv").read_bytes(),
        "trials": (path / "trials.csv").read_bytes(),
        "arrays": sorted((k, v.tobytes()) for k, v in flat(arrays)),
        "metadata": metadata,
    }


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}/")
        else:
            yield prefix + name, value


def test_files_and_metrics_keep_the_contract(problem, finished):
    table, _ = problem
    path, metrics = finished
    assert metrics == json.loads((path / "metrics.json").read_text())
    assert {
        "method",
        "n_rows",
        "n_known_classes",
        "n_novel_estimated",
        "hidden_class_score",
        "known_accuracy",
        "seconds",
        "n_novel_true",
        *SCORES,
    } <= set(metrics)
    assert {"compile", "tune", "refit", "discover", "report"} <= set(metrics["seconds"])
    assert metrics["seconds"]["compile"] < metrics["seconds"]["tune"]
    assert metrics["compilations"] == 1
    assert {p.name for p in path.iterdir()} - {".lock"} == {
        "config.json",
        "search_toy.journal",
        "trials.csv",
        "assignments.csv",
        "metrics.json",
        "report.html",
        "model",
    }
    assert not list((path / "model").glob("asked.*")), "nobody is asked without the judge"
    assignments = pd.read_csv(path / "assignments.csv")
    assert assignments["row"].tolist() == np.flatnonzero(table.y == UNLABELLED).tolist()
    sizes = assignments["label"].value_counts()
    assert sizes.tolist() == metrics["novel_sizes"]
    assert set(sizes.index) == {f"novel_{i}" for i in range(metrics["n_novel_estimated"])}
    assert assignments["confidence"].between(0, 1).all()
    sure, second = assignments["confidence"], assignments["runner_up_confidence"]
    assert (second <= np.minimum(sure, 1 - sure) + 1e-4).all()
    assert (second > 0).any()
    assert (assignments["runner_up"] != assignments["label"]).all()
    assert set(assignments["runner_up"]) <= {*table.classes, *sizes.index}
    trials = pd.read_csv(path / "trials.csv")
    assert len(trials) == 4
    assert trials["score"].max() == pytest.approx(metrics["hidden_class_score"])
    assert set(metrics["test"]) == {"known_accuracy", "inductive", "transductive"}


def test_accuracy_is_that_of_the_written_assignments(problem, finished):
    from scipy.optimize import linear_sum_assignment

    _, truth = problem
    path, metrics = finished
    assignments = pd.read_csv(path / "assignments.csv")
    found = assignments["label"].str.removeprefix("novel_").astype(int)
    table = pd.crosstab(found, truth.y[assignments["row"]]).to_numpy()
    square = np.zeros((max(table.shape),) * 2)
    square[: table.shape[0], : table.shape[1]] = table
    matched = square[linear_sum_assignment(-square)].sum()
    assert metrics["novel_acc"] == pytest.approx(matched / len(found), abs=1e-6)


def test_permuted_novel_labels_change_nothing_but_scores(problem, finished, tmp_path):
    table, truth = problem
    path, metrics = finished
    rng = np.random.default_rng(1)
    novel = truth.y != UNLABELLED
    shuffled = truth.y.copy()
    shuffled[novel] = rng.permutation(shuffled[novel])
    other = dataclasses.replace(truth, y=shuffled, y_test=shuffled[:70])
    changed = experiment.run(CONFIG, table, other, tmp_path / "permuted")
    assert outcome(tmp_path / "permuted") == outcome(path)
    assert changed["novel_acc"] != metrics["novel_acc"]


def test_without_truth_the_answer_is_the_same(problem, finished, tmp_path):
    table, _ = problem
    metrics = experiment.run(CONFIG, table, None, tmp_path / "blind")
    blind, seeing = outcome(tmp_path / "blind"), outcome(finished[0])
    assert "n_novel_true" not in metrics
    del seeing["metrics"]["n_novel_true"]
    assert blind == seeing


def test_another_seed_is_another_run(problem, finished, tmp_path):
    config = dataclasses.replace(CONFIG, seed=1)
    experiment.run(config, *problem, tmp_path / "seed")
    assert outcome(tmp_path / "seed")["arrays"] != outcome(finished[0])["arrays"]
    assert outcome(tmp_path / "seed")["trials"] != outcome(finished[0])["trials"]


class KilledAfterFirstBatch(Reporter):
    """Ends the process, as far as the run can tell, once one batch is on disk."""

    @contextmanager
    def phase(self, name, detail="", total=None):
        class Killer(Phase):
            def advance(self, n=1):
                raise KeyboardInterrupt

        yield Killer() if name == "tune" else Phase()


def test_a_killed_run_goes_on_where_it_was(problem, finished, tmp_path):
    path = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        experiment.run(CONFIG, *problem, path, KilledAfterFirstBatch())
    assert not (path / "metrics.json").exists()
    experiment.run(CONFIG, *problem, path)
    assert outcome(path) == outcome(finished[0])


def test_a_full_disk_loses_nothing_finished(problem, finished, tmp_path, monkeypatch):
    path = tmp_path / "full"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(page, "render_report", full)
        with pytest.raises(OSError, match="No space"):
            experiment.run(CONFIG, *problem, path)
    assert not (path / "metrics.json").exists()
    metrics = experiment.run(CONFIG, *problem, path)
    assert metrics["compilations"] == 0
    assert outcome(path) == outcome(finished[0])


def test_a_complete_run_is_not_repeated(problem, finished, monkeypatch):
    path, metrics = finished

    def forbidden(*_):
        raise AssertionError("tuned again")

    monkeypatch.setattr(experiment, "solve_problems", forbidden)
    assert experiment.run(CONFIG, *problem, path) == metrics


def test_a_workdir_with_another_run_is_refused(problem, finished):
    config = dataclasses.replace(CONFIG, k=KConfig(index="silhouette", max=5, restarts=2))
    with pytest.raises(UserError, match=r"different run .*config\.k\.max"):
        experiment.run(config, *problem, finished[0])


def test_a_known_number_must_be_said_for_ones_own_table(problem, tmp_path):
    table, _ = problem
    config = dataclasses.replace(CONFIG, search=SearchConfig(k_known=True))
    with pytest.raises(UserError, match="n_novel"):
        experiment.run(config, table, None, tmp_path / "unsaid")
    assert not (tmp_path / "unsaid").exists()


@pytest.mark.thorough
def test_what_is_given_is_measured_not_searched(problem, tmp_path):
    """Hyperparameters, and the number of classes."""
    given = KConfig(2, "silhouette", max=4, restarts=2)
    config = dataclasses.replace(CONFIG, method="rca", k=given, hparams={"shrinkage": 0.2})
    metrics = experiment.run(config, *problem, tmp_path / "fixed")
    trials = pd.read_csv(tmp_path / "fixed" / "trials.csv")
    assert len(trials) == 1
    assert trials.loc[0, "shrinkage"] == pytest.approx(0.2)
    assert metrics["hidden_class_score"] > 0
    assert metrics["n_novel_estimated"] == 2


@pytest.mark.thorough
def test_a_run_that_diverges_everywhere_says_so(problem, tmp_path):
    hparams = {"lr": 1e12, "w": 0.5, "dropout": 0.0, "latent_dim": 8}
    config = dataclasses.replace(CONFIG, method="pbn", hparams=hparams)
    with pytest.raises(FloatingPointError, match="diverged"):
        experiment.run(config, *problem, tmp_path / "diverged")
    assert not (tmp_path / "diverged" / "metrics.json").exists()


def test_one_unlabelled_row_is_no_class(problem, tmp_path):
    table, _ = problem
    keep = np.flatnonzero(table.y != UNLABELLED).tolist()
    keep += np.flatnonzero(table.y == UNLABELLED)[:1].tolist()
    small = dataclasses.replace(table, x=table.x[keep], y=table.y[keep], x_test=None, y_test=None)
    with pytest.raises(UserError, match="one unlabelled row"):
        experiment.run(CONFIG, small, None, tmp_path / "one")
    assert not (tmp_path / "one").exists()


def test_the_stored_model_gives_the_training_rows_their_class(problem, finished):
    """And the confidence: labelled rows their own, the others what `assignments.csv` says."""
    table, _ = problem
    path, metrics = finished
    model = load_model(Workdir(path))
    said = assign(model, table.x)
    assert model.classes == (
        *table.classes,
        *(f"novel_{i}" for i in range(metrics["n_novel_estimated"])),
    )
    labelled = table.y >= 0
    np.testing.assert_array_equal(said.labels[labelled], table.y[labelled])
    assignments = pd.read_csv(path / "assignments.csv")
    given = np.asarray(model.classes)[said.labels[assignments["row"]]]
    np.testing.assert_array_equal(given, assignments["label"])
    sure = said.confidence[assignments["row"]]
    np.testing.assert_allclose(sure, assignments["confidence"], atol=1e-4)


def test_another_number_of_rows_compiles_nothing(problem, finished):
    table, _ = problem
    model, programs = load_model(Workdir(finished[0])), []

    def listen(event, duration, **_):
        if event == "/jax/core/compile/backend_compile_duration":
            programs.append(duration)

    assign(model, table.x)
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        jax.jit(lambda x: x + 1)(np.ones(7))
        assert len(programs) == 1
        for rows in (table.x[:1], np.tile(table.x, (5, 1)), table.x[:0]):
            said = assign(load_model(Workdir(finished[0])), rows)
            assert said.labels.shape == said.confidence.shape == (len(rows),)
        assert len(programs) == 1
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


def test_class_centroids_are_the_means_of_their_rows(problem, finished):
    table, _ = problem
    model = load_model(Workdir(finished[0]))
    method = METHODS[model.method].make(model.spec)
    state = jax.tree.map(lambda leaf: leaf[model.view], model.state)
    z = np.asarray(method.represent(state, model.scaler.apply(table.x)))
    means = [z[table.y == c].mean(axis=0) for c in range(4)]
    np.testing.assert_allclose(model.means[:4], means, rtol=1e-4, atol=1e-5)


def test_new_rows_may_have_their_columns_in_any_order(problem, finished, tmp_path):
    table, _ = problem
    frame = pd.DataFrame(table.x, columns=table.columns)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame[["d", "b", "a", "c"]].assign(extra="text").to_csv(tmp_path / "turned.csv", index=False)
    workdir = Workdir(finished[0])
    straight = assign_rows(workdir, tmp_path / "rows.csv").file.read_text()
    assert assign_rows(workdir, tmp_path / "turned.csv").file.read_text() == straight
    assert straight.startswith("row,label,confidence,runner_up,runner_up_confidence\n0,")
    assert len(straight.splitlines()) == 1 + len(table.x)
    frame.drop(columns="c").to_csv(tmp_path / "short.csv", index=False)
    with pytest.raises(UserError, match="'c'"):
        assign_rows(workdir, tmp_path / "short.csv")
    with pytest.raises(UserError, match="no model"):
        assign_rows(Workdir(tmp_path), tmp_path / "rows.csv")


@pytest.mark.thorough
def test_auto_takes_the_method_with_the_best_hidden_class_score(overlapping, tmp_path):
    """Each method has its own search; both answer for the same hidden classes."""
    config = dataclasses.replace(QUICK, method="auto", methods="kmeans, rca")
    metrics = experiment.run(config, overlapping, None, tmp_path / "auto")
    assert metrics["method"] in {"kmeans", "rca"}
    scores = {each["method"]: each["hidden_class_score"] for each in metrics["ranking"]}
    assert set(scores) == {"kmeans", "rca"}
    assert scores[metrics["method"]] == max(scores.values())
    assert len(list((tmp_path / "auto").glob("search_*.journal"))) == 2
    assert (tmp_path / "auto" / "model" / "model.json").is_file()
