"""A run is repeated from what it left, and what differs is said."""

import json
import shutil

import pandas as pd
import pytest
from launching import call

from ncd_jax.config import parse
from ncd_jax.flags import read_flags

# Of ml_collections, where it reads a config file.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.usefixtures("simple_maps"),
]

FLAGS = ("--label=label", "--id=name", "--drop=s", "--config.setting=ncd", "--config.k.n_novel=2")
FLAGS += ("--config.search.folds=2",)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, blobs):
    folder = tmp_path_factory.mktemp("rerun")
    # Six columns remain, as `gaussians` has, and as many rows share its programs.
    x, classes = blobs([25] * 4 + [40] * 2, 7)
    frame = pd.DataFrame(x, columns=list("pqrstuv")).assign(name=[f"row {i}" for i in range(180)])
    frame["label"] = [f"class {c}" if c < 4 else "" for c in classes]
    frame.to_csv(folder / "table.csv", index=False)
    ended = call("--table=table.csv", "--workdir=first", *FLAGS, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return folder


def test_a_run_is_repeated_from_its_config(folder):
    """From elsewhere, with the flags that say how the table is read; the answer is the same."""
    flags = (f"--rerun={folder / 'first'}", "--workdir=again")
    (folder / "elsewhere").mkdir()
    again = call(*flags, cwd=folder / "elsewhere")
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == "every row is in the same class"
    first, second = folder / "first", folder / "elsewhere/again"
    for name in ("assignments.csv", "trials.csv", "model/arrays.npz", "columns.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()
    assert (first / "config.json").read_bytes() == (second / "config.json").read_bytes()


def test_what_differs_is_said(folder):
    """Versions and device of then, and another table; the plugins of a stranger are not loaded."""
    old = folder / "old"
    shutil.copytree(folder / "first", old)
    config = json.loads((old / "config.json").read_text())
    config["environment"]["versions"]["jax"] = "0.1"
    config["environment"]["device"] = "8 x abacus"
    (old / "config.json").write_text(json.dumps(config))
    frame = pd.read_csv(folder / "table.csv")
    frame.loc[3, "p"] += 0.5
    frame.to_csv(folder / "changed.csv", index=False)
    flags = ("--rerun=old", "--workdir=new", "--table=changed.csv")
    ended = call(*flags, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    said = [line.partition(":")[0] for line in ended.stdout.splitlines() if " there, " in line]
    assert said == ["table.name", "table.sha256", "versions.jax", "device"]
    assert "rows" not in ended.stdout.splitlines()[-1], "answers of different tables"


def test_a_run_that_was_renamed_or_answered_is_compared_as_it_is(folder):
    shutil.copytree(folder / "first", folder / "named")
    assert call("--mode=rename", "--workdir=named", "--names=novel_0=X", cwd=folder).returncode == 0
    (folder / "named/answers.csv").write_text("question,answer\n")
    ended = call("--rerun=named", "--workdir=twice", cwd=folder)
    assert ended.stdout.splitlines()[-2:] == [
        "answers: a person has answered in named, nobody here",
        "every row is in the same class",
    ]


def test_a_configuration_in_json_is_data(tmp_path):
    """Groups or dots; flags behind it count more; nothing in it becomes another flag."""
    path = tmp_path / "my.json"
    path.write_text(
        '{"search": {"folds": 3, "k_known": true}, "k.max": 7, "methods": "--mode=app"}'
    )
    given = read_flags(["launch.py", f"--config={path}", "--config.k.max=8"])
    config = parse(given.config)
    assert (config.search.folds, config.search.k_known, config.k.max) == (3, True, 8)
    assert (config.methods, given.mode) == ("--mode=app", "discover")
    path.write_text('{"seeds": 2, "k": {"max": 5}}')
    assert read_flags(["launch.py", "--mode=benchmark", f"--config={path}"]).config.seeds == 2
