"""How sure it is that a row is in the class that stands for its own, the number in doubt included.

It is the chance that the number leaves the row's micro cluster where it is, times the chance that
the row belongs there, a logistic model of a few figures of the micro cluster and of the whole
partition. So no row is surer than what is known of the number allows. The weights come from other
tables; how often rows of a table's own hidden classes were right adds nothing to them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = [
    "CONFIDENCE_FEATURES",
    "Partition",
    "confidence",
    "confidence_features",
    "nested",
    "own_weights",
]

CONFIDENCE_FEATURES = ("own", "mean_nested", "number", "position")
SAME_MICRO = 0.95
"""Chance that two rows of one micro cluster are of one class."""
UNKNOWN = 0.3
"""Agreement of the answer with numbers of classes that no partition shows."""
STEPS = 60
TINY = 1e-9


class Partition(NamedTuple):
    """An answer, as far as its confidence is concerned.

    Attributes:
        evidence: `f[M, M]`, of the micro clusters.
        sizes: `i[M]`, their rows; none is empty.
        path: `i[M, M]`, groups of the micro clusters after 0, 1, ... merges.
        groups: `i[M]`, those of the answer.
        numbers: `f[m]`, probability of 1, 2, ... classes.
        micro: `i[n]`, the micro cluster of every row.
        position: `f[n]`, how much nearer a row is to its own micro cluster than to any of another
            group, as a share: 0 on the border, 1 on the centroid.
    """

    evidence: np.ndarray
    sizes: np.ndarray
    path: np.ndarray
    groups: np.ndarray
    numbers: np.ndarray
    micro: np.ndarray
    position: np.ndarray


def nested(answer: Partition) -> np.ndarray:
    """The chance `f64[M]` that each micro cluster is in the class that stands for its own.

    One of the partitions on the path is taken to be right, each as likely as its number of classes.
    They are nested, so of a class that one of them divides the largest part is right, and of parts
    that it joins the largest one. It is 1 everywhere where the number is given.
    """
    n_groups = int(answer.groups.max()) + 1
    agree = np.zeros(len(answer.groups))
    for k, likely in enumerate(answer.numbers, start=1):
        agree += likely * _right_if(answer, k, n_groups)
    return agree


def confidence_features(answer: Partition) -> np.ndarray:
    """The figures `f64[n, 4]` that speak for and against a row's class.

    * `own`: logit of the mean chance that rows of its micro cluster and of its class are one class;
    * `mean_nested`: logit of the mean of `nested` over the rows of all micro clusters;
    * `number`: logit of the probability of the number of classes that is said;
    * `position`: between the row's micro cluster and others.
    """
    groups, sizes = answer.groups, answer.sizes.astype(float)
    n_groups = int(groups.max()) + 1
    member = np.eye(n_groups)[groups]
    chance = 1 / (1 + np.exp(-answer.evidence))
    np.fill_diagonal(chance, SAME_MICRO)
    own = ((chance * sizes) @ member / (sizes @ member))[np.arange(len(groups)), groups]
    said = answer.numbers[n_groups - 1] if n_groups <= len(answer.numbers) else 0.0
    whole = _logit(np.array([(nested(answer) * sizes).sum() / sizes.sum(), said]))
    n = len(answer.micro)
    return np.column_stack([_logit(own)[answer.micro], np.tile(whole, (n, 1)), answer.position])


def confidence(features: np.ndarray, weights: np.ndarray, most: ArrayLike = 1.0) -> np.ndarray:
    """The probability `f64[n]` of being right.

    Args:
        features: `f[n, D]`.
        weights: `f[D + 1]`, the intercept last.
        most: `f[n]`, what it cannot exceed: `nested` of each row's micro cluster.
    """
    return np.asarray(most / (1 + np.exp(-(features @ weights[:-1] + weights[-1]))))


def own_weights(
    features: np.ndarray,
    right: np.ndarray,
    weight: np.ndarray,
    prior: np.ndarray,
    strength: float,
    most: ArrayLike = 1.0,
) -> np.ndarray:
    """Weights `f64[D + 1]` drawn to given ones: penalised likelihood of `confidence`.

    Where `most` is 1 it is logistic regression. Fisher's scoring, which is Newton's method then; a
    step is at most 3 long in any weight, and halved while it leads up.

    Args:
        features: `f[n, D]`.
        right: `f[n]` or `bool[n]`, the chance that each is right.
        weight: `f[n]`, of each row.
        prior: `f[D + 1]`.
        strength: of the pull to the prior.
        most: `f[n]`, the largest probability that each row can have.
    """
    inputs, most = np.column_stack([features, np.ones(len(features))]), np.asarray(most)

    def look(weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The loss, and what it is made of."""
        share = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        p = np.clip(most * share, TINY, 1 - TINY)
        surprise = right * np.log(p) + (1 - right) * np.log(1 - p)
        return float(strength / 2 * ((weights - prior) ** 2).sum() - weight @ surprise), p, share

    weights = np.array(prior, np.float64)
    here = look(weights)
    for _ in range(STEPS):
        _, p, share = here
        slope = p * (1 - share)
        gain = weight * slope / (p * (1 - p))
        gradient = inputs.T @ (gain * (p - right)) + strength * (weights - prior)
        curvature = (inputs * np.maximum(gain * slope, TINY)[:, None]).T @ inputs
        step = np.linalg.solve(curvature + strength * np.eye(len(prior)), gradient)
        longest = np.abs(step).max()
        if longest < 1e-6:
            break
        step *= min(1.0, 3 / longest)
        there = look(weights - step)
        while np.abs(step).max() > 1e-6 and there[0] > here[0]:
            step = step / 2
            there = look(weights - step)
        weights, here = weights - step, there
    return weights


def _right_if(answer: Partition, k: int, n_groups: int) -> np.ndarray | float:
    """Which micro clusters are right if the partition into `k` groups is: `bool[M]`.

    Partitions of one path are nested: the one that stands for a class is its largest part.
    """
    n_merges = len(answer.sizes) - k
    if not 0 <= n_merges < len(answer.path):
        return UNKNOWN
    other = answer.path[n_merges]
    fine, coarse = (other, answer.groups) if k >= n_groups else (answer.groups, other)
    shared = np.zeros((int(fine.max()) + 1, int(coarse.max()) + 1))
    np.add.at(shared, (fine, coarse), answer.sizes)
    return np.asarray(shared.argmax(axis=0)[coarse] == fine)


def _logit(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0.02, 0.98)
    return np.asarray(np.log(share / (1 - share)))
