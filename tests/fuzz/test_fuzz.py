"""What once failed, and some inputs of every kind: `make fuzz` tries a hundred thousand."""

import itertools
from pathlib import Path

import pytest
from fuzz import smaller
from fuzz_inputs import KINDS, Input, draw
from fuzz_outcome import bounded_memory, finished_run, outcome, stubs
from tiers import few

from ncd_jax import cli

CORPUS = sorted((Path(__file__).parent / "corpus").glob("*.json"))


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    """`check(input)` is the outcome; one finished run serves all."""
    runs = []

    def tried(each):
        if each.changes and not runs:
            with pytest.MonkeyPatch.context() as patch:
                # It would keep programs elsewhere, and traced forms, for all tests that follow.
                patch.setattr(cli, "_start_jax", lambda given: None)
                runs.append(finished_run(tmp_path_factory.mktemp("finished")))
        with stubs(), bounded_memory():
            return outcome(each, tmp_path_factory.mktemp("input"), *runs)

    return tried


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_what_once_failed(path, check):
    assert not check(Input.read(path)).wrong


@pytest.mark.parametrize("seed", few(range(1000, 1200), *range(1000, 1006)))
@pytest.mark.parametrize("kind", KINDS)
def test_other_inputs(kind, seed, check):
    assert not check(draw(kind, seed)).wrong


@pytest.mark.parametrize("kind", ["cells", "config"])
def test_many_inputs_are_no_mistake_at_all(kind, check):
    """Those that are refused at the door try nothing of the house."""
    at_once = (seed for seed in range(30) if check(draw(kind, seed)).status == 0)
    assert len([*itertools.islice(at_once, 2)]) == 2


def test_inputs_are_drawn_alike_and_come_back_from_files(tmp_path):
    for kind in KINDS:
        tried = draw(kind, 5)
        assert tried == draw(kind, 5) != draw(kind, 6)
        (tmp_path / "x.json").write_text(tried.to_json())
        assert Input.read(tmp_path / "x.json") == tried


def test_an_input_is_made_smaller_for_as_long_as_it_fails():
    tried = Input("cells", ["--a", "--b=1", "--c"], {"t.csv": "abcdefgX" * 4})

    def fails(each):
        return "--b=1" in each.argv and "X" in each.files["t.csv"]

    small = smaller(tried, fails)
    assert small.argv == ["--b=1"]
    assert small.files == {"t.csv": "X"}


def test_what_is_wrong_is_seen(check, monkeypatch):
    """An exception, a warning, two lines, and a confidence of 2."""
    import fuzz_outcome

    good = draw("flags", 0)
    for ends, said in [
        (lambda argv: 1 / 0, "ZeroDivisionError"),
        (lambda argv: __import__("warnings").warn("old", DeprecationWarning, 2), "Deprecation"),
        (lambda argv: print("a\nb", file=__import__("sys").stderr) or 2, "2 lines"),
        (lambda argv: print("\x1b[2J") or 0, "cursor"),
        (lambda argv: 1, "status 1"),
    ]:
        monkeypatch.setattr(fuzz_outcome.cli, "main", ends)
        assert said in check(good).wrong
