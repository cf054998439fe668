"""A model as data: it comes back, and what is damaged or made up is refused in one line."""

import copy
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.discovery.model import apply_model
from ncd_jax.errors import UserError
from ncd_jax.store.model_files import load_model, read_model, save_model, write_model
from ncd_jax.store.records import package_versions
from ncd_jax.store.workdir import Workdir

MODEL = {
    "encoder": {"dense": {"kernel": jnp.ones((2, 3)), "bias": np.arange(3)}},
    "centroids": np.array([[1.5, -2.0]], np.float32),
    "scalar": 3,
}


def test_a_model_comes_back(tmp_path: Path):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {"method": "pbn", "classes": ["a/b", "é"]})
    arrays, metadata = read_model(workdir)
    assert metadata == {"method": "pbn", "classes": ["a/b", "é"]}
    assert set(arrays) == set(MODEL)
    np.testing.assert_array_equal(arrays["encoder"]["dense"]["kernel"], np.ones((2, 3)))
    np.testing.assert_array_equal(arrays["encoder"]["dense"]["bias"], np.arange(3))
    assert arrays["centroids"].dtype == np.float32
    assert arrays["scalar"] == 3
    description = workdir.read_json("model/model.json")
    assert description["versions"] == package_versions()
    assert description["versions"]["numpy"] == np.__version__


def test_a_name_with_the_separator_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="separates levels"):
        write_model(Workdir(tmp_path), {"a/b": np.zeros(1)}, {})


@pytest.mark.parametrize("version", [6, 4])
def test_a_model_of_another_release_says_which_reads_it(tmp_path: Path, version: int):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    other = workdir.read_json("model/model.json") | {"format_version": version}
    for versions, release in (({"ncd_jax": "0.9"}, "ncd_jax 0.9"), (None, "another release")):
        workdir.write_json("model/model.json", other | {"versions": versions})
        with pytest.raises(UserError, match=rf"format {version}, .* reads 5; install {release}, "):
            read_model(workdir)


def test_a_missing_model_is_the_users_to_mend(tmp_path: Path):
    with pytest.raises(UserError, match=r"^.* holds no model; .*$"):
        read_model(Workdir(tmp_path))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("arrays.npz", b""),
        ("arrays.npz", b"PK\x03\x04 cut"),
        ("model.json", b"[]"),
        ("model.json", b'{"format_version": "?", "metadata": {}}'),
        ("model.json", b'{"format_version": 5}'),
    ],
)
def test_a_damaged_model_is_the_users_to_mend(tmp_path: Path, name: str, content: bytes):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    workdir.path(f"model/{name}").write_bytes(content)
    with pytest.raises(UserError, match=r"^.* is damaged; .*$"):
        read_model(workdir)


def test_pickled_arrays_are_not_opened(tmp_path: Path):
    workdir = Workdir(tmp_path)
    write_model(workdir, MODEL, {})
    np.savez(workdir.path("model/arrays.npz"), a=np.array([{}], dtype=object))
    with pytest.raises(UserError, match="is damaged"):
        read_model(workdir)


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_an_overwrite_that_stops_leaves_the_first_model(tmp_path: Path, monkeypatch, function):
    """Wherever it stops: both files are of one model, before anybody mends the folder and after."""
    called, plain = 0, getattr(os, function)

    def stop(*args):
        nonlocal called
        called += 1
        if called == last:
            raise KeyboardInterrupt
        return plain(*args)

    for last in range(1, 20):
        workdir, called = Workdir(tmp_path / str(last)), -99
        write_model(workdir, MODEL, {"of": "the first"})
        called = 0
        monkeypatch.setattr(os, function, stop)
        try:
            write_model(workdir, {"other": np.zeros(1)}, {"of": "the second"})
        except KeyboardInterrupt:
            assert_is_one_of_both(workdir)
            monkeypatch.setattr(os, function, plain)
            with workdir.alone():
                assert_is_one_of_both(workdir)
            left = [path.name for path in workdir.root.rglob("*") if path.is_file()]
            assert sorted(left) == [".lock", "arrays.npz", "model.json"]
        else:
            break
        finally:
            monkeypatch.setattr(os, function, plain)
    assert 3 <= last < 19, "it never got through"
    assert read_model(workdir)[1] == {"of": "the second"}


