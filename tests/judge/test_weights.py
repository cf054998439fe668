import itertools

import jax
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from ncd_jax.judge.micro import MicroClusters
from ncd_jax.judge.weights import balanced, log_odds, logistic, same_class

P, F, M = 400, 12, 5


@pytest.fixture(scope="module")
def fit():
    return jax.jit(logistic)


def draw(seed=0, shift=0.0):
    """Correlated features, soft targets that depend on them, and weights that add up to 1."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(P, F)) @ (np.eye(F) + 0.5 * rng.normal(size=(F, F)))
    target = expit(2.0 * (features @ rng.normal(size=F) + shift))
    weight = rng.random(P)
    arrays = features, target, weight / weight.sum(), 0.5 * rng.normal(size=F + 1)
    return [a.astype(np.float32) for a in arrays]


def minimum(features, target, weight, prior, strength):
    """What SciPy finds, in float64."""
    features, target, weight, prior = (
        np.asarray(a, np.float64) for a in (features, target, weight, prior)
    )

    def loss(b):
        logit = features @ b[:-1] + b[-1]
        cross_entropy = np.logaddexp(0, logit) - target * logit
        error = weight * (expit(logit) - target)
        gradient = np.append(error @ features, error.sum()) + strength * (b - prior)
        return weight @ cross_entropy + strength / 2 * np.sum((b - prior) ** 2), gradient

    options = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}
    return minimize(loss, prior, jac=True, method="L-BFGS-B", options=options).x


@pytest.mark.parametrize("strength", [0.01, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_minimum_that_scipy_finds(fit, strength, seed):
    problem = draw(seed)
    np.testing.assert_allclose(fit(*problem, strength), minimum(*problem, strength), atol=1e-4)


@pytest.mark.parametrize("factor", [30.0, -100.0])
def test_comes_back_from_a_prior_far_away(fit, factor):
    """Logits in the hundreds, where a whole step of Newton's method would overshoot."""
    features, target, weight, prior = draw()
    problem = features, target, weight, factor * prior
    actual, wanted = fit(*problem, 0.01), minimum(*problem, 0.01)
    np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-3)


def test_without_weights_the_prior_speaks(fit):
    features, target, weight, prior = draw()
    np.testing.assert_allclose(fit(features, target, 0 * weight, prior, 1.0), prior, atol=1e-6)


def test_separable_pairs(fit):
    features, _, weight, prior = draw()
    problem = features, (features[:, 0] > 0).astype(np.float32), weight, prior
    np.testing.assert_allclose(fit(*problem, 0.01), minimum(*problem, 0.01), atol=1e-4)


def test_masked_equals_subset(fit):
    features, target, weight, prior = draw()
    rows = np.random.default_rng(3).random(P) < 0.6
    weight = np.where(rows, weight, 0)
    wanted = minimum(features[rows], target[rows], weight[rows], prior, 1.0)
    junk = np.where(rows[:, None], features, np.inf).astype(np.float32)
    np.testing.assert_allclose(fit(junk, target, weight, prior, 1.0), wanted, atol=1e-4)


def test_batched_equals_single(fit):
    problems = [draw(seed) for seed in range(3)]
    stacked = map(np.stack, zip(*problems, strict=True))
    many = jax.jit(jax.vmap(logistic, in_axes=(0, 0, 0, 0, None)))(*stacked, 1.0)
    for weights, problem in zip(many, problems, strict=True):
        np.testing.assert_allclose(weights, fit(*problem, 1.0), atol=1e-5)


def test_log_odds():
    features, _, _, weights = draw()
    wanted = features @ weights[:-1] + weights[-1]
    square = features.reshape(20, 20, F)
    actual = np.asarray(jax.jit(log_odds)(square, weights)).ravel()
    np.testing.assert_allclose(actual, wanted, rtol=1e-4, atol=1e-5)


def test_same_class_is_the_share_of_pairs_of_rows():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, M - 1, 60)
    y = rng.integers(0, 4, 60)
    micro = MicroClusters(labels, np.bincount(labels[labels >= 0], minlength=M))
    actual = jax.jit(lambda micro, y: same_class(micro.member, y, 4))(micro, y)
    wanted = np.zeros((M, M))
    for i, j in itertools.product(range(M - 1), repeat=2):
        wanted[i, j] = np.mean(y[labels == i][:, None] == y[labels == j])
    np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)


def test_both_answers_weigh_a_half():
    rng = np.random.default_rng(0)
    same = rng.beta(0.2, 0.8, (3, M, M)).astype(np.float32)
    same[:, 0, 1], same[:, 1, 2] = 0, 1
    pairs = rng.random((3, M, M)) < 0.5
    pairs[:, 0, 1] = pairs[:, 1, 2] = True
    compiled = jax.jit(balanced)

    def balance(same, pairs):
        return map(np.asarray, compiled(same, pairs))

    weight, target = balance(same, pairs)
    np.testing.assert_array_equal(weight[~pairs], 0)
    # The weighted cross-entropy has these two coefficients for each pair. A fifth of the pairs are
    # of one class, and weigh as if they were two fifths.
    one, two = weight * target, weight * (1 - target)
    np.testing.assert_allclose(one[pairs], 0.5 * same[pairs] / (0.4 * pairs.sum()), atol=1e-6)
    other = 1 - same[pairs]
    np.testing.assert_allclose(two[pairs], 0.5 * other / other.sum(), atol=1e-6)
    half = np.where(rng.random(same.shape) < 0.5, 1.0, 0.0).astype(np.float32)
    weight, _ = balance(half, pairs)
    np.testing.assert_allclose(np.sum(weight * half), 0.5, atol=1e-5)
    np.testing.assert_allclose(np.sum(weight), 1.0, atol=1e-5)

    # All pairs give one answer: each weighs a half of what it would, shared among them.
    weight, target = balance(np.ones_like(same), pairs)
    np.testing.assert_allclose(np.sum(weight), 0.5, rtol=1e-5)
    np.testing.assert_array_equal(target, pairs)
    weight, target = balance(same, np.zeros_like(pairs))
    np.testing.assert_array_equal(weight, 0)
    np.testing.assert_array_equal(target, 0)
