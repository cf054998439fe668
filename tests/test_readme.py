"""What the README shows works as it stands there, and what the other texts tell to type."""

import re
import shlex
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from ncd_jax.config import parse
from ncd_jax.flags import read_flags
from ncd_jax.reproduce.plan import parse_benchmark

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TEXTS = {path.name: path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def commands(text):
    """Command lines as a shell splits them, comments left out."""
    for block in blocks(text, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words


def test_it_is_short():
    assert len(README.splitlines()) <= 200


def test_the_first_commands_are_those_of_make():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert list(commands(README))[:2] == [["make", "run"], ["make", "test"]]
    assert {"run", "test"} <= set(targets)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
@pytest.mark.parametrize("name", TEXTS)
def test_commands_are_understood(name):
    """Flags and keys exist, configurations are found, modules are there."""
    for words in commands(TEXTS[name].read_text()):
        if words[:2] == ["python", "launch.py"] and "--help" not in words:
            given = read_flags(words[1:])
            (parse_benchmark if given.mode == "benchmark" else parse)(given.config)
        if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
            assert (ROOT / words[2].replace(".", "/")).with_suffix(".py").is_file()


@pytest.mark.parametrize("name", TEXTS)
def test_links_lead_somewhere(name):
    for link in re.findall(r"\]\(([^)\s]+)\)", TEXTS[name].read_text()):
        path, _, heading = link.partition("#")
        if ":" in path:
            continue
        target = TEXTS[name].parent / path if path else TEXTS[name]
        assert target.exists(), link
        headings = re.findall(r"^#+ (.*)$", target.read_text() if heading else "", re.MULTILINE)
        assert not heading or heading in [h.lower().replace(" ", "-") for h in headings]


def test_the_folders_are_those_that_there_are():
    """Every folder and module of the package is named, and none that is not there."""
    table = re.search(r"## How the code is organised\n\n(.*?)\n\n", README, re.DOTALL).group(1)
    named = set()
    for line in table.splitlines()[2:]:
        named |= set(re.findall(r"`([\w./]+)`", line.split("|")[1]))
    there = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (ROOT / "ncd_jax").iterdir()
        if not path.name.startswith(("_", "py.")) and path.name != "errors.py"
    }
    assert named == there


def test_the_python_examples_run():
    learn, cross_validate = [c for c in blocks(README, "python") if "jax.jit" in c]
    rng = np.random.default_rng(0)
    y = np.arange(60) % 6 - 1
    names = {
        "x": jnp.asarray(rng.normal(size=(60, 64)), jnp.float32),
        "y": jnp.asarray(y),
        "novel_rows": jnp.asarray(np.flatnonzero(y < 0)),
    }
    exec(learn.replace("epochs=100", "epochs=2"), names)
    assert names["labels"].shape == (3, 10)
    assert set(np.unique(names["labels"])) <= set(range(5))
    assert len([line for line in cross_validate.splitlines() if "import" not in line]) <= 11
    exec(cross_validate.replace("epochs=100", "epochs=2"), names)
    assert names["accuracy"].shape == (16, 4, 2)
    assert float(jnp.min(names["accuracy"])) > 0


def test_the_estimator_example_runs(tmp_path, monkeypatch):
    """On a table with words and gaps, with the least of settings."""
    monkeypatch.chdir(tmp_path)
    code = next(c for c in blocks(README, "python") if "ncd.predict" in c)
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
    code = next(c for c in blocks(README, "python") if "penguins" in c)
    assert len([line for line in code.splitlines() if line.strip()]) < 10
    names = {}
    exec(code, names)
    assert names["kind"].str.startswith("Gentoo").sum() == 124
    assert names["ncd"].n_novel_ == 1
    assert names["ncd"].setting_ == "gcd"
    labels = names["ncd"].labels_[names["blank"]]
    assert (labels == "novel_0").sum() == 123
    assert (labels == names["kind"][names["blank"]]).sum() == 73
    assert (tmp_path / "penguins.html").stat().st_size > 1e6
