"""Exported models: the same answers, in a process that knows nothing but JAX."""

import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest
from tiers import few

from ncd_jax import NovelClassDiscovery
from ncd_jax.config import KConfig, RunConfig, TrainConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery import problem
from ncd_jax.discovery.model import apply_model, assign, on_host
from ncd_jax.discovery.solve import fit_untuned
from ncd_jax.errors import UserError
from ncd_jax.export import export_model, export_program, load_exported
from ncd_jax.methods import METHODS

# As in `test_estimator`, with which programs are shared.
ALONE = {"method": "kmeans", "n_candidates": 0, "n_refits": 2, "random_state": 0}

READER = """
import importlib.util, sys
for package in ("ncd_jax", "flax", "optax", "sklearn", "pandas"):
    assert importlib.util.find_spec(package)
    sys.modules[package] = None
import jax.export, numpy as np
folder = sys.argv[1]
program = jax.export.deserialize(bytearray(open(folder + "/model.bin", "rb").read()))
with np.load(folder + "/rows.npz") as rows:
    for name in rows.files:
        labels, sure = program.call(rows[name])
        np.savez(f"{folder}/{name}.npz", labels=labels, sure=sure)
"""


@functools.cache
def make_model(name):
    """A small model of three known and two novel classes, and rows that it has never seen.

    Networks are as they begin: to train them is most of a fit, and no part of what is exported.
    """
    rng = np.random.default_rng(0)
    true = np.arange(200) % 5
    x = 4 * np.eye(6)[true] + rng.normal(size=(200, 6))
    y = np.where(true < 3, true, -1).astype(np.int32)
    table = Table("small", 3 + 2 * x, y, tuple("abcdef"), tuple("uvw"))
    config = RunConfig(
        method=name,
        train=TrainConfig(refits=2),
        k=KConfig(n_novel=2, index="silhouette"),
    )
    new = 4 * np.eye(6)[rng.integers(0, 5, 600)] + rng.normal(size=(600, 6))
    new[::50] *= 20  # like no class
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(problem, "make_method", untrained)
        model = fit_untuned(config, table).model
    return on_host(model), (3 + 2 * new).astype(np.float32)


@functools.cache
def untrained(name, spec):
    return METHODS[name].make(spec)._replace(stages=())


@functools.cache
def exported(name):
    return export_program(make_model(name)[0])


@pytest.mark.parametrize("name", few(METHODS, "baseline", "rca"))
def test_the_same_answers_as_the_model(name):
    model, x = make_model(name)
    told = assign(model, x)
    assert 0 < told.unfamiliar.mean() < 1
    assert len(set(told.labels)) > 2
    program = jax.export.deserialize(bytearray(exported(name)))
    found, found_sure = program.call(x)
    # Where distances are alike their rounding is seen.
    assert np.mean(np.asarray(found) == told.labels) > 0.995
    assert np.mean(np.abs(found_sure - told.confidence) < 5e-3) > 0.99
    assert found.dtype == np.int32
    assert found_sure.dtype == np.float32
    assert program.platforms == ("cpu", "cuda")
    # A row does not depend on those beside it, to the last digit.
    seen = apply_model(model, x)
    np.testing.assert_array_equal(apply_model(model, x[550:553]).z, seen.z[550:553])


@pytest.mark.parametrize("name", few(["baseline", "ncd_sc", "tabular_ncd"], "baseline"))
def test_a_process_with_jax_alone(name, tmp_path):
    model, x = make_model(name)
    x = x[:9]
    (tmp_path / "model.bin").write_bytes(exported(name))
    np.savez(tmp_path / "rows.npz", all=x, one=x[4:5])
    subprocess.run([sys.executable, "-c", READER, tmp_path], check=True)
    for file, rows in (("all", x), ("one", x[4:5])):
        told = assign(model, rows)
        with np.load(tmp_path / f"{file}.npz") as read:
            np.testing.assert_array_equal(read["labels"], told.labels)
            np.testing.assert_allclose(read["sure"], told.confidence, atol=5e-3)


LIGHT = """
import importlib.util, sys
for package in ("flax", "optax", "optuna", "plotly", "rich"):
    assert importlib.util.find_spec(package)
    sys.modules[package] = None
import pandas as pd
from ncd_jax import load_exported
model = load_exported(open("model.ncd", "rb").read())
found, sure = model(pd.read_csv("rows.csv"))
pd.DataFrame({"found": found, "sure": sure}).to_csv("found.csv", index=False)
"""


@pytest.fixture(scope="module")
def fitted():
    """Numbers with gaps, words and dates; whole numbers as classes."""
    rng = np.random.default_rng(0)
    true = np.repeat(np.arange(4), 30)
    frame = pd.DataFrame(5 * np.eye(4)[true] + rng.normal(size=(120, 4)), columns=list("abcd"))
    frame["colour"] = np.array(["red", "green"])[true % 2]
    frame["day"] = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 90, 120), "D")
    frame.loc[::7, "a"] = np.nan
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    return ncd.fit(frame, np.where(true < 2, true, -1)), frame


@pytest.fixture(scope="module")
def on_cpus(fitted):
    return fitted[0].export(platforms=("cpu",))


def test_columns_in_classes_out_without_flax(fitted, on_cpus, tmp_path):
    ncd, frame = fitted
    new = frame.iloc[::5].assign(colour="mauve")
    new.iloc[0] = None
    (tmp_path / "model.ncd").write_bytes(on_cpus)
    new.to_csv(tmp_path / "rows.csv", index=False)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", LIGHT], check=True, cwd=tmp_path, env=environment)
    found = pd.read_csv(tmp_path / "found.csv")
    assert found["found"].tolist() == ncd.predict(new).tolist()
    assert set(found["found"]) > {0, 1}
    told = assign(ncd._model, ncd._model.encoder.apply(new))
    np.testing.assert_allclose(found["sure"], told.confidence, atol=5e-3)
    assert found["sure"][0] == 0, "a row without a cell"


def test_arrays_and_mistakes(fitted, on_cpus, blobs):
    model = load_exported(on_cpus)
    assert model.columns == ("a", "b", "c", "d", "colour", "day")
    with pytest.raises(UserError, match=r"shape \(2, 3\); give 6 columns"):
        model(np.zeros((2, 3)))
    with pytest.raises(UserError, match="no column 'a'"):
        model(fitted[1].drop(columns="a"))
    for data in (b"", b"PK", b"x" * 50):
        with pytest.raises(UserError, match="no exported model"):
            load_exported(data)
    x, true = blobs([40, 40, 40, 70], 7)
    names = np.array(["p", "q", "r", None], object)[true]
    ncd = NovelClassDiscovery(n_novel=1, **ALONE)
    x[:, 1] = 0  # it says nothing, and is left out
    ncd.fit(x, names)
    found, sure = load_exported(ncd.export(("cpu",)))(x)
    assert found.tolist() == ncd.predict(x).tolist()
    assert sure.shape == (190,)


def test_a_model_of_plain_numbers():
    model, x = make_model("kmeans")
    x = x[:9]
    found, sure = load_exported(export_model(model, model.classes, model.columns, ("cpu",)))(x)
    told = assign(model, x)
    assert found.tolist() == [model.classes[label] for label in told.labels]
    np.testing.assert_allclose(sure, told.confidence, atol=5e-3)
