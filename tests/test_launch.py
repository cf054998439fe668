"""The command line: mistakes end with status 2 and one line, and write nothing."""

import importlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata

import numpy as np
import pandas as pd
import pytest
from launching import AS_USERS_COMPILE, ROOT, call, launch
from tiers import few

import ncd_jax
from ncd_jax import cli, startup
from ncd_jax.config import default_config
from ncd_jax.flags import read_flags
from ncd_jax.methods import METHODS

# Of ml_collections, where it reads a config file.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

N = 30
"""Rows of each class."""
QUICK = ("--config.setting=ncd", "--config.search.folds=2")
ANSWER = ["label", "confidence", "runner_up", "runner_up_confidence"]


@pytest.fixture(scope="module", autouse=True)
def _programs_are_kept_here(simple_maps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCD_JAX_COMPILATION_CACHE", os.environ["NCD_JAX_TEST_PROGRAMS"])
        yield


def write_table(path, **changes):
    """Numbers and a category, four known classes and unlabelled rows; returns its frame.

    The encoded columns are those of `test_in_a_browser`, whose processes find programs of these.
    """
    rng = np.random.default_rng(0)
    label = np.repeat(["a", "b", "c", "d", ""], N)
    x = rng.normal(size=(5 * N, 3)) + 5 * rng.normal(size=(5, 3))[np.repeat(np.arange(5), N)]
    frame = pd.DataFrame(x, columns=["p", "q", "r"])
    frame["colour"] = rng.choice(["red", "green", "blue"], 5 * N)
    frame = frame.assign(**{"label": label, **changes})
    frame.to_csv(path, index=False)
    return frame


MISTAKES = {
    ("--candidats=3",): "did you mean --config.search.candidates?",
    ("--tabel=t.csv",): "did you mean --table?",
    ("--method=rca",): "write --config.method=rca",
    ("--seed", "1"): "write --config.seed=1",
    ("--candidates=64",): "write --config.search.candidates=64",
    ("--config.candidates=64",): "write --config.search.candidates=64",
    ("--k=4",): "--config.k.n_novel",
    ("--config=benchmark", "--seed=3"): "write --config.seed=3",
    ("--config=pendigts",): "benchmark, default, gcd, optdigits, pendigits, or the path",
    ("--config=missing.py",): "'missing.py'",
    ("--config=broken.py",): "invalid syntax",
    ("--config=strange.py",): "tempo",
    ("--config.search.foldz=3",): "did you mean --config.search.folds?",
    ("--config.serch.folds=3",): "did you mean --config.search.folds?",
    ("--config.search.folds=many",): "--config.search.folds=many",
    ("--config.search.folds=0",): "at least 1",
    ("--config.seed=5000000000",): "at most",
    ("--config.k.max=100000000",): "at most",
    ("--config.search.held_out=nan",): "not finite",
    ("--config=empty.py",): "ConfigDict",
    ("--config=missing.json",): "missing.json is no file",
    ("--config=torn.json",): "torn.json is not valid JSON",
    ("--config=list.json",): "list.json has no keys",
    ("--config=foldz.json",): "foldz.json: 'search.foldz' is no config key; did you mean search.fo",
    ("--config=code.json",): "search.folds is [2]; give a text or a number",
    ("--config=words.json",): "--config.search.folds=many",
    ("--config=small.json", "--config.search.folds=0"): "at least 1",
    ("--rerun=other",): "give a new --workdir",
    ("--rerun=other", "--workdir=other"): "give a new --workdir",
    ("--rerun=missing", "--workdir=new"): "missing/config.json does not exist",
    ("--rerun=other", "--workdir=new"): "other/config.json is of no run on a table",
    ("--rerun=told", "--workdir=new"): "told/config.json is of no run on a table",
    ("--rerun=old", "--workdir=new"): "give --table and --label as then",
    ("--rerun=other", "--mode=assign"): "--mode=assign makes none",
    ("--table=taken.csv", "--label=label"): "novel_0",
    ("--config.method=pbm",): "pbn",
    ("--config.dataset=iris",): "digits",
    ("--config.dataset=pendigits", "--data_dir=empty"): "pendigits.tra",
    ("--config=pendigits", "--data_dir=empty"): "pendigits.tra",
    (f"--config={ROOT}/configs/pendigits.py", "--data_dir=empty"): "pendigits.tra",
    ("--table=t.csv",): "--label",
    ("--table=missing.csv", "--label=label"): "missing.csv",
    ("--table=t.csv", "--label=lable"): "'label'",
    ("--table=labelled.csv", "--label=label"): "filled on every row",
    ("--table=single.csv", "--label=label"): "a single row of each known class",
    ("--table=lone.csv", "--label=label"): "one unlabelled row",
    ("--table=few.csv", "--label=label", "--config.k.index=silhouette"): "at least 3",
    ("--table=words.csv", "--label=label"): "'q'",
    ("--table=t.csv", "--label=label", "--drop=qq"): "'qq'",
    ("--table=t.csv", "--label=label", "--id=qq", "--keep=q,rr"): "no column 'rr'",
    ("--table=t.csv", "--label=label", "--dates=q"): "'q'",
    ("--table=t.csv", "--label=label", "--encoding=utf-9"): "'utf-9'",
    ("--table=t.csv", "--label=label", "--decimal=;"): "--decimal=;",
    ("--mode=inspect", "--table=t.csv"): "--label",
    ("--mode=inspect", "--table=words.csv", "--label=label"): "50 cells that are not numbers",
    ("--table=t.csv", "--label=label", "--columns=p,zz"): "'zz'",
    ("--table=t.csv", "--label=label", "--unlabelled=zz"): "'zz'",
    ("--mode=rename", "--workdir=other"): "--names",
    ("--mode=rename", "--workdir=other", "--names=novel_0=x"): "not finished",
    ("--mode=compare", "--workdir=other"): "--against",
    ("--mode=compare", "--workdir=other", "--against=empty"): "not finished",
    ("--mode=benchmark",): "--config=benchmark",
    ("--mode=benchmark", "--config.datasets=iris", "--config=benchmark"): "letter",
    ("--table=t.csv", "--label=label", "--config.search.k_known=true"): "--config.k.n_novel",
    ("--table=t.csv", "--label=label", "--workdir=t.csv"): "--workdir",
    ("--table=t.csv", "--label=label", "--workdir=other"): "different run",
    ("stray",): "stray",
    ("--mode=asign",): "discover",
    ("--mode=assign", "--table=t.csv"): "--workdir",
    ("--mode=assign", "--table=t.csv", "--workdir=other"): "no model",
    ("--config.hparams.shrinkage=1.5",): "1e-06..1",
    ("--config.hparams.lr=quick",): "--config.hparams.lr=quick",
    ("--config.k.index=elbow",): "silhouette",
    ("--coordinator=host:1234",): "give --processes and --process too",
    ("--process=0", "--processes=2"): "give --coordinator too",
    ("--coordinator=host", "--processes=2", "--process=0"): "HOST:PORT",
    ("--coordinator=host:99999", "--processes=2", "--process=0"): "HOST:PORT",
    ("--coordinator=host:1234", "--processes=2", "--process=2"): "count from 0",
    ("--coordinator=host:1234", "--processes=1", "--process=0"): "at least two",
    ("--mode=inspect", "--coordinator=host:1234"): "is for one process",
    ("--config.search.storage=x", "--config.search.grace=0.5"): "at least 1",
    ("--table=t.csv", "--label=label", "--config.search.storage=s"): "nothing to share",
    ("--table=t.csv", "--label=label", "--config.method=pbn", "--config.search.storage=no/s"): (
        "config.search.storage=no/s"
    ),
    ("--config.storage=postgresql://u:pw@h/d",): "config.search.storage=postgresql://u:***@h/d",
    ("--config=benchmark", "--mode=benchmark", "--config.search.storage=s"): "no flag",
}


CONFIGS = {
    "torn": "{",
    "list": "[1]",
    "foldz": '{"search": {"foldz": 3}}',
    "code": '{"search": {"folds": [2]}}',
    "words": '{"search": {"folds": "many"}}',
    "small": '{"search": {"folds": 2, "k_known": false}, "k.max": 4, "k.n_novel": null}',
}


NOT_IN_A_PLAIN_RUN = {
    *("alembic", "flax", "openpyxl", "optax", "optuna", "plotly", "polars", "sqlalchemy"),
    "torch",
}
OF_A_TABLE = {*NOT_IN_A_PLAIN_RUN, "jax", "jinja2", "rich", "scipy", "sklearn"}
OF_A_FLAG = {*OF_A_TABLE, "numpy", "pandas", "pyarrow"}
WITHOUT_JAX = {
    ("--help",): OF_A_FLAG,
    ("--candidats=3",): OF_A_FLAG,
    ("--config.method=pbm",): OF_A_FLAG,
    ("--config=broken.py",): OF_A_FLAG,
    ("--table=missing.csv", "--label=label"): OF_A_TABLE,
    ("--table=t.csv", "--label=label", "--id=qq", "--keep=q,rr"): OF_A_TABLE,
    ("--table=words.csv", "--label=label"): OF_A_TABLE,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("launch")
    good = write_table(folder / "t.csv")
    write_table(folder / "labelled.csv", label="a")
    write_table(folder / "few.csv", label=np.repeat(["a", "b", "", "", ""], N))
    write_table(folder / "single.csv", label=["a", "b", "c", *[""] * (5 * N - 3)])
    write_table(folder / "lone.csv", label=[*np.repeat(["a", "b"], N), *"c" * (3 * N - 1), ""])
    words = [f"about {i}" for i in good.index]
    write_table(folder / "words.csv", q=good["q"].astype(str).where(good.index % 3 > 0, words))
    write_table(folder / "taken.csv", label=np.repeat(["a", "b", "novel_0", "c", ""], N))
    (folder / "empty.py").write_text("def get_config():\n    pass\n")
    (folder / "broken.py").write_text("def get_config(:\n")
    (folder / "strange.py").write_text(
        "from ncd_jax.config import default_config\n"
        "def get_config():\n"
        "    config = default_config()\n"
        "    config.tempo = 3\n"
        "    return config\n"
    )
    (folder / "empty" / "pendigits").mkdir(parents=True)
    for name, text in CONFIGS.items():
        (folder / f"{name}.json").write_text(text)
    for name, flags in (("told", ["--plugin=evil.py"]), ("old", [])):
        (folder / name).mkdir()
        config = {
            "run": {"config": {"dataset": ""}, "table": {"name": "t.csv"}},
            "environment": {"flags": flags},
        }
        (folder / name / "config.json").write_text(json.dumps(config))
    (folder / "other").mkdir()
    (folder / "other" / "config.json").write_text('{"run": {"config": {}, "table": {}}}')
    return folder


def files_in(folder):
    return {p for p in folder.rglob("*") if "__pycache__" not in str(p)}


def check_is_refused(start, flags, folder):
    before = files_in(folder)
    answer = start(*flags, cwd=folder)
    assert files_in(folder) == before, "a refused command wrote something"
    assert answer.returncode == 2, answer.stderr
    assert len(answer.stderr.splitlines()) == 1, answer.stderr
    assert MISTAKES[flags] in answer.stderr
    assert answer.stdout == ""


@pytest.mark.parametrize("flags", MISTAKES, ids=" ".join)
def test_a_mistake_is_one_line_and_status_2(folder, flags):
    check_is_refused(call, flags, folder)


def test_a_table_of_ones_own_from_file_to_answer(folder):
    """The default, from nothing kept; every method is in `test_every_method.py`."""
    flags = ("--table=t.csv", "--label=label", "--workdir=mine", *QUICK)
    as_users = {**AS_USERS_COMPILE, "NCD_JAX_COMPILATION_CACHE": str(folder / "programs")}
    first = launch(*flags, cwd=folder, PYTHONPROFILEIMPORTTIME="1", **as_users)
    assert first.returncode == 0, first.stderr
    assert {"jax", "pandas"} <= imported(first)
    assert imported(first) & NOT_IN_A_PLAIN_RUN == set()
    assert f"{N} unlabelled rows" in first.stdout
    assert "mine/report.html" in first.stdout
    assert "tune" in first.stderr
    assert len(pd.read_csv(folder / "mine" / "assignments.csv")) == N
    before = (folder / "mine" / "metrics.json").read_bytes()
    again = call(*flags, cwd=folder)
    assert again.returncode == 0, again.stderr
    *same, last = again.stdout.splitlines()
    assert same == first.stdout.splitlines()[:-1]
    assert first.stdout.splitlines()[-1].startswith("took")
    assert "was there already" in last
    assert (folder / "mine" / "metrics.json").read_bytes() == before
    other = call(*flags, "--workdir=other_seed", "--config.seed=1", cwd=folder)
    assert other.returncode == 0, other.stderr
    compared = call("--mode=compare", "--workdir=mine", "--against=other_seed", cwd=folder)
    assert compared.returncode == 0, compared.stderr
    moved = len(pd.read_csv(folder / "mine" / "moved_other_seed.csv"))
    differs, last = compared.stdout.splitlines()
    assert differs == "seed: 0 in mine, 1 in other_seed"
    assert last == f"{moved} rows moved: mine/comparison_other_seed.html"
    new = call("--mode=assign", "--table=t.csv", "--workdir=mine", cwd=folder)
    assert new.returncode == 0, new.stderr
    first, *_, last = new.stdout.splitlines()
    assert first == f"mine/assigned/t.csv: {5 * N} rows"
    named = call("--mode=rename", "--workdir=mine", "--names=novel_0=Export", cwd=folder)
    assert named.returncode == 0, named.stderr
    assert named.stdout == "mine: novel_0 is Export\n"
    assert "Export" in call(*flags, cwd=folder).stdout, "a run that is there already"
    wrong = call("--mode=rename", "--workdir=mine", "--names=Export=a", cwd=folder)
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (2, 1)
    assert "'a' is a known class" in wrong.stderr
    assert "like no class of this run" in last
    assert len(pd.read_csv(folder / "mine" / "assigned" / "t.csv")) == 5 * N


def test_a_table_with_words_gaps_and_a_number_for_every_row(folder):
    """What is left out is said; new rows may hold words that were never seen."""
    names = [f"=C{i:03}" for i in range(5 * N)]
    frame = write_table(folder / "any.csv", id=np.arange(5 * N), name=names)
    # With a pair of columns for gaps it is as wide as the others, whose programs serve here too.
    frame = frame.drop(columns=["q", "r"])
    frame.loc[::7, "p"] = np.nan
    frame.loc[130, frame.columns] = np.nan
    frame.to_csv(folder / "any.csv", index=False)
    read = ("--table=any.csv", "--label=label", "--id=name", "--keep=colour,label")
    flags = (*read, "--workdir=any", *QUICK)
    before = files_in(folder)
    shown = call("--mode=inspect", *read, cwd=folder)
    assert shown.returncode == 0, shown.stderr
    assert "categories (3 levels)" in shown.stdout
    assert "note: column 'id' left out" in shown.stdout
    assert files_in(folder) == before
    answer = call(*flags, cwd=folder)
    assert answer.returncode == 0, answer.stderr
    assert "'id' left out" in answer.stderr
    assert "1 row without any cell left out: line 132" in answer.stderr
    found = pd.read_csv(folder / "any" / "assignments.csv")
    assert list(found) == ["row", "name", "colour", "label (copied)", *ANSWER]
    assert found["row"].tolist() == [i for i in range(4 * N, 5 * N) if i != 130]
    assert found["name"].tolist() == [f"'{names[row]}" for row in found["row"]]
    columns = json.loads((folder / "any" / "columns.json").read_text())
    kinds = {column["name"]: column["kind"] for column in columns["columns"]}
    assert kinds == {
        **{"p": "numbers", "colour": "categories", "label": "label"},
        **{"id": "left out", "name": "id"},
    }
    assert columns["file"]["separator"] == ","
    assert "How the columns were read" in (folder / "any" / "report.html").read_text()
    new_rows = frame.drop(columns=["id", "label"]).assign(colour="mauve")
    new_rows.to_csv(folder / "new.csv", index=False)
    new = call("--mode=assign", "--table=new.csv", "--workdir=any", "--id=name", cwd=folder)
    assert new.returncode == 0, new.stderr
    assigned = pd.read_csv(folder / "any" / "assigned" / "new.csv")
    assert list(assigned) == ["row", "name", *ANSWER]
    assert assigned["name"].tolist()[:130] == [f"'{name}" for name in names[:130]]
    assert len(assigned) == 5 * N


def test_a_file_is_no_folder_to_keep_programs_in(tmp_path, monkeypatch, capsys):
    (tmp_path / "t.csv").touch()
    monkeypatch.setattr(startup, "one_device_per_core", lambda: None)
    cli._start_jax(read_flags(["launch.py", f"--compilation_cache={tmp_path}/t.csv"]))
    assert "compiled programs are not kept for later" in capsys.readouterr().err


def imported(process):
    """The packages that a process imported, which was told to list them on its stderr."""
    lines = [line for line in process.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


SAME_AGAIN = {
    ("--config.method=pbm",),
    ("--table=missing.csv", "--label=label"),
    ("--table=t.csv", "--label=label", "--id=qq", "--keep=q,rr"),
}


@pytest.mark.parametrize("flags", few(WITHOUT_JAX, *WITHOUT_JAX.keys() - SAME_AGAIN), ids=" ".join)
def test_help_and_mistakes_wait_for_nothing(folder, flags):
    """In processes of their own, where JAX, NumPy and the interpreter have nothing to add."""
    listed = []

    def launch_and_list(*flags, cwd):
        answer = launch(*flags, cwd=cwd, PYTHONPROFILEIMPORTTIME="1")
        listed.append(imported(answer))
        rest = [line for line in answer.stderr.splitlines() if not line.startswith("import time:")]
        answer.stderr = "\n".join(rest)
        return answer

    if flags == ("--help",):
        answer = launch_and_list(*flags, cwd=folder)
        assert (answer.returncode, answer.stderr) == (0, "")
    else:
        check_is_refused(launch_and_list, flags, folder)
    assert "absl" in listed[0], "or nothing is listed"
    assert listed[0] & WITHOUT_JAX[flags] == set()


def test_help_is_there_at_once(folder):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = launch("--help", "--seed=1", cwd=folder)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Time of the processor, measured 0.3: how long it takes also depends on who else is at work.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ""
    assert "RCA: columns in which" in answer.stdout, "the first line of its file"
    words = answer.stdout.split()
    assert {"discover", "assign", "compare", "benchmark", *METHODS} <= set(words)
    config = default_config()
    for key in ("seed", "method", "search.candidates", "train.batch_size", "k.index", "k.max"):
        value = config
        for part in key.split("."):
            value = value[part]
        assert f"{key}={value}" in words
    assert "search.k_known=false" in words
    assert {name.rstrip(",") for name in words} >= set(config.hparams)
    assert answer.stdout.count("\n  launch.py") == 3


def test_a_reader_of_the_help_may_stop_early(folder):
    help_and_head = f"{sys.executable} {ROOT}/launch.py --help | head -1"
    answer = subprocess.run(help_and_head, shell=True, cwd=folder, capture_output=True, text=True)
    assert len(answer.stdout.splitlines()) == 1
    assert answer.stderr == ""


def test_one_version_everywhere(folder):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["tool"]["hatch"]["version"]["path"] == "ncd_jax/__init__.py"
    assert metadata.version("ncd_jax") == ncd_jax.__version__
    module = [sys.executable, "-m", "ncd_jax", "--version"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in (module, [sys.executable, str(ROOT / "launch.py"), "--version"]):
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env=environment
        )
        assert answer.stdout == f"{ncd_jax.__version__}\n", answer.stderr


def test_the_wheel_has_the_command_and_the_configs():
    """Built and installed by hand once; here only that what was built is still declared."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, function = project["project"]["scripts"]["ncd-jax"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["force-include"] == {"configs": "ncd_jax/configs"}
    assert not (ROOT / "ncd_jax" / "configs").exists()


def test_a_python_without_the_libraries_hands_over_to_the_one_of_make(tmp_path):
    shutil.copy(ROOT / "launch.py", tmp_path)
    bare = [sys.executable, "-S", "-E", str(tmp_path / "launch.py"), "--table=a b.csv"]
    alone = subprocess.run(bare, capture_output=True, text=True)
    assert alone.returncode != 0
    assert "make run" in alone.stderr
    assert len(alone.stderr.splitlines()) == 1
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nfor a; do echo "<$a>"; done\n')
    python.chmod(0o755)
    there = subprocess.run(bare, capture_output=True, text=True)
    assert there.stdout.splitlines() == [f"<{tmp_path / 'launch.py'}>", "<--table=a b.csv>"]
