from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.optimize import minimize

from benchmarks.reliability import reliability, reliability_figure
from ncd_jax.judge.confidence import (
    CONFIDENCE_FEATURES,
    Partition,
    confidence,
    confidence_features,
    nested,
    own_weights,
)
from ncd_jax.judge.prior import read_prior

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
    np.testing.assert_allclose(nested(partition()), [1.0, 0.9, 0.9, 0.7])


def test_figures_of_the_whole_answer():
    answer = partition()
    mean = (30 * 1.0 + 10 * 0.9 + 20 * 0.9 + 20 * 0.7) / 80
    np.testing.assert_allclose(of("mean_nested", answer), logit(mean))
    np.testing.assert_allclose(of("number", answer), logit(0.7))
    np.testing.assert_allclose(of("number", partition((0.6, 0.4))), logit(0.4))
    np.testing.assert_allclose(of("number", partition((1.0,))), logit(0.02))  # not thought of
    np.testing.assert_allclose(of("position", partition(position=0.25)), 0.25)


def sure(answer, weights):
    return confidence(confidence_features(answer), weights, nested(answer)[answer.micro])


def test_no_row_is_surer_than_the_number_allows():
    """Whatever the weights: half of the rows cannot be right if the number is as it may be."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        numbers = rng.dirichlet(np.ones(4))
        answer = partition(numbers, k=int(rng.integers(1, 5)), position=1.0)
        found = sure(answer, np.full(5, 100.0))
        assert np.all(found <= nested(answer)[answer.micro] + 1e-12)
    # Four classes are said, one is as likely: then only the largest would be right.
    found = sure(partition((0.49, 0.01, 0.01, 0.49), k=4), np.full(5, 100.0))
    assert found[2:].max() < 0.52


def test_the_prior_of_the_package_is_surer_where_the_number_is_given():
    weights = np.asarray(read_prior().confidence, np.float64)
    given = sure(partition((1e-9, 1.0, 1e-9, 1e-9)), weights)
    for numbers in ((0.1, 0.7, 0.1, 0.1), (0.4, 0.4, 0.1, 0.1), (0.01, 0.97, 0.01, 0.01)):
        assert np.all(sure(partition(numbers), weights) < given)


def test_the_prior_of_the_package_is_the_surer_the_surer_the_number_is():
    weights = np.asarray(read_prior().confidence, np.float64)
    surest = [sure(partition((p, 1 - 3 * p, p, p)), weights) for p in (0.02, 0.1, 0.2, 0.25)]
    assert np.all(np.diff(surest, axis=0) < 0)


@pytest.mark.parametrize("capped", [False, True])
def test_weights_against_scipy(capped):
    rng = np.random.default_rng(0)
    x, right = rng.normal(size=(60, 3)), rng.random(60) < 0.7
    weight, prior = rng.random(60), rng.normal(size=4)
    weight /= weight.sum()
    most = rng.uniform(0.5, 1.0, 60) if capped else np.ones(60)

    def loss(b):
        p = most / (1 + np.exp(-(x @ b[:-1] + b[-1])))
        surprise = -weight @ np.where(right, np.log(p), np.log1p(-p))
        return surprise + 0.5 * 0.3 * np.sum((b - prior) ** 2)

    expected = minimize(loss, prior, tol=1e-10).x
    found = own_weights(x, right, weight, prior, 0.3, most)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    nothing = own_weights(x[:0], right[:0], weight[:0], prior, 0.3, most[:0])
    np.testing.assert_array_equal(nothing, prior)


def test_confidence_is_the_logistic_of_the_figures_times_the_cap():
    weights = np.array([1.0] * 4 + [0.0])
    assert confidence(np.zeros((2, 4)), weights).tolist() == [0.5, 0.5]
    assert confidence(np.zeros((2, 4)), weights, np.array([1.0, 0.4])).tolist() == [0.5, 0.2]


def test_reliability_by_hand():
    """Two tables weigh the same, whatever their rows; so do the splits of one."""
    first = [
        (np.array([0.95, 0.91]), np.array([True, False])),
        (np.array([0.15]), np.array([True])),
    ]
    second = [(np.array([1.0] * 5), np.ones(5, bool))]
    found = reliability([first, second])
    np.testing.assert_allclose(found.share, [0, 0.25, 0, 0, 0, 0, 0, 0, 0, 0.75])
    np.testing.assert_allclose(found.confidence[[1, 9]], [0.15, (0.25 * 0.93 + 0.5) / 0.75])
    np.testing.assert_allclose(found.accuracy[[1, 9]], [1.0, (0.25 * 0.5 + 0.5) / 0.75])
    figure = ElementTree.fromstring(reliability_figure(found))
    assert len(figure.findall("{*}circle")) == 2
