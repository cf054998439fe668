"""How sure it is that a row is in the class that stands for its own, the number in doubt included.

A logistic model of a few figures of the row and of the whole partition. Its weights come from other
tables, and are drawn towards them on the table's own folds, each judged by others.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["CONFIDENCE_FEATURES", "Partition", "confidence", "confidence_features", "own_weights"]

CONFIDENCE_FEATURES = ("own", "nested", "log_k", "entropy", "mean_own", "position")
STRENGTH = 0.3
"""Of the pull to other tables' weights: the rows of the table's folds add up to 1."""
SAME_MICRO = 0.95
"""Chance that two rows of one micro cluster are of one class."""
UNKNOWN = 0.3
"""Agreement of the answer with numbers of classes that no partition shows."""
STEPS = 30


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


def confidence_features(answer: Partition) -> np.ndarray:
    """The figures `f64[n, 6]` that speak for and against a row's class.

    * `own`: logit of the mean chance that rows of its micro cluster and of its class are one class;
    * `nested`: logit of the chance that its micro cluster is in the class that stands for its own,
      if one of the partitions on the path is right, each as likely as its number of classes;
    * `log_k`, `entropy`: logarithm of the number of classes, and the entropy of that number;
    * `mean_own`: `own` over all rows;
    * `position`: between the row's micro cluster and others.
    """
    groups, sizes = answer.groups, answer.sizes.astype(float)
    n_groups = int(groups.max()) + 1
    member = np.eye(n_groups)[groups]
    chance = 1 / (1 + np.exp(-answer.evidence))
    np.fill_diagonal(chance, SAME_MICRO)
    own = ((chance * sizes) @ member / (sizes @ member))[np.arange(len(groups)), groups]
    agree = np.zeros(len(groups))
    for k, likely in enumerate(answer.numbers, start=1):
        agree += likely * _right_if(answer, k, n_groups)
    per_row = np.column_stack([_logit(own), _logit(agree)])[answer.micro]
    whole = [
        np.log(n_groups),
        -float((answer.numbers * np.log(answer.numbers)).sum()),
        float(_logit(np.asarray((own * sizes).sum() / sizes.sum()))),
    ]
    n = len(answer.micro)
    return np.column_stack([per_row, np.tile(whole, (n, 1)), answer.position])


def confidence(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The probability `f64[n]` of being right, from features `f[n, D]` and weights `f[D + 1]`."""
    return 1 / (1 + np.exp(-(features @ weights[:-1] + weights[-1])))


def own_weights(
    features: np.ndarray, right: np.ndarray, weight: np.ndarray, prior: np.ndarray, strength: float
) -> np.ndarray:
    """Weights `f64[D + 1]` of a table, drawn to those of others: penalised logistic regression.

    Damped Newton steps: a step is at most 3 long in any weight.

    Args:
        features: `f[n, D]`.
        right: `bool[n]`.
        weight: `f[n]`, of each row.
        prior: `f[D + 1]`.
        strength: of the pull to the prior.
    """
    inputs = np.column_stack([features, np.ones(len(features))])
    weights = np.array(prior, np.float64)
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(inputs @ weights, -30, 30)))
        gradient = inputs.T @ (weight * (p - right)) + strength * (weights - prior)
        curvature = (inputs * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ inputs
        step = np.linalg.solve(curvature + strength * np.eye(len(prior)), gradient)
        longest = np.abs(step).max()
        weights -= step * min(1.0, 3 / max(longest, 1e-9))
        if longest < 1e-6:
            break
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
