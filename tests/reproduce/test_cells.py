import dataclasses
import functools

import numpy as np
import pytest
from tiers import few

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, KM_ACC
from ncd_jax.discovery.solve import answer_alone
from ncd_jax.discovery.tune import Tuned
from ncd_jax.reproduce import cells, plan
from ncd_jax.reproduce.cells import run_cell
from ncd_jax.reproduce.plan import Cell
from ncd_jax.reproduce.tables import Setting, collect
from ncd_jax.tuning.trials import SearchResult, Trial

COLUMNS = {
    "dataset",
    "method",
    "k_known",
    "hyperparameters",
    "seed",
    "evaluation",
    "acc",
    "nmi",
    "ari",
    "n_novel_estimated",
    "known_accuracy",
    "seconds",
}

FEW = (KM_ACC,)


@pytest.mark.parametrize(
    ("method", "candidates", "fits"),
    [
        ("toy", [{"lr": 1e-3, "noise": 0.5}], 2),
        ("rca", [{"shrinkage": 0.1}, {"shrinkage": 0.5}], 2),
        ("rca", [{"shrinkage": 0.1}], 1),
    ],
)
def test_without_training_each_candidate_is_fitted_once(
    method, candidates, fits, tiny, make_plan, toy_method, monkeypatch, tmp_path
):
    """A fit has a vote on the number of classes; trainings differ by seed, closed forms do not."""
    given = []

    def tune(problem, journal):
        trials = [Trial(i, values, 0.5, (0.5,), (), 0) for i, values in enumerate(candidates)]
        return Tuned(problem, SearchResult(trials, 0, 0.0), trials, trials)

    def count(problem, table, hparams):
        given.append(hparams)
        return answer_alone(problem, table, (hparams * 2)[:2])  # of two, to share programs

    monkeypatch.setattr(cells, "tune", tune)
    monkeypatch.setattr(cells, "answer_alone", count)
    cell = Cell("digits", method, k_known=True, hyperparameters="tuned")
    record = run_cell(make_plan(method), cell, *tiny, tmp_path / "search.journal")
    assert given == [(candidates * 2)[:fits]] * 2
    assert record["refit_hparams"] == candidates
    assert record["hparams"] == candidates[0]


@pytest.fixture(scope="module", autouse=True)
def _few_indices(request):
    """The others are programs of what every search compiles; `make strict` asks them all."""
    with pytest.MonkeyPatch.context() as patch:
        if not request.config.getoption("thorough"):
            patch.setattr(cells, "INDEX_SIGNS", {name: INDEX_SIGNS[name] for name in FEW})
        yield


@pytest.fixture(scope="module")
def record_of(tiny, make_plan, tmp_path_factory):
    """`record_of(method)` is its cell on the tiny table, measured once."""

    @functools.cache
    def measure(method):
        cell = Cell("digits", method, k_known=False, hyperparameters="tuned")
        journal = tmp_path_factory.mktemp("cell") / "search.journal"
        return run_cell(make_plan(method), cell, *tiny, journal)

    return measure


METHODS = ["rca", "kmeans", "sklearn_kmeans", "lda_kmeans"]


@pytest.fixture(params=few(METHODS, "rca", "sklearn_kmeans", "lda_kmeans"))
def result(request, record_of):
    return request.param, record_of(request.param)


def test_a_row_for_every_seed_and_evaluation(result):
    _, record = result
    assert len(record["rows"]) == 2 * 2
    keys = {(row["seed"], row["evaluation"]) for row in record["rows"]}
    assert keys == {(s, e) for s in range(2) for e in ("inductive", "transductive")}
    for row in record["rows"]:
        assert set(row) == COLUMNS
        assert row["acc"] > 70, "blobs are easy to find"
        assert row["n_novel_estimated"] == 2


def test_hidden_class_score_only_where_something_is_scored(result):
    method, record = result
    assert ("hidden_class_score" in record) == (method in {"rca", "kmeans"})
    assert record["n_novel_true"] == 2
    assert (method == "rca") == bool(record["hparams"])


def test_every_index_says_how_many_there_are_in_each_answer(result):
    """Blobs are told apart by any of them that looks at the novel rows alone."""
    method, record = result
    if method not in {"rca", "kmeans"}:
        assert "k_by_index" not in record
        return
    assert set(record["k_by_index"]) == set(cells.INDEX_SIGNS)
    for index, ks in record["k_by_index"].items():
        assert len(ks) == 2
        assert all(1 <= k <= 4 for k in ks)
        if method == "kmeans" and index != KM_ACC:
            assert ks == [2, 2]


def test_published_values_are_not_tuned(tiny, make_plan, toy_method, monkeypatch, tmp_path):
    """Which these are is tested with the plan."""
    values = {"lr": 2e-3, "noise": 0.25}
    monkeypatch.setattr(plan, "published", lambda method, dataset, *, k_known: dict(values))
    cell = Cell("pendigits", toy_method, k_known=True, hyperparameters="published")
    record = run_cell(make_plan(toy_method), cell, *tiny, tmp_path / "search.journal")
    assert record["hparams"] == values
    assert "hidden_class_score" not in record
    assert not list(tmp_path.iterdir())


def test_novel_labels_decide_nothing_but_scores(tiny, record_of, make_plan, tmp_path):
    """Other novel labels: the same hyperparameters, number of classes and known accuracy."""
    table, truth = tiny
    rng = np.random.default_rng(1)
    mixed = truth.__class__(
        truth.classes,
        np.where(truth.y < 0, -1, rng.integers(0, 2, len(truth.y))).astype(np.int32),
        np.where(truth.y_test < 0, -1, rng.integers(0, 2, len(truth.y_test))).astype(np.int32),
    )
    cell = Cell("digits", "rca", k_known=False, hyperparameters="tuned")
    a = record_of("rca")
    b = run_cell(make_plan("rca"), cell, table, mixed, tmp_path / "search.journal")
    scores = {"acc", "nmi", "ari", "seconds"}

    def decided(record):
        rows = [{k: v for k, v in row.items() if k not in scores} for row in record["rows"]]
        return rows, record["hparams"], record["fold_scores"]

    assert decided(a) == decided(b)
    assert np.mean([r["acc"] for r in b["rows"]]) < np.mean([r["acc"] for r in a["rows"]])


def test_auto_can_choose_a_judged_method(tiny, make_plan, tmp_path):
    """The judge's cells too say what each fold was worth."""
    config = make_plan("rca", seeds=1)
    run = dataclasses.replace(config.run, k=dataclasses.replace(config.run.k, index="judge"))
    cell = Cell("digits", "rca", k_known=False, hyperparameters="tuned")
    record = run_cell(dataclasses.replace(config, run=run), cell, *tiny, tmp_path / "s.journal")
    assert len(record["fold_scores"]) == 4, "two folds hide several classes, two hide one"
    assert record["hidden_class_score"] == pytest.approx(np.mean(record["fold_scores"]))
    record["cell"] = dataclasses.asdict(cell)
    other = {**record, "cell": {**record["cell"], "method": "pbn"}}
    other |= {"hidden_class_score": record["hidden_class_score"] - 0.1}
    assert collect([other, record], ["pbn", "rca"]).chosen(Setting("tuned", False)) == {
        "digits": "rca"
    }
