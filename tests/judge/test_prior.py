import json

import jax
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from ncd_jax.judge.confidence import CONFIDENCE_FEATURES
from ncd_jax.judge.features import NAMES, pair_features
from ncd_jax.judge.merges import best_partition, evidence, merges
from ncd_jax.judge.micro import class_scale, micro_clusters
from ncd_jax.judge.number import NUMBER_FEATURES
from ncd_jax.judge.prior import Prior, read_prior
from ncd_jax.judge.weights import log_odds


def test_the_one_that_comes_with_the_package():
    prior = read_prior()
    f = len(NAMES)
    rest = [len(NUMBER_FEATURES) + 1, len(CONFIDENCE_FEATURES) + 1]
    assert [len(field) for field in prior] == [f, f, f + 1, *rest]
    assert all(np.isfinite(field).all() for field in prior)
    assert np.min(prior.scale) > 0
    assert dict(zip(NAMES, prior.weights, strict=False))["log_distance"] < 0


def test_standardise():
    prior = Prior(*map(np.array, ([1.0, 2.0], [2.0, 4.0], [0.0] * 3, [0.0], [0.0])))
    np.testing.assert_array_equal(prior.standardise(np.array([[3.0, 2.0]])), [[1, 0]])


def content():
    """A prior in which every number is another one."""
    n, d = len(NUMBER_FEATURES) + 1, len(CONFIDENCE_FEATURES) + 1
    f = len(NAMES)
    return {
        "pairs": {
            "features": list(NAMES),
            "mean": list(range(f)),
            "scale": list(range(100, 100 + f)),
            "weights": list(range(200, 201 + f)),
        },
        "number": {"features": list(NUMBER_FEATURES), "weights": list(range(300, 300 + n))},
        "confidence": {"features": list(CONFIDENCE_FEATURES), "weights": list(range(400, 400 + d))},
    }


def test_numbers_are_kept_in_order(tmp_path):
    path = tmp_path / "prior.json"
    path.write_text(json.dumps(content()))
    for begin, field in zip((0, 100, 200, 300, 400), read_prior(path), strict=True):
        np.testing.assert_array_equal(field, begin + np.arange(len(field)))


@pytest.mark.parametrize("part", ["pairs", "number", "confidence"])
def test_other_features(tmp_path, part):
    path, other = tmp_path / "prior.json", content()
    other[part]["features"][0] = "height"
    path.write_text(json.dumps(other))
    with pytest.raises(ValueError, match="has the features height, "):
        read_prior(path)


def test_alone_it_finds_the_classes_of_blobs(blobs):
    """From rows to classes: nothing about these blobs was learned but the size of two of them."""
    z, classes = blobs([60] * 6, 6, spread=0.5)
    z = (z - z.mean(axis=0)) / np.linalg.norm(z - z.mean(axis=0), axis=1, keepdims=True)
    prior, mask, known = read_prior(), classes < 4, np.where(classes < 4, -1, classes - 4)

    @jax.jit
    def find(key, z):
        micro = micro_clusters(key, z, 24, max_micro=30, mask=mask)
        features = pair_features(z, z, micro, class_scale(z, known, 2), 60)
        logits = log_odds(prior.standardise(features), prior.weights)
        group = best_partition(merges(evidence(logits, micro.pairs), micro.sizes))
        return group[micro.labels]

    found = find(jax.random.key(0), z)
    assert adjusted_rand_score(classes[mask], found[mask]) > 0.95
