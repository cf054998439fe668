"""The command line in memory; what is refused is tested in `test_launch.py`."""

from pathlib import Path

import pytest
from absl import flags as absl_flags

from ncd_jax import flags as module
from ncd_jax.flags import read_flags

ROOT = Path(__file__).parent.parent
# ml_collections reads configurations in a way that Python no longer likes.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def test_keys_may_stand_before_the_configuration_they_change():
    given = read_flags(["ncd-jax", "--config.seed=3", "--label", "kind", "--config", "pendigits"])
    assert (given.config.dataset, given.config.seed, given.label) == ("pendigits", 3, "kind")


def test_without_a_configuration_there_is_the_default():
    given = read_flags(["ncd-jax", "--config.k.n_novel=4", "--drop=a,b"])
    assert (given.config.dataset, given.config.k.n_novel) == ("digits", 4)
    assert (given.mode, given.drop, given.table) == ("discover", ["a", "b"], None)


def test_names_mean_the_same_from_a_checkout_and_from_a_wheel(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pendigits").mkdir()  # a folder of that name is in nobody's way
    (tmp_path / "mine.py").write_text((ROOT / "configs" / "optdigits.py").read_text())
    assert read_flags(["ncd-jax", "--config=pendigits"]).config.dataset == "pendigits"
    assert read_flags(["ncd-jax", "--config=mine.py"]).config.dataset == "optdigits"
    installed = tmp_path / "site-packages" / "ncd_jax"
    (installed / "configs").mkdir(parents=True)
    (tmp_path / "mine.py").rename(installed / "configs" / "mine.py")
    monkeypatch.setattr(module, "__file__", str(installed / "flags.py"))
    assert read_flags(["ncd-jax", "--config=mine"]).config.dataset == "optdigits"


def test_flags_of_others_are_left_alone():
    assert not {"table", "workdir", "config"} & set(absl_flags.FLAGS)
