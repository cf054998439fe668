"""Methods of others: `docs/extend.md` as it stands, and what their records may lack."""

import dataclasses
import functools
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import datasets

import ncd_jax
from ncd_jax.config import default_config, parse
from ncd_jax.data.datasets import DATASETS, load_dataset
from ncd_jax.discovery.problem import make_hparams, make_method, middle
from ncd_jax.errors import UserError
from ncd_jax.flags import read_flags
from ncd_jax.methods import METHODS, Spec, load_plugin
from ncd_jax.reproduce.plan import parse_benchmark
from ncd_jax.types import Batch, Goal, Interval, NCDData
from ncd_jax.usage import usage

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "extend.md").read_text(), re.DOTALL)
FILES = {name[1]: block for block in BLOCKS if (name := re.match(r"# (\w+\.py)\n", block))}
USE = next(block for block in BLOCKS if "import mine" in block)
SPEC = Spec(n_features=4, n_known=3, latent_width=4)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with the files of the page; what they add is forgotten afterwards."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(METHODS, "_others", {})
    monkeypatch.setattr(METHODS, "_failures", {})
    before, tables = set(sys.modules), dict(DATASETS)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.removeprefix("ncd_jax_plugin_") in {"mine", "robust", "wine", "bare"}:
            del sys.modules[name]
    for name in set(DATASETS) - set(tables):
        del DATASETS[name]
    make_method.cache_clear()


def record():
    """The record of the page's method, not yet registered."""
    names = {"__name__": "mine"}
    exec(FILES["mine.py"].replace("ncd_jax.register(INFO)", ""), names)
    return names["INFO"]


def test_the_example_is_short():
    lines = FILES["mine.py"].split("\n\n\n")
    assert len([line for line in "\n".join(lines).splitlines() if line.strip()]) <= 40


def test_the_example_in_the_estimator(monkeypatch, folder):
    """As it stands, on fewer columns and with few fits, which share programs with other tests."""
    monkeypatch.syspath_prepend(folder)
    x, y = datasets.load_wine(return_X_y=True)
    monkeypatch.setattr(datasets, "load_wine", lambda return_X_y: (x[:, [0, 6, 9, 10, 11, 12]], y))
    quick = {"n_candidates": 2, "n_folds": 2, "n_refits": 4}
    few = functools.partial(ncd_jax.NovelClassDiscovery, **quick)
    monkeypatch.setattr(ncd_jax, "NovelClassDiscovery", few, raising=False)
    names = {}
    exec(USE, names)
    ncd, true = names["ncd"], names["y"]
    assert ncd.method_ == "mine"
    assert ncd.hparams_.keys() == {"shrinkage"}
    hidden = np.array(true) == 2
    assert ncd.n_novel_ >= 1
    assert (ncd.labels_[~hidden & (np.arange(len(true)) % 4 > 0)] < 2).all()
    # Divided by what varies within classes, wine is easy: plain k-means would do it as well.
    largest = max(np.mean(ncd.labels_[hidden] == label) for label in np.unique(ncd.labels_))
    assert largest > 0.6


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections
def test_the_example_on_the_command_line(folder):
    flags = ["--config.method=mine", "--config.hparams.shrinkage=0.5"]
    with pytest.raises(UserError, match="method='mine' is unknown; choose kmeans or"):
        parse(read_flags(["ncd-jax", flags[0]]).config)
    given = read_flags(["ncd-jax", *flags, "--plugin=mine.py"])
    assert parse(given.config).hparams == {"shrinkage": 0.5}
    assert METHODS["mine"].title == "Mine"
    text = usage("ncd-jax", {"discover": "Finds."})
    assert re.search(r"\n  mine +Mine\n", text)
    with pytest.raises(UserError, match=r"no flag --method; write --config.method=mine$"):
        read_flags(["ncd-jax", "--method", "mine"])
    with pytest.raises(UserError, match=r"'mnie' is unknown; choose .* or mine or auto"):
        read_flags(["ncd-jax", "--method=mnie"])
    both = ["--mode=benchmark", "--plugin=wine.py,mine.py", "--config.datasets=wine"]
    read = read_flags(["ncd-jax", "--config=benchmark", *both, "--config.methods=mine,rca"])
    plan = parse_benchmark(read.config)
    assert (plan.datasets, plan.methods) == (("wine",), ("mine", "rca"))
    assert "mine" in parse_benchmark(read_flags(["b", "--config=benchmark"]).config).methods


