"""A run in which two classes were merged, and one answer parts them."""

import shutil

import numpy as np
import pandas as pd
import pytest
from asked_runs import three_are_new, told_of_two

from ncd_jax.store.workdir import Workdir


@pytest.fixture(scope="package")
def made(tmp_path_factory):
    """A table of four known classes and three novel ones, and the class of every row."""
    x, classes = three_are_new()
    frame = pd.DataFrame(x, columns=["width", "height", "weight", "d", "e", "f"])
    frame["colour"] = np.array(["red", "blue", "green", "red", "blue", "blue", "=grey"])[classes]
    frame["name"] = [f"item {i}" for i in range(215)]
    frame["label"] = np.where(classes < 4, np.array(list("abcdxyz"))[classes], "")
    path = tmp_path_factory.mktemp("table") / "made.csv"
    frame.to_csv(path, index=False)
    return path, classes


@pytest.fixture(scope="package")
def finished(made, made_once):
    """A run that was told that there are two novel classes, though there are three."""
    return made_once("asked", lambda path: told_of_two(made[0], path))


@pytest.fixture
def run(finished, tmp_path):
    return Workdir(shutil.copytree(finished, tmp_path / "run"))
