"""Scores of test rows against an answer made by hand."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax import scoring
from ncd_jax.config import RunConfig
from ncd_jax.discovery.problem import prepare
from ncd_jax.methods import METHODS
from ncd_jax.scoring import score, score_all, score_test_split
from ncd_jax.types import Clusters


@pytest.mark.parametrize("method", ["tabular_ncd", "cr_kd"])
def test_clusters_made_in_training_are_scored_in_the_slots_they_have(method, tiny, monkeypatch):
    """Training left slot 0 of three empty: the classes of the answer are those of slots 1 and 2."""
    table, truth = tiny
    hparams = dict.fromkeys(METHODS[method].space(6), 1.0)
    problem = prepare(RunConfig(dataset="digits", method=method), table, 3)
    # The head of a slot looks at one column; the novel classes stand out in the last two.
    column_of_slot = np.array([4, 4, 5])

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
    problem = problem._replace(method=trained)
    # Named like slots 1 and 2 of the training: the two classes of the model behind four known ones.
    places = SimpleNamespace(k=2)
    model = SimpleNamespace(
        n_known=4, view=0, judged=False, state=None, method=method, hparams=hparams
    )

    def applied(model, x, told=None):
        slot = assign(None, jnp.asarray(problem.scaler.apply(x)), None, np.arange(3) > 0)
        labels = np.where(told is None, 0, 4 + np.asarray(slot) - 1)
        return SimpleNamespace(labels=labels)

    monkeypatch.setattr(scoring, "apply_model", applied)
    solution = SimpleNamespace(model=model, winner=SimpleNamespace(problem=problem), answer=places)
    scores = score_test_split(solution, table, truth)
    assert scores["inductive"]["acc"] == 1.0
    assert scores["transductive"] == scores["inductive"]
    known = table.y_test[table.y_test >= 0]
    assert scores["known_accuracy"] == np.mean(known == 0)


def test_score_all_matches_once_for_all_rows():
    """Class 1 was found under the name of a novel one: as good; but 1 is then nobody's name."""
    true = np.array([0, 0, 1, 1, 2, 2, 3])
    found = np.array([0, 0, 2, 2, 1, 3, 3])
    scores = score_all(found, true, 2)
    assert scores == {"all": pytest.approx(6 / 7), "old": 1.0, "new": pytest.approx(2 / 3)}
    assert np.isnan(score_all(found[:2], true[:2], 2)["new"])


def test_rows_that_were_given_to_a_known_class_are_wrong():
    scores = score(np.array([0, 0, 1, -1]), np.array([1, 1, 0, 0]))
    assert scores["acc"] == 0.75
    assert scores["nmi"] < 1
