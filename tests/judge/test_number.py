import numpy as np
import pytest

from ncd_jax.judge.number import (
    NUMBER_FEATURES,
    number_features,
    number_probability,
    surest,
    with_most,
)

# Five micro clusters: merged while the evidence speaks for it down to three, then against it.
LINKAGE = np.array([3.0, 1.0, -2.0, -3.0])
WEIGHTS = np.array([-1.0, 0.5, 1.0, -1.0])


def test_what_is_known_of_every_number():
    features = number_features(LINKAGE, 3)
    assert features.shape == (4, len(NUMBER_FEATURES))
    # Down to one group all merges are made, down to four the first alone.
    np.testing.assert_allclose(features[:, 0], [-3, -2, 1, 3])
    np.testing.assert_allclose(features[:, 1], np.log([1, 2, 3, 4]))
    np.testing.assert_allclose(features[:, 2], np.log(np.array([1.5, 2.5, 3.5, 4.5]) / 3))


def test_a_linkage_that_rises_again_counts_for_the_lowest_before_it():
    np.testing.assert_allclose(number_features(np.array([1.0, -2.0, 0.5]), 2)[:, 0], [-2, -2, 1])


def test_probabilities_add_up_to_one_and_follow_the_evidence():
    likely = number_probability(LINKAGE, 3, np.array([2.0, 0.0, 0.0, 0.0]))
    assert likely.sum() == pytest.approx(1)
    assert len(likely) == 5
    assert likely.argmax() == 2  # three: the merge to two is where the evidence turns
    assert number_probability(LINKAGE[:0], 1, WEIGHTS).tolist() == [1.0]


def test_by_hand():
    """At most k: sigmoid(linkage), made to rise."""
    at_most = 1 / (1 + np.exp(-np.array([-3.0, -2.0, 1.0, 3.0])))
    expected = np.diff(np.concatenate([[0], at_most, [1]]))
    found = number_probability(LINKAGE, 3, np.array([1.0, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_few_rows_allow_no_certainty():
    assert [surest(n) for n in (1, 2, 3, 9)] == [
        0.5,
        0.5,
        pytest.approx(2 / 3),
        pytest.approx(8 / 9),
    ]
    assert surest(10) == 1.0
    for numbers in ([1.0], [0.98, 0.01, 0.01], [0.0, 1.0], [0.3, 0.7]):
        capped = with_most(np.array(numbers), 0.75)
        assert capped.sum() == pytest.approx(1)
        assert capped.max() == pytest.approx(min(max(numbers), 0.75))
        assert capped.argmax() == np.argmax(numbers)
