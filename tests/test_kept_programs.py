"""Traced programs that are kept: what a later process finds, and what it does not."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax import kept_programs
from ncd_jax.kept_programs import keep_traced_programs, kept, kept_jit
from ncd_jax.types import Clusters


@pytest.fixture
def folder(tmp_path):
    keep_traced_programs(tmp_path)
    yield tmp_path
    keep_traced_programs(None)


TRACED = []


def make(factor=2, module="ncd_jax.made_up", quickly=False):
    """A program that counts how often it is traced, as a process of its own would define it."""

    def inner(x):
        return x * factor

    def program(key, data, shift, *, power):
        TRACED.append(power)
        noise = jax.random.key_data(key)[1].astype(jnp.float32)
        return Clusters(inner(data["x"]) ** power + noise, None), {"a": [shift + 1.0]}

    for each in (inner, program):
        each.__module__ = module
    return kept_jit(program, static_argnames=["power"], quickly=quickly)


ARGS = (jax.random.key(3), {"x": np.arange(3, dtype=np.float32)}, 0.5)


def equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()
        assert x.dtype == y.dtype


def test_a_later_process_does_not_trace(folder):
    TRACED.clear()
    once = make()(*ARGS, power=3)
    equal(make()(*ARGS, power=3), once)
    assert TRACED == [3]
    keep_traced_programs(None)
    equal(make()(*ARGS, power=3), once)
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: make(factor=3)(*ARGS, power=3),
        lambda: make()(*ARGS, power=2),
        lambda: make()(ARGS[0], {"x": np.ones(3, np.int32)}, 0.5, power=3),
        lambda: make()(ARGS[0], {"x": np.ones(1, np.float32)}, 0.5, power=3),
        lambda: make()(ARGS[0], {"x": ARGS[1]["x"], "y": 1}, 0.5, power=3),
        lambda: make()(*ARGS[:2], np.float32(0.5), power=3),
    ],
    ids=["closure", "static", "dtype", "shape", "tree", "weak type"],
)
def test_what_makes_another_program(folder, other):
    make()(*ARGS, power=3)
    found = other()
    keep_traced_programs(None)
    equal(found, other())
    assert len(list(folder.iterdir())) == 2


def test_settings_and_source_make_another_one(folder, monkeypatch):
    make()(*ARGS, power=3)
    with jax.enable_x64(True):
        assert make()(*ARGS, power=3)[1]["a"][0].dtype == jnp.float64
    kept_programs._surroundings.cache_clear()
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "high")
    make()(*ARGS, power=3)
    kept_programs._surroundings.cache_clear()
    assert len(list(folder.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"x", lambda data: data[:-1], lambda data: data[::-1]])
def test_damaged_files_are_made_anew(folder, damage):
    once = make()(*ARGS, power=3)
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole) if callable(damage) else damage)
    TRACED.clear()
    equal(make()(*ARGS, power=3), once)
    assert TRACED == [3]
    assert path.read_bytes().split(b"\n")[1] == whole.split(b"\n")[1]


def test_a_file_may_name_no_code(folder):
    make()(*ARGS, power=3)
    (path,) = folder.iterdir()
    skeleton, data = kept_programs._unpacked(path.read_bytes())
    for name in ("os:system", "builtins:eval", "ncd_jax.errors:UserError", "ncd_jax.types:jnp"):
        path.write_bytes(kept_programs._packed({"type": name, "of": [0]}, data))
        equal(make()(*ARGS, power=3), make()(*ARGS, power=3))
    assert kept_programs._unpacked(path.read_bytes())[0] == skeleton


class Theirs(NamedTuple):
    x: jax.Array


def test_what_others_wrote_is_traced_as_always(folder):
    assert len(make(module="somebody.else")(*ARGS, power=3)) == 2

    def theirs(x):
        return Theirs(x)

    theirs.__module__ = "ncd_jax.made_up"
    assert kept_jit(theirs)(1.0) == Theirs(1.0)
    assert not list(folder.iterdir())


def test_a_folder_that_is_gone_costs_nothing_else(folder):
    keep_traced_programs(folder / "gone")
    equal(make()(*ARGS, power=3), make()(*ARGS, power=3))


def test_what_is_the_same_for_all_runs_is_made_once(folder):
    made = []

    def make():
        made.append(len(made))
        return {"n": 3}, b"a\nb"

    assert [kept("script-1", make) for _ in range(2)] == [({"n": 3}, b"a\nb")] * 2
    (folder / "script-1").write_bytes((folder / "script-1").read_bytes()[:-1])
    assert kept("script-1", make) == ({"n": 3}, b"a\nb")
    assert made == [0, 1]
    kept("script-2", make)
    keep_traced_programs(None)
    kept("script-2", make)
    assert made == [0, 1, 2, 3]


@pytest.mark.parametrize("options", [None, {"xla_cpu_of_another_release": True}])
def test_what_is_compiled_quickly_is_equal_and_xla_need_not_know_how(options, monkeypatch):
    once = make()(*ARGS, power=3)
    if options:
        monkeypatch.setattr(kept_programs, "_QUICKLY", options)
    kept_programs._options.cache_clear()
    jax.config.update("jax_disable_most_optimizations", False)
    try:
        assert kept_programs._options() == (None if options else kept_programs._QUICKLY)
        equal(make(quickly=True)(*ARGS, power=3), once)
    finally:
        jax.config.update("jax_disable_most_optimizations", True)
        kept_programs._options.cache_clear()
