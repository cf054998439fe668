"""Numbers that overflow, columns and rows that say nothing, steps that are absurd."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from launching import call
from modes import COLUMNS, MODES, RCA, SMALL

pytestmark = [
    # Of ml_collections, where it reads a config file.
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The value of `grace_period` might be too small"),
]

TABLES = {
    "1e30": lambda x: x * 1e30,
    "1e30 beside small ones": lambda x: x * [1e30, 1, 1e-30, 1, 1, 1],
    "one cell of 1e30": lambda x: np.where(np.arange(x.size).reshape(x.shape) == 5, 1e30, x),
    "beyond float32": lambda x: x * 1e300,
    "a constant column": lambda x: x * [1, 1, 1, 1, 1, 0],
    "constant columns": lambda x: x * 0,
    "an empty column": lambda x: np.where([False] * 5 + [True], np.nan, x),
    "empty columns": lambda x: x * np.nan,
    "equal rows": lambda x: np.broadcast_to(x[:1], x.shape),
    "equal new rows": lambda x: np.where(np.arange(len(x))[:, None] % 3 > 0, x[:1], x),
}
EACH_SESSION = {("rca", "1e30"), ("rca", "constant columns"), ("rca", "equal new rows")}


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("what", TABLES)
@pytest.mark.parametrize("method", ["rca", "kmeans"])
def test_an_answer_is_finite_or_refused(what, method, stage, is_long, count):
    if not is_long and (method, what) not in EACH_SESSION:
        pytest.skip("of `make faults`")
    flags = RCA if method == "rca" else (*SMALL, "--config.method=kmeans")
    folder = stage.folder(MODES["run, rca"])
    frame = pd.read_csv(folder / "table.csv")
    frame[COLUMNS] = TABLES[what](frame[COLUMNS].to_numpy())
    frame.to_csv(folder / "strange.csv", index=False)
    table = ("--table=strange.csv", "--label=label", "--id=name", "--workdir=work")
    ended = call(*table, *flags, cwd=folder)
    check(ended, folder / "work")
    count("strange numbers")["refused" if ended.returncode else "finite"] += 1


@pytest.mark.parametrize("lr", [1e6, 1e30])
def test_steps_that_are_absurd(lr, stage, is_long, count):
    if not is_long and lr == 1e6:
        pytest.skip("of `make faults`")
    folder = stage.folder(MODES["run, pbn"])
    flags = (*MODES["run, pbn"].flags, f"--config.hparams.lr={lr}")
    ended = call(*flags, cwd=folder)
    check(ended, folder / "work")
    count("strange numbers")["refused" if ended.returncode else "finite"] += 1
    if ended.returncode:
        assert "lr" in ended.stderr.splitlines()[-1]


def check(ended, workdir):
    if ended.returncode:
        assert ended.returncode in (1, 2), ended.stderr
        assert ended.stderr.splitlines()[-1].startswith("launch.py: "), ended.stderr
        assert not (workdir / "metrics.json").exists()
        return
    found = pd.read_csv(workdir / "assignments.csv")
    assert np.isfinite(found["confidence"]).all()
    assert found["label"].notna().all()
    metrics = json.loads((workdir / "metrics.json").read_text())
    chances = metrics["n_novel_probability"].values()
    assert all(map(math.isfinite, (metrics["mean_confidence"], *chances)))
