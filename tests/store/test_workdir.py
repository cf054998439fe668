import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.errors import UserError
from ncd_jax.store import workdir as module
from ncd_jax.store.workdir import Workdir, changes, check_arrays

RUN = {"config": {"k": {"max": 20}, "seed": 0}, "table": "digits"}


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def message(error: pytest.ExceptionInfo[UserError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_open_makes_folders_and_writes_the_config(tmp_path: Path):
    workdir = Workdir.open(tmp_path / "a/b", RUN, {"device": "cpu"})
    assert workdir.read_json("config.json") == {"run": RUN, "environment": {"device": "cpu"}}
    assert files(workdir.root) == ["config.json"]


def test_the_same_run_may_start_again_elsewhere(tmp_path: Path):
    Workdir.open(tmp_path, {**RUN, "folds": (1, 2)}, {"device": "cpu"})
    workdir = Workdir.open(tmp_path, {**RUN, "folds": [1, 2]}, {"device": "gpu"})
    assert workdir.read_json("config.json")["environment"] == {"device": "gpu"}


def test_a_complete_run_keeps_the_environment_it_had(tmp_path: Path):
    workdir = Workdir.open(tmp_path, RUN, {"device": "cpu"})
    assert not workdir.is_complete
    workdir.write_json("metrics.json", {})
    assert workdir.is_complete
    assert Workdir.open(tmp_path, RUN, {"device": "gpu"}).is_complete
    assert workdir.read_json("config.json")["environment"] == {"device": "cpu"}


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({**RUN, "config": {"k": {"max": 30}, "seed": 0}}, "config.k.max is 20 there, 30 here"),
        ({**RUN, "config": {"k": {"max": 20}}}, "config.seed is 0 there, not set here"),
        ({**RUN, "label": "y"}, 'label is not set there, "y" here'),
        ({**RUN, "table": "a" * 99}, "aaa…"),
    ],
)
def test_a_different_run_is_refused(tmp_path: Path, other: dict, difference: str):
    Workdir.open(tmp_path, RUN, {})
    with pytest.raises(UserError) as error:
        Workdir.open(tmp_path, other, {})
    assert difference in message(error)
    assert "choose another --workdir or delete it" in message(error)
    assert Workdir(tmp_path).read_json("config.json")["run"] == RUN


@pytest.mark.parametrize("root", ["config", "benchmark"])
def test_how_it_is_computed_makes_no_other_run(tmp_path: Path, root: str):
    """Who ran out of memory goes on with fewer lanes; a stored run may have them or not."""

    def run(**lanes: int) -> dict:
        budgets = {"pbn": {"search": {"candidates": 4, **lanes}}}
        return {root: {"search": {"folds": 5, **lanes}}, "budgets": budgets}

    for lanes in ({"lanes": 40}, {"lanes": 8}, {}, {"lanes": 2}):
        workdir = Workdir.open(tmp_path, run(**lanes), {})
        assert workdir.read_json("config.json")["run"] == run(**lanes)
    with pytest.raises(UserError):
        Workdir.open(tmp_path, {**run(), "lanes": 3}, {})


OPEN_AND_WAIT = """
import sys, time
from ncd_jax.store.workdir import Workdir, changes, check_arrays
workdir = Workdir.open(sys.argv[1], {"table": "digits"}, {})
print("open", flush=True)
time.sleep(60)
"""


def test_a_folder_is_for_one_process_at_a_time(tmp_path: Path):
    """And for the next one as soon as the first is gone, whatever it died of."""
    arguments = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    other = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(UserError) as error:
            Workdir.open(tmp_path, {"table": "digits"}, {})
        assert "in use by another process" in message(error)
    finally:
        other.kill()
        other.communicate()
    workdir = Workdir.open(tmp_path, {"table": "digits"}, {})
    assert files(tmp_path) == ["config.json"]
    assert not workdir.is_complete


def test_a_complete_run_may_be_read_by_many(tmp_path: Path):
    workdir = Workdir.open(tmp_path, {"table": "digits"}, {})
    workdir.write_json("metrics.json", {})
    again = OPEN_AND_WAIT.replace("time.sleep(60)", "")
    arguments = [sys.executable, "-c", again, str(tmp_path)]
    assert subprocess.run(arguments, stdout=subprocess.PIPE, text=True).stdout == "open\n"


@pytest.mark.parametrize("name", ["notes.txt", ".hidden"])
def test_a_folder_with_foreign_files_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UserError) as error:
        Workdir.open(tmp_path, RUN, {})
    assert "holds files of something else" in message(error)
    assert files(tmp_path) == [name]


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[1]", b'{"other": 1}'])
def test_a_config_that_is_not_ours_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError) as error:
        Workdir.open(tmp_path, RUN, {})
    assert "config.json" in message(error)
    assert (tmp_path / "config.json").read_bytes() == content


def test_a_leftover_of_a_killed_start_is_no_foreign_file(tmp_path: Path):
    (tmp_path / ".config.json.1.tmp").write_text("{")
    Workdir.open(tmp_path, RUN, {})


