"""A whole run of every method, compiled as users compile it: with XLA's optimisations.

Every session does the same with the default, as a process: see `test_launch`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax import experiment
from ncd_jax.discovery.model import assign
from ncd_jax.methods import METHODS
from ncd_jax.store.model_files import load_model
from ncd_jax.store.workdir import Workdir
from ncd_jax.types import UNLABELLED

pytestmark = [pytest.mark.optimised, pytest.mark.usefixtures("simple_maps")]
GIVEN = {"ncd_kmeans", "rca", "baseline"}
"""Methods that are given the number of classes: they would look for it as k-means and PBN do here,
one of either kind, and that takes longest to compile."""


def test_programs_are_optimised():
    program = jax.jit(lambda x: jnp.sum(jnp.tanh(x) * 2 + 1)).lower(jnp.ones(1000)).compile()
    assert "fusion" in program.as_text()


@pytest.mark.thorough
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_whole_run_and_a_model_for_new_rows(method, tiny, quick, tmp_path):
    table, _ = tiny
    search = dataclasses.replace(quick.search, candidates=1, batch=1)
    train = dataclasses.replace(quick.train, epochs=4)
    k = dataclasses.replace(quick.k, n_novel=2) if method in GIVEN else quick.k
    config = dataclasses.replace(quick, method=method, search=search, train=train, k=k)
    metrics = experiment.run(config, *tiny, tmp_path / "run")
    assert metrics["method"] == method
    assert 1 <= metrics["n_novel_estimated"] <= 4
    assert 0 < metrics["hidden_class_score"] <= 1
    assert set(metrics["test"]) == {"known_accuracy", "inductive", "transductive"}
    assert (tmp_path / "run" / "report.html").stat().st_size > 1e6
    model = load_model(Workdir(tmp_path / "run"))
    said = assign(model, table.x)
    known = table.y != UNLABELLED
    np.testing.assert_array_equal(said.labels[known], table.y[known])
    assert ((said.confidence >= 0) & (said.confidence <= 1)).all()
