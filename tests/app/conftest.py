import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from asked_runs import three_are_new, told_of_two
from html_pages import HOSTILE
from starlette.testclient import TestClient

from ncd_jax.app.desk import Desk
from ncd_jax.app.folder import Folder
from ncd_jax.app.serving import make_app

PORT, TOKEN = 8000, "a token of tests"
ADDRESS = f"http://127.0.0.1:{PORT}"
PENGUINS = Path(__file__).parent.parent / "data" / "penguins.csv"


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A table of four known classes and three novel ones; names would break a careless page."""
    x, classes = three_are_new()
    frame = pd.DataFrame(x, columns=["width", HOSTILE[1], "weight", "d", "e", "f"])
    # As in the tests of asking: tables of one shape share their programs.
    frame["colour"] = np.array(["red", "blue", "green", "red", "blue", "blue", "=grey"])[classes]
    frame["name"] = [HOSTILE[i % len(HOSTILE)] if i < 9 else f"item {i}" for i in range(215)]
    known = np.array(["a", HOSTILE[0], "c", "d", "", "", ""])
    frame["label"] = known[classes]
    path = tmp_path_factory.mktemp("table") / "made.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.fixture(scope="session")
def finished(made, made_once):
    """A run as the command line makes it, told of two novel classes where there are three."""
    return made_once("shown", lambda path: told_of_two(made, path))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def client(folder):
    """Somebody who has opened the address that was printed, and whose folder has no run yet."""
    desk = Desk(Folder(folder))
    with TestClient(make_app(desk, TOKEN, PORT), base_url=ADDRESS) as client:
        client.desk = desk
        assert client.get(f"/?token={TOKEN}").status_code == 200
        yield client


@pytest.fixture
def run(client, folder, finished):
    """The finished run in their folder."""
    return shutil.copytree(finished, folder / "made")