@pytest.mark.parametrize("path", ["file", "file/below"])
def test_a_file_is_no_workdir(tmp_path: Path, path: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as error:
        Workdir.open(tmp_path / path, RUN, {})
    assert "is not a folder" in message(error)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch):
    def refuse(self: Path, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    # Permissions themselves mean nothing to a superuser.
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError) as error:
        Workdir.open(tmp_path / "new", RUN, {})
    assert "cannot be written (Permission denied)" in message(error)


def test_json_is_strict(tmp_path: Path):
    workdir = Workdir(tmp_path)
    value = {"a": float("nan"), "b": [np.float32("inf"), np.int64(3)], "c": jnp.arange(2), 4: "é"}
    workdir.write_json("x.json", value)

    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    text = workdir.path("x.json").read_text(encoding="utf-8")
    read = json.loads(text, parse_constant=refuse)
    assert read == {"a": None, "b": [None, 3], "c": [0, 1], "4": "é"}


def test_csv_quotes_what_needs_it(tmp_path: Path):
    workdir = Workdir(tmp_path)
    workdir.write_csv("x.csv", ("a", "b"), [(1, 'say "é", please'), (0.1, "")])
    assert workdir.path("x.csv").read_bytes().decode() == 'a,b\n1,"say ""é"", please"\n0.1,\n'


def test_missing_json_is_the_users_to_mend(tmp_path: Path):
    with pytest.raises(UserError) as error:
        Workdir(tmp_path).read_json("metrics.json")
    assert "does not exist" in message(error)


def left_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.is_file() and p.name != ".lock")


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_files_that_are_written_together(tmp_path: Path, monkeypatch, function: str):
    """Stopped anywhere: reading sees all old or all new, and whoever comes next tidies up."""
    called, plain = 0, getattr(os, function)
    names = ["a.csv", "sub/b.json", "c.txt"]

    def stop(*args):
        nonlocal called
        called += 1
        if called == last:
            raise KeyboardInterrupt
        return plain(*args)

    seen = set()
    for last in range(1, 30):
        workdir = Workdir(tmp_path / str(last))
        for name in names[:2]:
            workdir.write_text(name, "old")
        called = 0
        monkeypatch.setattr(os, function, stop)
        try:
            with workdir.together() as group:
                for name in names:
                    group.write_text(name, "new")
        except KeyboardInterrupt:
            pass
        monkeypatch.setattr(os, function, plain)
        texts = {name: workdir.read_text(name) for name in names if workdir.has(name)}
        assert set(texts.values()) == ({"new"} if "c.txt" in texts else {"old"})
        seen |= set(texts.values())
        with workdir.alone():
            pass
        assert {n: workdir.path(n).read_text() for n in texts} == texts
        assert left_in(workdir.root) == sorted(Path(name).name for name in texts)
        if called < last:
            break
    assert last > 4
    assert seen == {"old", "new"}


def test_what_fails_among_files_that_belong_together_leaves_nothing(tmp_path: Path):
    workdir = Workdir(tmp_path)
    workdir.write_text("a", "old")

    def fail():
        with workdir.together() as group:
            group.write_text("a", "new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert left_in(tmp_path) == ["a"]
    assert workdir.read_text("a") == "old"


@pytest.mark.parametrize("content", ["[", "3", '["../x"]', '["/etc/x"]', "[[1]]", '{"a": 1}'])
def test_a_list_of_pending_files_cannot_point_elsewhere(tmp_path: Path, content: str):
    run = tmp_path / "run"
    workdir = Workdir(run)
    workdir.write_text("a", "old")
    (tmp_path / ".x.staged").write_text("evil")
    (run / ".pending.json").write_text(content)
    with suppress(UserError), workdir.alone():
        pass
    if content not in ("[[1]]", '{"a": 1}'):
        with pytest.raises(UserError, match=r"pending\.json is of something else; delete it"):
            workdir.read_text("a")
    assert not (tmp_path / "x").exists()
    assert (run / "a").read_text() == "old"


def test_who_opens_a_run_removes_what_dead_processes_left(tmp_path: Path):
    Workdir.open(tmp_path, RUN, {}).lock.release()
    for name in (".config.json.1.tmp", "model/.arrays.npz.7.tmp", ".report.html.staged"):
        Workdir(tmp_path).write_text(name, "half")
    Workdir.open(tmp_path, RUN, {}).lock.release()
    assert left_in(tmp_path) == ["config.json"]


def test_who_writes_waits_for_who_is_there(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(module, "_WAIT", 0.1)
    arguments = [sys.executable, "-c", OPEN_AND_WAIT, str(tmp_path)]
    other = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(UserError, match="in use by another process"), Workdir(tmp_path).alone():
            pass
    finally:
        other.kill()
        other.communicate()
    with Workdir(tmp_path).alone():
        pass


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch, function: str
):
    workdir = Workdir(tmp_path)
    workdir.write_text("x.txt", "old")

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, function, fail)
    for write in (
        lambda: workdir.write_text("x.txt", "new"),
        lambda: workdir.write_arrays("x.txt", {"a": np.zeros(3)}),
        lambda: workdir.write_csv("x.txt", ("a",), [(1,)]),
    ):
        with pytest.raises(OSError, match="No space"):
            write()
        assert files(tmp_path) == ["x.txt"]
        assert workdir.path("x.txt").read_text() == "old"