def assert_is_one_of_both(workdir):
    arrays, metadata = read_model(workdir)
    assert (metadata["of"], len(arrays)) in {("the first", len(MODEL)), ("the second", 1)}


@pytest.fixture(scope="module")
def saved(solved, tmp_path_factory):
    """A model of a run as its arrays and facts, and the folder."""
    workdir = Workdir(tmp_path_factory.mktemp("saved"))
    save_model(workdir, solved("rca").model)
    return workdir, *read_model(workdir)


def test_a_saved_model_says_the_same(saved, solved, overlapping):
    there, here = load_model(saved[0]), solved("rca").model
    assert there.classes == here.classes
    for a, b in zip(
        apply_model(there, overlapping.x), apply_model(here, overlapping.x), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def leaves(arrays):
    return [path for path, _ in jax.tree_util.tree_flatten_with_path(arrays)[0]]


def changed(arrays, path, change):
    """The arrays with one of them changed."""
    found = copy.deepcopy(arrays)
    level = found
    for key in path[:-1]:
        level = level[key.key]
    level[path[-1].key] = change(level[path[-1].key])
    return found


CHANGES = {
    "not a number": lambda a: np.full_like(a, np.nan, dtype=np.result_type(a, np.float32)),
    "infinite": lambda a: np.full_like(a, -np.inf, dtype=np.result_type(a, np.float32)),
    "one more": lambda a: np.concatenate([np.atleast_1d(a), np.atleast_1d(a)]),
    "another axis": lambda a: np.asarray(a)[None],
    "text": lambda a: np.full(np.shape(a), "x"),
}
MAY_BE_ANY = {
    ("reference/usual", "not a number"),
    ("reference/usual", "infinite"),
    ("scaler/low", "infinite"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_arrays_of_a_stranger_are_checked(saved, overlapping, tmp_path: Path, kind: str):
    """The digest is right, what it is of is not: it is refused, or nothing asks for it."""
    _, arrays, facts = saved
    wanted, refused = apply_model(load_model(saved[0]), overlapping.x).labels, set()
    for path in leaves(arrays):
        name = "/".join(str(key.key) for key in path)
        if (name, kind) in MAY_BE_ANY:
            continue
        workdir = Workdir(tmp_path)
        write_model(workdir, changed(arrays, path, CHANGES[kind]), facts)
        try:
            model = load_model(workdir)
        except UserError:
            refused.add(name)
        else:
            assert name.startswith("state/"), name
            np.testing.assert_array_equal(apply_model(model, overlapping.x).labels, wanted)
    n_of_state = sum(path[0].key == "state" for path in leaves(arrays))
    assert len(refused) >= len(leaves(arrays)) - len(MAY_BE_ANY) - n_of_state + 1


def test_facts_of_a_stranger_are_checked(saved, tmp_path: Path):
    """Every fact is missing once, and once is each of some other kinds."""
    _, arrays, facts = saved
    wrong = [{k: v for k, v in facts.items() if k != key} for key in ("method", "spec", "classes")]
    for key in ("method", "spec", "classes", "columns", "encoder"):
        wrong += [facts | {key: value} for value in (7, "x", [1], {"a": 1}, [["x"]])]
    classes = facts["classes"]
    wrong += [
        facts | {"classes": other} for other in (classes[:-1], ["x"] * 9, [*classes[:-1], ""])
    ]
    wrong += [facts | {"spec": facts["spec"] | {"n_features": 99}}]
    for each in wrong:
        write_model(Workdir(tmp_path), arrays, each)
        with pytest.raises(UserError, match=r"^.* is (damaged|of a method .* not here); .*$"):
            load_model(Workdir(tmp_path))


def test_one_flipped_byte_is_noticed(saved, tmp_path: Path):
    workdir, arrays, facts = saved
    write_model(Workdir(tmp_path), arrays, facts)
    data = bytearray(workdir.path("model/arrays.npz").read_bytes())
    for place in np.random.default_rng(0).integers(0, len(data), 40).tolist():
        flipped = bytearray(data)
        flipped[place] ^= 1
        Workdir(tmp_path).path("model/arrays.npz").write_bytes(flipped)
        with pytest.raises(UserError, match=r"^.* is damaged; .*$"):
            load_model(Workdir(tmp_path))
