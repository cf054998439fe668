"""New rows in batches, files and folders, and inside other engines: always the same labels."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ncd_jax import NovelClassDiscovery, new_rows
from ncd_jax.data import own_table
from ncd_jax.discovery.model import assign
from ncd_jax.errors import UserError
from ncd_jax.new_rows import assign_rows
from ncd_jax.read import text_files
from ncd_jax.read.options import ReadOptions
from ncd_jax.store.model_files import save_model
from ncd_jax.store.workdir import Workdir

parquet = pytest.importorskip("pyarrow.parquet")
PAGE = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text()
SAMPLE, EXPORT, POLARS, DASK, SPARK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
# As in `test_export`, with which programs are shared.
ALONE = {"method": "kmeans", "n_candidates": 0, "n_refits": 2, "random_state": 0}


def made(n, seed):
    """Numbers with gaps, words and dates."""
    rng = np.random.default_rng(seed)
    true = rng.permutation(np.arange(n) % 4)
    frame = pd.DataFrame(5 * np.eye(4)[true] + rng.normal(size=(n, 4)), columns=list("abcd"))
    frame["colour"] = np.array(["red", "green"])[true % 2]
    frame["day"] = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 90, n), "D")
    frame.loc[::7, "a"] = np.nan
    return frame, true


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, files of new rows and what `assign` says of these."""
    path = tmp_path_factory.mktemp("clusters")
    frame, true = made(120, 0)
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    ncd.fit(frame, np.where(true < 2, np.char.add("kind ", true.astype(str)), None))
    save_model(Workdir(path / "runs/customers"), ncd._model)
    new, _ = made(90, 1)
    (path / "new").mkdir()
    for i, part in enumerate(np.array_split(np.arange(90), 3)):
        new.iloc[part].to_parquet(path / f"new/{i}.parquet", index=False)
    said = assign(ncd._model, ncd._model.encoder.apply(new))
    new["label"] = np.array(ncd._model.classes)[said.labels]
    new["confidence"] = said.confidence
    return path, new


@pytest.fixture
def run(folder, monkeypatch):
    path, new = folder
    monkeypatch.chdir(path)
    names = {}
    if not Path("model.ncd").exists():
        exec(EXPORT, names)

    def run(block, out):
        exec(block, {"__name__": "pasted"})
        found = pd.concat([pd.read_parquet(p) for p in sorted(Path().glob(out))])
        found = found.sort_values([*"bcd"], ignore_index=True)
        wanted = new.sort_values([*"bcd"], ignore_index=True)
        assert len(set(found["label"])) > 2
        assert found["label"].tolist() == wanted["label"].tolist()
        np.testing.assert_allclose(found["confidence"], wanted["confidence"], atol=5e-3)
        np.testing.assert_array_equal(found["a"], wanted["a"])

    return run


def test_a_sample(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    exec(SAMPLE, {})
    assert 0 < len(pd.read_csv("sample.csv")) < 10


def test_polars(run):
    pytest.importorskip("polars")
    run(POLARS, "polars.parquet")


@pytest.mark.filterwarnings("default")  # what engines say to each other is their concern
def test_dask(run):
    pytest.importorskip("dask.dataframe")
    run(DASK, "dask/*.parquet")


@pytest.mark.thorough
@pytest.mark.filterwarnings("default")
def test_spark(run, monkeypatch):
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)  # its workers are of this environment
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    run(SPARK, "spark/*.parquet")


def written(frame, path):
    frame = frame.assign(id=[f"n{i}" for i in range(len(frame))])
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
        return path
    frame["b"] = [f"{value:.2f}".replace(".", ",") for value in frame["b"]]
    frame["day"] = frame["day"].dt.strftime("%d.%m.%Y")
    frame["colour"] = frame["colour"].where(frame.index % 11 > 0, "k. A.")
    text = frame.to_csv(index=False)
    if path.stem == "irregular":  # quotes within a cell: from there on row by row
        text += text.splitlines()[-1].replace("n89", 'a "quoted" n') + "\n"
    path.write_text(text)
    return path


