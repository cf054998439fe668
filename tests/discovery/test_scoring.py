"""Scores of test rows against an answer made by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.config import RunConfig
from ncd_jax.discovery import scoring
from ncd_jax.discovery.answers import Answer
from ncd_jax.discovery.model import Applied, Model
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.scoring import score_test_split
from ncd_jax.methods import METHODS
from ncd_jax.types import Clusters


@pytest.mark.parametrize("method", ["tabular_ncd", "cr_kd"])
def test_clusters_made_in_training_are_scored_in_the_slots_they_have(method, tiny, monkeypatch):
    """Training left slot 0 of three empty: the classes of the answer are those of slots 1 and 2."""
    table, truth = tiny
    hparams = dict.fromkeys(METHODS[method].space(4), 1.0)
    problem = prepare(RunConfig(dataset="digits", method=method), table, 3)
    # The head of a slot looks at one column; the novel classes stand out in the first two.
    column_of_slot = np.array([0, 0, 1])

    def assign(state, z, centroids, active):
        return jnp.argmax(jnp.where(active[:3], z[:, column_of_slot], -jnp.inf), axis=1)

    def cluster(key, state, z, k, mask):
        labels = assign(state, z, None, jnp.arange(3) < k)
        return Clusters(jnp.zeros((3, z.shape[1])), labels)

    trained = problem.method._replace(
        represent=lambda state, x: x,
        assign=assign,
        cluster=cluster,
    )
    labels = np.zeros(problem.n_targets, int)
    places = np.zeros((2, 4)), np.zeros((3, 4)), np.array([-1, 0, 1])
    answer = Answer(0, 2, labels, *places, np.ones(len(labels)), None)
    problem = problem._replace(method=trained)
    monkeypatch.setattr(scoring, "apply_model", lambda model, x: Applied(*[np.zeros(len(x))] * 4))
    model = Model(method, problem.spec, hparams, (), *[None] * 9)
    scores = score_test_split(problem, table, truth, model, answer)
    assert scores["inductive"]["acc"] == 1.0
    assert scores["transductive"] == scores["inductive"]
