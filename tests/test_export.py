"""Exported models: the same answers, in a process that knows nothing but JAX."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from ncd_jax import NovelClassDiscovery
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.discovery.calibration import Calibration
from ncd_jax.discovery.familiarity import make_reference
from ncd_jax.discovery.hyperparameters import make_hparams, middle
from ncd_jax.discovery.model import Model, apply_model, assign, on_host
from ncd_jax.errors import UserError
from ncd_jax.export import export_model, export_program, load_exported
from ncd_jax.methods import METHODS, Spec
from ncd_jax.types import Goal, NCDData

pytest.importorskip("flatbuffers", reason="jax.export writes with it")
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


def make_model(name):
    """An untrained model of three known and two novel classes.

    Of its four places of known classes one is empty, and so is one of its four slots; the others
    are out of order, and two of them are one class.
    """
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(40, 6)), jnp.float32)
    entry = METHODS[name]
    hparams = middle(entry.space(6))
    width = int(hparams[entry.width]) if entry.width else 6
    spec = Spec(n_features=6, n_known=4, latent_width=width, max_clusters=4)
    spec = dataclasses.replace(spec, variant=entry.variants[0])
    known = jnp.array([0, 1, 3])
    y = jnp.where(jnp.arange(40) < 30, known[jnp.arange(40) % 3], -1)
    goal = Goal(jnp.arange(30, 40), jnp.ones(10, bool), jnp.int32(3))
    method, values = entry.make(spec), make_hparams(name, hparams)

    @jax.jit
    def fit(key, x, y):
        state = method.init(key, NCDData(x, y), goal, values)
        return state, method.represent(state, x)

    state, z = fit(jax.random.key(0), x, y)
    rows = np.array([0, 1, 3, 4 + 0, 4 + 1])
    means = jnp.zeros((4 + 4, z.shape[1])).at[rows].set(z[jnp.array([0, 1, 2, 30, 31])])
    slots = jnp.array([2, 0, 3])
    return on_host(
        Model(
            method=name,
            spec=spec,
            hparams=hparams,
            state=state._replace(opt=None),
            encoder=None,
            scaler=Standardiser(np.full(6, 0.1), np.full(6, 0.8)),
            columns=tuple("abcdef"),
            classes=("a", "b", "c", "novel_0", "novel_1"),
            means=np.asarray(means),
            rows=rows,
            centroids=np.asarray(jnp.zeros((4, z.shape[1])).at[slots].set(z[30:33])),
            owners=np.array([1, -1, 0, 0]),
            calibration=Calibration(np.array([0.1, 0.9]), np.array([0.3, 0.8])),
            reference=make_reference(np.asarray(x), np.asarray(z), np.arange(40) % 5, 5, seed=0),
        )
    )


@pytest.mark.parametrize("name", METHODS)
def test_the_same_answers_as_the_model(name):
    model = make_model(name)
    x = np.random.default_rng(1).normal(size=(600, 6)).astype(np.float32)
    labels, sure, familiar = assign(model, x)
    assert familiar.min() < 1 == familiar.max()
    assert len(set(labels)) > 2
    program = jax.export.deserialize(bytearray(export_program(model)))
    found, found_sure = program.call(x)
    np.testing.assert_array_equal(found, labels)
    # A margin is a difference of distances: where they are alike their rounding is seen.
    np.testing.assert_allclose(found_sure, sure, atol=5e-4)
    assert found.dtype == np.int32
    assert found_sure.dtype == np.float32
    assert program.platforms == ("cpu", "cuda")
    seen = apply_model(model, x)
    np.testing.assert_array_equal(seen.labels, labels)
    # A row does not depend on those beside it, to the last digit.
    np.testing.assert_array_equal(apply_model(model, x[550:553]).z, seen.z[550:553])


@pytest.mark.parametrize("name", ["pbn", "ncd_sc", "tabular_ncd"])
def test_a_process_with_jax_alone(name, tmp_path):
    model = make_model(name)
    x = np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)
    (tmp_path / "model.bin").write_bytes(export_program(model, platforms=["cpu"]))
    np.savez(tmp_path / "rows.npz", all=x, one=x[4:5])
    subprocess.run([sys.executable, "-c", READER, tmp_path], check=True)
    for file, rows in (("all", x), ("one", x[4:5])):
        labels, sure, _ = assign(model, rows)
        with np.load(tmp_path / f"{file}.npz") as read:
            np.testing.assert_array_equal(read["labels"], labels)
            np.testing.assert_allclose(read["sure"], sure, atol=1e-5)


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
    ncd = NovelClassDiscovery(method="kmeans", n_candidates=0, n_novel=2, random_state=0)
    return ncd.fit(frame, np.where(true < 2, true, -1)), frame


def test_columns_in_classes_out_without_flax(fitted, tmp_path):
    ncd, frame = fitted
    new = frame.iloc[::5].assign(colour="mauve")
    new.iloc[0] = None
    (tmp_path / "model.ncd").write_bytes(ncd.export(platforms=("cpu",)))
    new.to_csv(tmp_path / "rows.csv", index=False)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", LIGHT], check=True, cwd=tmp_path, env=environment)
    found = pd.read_csv(tmp_path / "found.csv")
    assert found["found"].tolist() == ncd.predict(new).tolist()
    assert set(found["found"]) > {0, 1}
    _, sure, _ = assign(ncd._model, ncd._model.encoder.apply(new))
    np.testing.assert_allclose(found["sure"], sure, atol=1e-4)
    assert found["sure"][0] == 0, "a row without a cell"


def test_arrays_and_mistakes(fitted, blobs):
    model = load_exported(fitted[0].export(platforms=("cpu",)))
    assert model.columns == ("a", "b", "c", "d", "colour", "day")
    with pytest.raises(UserError, match=r"shape \(2, 3\); give 6 columns"):
        model(np.zeros((2, 3)))
    with pytest.raises(UserError, match="no column 'a'"):
        model(fitted[1].drop(columns="a"))
    for data in (b"", b"PK", b"x" * 50):
        with pytest.raises(UserError, match="no exported model"):
            load_exported(data)
    x, true = blobs([20] * 3, 4)
    names = np.array(["p", "q", None], object)[true]
    ncd = NovelClassDiscovery(method="kmeans", n_candidates=0, n_novel=1, random_state=0)
    x[:, 1] = 0  # it says nothing, and is left out
    ncd.fit(x, names)
    found, sure = load_exported(ncd.export(("cpu",)))(x)
    assert found.tolist() == ncd.predict(x).tolist()
    assert sure.shape == (60,)


def test_a_model_of_plain_numbers():
    model = make_model("kmeans")
    x = np.random.default_rng(1).normal(size=(9, 6)).astype(np.float32)
    found, sure = load_exported(export_model(model, model.classes, model.columns, ("cpu",)))(x)
    labels, expected, _ = assign(model, x)
    assert found.tolist() == [model.classes[label] for label in labels]
    np.testing.assert_allclose(sure, expected, atol=1e-5)


def test_without_the_extra_there_is_one_sentence(fitted, monkeypatch):
    data = fitted[0].export(("cpu",))
    monkeypatch.setitem(sys.modules, "flatbuffers", None)
    for use in (fitted[0].export, lambda: load_exported(data)):
        with pytest.raises((ValueError, UserError), match=r"pip install 'ncd_jax\[export\]'$"):
            use()
