"""From refits to the answer: the number of classes they prefer, and the central partition."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, best_number
from ncd_jax.discovery.margins import consensus_margin
from ncd_jax.discovery.problem import Problem, purpose_key
from ncd_jax.discovery.protocol import k_search
from ncd_jax.discovery.refits import Refits
from ncd_jax.types import Array, Clusters, Method

__all__ = ["Answer", "choose", "nothing_novel"]


class Answer(NamedTuple):
    """The partition of the `u` target rows that a run stands by.

    Attributes:
        refit: index of the refit it comes from.
        k: number of novel classes.
        labels: `i[u]`, novel class of every row; 0 is the largest.
        means: `f32[k, L]`, the middle of each class.
        centroids: `f32[K, L]`, what rows are assigned to: cluster slots of the method, or micro
            clusters of the judge, several of which may be one class.
        owners: `i[K]`, the class of each; -1 where a slot is empty.
        margin: `f64[u]` between 0 and 1, how clearly each row belongs to its class in the eyes
            of all refits; see `margins.consensus_margin`.
        stability: mean adjusted Rand index between the partitions of all refits; none with
            one refit.
    """

    refit: int
    k: int
    labels: np.ndarray
    means: np.ndarray
    centroids: np.ndarray
    owners: np.ndarray
    margin: np.ndarray
    stability: float | None


def choose(problem: Problem, refits: Refits) -> Answer:
    """Takes the number of classes that the refits prefer together, and the central partition.

    The validity index is averaged over the refits before its best number is taken. Of the
    refits' partitions into that number the answer is the one that agrees best with the
    others, by mean adjusted Rand index. Refits that diverged have no say, nor on a number those
    for which its index is not defined.
    """
    votes = np.flatnonzero(np.asarray(refits.finite))
    k = min(_number(problem, refits, votes), problem.n_targets)
    clusters: Clusters = _partition(
        problem.method,
        purpose_key(problem.config, "discover"),
        refits,
        jnp.int32(k),
        jnp.asarray(problem.target_mask),
    )
    counts = problem.target_mask
    labels = np.asarray(clusters.labels)[votes][:, counts]
    centroids, z = np.asarray(clusters.centroids)[votes], np.asarray(refits.z)[votes][:, counts]
    best, stability = _central(labels)

    n_slots = centroids.shape[1]
    sizes = np.bincount(labels[best], minlength=n_slots)
    by_size = np.argsort(-sizes, kind="stable")
    # Empty clusters occur where there are fewer distinct rows than classes wanted.
    slots = by_size[: np.count_nonzero(sizes)]
    distances = np.stack([cdist(*pair) for pair in zip(z, centroids, strict=True)])
    for s, of_refit in enumerate(labels):
        distances[s][:, np.bincount(of_refit, minlength=n_slots) == 0] = np.inf
    owners = np.full(n_slots, -1)
    owners[slots] = np.arange(len(slots))
    return Answer(
        refit=int(votes[best]),
        k=len(slots),
        labels=np.argsort(by_size)[labels[best]],
        means=centroids[best][slots],
        centroids=centroids[best],
        owners=owners,
        margin=consensus_margin(distances, labels, best),
        stability=stability,
    )


def nothing_novel(problem: Problem, width: int) -> Answer:
    """The answer where no row is of a novel class, in a representation of `width` columns."""
    n_slots = problem.spec.max_clusters
    return Answer(
        refit=0,
        k=0,
        labels=np.zeros(0, np.int32),
        means=np.zeros((0, width)),
        centroids=np.zeros((n_slots, width)),
        owners=np.full(n_slots, -1),
        margin=np.zeros(0),
        stability=None,
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
    return int(refits.estimate.ks[0][int(best_number(values, sign, how.tolerance))])


def _central(labels: np.ndarray) -> tuple[int, float | None]:
    """Which of the partitions `i[S, u]` agrees best with the others, and how well all agree.

    By mean adjusted Rand index; one partition alone agrees with nobody.
    """
    if len(labels) == 1:
        return 0, None
    agree = np.array([[adjusted_rand_score(a, b) for a in labels] for b in labels])
    np.fill_diagonal(agree, np.nan)
    return int(np.argmax(np.nanmean(agree, axis=1))), float(np.nanmean(agree))


@functools.partial(jax.jit, static_argnames="method")
def _partition(method: Method, key: Array, refits: Refits, k: Array, mask: Array) -> Clusters:
    """Groups the unmasked rows in the representation of every refit, into `k` clusters each."""

    def one(key: Array, state: object, z: Array) -> Clusters:
        return method.cluster(key, state, z, k, mask)

    return jax.vmap(one)(jax.random.split(key, len(refits.z)), refits.state, refits.z)
