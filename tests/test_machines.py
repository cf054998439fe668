"""Several processes of one run, and runs that share one search."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from solved_fixtures import QUICK

from ncd_jax import cli, experiment, startup
from ncd_jax.config import KConfig
from ncd_jax.data.table import Table
from ncd_jax.errors import Dismissed, UserError, without_password
from ncd_jax.store.records import describe_run
from ncd_jax.store.workdir import digest_of
from ncd_jax.types import UNLABELLED

ROOT = Path(__file__).parent.parent
SEARCH = dataclasses.replace(QUICK.search, candidates=5, sampler="quasi_random", grace=1.0)
CONFIG = dataclasses.replace(QUICK, method="rca", search=SEARCH)
FLAGS = (
    "--config.method=rca",
    "--config.search.candidates=5",
    "--config.search.batch=2",
    "--config.search.folds=3",
    "--config.train.refits=2",
    "--config.k.index=silhouette",
    "--config.k.n_novel=2",
)
LAUNCH = """
import sys
import jax
from ncd_jax.cli import main
from ncd_jax.report import latent_map
jax.config.update("jax_disable_most_optimizations", True)
latent_map._embed = lambda points: points[:, :2]
sys.exit(main(["launch.py", *sys.argv[1:]]))
"""
ENDS = """
import json, os, sys
import jax
from ncd_jax.multihost import join, leave
from ncd_jax.errors import Dismissed
from ncd_jax.tuning.processes import share
jax.config.update("jax_num_cpu_devices", 2)
started = []
for address, *pair in json.loads(sys.argv[1]):
    for i, does in enumerate(pair):
        started.append(os.fork())  # imports take longest
        if started[-1]:
            continue
        join(address, 2, i)
        try:
            exec(does)
            sys.exit(2)
        except Dismissed as end:
            leave(end.status, True)
            sys.exit(end.status)
        except jax.errors.JaxRuntimeError:
            leave(1, False)
