"""Fitting where nothing is hidden: with few known classes, or with nothing novel."""

import dataclasses

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ncd_jax.config import TrainConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.hyperparameters import middle
from ncd_jax.discovery.model import apply_model
from ncd_jax.discovery.untuned import fit_untuned
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS
from ncd_jax.types import UNLABELLED


@pytest.fixture(scope="module")
def table_of(blobs):
    """`table_of(n)`: blobs, of which the first `n` are known."""
    x, classes = blobs([30] * 6, 4)

    def make(n_known):
        y = np.where(classes < n_known, classes, UNLABELLED).astype(np.int32)
        return Table("blobs", x, y, tuple("abcd"), tuple("uvwxyz"[:n_known])), classes

    return make


@pytest.mark.parametrize("n_known", [1, 2])
def test_fewer_classes_than_could_be_hidden(n_known, table_of, quick):
    table, classes = table_of(n_known)
    k = dataclasses.replace(quick.k, n_novel=6 - n_known)
    model, answer = fit_untuned(dataclasses.replace(quick, method="kmeans", k=k), table)
    assert answer.k == 6 - n_known
    assert adjusted_rand_score(answer.labels, classes[table.y == UNLABELLED]) == 1
    assert model.classes[:n_known] == table.classes
    assert adjusted_rand_score(apply_model(model, table.x).labels, classes) == 1


def test_what_is_not_given_is_in_the_middle(table_of, quick):
    table, _ = table_of(2)
    config = dataclasses.replace(quick, method="pbn", hparams={"w": 0.25})
    model, _ = fit_untuned(config, table)
    assert model.hparams == middle(METHODS["pbn"].space(4)) | {"w": 0.25}


@pytest.mark.parametrize("method", ["kmeans", "pbn"])
def test_without_an_unlabelled_row_it_is_a_model_of_the_known_classes(method, table_of, quick):
    table, classes = table_of(6)
    model, answer = fit_untuned(dataclasses.replace(quick, method=method), table)
    assert answer.k == len(answer.labels) == 0
    assert model.classes == table.classes
    labels = apply_model(model, table.x).labels
    assert np.mean(labels == classes) > 0.8


def test_what_is_refused(table_of, quick):
    table, _ = table_of(2)
    with pytest.raises(UserError, match="not a hyperparameter of kmeans"):
        fit_untuned(dataclasses.replace(quick, method="kmeans", hparams={"lr": 1.0}), table)
    diverging = dataclasses.replace(
        quick, method="pbn", hparams={"lr": 1e12}, train=TrainConfig(epochs=2, batch_size=64)
    )
    with pytest.raises((FloatingPointError, UserError)):
        fit_untuned(diverging, table)