@pytest.fixture
def small(monkeypatch):
    """Batches of fifteen rows or so, and of text of as many as there are in 200 bytes."""
    monkeypatch.setattr(own_table, "BATCH", 105)
    monkeypatch.setattr(text_files, "_BLOCK", 200)
    monkeypatch.setattr(text_files, "_CHUNK", 5)
    calls = []
    answer = new_rows._answer

    def counted(model, new):
        calls.append(len(new.rows))
        return answer(model, new)

    monkeypatch.setattr(new_rows, "_answer", counted)
    return calls


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "irregular.csv"])
def test_batches_say_what_the_whole_table_does(folder, tmp_path, monkeypatch, request, name):
    path, run = written(made(90, 2)[0], tmp_path / name), Workdir(folder[0] / "runs/customers")
    wanted = assign_rows(run, path, ReadOptions(id="id"))
    text = wanted.file.read_text()
    assert text.startswith("row,id,label,")
    assert pd.read_csv(wanted.file)["row"].tolist() == [*range(len(text.splitlines()) - 1)]
    calls = request.getfixturevalue("small")
    found = assign_rows(run, path, ReadOptions(id="id"))
    assert len(calls) > 3
    assert found.file.read_text() == text
    assert (found.sizes, found.notes) == (wanted.sizes, wanted.notes)
    assert found.n_unfamiliar == wanted.n_unfamiliar
    assert [each.name for each in found.file.parent.iterdir() if each.name.startswith(".")] == []


def test_what_is_whole_is_kept_when_it_is_stopped(folder, tmp_path, monkeypatch, small):
    path, run = written(made(90, 2)[0], tmp_path / "t.csv"), Workdir(folder[0] / "runs/customers")
    text = assign_rows(run, path).file.read_text()
    n_batches, answer = len(small), new_rows._answer
    target = run.path("assigned/t.csv")

    def stop(after):
        def stopped(model, new):
            if len(small) == after:
                raise KeyboardInterrupt
            return answer(model, new)

        target.unlink(missing_ok=True)
        small.clear()
        with monkeypatch.context() as patch:
            patch.setattr(new_rows, "_answer", stopped)
            with pytest.raises(KeyboardInterrupt):
                assign_rows(run, path)
        assert not target.exists()
        small.clear()

    stop(after=2)
    with run.path("assigned/.t.csv.part").open("ab") as file:  # a piece that nobody knows of
        file.write(b"half a li")
    assert assign_rows(run, path).file.read_text() == text
    assert len(small) == n_batches - 2
    stop(after=2)
    assign_rows(run, path, ReadOptions(missing=["red"]))
    assert len(small) == n_batches, "with other flags it is another answer"
    stop(after=0)
    assert not run.path("assigned/.t.csv.part").exists()


def test_folders_and_patterns_are_tables(folder, tmp_path, small, monkeypatch):
    run, frame = Workdir(folder[0] / "runs/customers"), made(60, 3)[0]
    new = tmp_path / "new"
    new.mkdir()
    for i, name in enumerate(["a.csv", "b.parquet", "c.csv"]):
        written(frame.iloc[20 * i : 20 * i + 20].reset_index(drop=True), new / name)
    (new / "_SUCCESS").touch()
    alone = {p.stem: assign_rows(run, p) for p in sorted(new.glob("?.*"))}
    texts = {stem: told.file.read_text() for stem, told in alone.items()}
    told = assign_rows(run, new)
    assert told.file == run.path("assigned/new")
    assert {p.stem: p.read_text() for p in told.file.iterdir()} == texts
    for name, size in told.sizes.items():
        assert size == sum(each.sizes.get(name, 0) for each in alone.values())
    small.clear()
    assert assign_rows(run, new / "*.csv").sizes != told.sizes
    n_batches = len(small)
    answer, small[:] = new_rows._answer, []

    def stopped(model, rows):
        if len(small) == n_batches - 1:  # in the second file
            raise KeyboardInterrupt
        return answer(model, rows)

    with monkeypatch.context() as patch:
        patch.setattr(new_rows, "_answer", stopped)
        with pytest.raises(KeyboardInterrupt):
            assign_rows(run, new / "*.csv")
    assert assign_rows(run, new / "*.csv").sizes
    assert len(small) == n_batches
    run.write_json("assigned/new/.done.json", {"a.csv": 3, "c.csv": {"key": 7}})  # of a stranger
    assert assign_rows(run, new / "*.csv").sizes
    with pytest.raises(UserError, match="holds no table"):
        assign_rows(run, tmp_path / "*.xlsx")
    (new / "c.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"c\.csv: . columns are missing"):
        assign_rows(run, new)