def test_a_value_that_json_lacks_leaves_the_old_file(tmp_path: Path):
    workdir = Workdir(tmp_path)
    workdir.write_json("x.json", 1)
    with pytest.raises(TypeError):
        workdir.write_json("x.json", {"a": object()})
    assert files(tmp_path) == ["x.json"]
    assert workdir.read_json("x.json") == 1


def test_content_is_on_disk_before_the_name_points_to_it(tmp_path: Path, monkeypatch):
    calls = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b))[1])
    Workdir(tmp_path).write_text("x.txt", "text")
    assert calls == ["fsync", "replace"]


def test_objects_are_no_arrays(tmp_path: Path):
    with pytest.raises(ValueError, match="allow_pickle"):
        Workdir(tmp_path).write_arrays("x.npz", {"a": np.array([{}])})
    assert files(tmp_path) == []


def test_a_folder_that_is_made_is_for_its_user(tmp_path: Path):
    """Whoever shares one makes it, or says so later; its rights stay as they are then."""
    Workdir.open(tmp_path / "runs/new", RUN, {})
    assert (tmp_path / "runs/new").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "runs").stat().st_mode & 0o055, "others may look for their own runs"
    (tmp_path / "shared").mkdir(mode=0o750)
    Workdir.open(tmp_path / "shared", RUN, {})
    assert (tmp_path / "shared").stat().st_mode & 0o777 == 0o750


def test_a_run_of_another_release_says_which(tmp_path: Path):
    begun = {"versions": {"ncd_jax": "0.9.0"}}
    Workdir.open(tmp_path, {**RUN, "later": 1}, begun)
    with pytest.raises(UserError, match=r"later is 1 there, not set here\) of ncd_jax 0\.9\.0;"):
        Workdir.open(tmp_path, RUN, {})


def test_what_is_on_its_way_is_read_from_there(tmp_path: Path):
    """A process was stopped after it had decided and before all was in its place."""
    (tmp_path / ".answers.csv.staged").write_text("question,answer\n")
    (tmp_path / ".pending.json").write_text('["answers.csv"]')
    workdir = Workdir(tmp_path)
    assert workdir.where("answers.csv").read_text() == workdir.read_text("answers.csv")


@pytest.mark.parametrize(
    ("arrays", "is_right"),
    [
        ({}, True),
        ({"a": np.zeros((3, 2), np.float64), "b": np.zeros(3, np.uint64)}, True),
        ({"a": np.zeros((3, 2), int)}, False),
        ({"a": np.zeros(3, np.float32)}, False),
        ({"b": np.zeros(4, int)}, False),
        ({"a": np.zeros((4, 2), np.float32), "b": np.zeros(4, int)}, False),
        ({"c": np.zeros(3, np.float32)}, False),
        ({"c": np.array("x")}, False),
        ({"d": np.zeros(1, np.float32)}, False),
    ],
)
def test_arrays_are_of_their_kind_and_fit_together(arrays: dict, is_right: bool):
    """An axis has one length wherever it stands, `n` is known; `c` has two entries, `d` none."""
    right = {"a": np.zeros((3, 2), np.float32), "b": np.zeros(3, int)}
    right |= {"c": np.zeros(2, np.float32), "d": np.float32(1)}
    forms = "a f[n,m]  b i[n]  c f[2]  d f[]"
    if is_right:
        check_arrays(right | arrays, forms, n=3)
    else:
        with pytest.raises(ValueError, match=r"is no|argument"):
            check_arrays(right | arrays, forms, n=3)
    with pytest.raises(KeyError):
        check_arrays({"a": right["a"]}, forms)


def test_what_differs_is_listed_by_its_key():
    there, here = {"a": {"b": 1, "c": 2}, "d": None}, {"a": {"b": 1, "c": 3}, "e": [1]}
    assert sorted(changes(there, here)) == [("a.c", 2, 3), ("d", None, ...), ("e", ..., [1])]
    assert list(changes(there, there)) == []
    assert list(changes({"a": {}}, {"a": 1})) == [("a", {}, 1)]
    assert list(changes(1, 2)) == [("", 1, 2)]


@pytest.mark.parametrize("text", ["", "a,b\n1\n", "a,b\n1,2,3\n", 'a,b\n1,"2\n', "a\n\xff"])
def test_lines_that_lack_a_cell_are_damage(tmp_path: Path, text: str):
    rows = [("=1", " x"), ('say "é"', "\r=2")]
    Workdir(tmp_path).write_csv("x.csv", ("a", "b"), rows)
    assert Workdir(tmp_path).read_csv("x.csv") == (["a", "b"], [list(row) for row in rows])
    (tmp_path / "x.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"x\.csv is damaged; run again in a new workdir$"):
        Workdir(tmp_path).read_csv("x.csv")
