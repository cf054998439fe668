import json

import jax
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ncd_jax.judge.features import NAMES, pair_features
from ncd_jax.judge.merges import best_partition, evidence, merges
from ncd_jax.judge.micro import micro_clusters, ruler
from ncd_jax.judge.prior import Prior, read_prior
from ncd_jax.judge.weights import log_odds


def test_the_one_that_comes_with_the_package():
    prior = read_prior()
    f = len(NAMES)
    assert [len(field) for field in prior] == [f, f, f + 1]
    assert all(np.isfinite(field).all() for field in prior)
    assert np.min(prior.scale) > 0
    assert dict(zip(NAMES, prior.weights, strict=False))["log_distance"] < 0


def test_standardise():
    prior = Prior(np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.zeros(3))
    np.testing.assert_array_equal(prior.standardise(np.array([[3.0, 2.0]])), [[1, 0]])


def test_numbers_are_kept_in_order(tmp_path):
    values = np.arange(3 * len(NAMES)).reshape(-1, 3)
    rows = [dict(zip(("mean", "scale", "weight"), map(float, v), strict=True)) for v in values]
    path = tmp_path / "prior.json"
    path.write_text(
        json.dumps({"features": dict(zip(NAMES, rows, strict=True)), "intercept": -1.0})
    )
    prior = read_prior(path)
    np.testing.assert_array_equal(np.column_stack([prior.mean, prior.scale]), values[:, :2])
    np.testing.assert_array_equal(prior.weights, [*values[:, 2], -1])


def test_other_features(tmp_path):
    path = tmp_path / "prior.json"
    row = {"mean": 0.0, "scale": 1.0, "weight": 0.0}
    path.write_text(json.dumps({"features": {"height": row}, "intercept": 0.0}))
    with pytest.raises(ValueError, match="has the features height, not log_separation"):
        read_prior(path)


def test_alone_it_finds_the_classes_of_blobs(blobs):
    """From rows to classes: nothing about these blobs was learned but the size of two of them."""
    z, classes = blobs([60] * 6, 6, spread=0.5)
    z = (z - z.mean(axis=0)) / np.linalg.norm(z - z.mean(axis=0), axis=1, keepdims=True)
    prior, mask, known = read_prior(), classes < 4, np.where(classes < 4, -1, classes - 4)

    @jax.jit
    def find(key, z):
        micro = micro_clusters(key, z, 24, max_micro=30, mask=mask)
        features = pair_features(z, z, micro, ruler(z, known, 2))
        logits = log_odds(prior.standardise(features), prior.weights)
        group = best_partition(merges(evidence(logits, micro.pairs), micro.sizes))
        return group[micro.labels]

    found = find(jax.random.key(0), z)
    assert adjusted_rand_score(classes[mask], found[mask]) > 0.95
