"""What the README shows works as it stands there."""

import re
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd

README = (Path(__file__).parent.parent / "README.md").read_text()


def test_the_python_example_runs():
    code = next(c for c in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "jax.jit" in c)
    rng = np.random.default_rng(0)
    y = np.arange(60) % 6 - 1
    names = {
        "x": jnp.asarray(rng.normal(size=(60, 64)), jnp.float32),
        "y": jnp.asarray(y),
        "novel_rows": jnp.asarray(np.flatnonzero(y < 0)),
    }
    exec(code.replace("epochs=100", "epochs=2"), names)
    assert names["labels"].shape == (3, 10)
    assert set(np.unique(names["labels"])) <= set(range(5))


def test_the_estimator_example_runs(tmp_path, monkeypatch):
    """On a table with words and gaps, with the least of settings."""
    monkeypatch.chdir(tmp_path)
    code = next(
        c for c in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "ncd.predict" in c
    )
    rng = np.random.default_rng(0)
    kind = np.arange(120) % 6
    frame = pd.DataFrame(rng.normal(size=(120, 3)) + 5 * rng.normal(size=(6, 3))[kind])
    frame.columns = ["height", "width", "weight"]
    frame["colour"] = np.array(["red", "green", "blue"])[kind % 3]
    frame.loc[::9, "width"] = np.nan
    labels = pd.Series(np.array(["a", "b", "c", "d", None, None], object)[kind])
    code = code.replace('"pbn"', '"kmeans"').replace("n_candidates=24", "n_candidates=1")
    exec(code, {"frame": frame, "labels": labels, "new_rows": frame[:5]})
    assert (tmp_path / "report.html").stat().st_size > 1e6


def test_the_walk_through_runs(tmp_path, monkeypatch):
    (tmp_path / "tests").symlink_to(Path(__file__).parent)
    monkeypatch.chdir(tmp_path)
    code = next(c for c in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "penguins" in c)
    assert len([line for line in code.splitlines() if line.strip()]) < 10
    names = {}
    exec(code.replace('"rca", random_state=0', '"kmeans", n_candidates=1'), names)
    assert names["ncd"].n_novel_ >= 2
    assert names["kind"].str.startswith("Gentoo").sum() == 119
    assert (tmp_path / "penguins.html").stat().st_size > 1e6