def test_the_table_of_the_page():
    load_plugin("wine.py")
    table, truth = load_dataset("wine")
    assert table.classes == ("0", "1")
    assert truth.classes == ("2",)
    assert len(table.x) + len(table.x_test) == 178
    assert set(table.y[truth.y == 0]) == {-1}


def test_the_loss_of_the_page(blobs):
    """A step with it: from the same state, another loss than PBN's."""
    load_plugin("robust.py")
    robust, pbn = METHODS["robust"], METHODS["pbn"]
    assert robust.space(4) == pbn.space(4)
    x, true = blobs([20] * 3, 4)
    y = np.where(true < 2, true, -1).astype(np.int32)
    hparams = make_hparams("pbn", middle(pbn.space(4)) | {"dropout": 0.0, "w": 0.25})
    method, key = robust.make(Spec(n_features=4, n_known=3, latent_width=32)), jax.random.key(0)
    goal = Goal(np.arange(2), np.ones(2, bool), 1)

    @jax.jit
    def told(hparams):
        """What the first step tells, compiled without the step."""
        state = method.init(key, NCDData(x, y), goal, hparams)
        return method.stages[0].step(key, state, Batch(x, y, y < 0), hparams)[1]

    info = told(hparams)
    assert set(info) == {"loss", "rebuild"}
    assert info["rebuild"] > 0
    known = (info["loss"] - 0.75 * info["rebuild"]) / 0.25
    assert known == pytest.approx(np.log(2), abs=0.7), "the cross-entropy of two classes at first"


class Other(NamedTuple):
    a: float
    b: float