print([os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in started])
"""
DIE = "os.kill(os.getpid(), 9)"


# Of ml_collections, where it reads a config file.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def _programs_are_kept_here(simple_maps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCD_JAX_COMPILATION_CACHE", os.environ["NCD_JAX_TEST_PROGRAMS"])
        yield


@pytest.fixture(scope="module")
def table(blobs):
    x, classes = blobs([30] * 6, 6)  # the shape of `overlapping`, with which it shares programs
    y = np.where(classes < 4, classes, UNLABELLED).astype(np.int32)
    return Table("blobs", x.astype(np.float64), y, tuple("abcdef"), tuple("wxyz"), None, None)


def outcome(path):
    trials = pd.read_csv(path / "trials.csv", keep_default_na=False)  # or no gap equals another
    return trials.to_dict("list"), (path / "assignments.csv").read_text()


@pytest.fixture(scope="module")
def alone(table, tmp_path_factory):
    path = tmp_path_factory.mktemp("alone") / "run"
    experiment.run(CONFIG, table, None, path)
    return outcome(path)


def test_workers_in_one_storage_have_one_answer(table, alone, tmp_path):
    """The second finds every candidate scored; then each goes on in its own folder."""
    search = dataclasses.replace(CONFIG.search, storage=str(tmp_path / "shared.journal"))
    config = dataclasses.replace(CONFIG, search=search)
    first = experiment.run(config, table, None, tmp_path / "a")
    second = experiment.run(config, table, None, tmp_path / "b")
    assert (first["compilations"], second["compilations"]) == (1, 0)
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b") == alone
    assert not list((tmp_path / "a").glob("*.journal"))
    seed = dataclasses.replace(config, seed=1)
    assert experiment.run(seed, table, None, tmp_path / "c")["compilations"] == 1


def test_where_a_search_is_kept_makes_no_other_run(table):
    """And whoever reads of it reads no password."""
    url = "postgresql://ncd:s3cret@host/ncd?sslpassword=s3cret"
    search = dataclasses.replace(CONFIG.search, storage=url, grace=5.0, lanes=3)
    here, there = (
        describe_run(CONFIG, table),
        describe_run(dataclasses.replace(CONFIG, search=search), table),
    )
    assert digest_of(here["run"]) == digest_of(there["run"])
    assert "s3cret" not in json.dumps(there)
    assert "postgresql://ncd:***@host/ncd" in json.dumps(there)
    other = describe_run(dataclasses.replace(CONFIG, seed=1), table)
    assert digest_of(other["run"]) != digest_of(here["run"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a postgresql://u:p@ss:w0rd@h/d b", "a postgresql://u:***@h/d b"),
        ("postgresql+psycopg://u@h:1/d", "postgresql+psycopg://u@h:1/d"),
        ("sqlite:///a/b@c", "sqlite:///a/b@c"),
        ("x://h/d?a=1&password=p&b=2", "x://h/d?a=1&password=***&b=2"),
    ],
)
def test_passwords_are_not_said(text, said):
    assert without_password(text) == said


def test_nothing_to_share_is_said(table, tmp_path):
    judged = dataclasses.replace(
        CONFIG,
        k=KConfig(),
        search=dataclasses.replace(CONFIG.search, storage=str(tmp_path / "s")),
    )
    with pytest.raises(UserError, match=r"leave --config\.search\.storage out"):
        experiment.run(judged, table, None, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, cwd):
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, "-c", *command],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(processes):
    """Exit statuses and what stood on stderr."""
    said = [process.communicate(timeout=120)[1] for process in processes]
    return [process.returncode for process in processes], said


def launched(cwd, *flags):
    """Two processes of one run, each in a folder of its own."""
    port, processes = free_port(), []
    for i in range(2):
        (cwd / str(i)).mkdir()
        place = (f"--coordinator=127.0.0.1:{port}", "--processes=2", f"--process={i}")
        command = [LAUNCH, *FLAGS, *flags, *place, "--workdir=run"]
        processes.append(start(command, cwd / str(i)))
    return ended(processes)


@pytest.fixture
def own_table(table, tmp_path):
    frame = pd.DataFrame(table.x, columns=table.columns)
    frame["label"] = [table.classes[y] if y >= 0 else "" for y in table.y]
    frame.to_csv(tmp_path / "t.csv", index=False)
    return f"--table={tmp_path}/t.csv", "--label=label"


@pytest.mark.thorough
def test_two_processes_make_one_run(own_table, tmp_path, monkeypatch):
    """They share the devices of both; only the first writes; the answer is that of one."""
    statuses, said = launched(tmp_path, *own_table, "--config.setting=ncd")
    assert statuses == [0, 0], said
    assert list((tmp_path / "1").iterdir()) == []
    written = json.loads((tmp_path / "0/run/config.json").read_text())
    assert written["environment"]["device"].startswith(f"{2 * len(os.sched_getaffinity(0))} x")
    command = ["launch.py", *FLAGS, *own_table, "--config.setting=ncd"]
    with monkeypatch.context() as patch:
        patch.setattr(startup, "one_device_per_core", lambda: None)
        patch.setattr(startup, "keep_compiled_programs", lambda folder: None)
        assert cli.main([*command, f"--workdir={tmp_path}/alone"]) == 0
    assert outcome(tmp_path / "0/run") == outcome(tmp_path / "alone")


def test_processes_that_differ_are_told(table, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "is_leader", lambda: False)
    monkeypatch.setattr(experiment, "share", lambda: "another digest")
    with pytest.raises(UserError, match="has another table, configuration or release"):
        experiment.run(CONFIG, table, None, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_the_status_of_the_first_is_that_of_all(monkeypatch, capsys):
    def end(argv):
        raise Dismissed(2)

    monkeypatch.setattr(cli, "_run", end)
    assert cli.main(["launch.py"]) == 2
    assert capsys.readouterr() == ("", "")


PAIRS = {
    "the first ends": ("leave(2, True)", "share()", [{2}, {2}]),
    # Whether its collective fails first, or JAX sees first that the other is gone and aborts.
    "the second dies": ("share()", DIE, [{1, -signal.SIGABRT}, {-signal.SIGKILL}]),
    "the first dies": (DIE, "share()", [{-signal.SIGKILL}, {1, -signal.SIGABRT}]),
}


def test_nobody_waits_for_ever(tmp_path):
    """Pairs of processes side by side."""
    told = [[f"127.0.0.1:{free_port()}", *does] for *does, _ in PAIRS.values()]
    process = start([ENDS, json.dumps(told)], tmp_path)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    found = iter(json.loads(out.splitlines()[-1]))
    for name, (*does, statuses) in PAIRS.items():
        ended = [next(found) for _ in does]
        assert all(status in may for status, may in zip(ended, statuses, strict=True)), (
            name,
            ended,
            said,
        )
