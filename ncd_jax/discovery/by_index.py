"""Partitions by a validity index: the number that the refits prefer, and the central partition."""

import functools
from collections.abc import Sequence

import jax
import numpy as np

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, best_number
from ncd_jax.discovery.fit import Refits, k_search
from ncd_jax.discovery.keys import purpose_key
from ncd_jax.discovery.model import Places
from ncd_jax.discovery.partition import (
    Fitted,
    Folded,
    Found,
    Partitioner,
    central,
    nothing_new,
    see_folds,
)
from ncd_jax.discovery.problem import Problem
from ncd_jax.types import Array, Clusters, Method

__all__ = ["answer", "by_index", "choose"]

POSITION = np.array([4.0, -0.5])
"""What a row's position says, and the intercept, where no class could be hidden."""
STRENGTH = 0.03
"""Of the pull to them: the rows of the folds add up to 1."""


def by_index() -> Partitioner:
    """Partitions by a cluster validity index."""
    return Partitioner(see_folds, answer, POSITION, STRENGTH, 1)


def answer(folded: Folded, fits: Sequence[Fitted]) -> list[Found]:
    """Partitions of the folds and of the fits; nothing is learned for them but how sure to be."""
    return [choose(each) for each in [*folded.fits, *fits]]


def choose(fitted: Fitted) -> Found:
    """Takes the number of classes that the refits prefer together, and the central partition.

    The validity index is averaged over the refits before its best number is taken. Of the refits'
    partitions into that number the answer is the one that agrees best with the others, by mean
    adjusted Rand index. Refits that diverged have no say, nor on a number those for which its index
    is not defined.
    """
    problem, refits = fitted.problem, fitted.refits
    if not problem.n_targets:
        return nothing_new(fitted, len(POSITION) - 1)
    votes = np.flatnonzero(np.asarray(refits.finite))
    k = min(_number(problem, refits, votes), problem.n_targets)
    clusters: Clusters = _partition(
        problem.method,
        purpose_key(problem.config, "discover"),
        refits.state,
        refits.z,
        np.int32(k),
        problem.target_mask,
    )
    labels = np.asarray(clusters.labels)[votes][:, problem.target_mask]
    best, stability = central(labels)
    own, centroids = labels[best], np.asarray(clusters.centroids)[votes[best]]
    # Empty clusters occur where there are fewer distinct rows than classes wanted.
    slots, own = np.unique(own, return_inverse=True)
    owners = np.full(len(centroids), -1, np.int32)
    owners[slots] = np.arange(len(slots))
    refit, n = int(votes[best]), len(centroids)
    return Found(
        view=refit,
        views=slice(refit, refit + 1),
        places=Places(
            cells=centroids,
            owners=owners,
            micro=centroids,
            groups=owners,
            score=np.zeros(n, np.float32),
            slope=np.float32(0.0),
            most=np.ones(n, np.float32),
        ),
        n_classes=len(slots),
        labels=own,
        features=np.zeros((n, len(POSITION) - 1)),
        stability=stability,
    )


def _number(problem: Problem, refits: Refits, votes: np.ndarray) -> int:
    """The number of classes that is given, or has the best mean index over the refits."""
    how = k_search(problem)
    if how is None:
        assert problem.n_novel is not None
        return problem.n_novel
    assert refits.estimate is not None
    sign = INDEX_SIGNS[how.index]
    values = np.ma.masked_invalid(refits.estimate.values)[votes].mean(axis=0)
    values = values.filled(-sign * np.inf)
    with np.errstate(invalid="ignore"):  # infinitely bad, and no tolerance
        best = best_number(values, sign, how.tolerance)
    return int(np.asarray(refits.estimate.ks)[0, best])


@functools.partial(jax.jit, static_argnames="method")
def _partition(
    method: Method, key: Array, state: object, z: Array, k: Array, mask: Array
) -> Clusters:
    """Groups the unmasked rows in the representation of every refit, into `k` clusters each."""

    def one(key: Array, state: object, z: Array) -> Clusters:
        return method.cluster(key, state, z, k, mask)

    return jax.vmap(one)(jax.random.split(key, len(z)), state, z)
