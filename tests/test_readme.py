"""What the README shows works as it stands there, and what the other texts tell to type."""

import re
import shlex
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.config import parse
from ncd_jax.flags import read_flags
from ncd_jax.methods import METHODS
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


def test_the_first_commands_are_those_of_make():
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert list(commands(README))[:2] == [["make", "run"], ["make", "test"]]
    assert {"run", "test"} <= set(targets)


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
@pytest.mark.parametrize("name", TEXTS)
def test_commands_are_understood(name, tmp_path, monkeypatch):
    """Flags and keys exist, configurations are found, modules are there."""
    for block in blocks(TEXTS[name].read_text(), "python"):  # files that the page has one write
        if file := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / file[1]).write_text(block)
    monkeypatch.chdir(tmp_path)
    list(METHODS.values())  # what is loaded below is forgotten, and Flax is loaded only once
    monkeypatch.setattr(METHODS, "_others", {})
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
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


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder of a reader who has run the first block, and what Python knows then."""
    folder, names = tmp_path_factory.mktemp("reader"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(blocks(README, "python")[0], names)
    return folder, names


def test_the_first_python_block_runs_as_pasted(walked):
    """From an empty folder, with the figures that the text gives."""
    folder, names = walked
    assert (names["ncd"].n_novel_, names["ncd"].setting_) == (1, "gcd")
    blank, kind = names["blank"], names["kind"]
    labels = names["ncd"].labels_[blank]
    assert "Of 92 unlabelled rows 43 go back" in README
    assert (len(labels), (labels != "novel_0").sum()) == (92, 43)
    assert (labels == kind[blank])[labels != "novel_0"].all()
    assert ((labels == "novel_0") & (kind[blank] == "class_2")).sum() == 48
    assert [path.name for path in folder.glob("*.html")] == ["wine.html"]


@pytest.mark.thorough
def test_the_other_python_blocks_run_as_pasted(walked, monkeypatch):
    """In order, as the same reader would run them."""
    folder, names = walked
    monkeypatch.chdir(folder)
    _, estimator, learn, sweep = blocks(README, "python")
    exec(estimator, names)
    ncd, true = names["ncd"], names["true"]
    assert ncd.n_novel_ == 2
    # An exported model does not remember rows of the fit: they get the answer of later ones.
    assert np.mean(names["classes"] == ncd.predict(names["x"])) > 0.99
    assert np.mean(ncd.labels_[true < 4] == true[true < 4]) == 1
    exec(learn, names)
    assert names["labels"].shape == (3, (names["y"] < 0).sum())
    exec(sweep, names)
    assert names["accuracy"].shape == (16, 4, 2)
    assert float(jnp.min(names["accuracy"])) > 0
    written = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert written.keys() == {"wine.html", "report.html"}
    assert min(written.values()) > 1e6
