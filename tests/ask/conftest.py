"""A run in which two classes were merged, and one answer parts them."""

import shutil

import numpy as np
import pandas as pd
import pytest

from ncd_jax import experiment
from ncd_jax.config import KConfig, RunConfig, SearchConfig
from ncd_jax.data.own_table import read_table
from ncd_jax.read.options import ReadOptions
from ncd_jax.report import latent_map
from ncd_jax.store.workdir import Workdir


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    """A table of four known classes and three novel ones, and the class of every row."""
    rng = np.random.default_rng(1)
    classes = rng.permutation(np.repeat(np.arange(7), [25] * 4 + [40, 30, 45]))
    x = (6 * rng.normal(size=(7, 6)) / 2**0.5)[classes] + rng.normal(size=(215, 6))
    frame = pd.DataFrame(x, columns=["width", "height", "weight", "d", "e", "f"])
    frame["colour"] = np.array(["red", "blue", "green", "red", "blue", "blue", "=grey"])[classes]
    frame["name"] = [f"item {i}" for i in range(215)]
    frame["label"] = np.where(classes < 4, np.array(list("abcdxyz"))[classes], "")
    path = tmp_path_factory.mktemp("table") / "made.csv"
    frame.to_csv(path, index=False)
    return path, classes


@pytest.fixture(scope="package")
def finished(made, tmp_path_factory):
    """A run that was told that there are two novel classes, though there are three."""
    path = tmp_path_factory.mktemp("asked") / "run"
    config = RunConfig(
        method="rca", setting="ncd", search=SearchConfig(folds=2), k=KConfig(n_novel=2)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_map, "_embed", lambda points, seed: points[:, :2])
        table = read_table(made[0], "label", options=ReadOptions(id="name"))
        experiment.run(config, table, None, path)
    return path


@pytest.fixture
def run(finished, tmp_path):
    return Workdir(shutil.copytree(finished, tmp_path / "run"))
