import csv

import pytest

from ncd_jax.errors import UserError
from ncd_jax.reproduce import runner
from ncd_jax.reproduce.runner import run_benchmark


@pytest.fixture
def measured(monkeypatch, tiny):
    """Names of the cells in the order in which they were measured."""
    told = []
    inner = runner.run_cell

    def run_cell(config, cell, *args):
        told.append(cell.method)
        return inner(config, cell, *args)

    def load(name, data_dir):
        if name == "har":
            raise UserError("X_train.txt is not there")
        return tiny

    monkeypatch.setattr(runner, "run_cell", run_cell)
    monkeypatch.setattr(runner, "load_dataset", load)
    return told


def test_finished_cells_are_never_repeated(measured, make_plan, tmp_path):
    run_benchmark(make_plan("sklearn_kmeans", k=("known",)), tmp_path, None)
    assert measured == ["sklearn_kmeans"]
    records = run_benchmark(make_plan("sklearn_kmeans,lda_kmeans", k=("known",)), tmp_path, None)
    assert measured == ["sklearn_kmeans", "lda_kmeans"]
    assert len(records) == 2
    with (tmp_path / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 2 * 2 * 2
    cell = next(tmp_path.glob("cells/*.json"))
    for text in ("", "[]", '{"rows": 3, "cell": {}}', '{"rows": []}'):
        cell.write_text(text)
        with pytest.raises(UserError, match=rf"{cell.name} is"):
            run_benchmark(make_plan("sklearn_kmeans", k=("known",)), tmp_path, None)


def test_a_cell_that_fails_is_recorded_and_tried_again(measured, make_plan, tmp_path, monkeypatch):
    config = make_plan("sklearn_kmeans", k=("known",), datasets=("har", "digits"))
    failed, finished = sorted(
        run_benchmark(config, tmp_path, None), key=lambda record: "rows" in record
    )
    assert failed["error"] == "UserError: X_train.txt is not there"
    assert len(finished["rows"]) == 4
    assert "X_train.txt" in (tmp_path / "results.md").read_text()
    monkeypatch.setattr(runner, "load_dataset", lambda name, data_dir: runner.load_dataset_of[name])
    monkeypatch.setattr(runner, "load_dataset_of", {"har": (None, None)}, raising=False)
    again = run_benchmark(config, tmp_path, None)
    assert measured == ["sklearn_kmeans"], "the one that had finished"
    assert any("har has no truth" in record.get("error", "") for record in again)


def test_another_benchmark_needs_another_folder(measured, make_plan, tmp_path):
    run_benchmark(make_plan("sklearn_kmeans", k=("known",)), tmp_path, None)
    with pytest.raises(UserError, match="different run"):
        run_benchmark(make_plan("sklearn_kmeans", k=("known",), seeds=3), tmp_path, None)
