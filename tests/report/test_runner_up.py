"""The second likeliest class, by hand and where the gate has a say."""

import numpy as np
import pytest
from scipy.special import softmax

from ncd_jax.discovery.gating import Gated
from ncd_jax.discovery.model import apply_model
from ncd_jax.report.runner_up import seconds_of, seconds_of_solution, temperature_of
from ncd_jax.types import UNLABELLED


def test_by_hand():
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6], [0.5, 0.4, 0.1]])
    labels, sure = np.array([0, 2, 1]), np.array([0.8, 0.4, 0.1])
    found = seconds_of(np.log(shares), labels, sure)
    assert found.labels.tolist() == [1, 1, 0]
    # The last two would have 0.45 and 0.75: more than the class that was given.
    np.testing.assert_allclose(found.confidence, [0.2 * 2 / 3, 0.4, 0.1])


@pytest.mark.parametrize("n_rows", [0, 3])
def test_one_class_alone_has_no_second(n_rows):
    found = seconds_of(np.zeros((n_rows, 1)), np.zeros(n_rows, int), np.ones(n_rows))
    assert found.names(("novel_0",)) == ("",) * n_rows
    assert not found.confidence.any()


def test_far_from_everything_there_still_is_an_order():
    found = seconds_of(np.array([[0.0, -1e6, -1e5]]), np.array([0]), np.array([0.9]))
    assert found.labels.tolist() == [2]
    assert found.confidence == pytest.approx(0.1)


def test_of_a_solution_it_is_the_next_by_the_model(solved, overlapping):
    solution = solved("rca")
    unlabelled = overlapping.y == UNLABELLED
    squared = apply_model(solution.model, overlapping.x[unlabelled]).squared
    shares = softmax(-squared / temperature_of(solution.model, overlapping), axis=1)
    rows, own = np.arange(len(shares)), solution.labels(4)
    shares[rows, own] = 0
    found = seconds_of_solution(solution, overlapping)
    np.testing.assert_array_equal(found.labels, shares.argmax(axis=1))
    most = np.minimum(solution.confidence, 1 - solution.confidence)
    assert (found.confidence <= most + 1e-12).all()


@pytest.mark.parametrize("p_known", [0.0, 0.98, 1.0])
def test_the_gate_says_whether_the_second_is_known(solved, overlapping, p_known):
    """A row that is surely new is at second sight of another novel class."""
    solution = solved("rca")
    n = len(solution.confidence)
    all_rows = np.ones(n)
    nearest = np.zeros(n, int)
    gate = Gated(True, all_rows > 0, nearest, p_known * all_rows, all_rows, None)
    found = seconds_of_solution(solution._replace(gate=gate), overlapping)
    assert (found.labels >= 4).mean() == pytest.approx(1 if p_known < 0.5 else 0, abs=0.2)
    assert np.isfinite(found.confidence).all()
