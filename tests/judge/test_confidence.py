import numpy as np
import pytest
from scipy.optimize import minimize

from ncd_jax.judge.confidence import (
    CONFIDENCE_FEATURES,
    Partition,
    confidence,
    confidence_features,
    own_weights,
)

# Four micro clusters; 0 and 1 are one class, 2 and 3 another. Merged in this order.
EVIDENCE = np.array(
    [[0.0, 2.0, -4.0, -3.0], [2.0, 0.0, -3.0, -2.0], [-4.0, -3.0, 0.0, 1.0], [-3.0, -2.0, 1.0, 0.0]]
)
PATH = np.array([[0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 1, 1], [0, 0, 0, 0]])
SIZES = np.array([30, 10, 20, 20])


def partition(numbers=(0.1, 0.7, 0.1, 0.1), k=2, position=0.5):
    micro = np.repeat(np.arange(4), 2)
    return Partition(
        EVIDENCE, SIZES, PATH, PATH[4 - k], np.array(numbers), micro, np.full(8, position)
    )


def of(name, answer):
    return confidence_features(answer)[::2, CONFIDENCE_FEATURES.index(name)]


def logit(p):
    return np.log(p / (1 - p))


def test_own_is_the_mean_chance_with_the_rows_of_the_class():
    two, one = 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-1))
    expected = [
        (30 * 0.95 + 10 * two) / 40,
        (30 * two + 10 * 0.95) / 40,
        (0.95 + one) / 2,
        (0.95 + one) / 2,
    ]
    np.testing.assert_allclose(of("own", partition()), logit(np.array(expected)))


def test_nested_is_the_chance_of_being_in_the_largest_part():
    """With one class the larger of both is right; with three and four, the largest of each."""
    # 0: 1, 2, 3, 4 classes; 1: not with four; 2: not with one; 3: neither with three nor four.
    # Of equal parts the first is the largest: 2, and not 3.
    expected = np.array([1.0, 0.9, 0.9, 0.7])
    np.testing.assert_allclose(of("nested", partition()), logit(np.minimum(expected, 0.98)), 1e-6)


def test_whole_figures_are_those_of_all_rows():
    answer = partition()
    assert of("log_k", answer) == pytest.approx(np.log(2))
    p = answer.numbers
    assert of("entropy", answer) == pytest.approx(-(p * np.log(p)).sum())
    assert np.ptp(of("mean_own", answer)) == 0
    assert of("position", partition(position=0.25)) == pytest.approx(0.25)


def test_weights_against_scipy():
    rng = np.random.default_rng(0)
    x, right = rng.normal(size=(60, 3)), rng.random(60) < 0.7
    weight, prior = rng.random(60), rng.normal(size=4)
    weight /= weight.sum()

    def loss(b):
        t = x @ b[:-1] + b[-1]
        surprise = weight @ (np.logaddexp(0, t) - right * t)
        return surprise + 0.5 * 0.3 * np.sum((b - prior) ** 2)

    expected = minimize(loss, prior, tol=1e-10).x
    found = own_weights(x, right, weight, prior, 0.3)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_array_equal(own_weights(x[:0], right[:0], weight[:0], prior, 0.3), prior)


def test_confidence_is_the_logistic_of_the_figures():
    assert confidence(np.zeros((2, 6)), np.array([1.0] * 6 + [0.0])).tolist() == [0.5, 0.5]
