"""How likely each number of classes is, from how the evidence falls as groups are merged.

The mean evidence at which the last two of `k + 1` groups become one says whether they are one
class; how far it can be trusted was learned on other tables, where the number is known. The answer
is the number at which the evidence passes 0; this says how sure that is.
"""

import numpy as np

__all__ = [
    "FEWEST_ROWS",
    "NUMBER_FEATURES",
    "number_features",
    "number_probability",
    "surest",
    "with_most",
]

NUMBER_FEATURES = ("linkage", "log_k", "log_k_of_answer")
MOST = 40
LEAST_LIKELY = 1e-4
FEWEST_ROWS = 10
"""Rows below which nothing is surer than they allow."""


def number_features(linkage: np.ndarray, answer: int) -> np.ndarray:
    """What is known of every `k = 1, 2, ...`: `f64[m, 3]`.

    The lowest mean evidence of all merges down to `k` groups, the logarithm of `k`, and that of
    `k` against the answer.

    Args:
        linkage: `f[M - 1]`, mean evidence of the merges from `M` micro clusters to one.
        answer: the number of classes that is said.
    """
    k = np.arange(1, min(len(linkage), MOST) + 1)
    lowest = np.minimum.accumulate(linkage)
    return np.column_stack([lowest[len(linkage) - k], np.log(k), np.log((k + 0.5) / answer)])


def number_probability(linkage: np.ndarray, answer: int, weights: np.ndarray) -> np.ndarray:
    """The probability `f64[m]` of `1, 2, ... m` classes; it adds up to 1.

    A logistic model of "there are at most `k`", made to rise with `k`.

    Args:
        linkage: see `number_features`.
        answer: see there.
        weights: `f[4]`, of its features, the intercept last.
    """
    if not len(linkage):
        return np.ones(1)
    logit = number_features(linkage, answer) @ weights[:-1] + weights[-1]
    at_most = np.clip(1 / (1 + np.exp(-logit)), LEAST_LIKELY, 1 - LEAST_LIKELY)
    at_most = np.append(np.maximum.accumulate(at_most), 1.0)
    exactly = np.maximum(np.diff(np.concatenate([[0.0], at_most])), LEAST_LIKELY / 10)
    return np.asarray(exactly / exactly.sum())


def surest(n_rows: int) -> float:
    """What no chance exceeds where `n_rows` speak: of fewer than ten, `1 - 1 / n_rows`.

    What other tables taught comes from many rows; two that look alike are no proof of one class.
    """
    return 1.0 if n_rows >= FEWEST_ROWS else 1 - 1 / max(n_rows, 2)


def with_most(numbers: np.ndarray, most: float) -> np.ndarray:
    """Probabilities `f64[m]`, none of them above `most`, a half or more; the others get the rest.

    Args:
        numbers: see `number_probability`.
        most: see `surest`.
    """
    said = int(np.argmax(numbers))
    if numbers[said] <= most:
        return numbers
    room = np.append(numbers, 0.0) if len(numbers) == 1 else numbers
    others = np.maximum(room, LEAST_LIKELY / 10)
    others[said] = 0.0
    others *= (1 - most) / others.sum()
    others[said] = most
    return others