MISTAKES = {
    "no record": (lambda info: {"title": "x"}, "is no record; make one by"),
    "make": (lambda info: dataclasses.replace(info, make=3), "make=3 cannot be called"),
    "title": (lambda info: dataclasses.replace(info, title=""), "title='' is no text"),
    "hparams": (lambda info: dataclasses.replace(info, hparams=dict), "hparams is no named tuple"),
    "other names": (
        lambda info: dataclasses.replace(info, hparams=Other),
        "space has shrinkage, hparams has a, b; both are to be alike",
    ),
    "opt": (lambda info: dataclasses.replace(info, state=Other), "state has no field opt"),
    "space": (lambda info: dataclasses.replace(info, space=lambda d: [1]), "to return a dict"),
    "range": (
        lambda info: dataclasses.replace(info, space=lambda d: {"shrinkage": Interval(1, 0.5)}),
        "shrinkage is from 1 to 0.5, which is no range",
    ),
    "log": (
        lambda info: dataclasses.replace(
            info, space=lambda d: {"shrinkage": Interval(0.0, 1.0, log=True)}
        ),
        "give a low above 0",
    ),
    "whole": (
        lambda info: dataclasses.replace(
            info, space=lambda d: {"shrinkage": Interval(1, 3, integer=True, valid=(1, 5))}
        ),
        "shrinkage is a real number in other methods",
    ),
    "valid": (
        lambda info: dataclasses.replace(info, space=lambda d: {"shrinkage": Interval(0.1, 3)}),
        "searched outside of valid=",
    ),
    "variants": (lambda info: dataclasses.replace(info, variants=()), "leave them out"),
    "width": (lambda info: dataclasses.replace(info, width="latent_dim"), "or width=None"),
    "grid": (lambda info: dataclasses.replace(info, grid=({"w": 1.0},)), "give each"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_a_record_lacks_is_said_when_it_is_registered(mistake):
    change, message = MISTAKES[mistake]
    with pytest.raises(UserError, match=re.escape(message)) as error:
        ncd_jax.register(change(record()), "own")
    assert len(str(error.value).splitlines()) == 1
    assert "own" in str(error.value)
    assert "own" not in METHODS


def test_names_are_taken_once():
    info = record()
    for name, message in {
        "rca": "another method 'rca'",
        "auto": "no name",
        "a b": "no name",
    }.items():
        with pytest.raises(UserError, match=message):
            ncd_jax.register(info, name)
    ncd_jax.register(info)
    ncd_jax.register(info)
    ncd_jax.register(info, "second")
    assert list(METHODS)[-2:] == ["mine", "second"]
    assert len(METHODS) == 11
    with pytest.raises(UserError, match="another method 'mine' already"):
        ncd_jax.register(dataclasses.replace(info, title="Other"))


@pytest.mark.parametrize(
    ("line", "instead", "message"),
    [
        (
            "apart**2",
            "apart @ apart",
            r"init fails for 4 columns and 3 known.*mine.py line \d+",
        ),
        ("hparams.shrinkage), ())", "hparams.shrinkage))", "init fails"),
        ("x * state.scale[None, :]", "x[:, 0]", "represent fails .*it gives .*not float32"),
        ("cluster_by_kmeans(spec)", "lambda *_: 1", "cluster fails .*no ncd_jax.types.Clusters"),
        ("Method(init, ()", "Method(init, None", "stages fails .*no tuple"),
        ("return Method(", "return (", "it gives .*tuple.*, no ncd_jax.types.Method"),
    ],
)
def test_what_its_functions_get_wrong_is_said_before_anything_is_computed(
    folder, line, instead, message
):
    assert line in FILES["mine.py"]
    (folder / "mine.py").write_text(FILES["mine.py"].replace(line, instead))
    load_plugin("mine.py")
    with pytest.raises(UserError, match=rf"method 'mine': .*{message}") as error:
        METHODS["mine"].make(SPEC)
    assert len(str(error.value).splitlines()) == 1


def test_what_is_computed_is_what_was_registered():
    info = record()
    ncd_jax.register(info)
    method = METHODS["mine"].make(SPEC)
    x = jnp.ones((2, 4))
    state = info.state(jnp.arange(4.0), None)
    np.testing.assert_array_equal(method.represent(state, x), np.arange(4.0) * np.ones((2, 4)))


def test_files_that_are_none(folder):
    (folder / "bare.py").write_text(FILES["mine.py"].replace("ncd_jax.register(INFO)", ""))
    load_plugin("bare.py")
    assert "mine" in METHODS, "an INFO is enough"
    for place, message in {"no.py": "is not there", "nothing_there": "path of a file"}.items():
        with pytest.raises(UserError, match=message):
            load_plugin(place)
    (folder / "wine.py").write_text("import numpy\n\nnumpy.nothing\n")
    with pytest.raises(UserError, match=r"wine.py cannot be loaded \(Attr.*wine.py line 3\)"):
        load_plugin("wine.py")
    assert "ncd_jax_plugin_wine" not in sys.modules


def test_a_package_says_by_its_entry_point_what_it_has(folder):
    facts = folder / "mine-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    points = "[ncd_jax.methods]\nscaled = mine:INFO\nbroken = mine:NOTHING\n"
    (facts / "entry_points.txt").write_text(points)
    program = (
        "from ncd_jax.methods import METHODS, register\n"
        "from ncd_jax.config import default_config, parse\n"
        "from ncd_jax.usage import usage\n"
        "config = default_config()\n"
        "config.method = 'scaled'\n"
        "parse(config)\n"
        "assert 'broken' not in METHODS\n"
        "text = ' '.join(usage('p', {'m': 'm'}).split())\n"
        "assert 'broken cannot be used: mine:NOTHING fails (AttributeError' in text, text\n"
        "config.method = 'broken'\n"
        "parse(config)\n"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    answer = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    last = answer.stderr.splitlines()[-1]
    assert "config.method='broken' cannot be used: mine:NOTHING fails" in last, answer.stderr


def test_it_is_light():
    program = (
        "import sys, ncd_jax; ncd_jax.register; assert not {'pandas', 'plotly'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_a_default_configuration_has_the_hyperparameters_that_there_are_by_now():
    assert "nu" not in default_config().hparams
    info = record()
    names = importlib.import_module("collections").namedtuple("HParams", "nu")
    ncd_jax.register(
        dataclasses.replace(info, hparams=names, space=lambda d: {"nu": Interval(0.1, 0.9)})
    )
    config = default_config()
    config.hparams.nu = 0.5
    assert parse(config).hparams == {"nu": 0.5}
