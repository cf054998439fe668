"""Scoring against the truth: the only place, with the report's pictures, that sees it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.problem import Problem, purpose_key
from ncd_jax.discovery.procedure import Answer
from ncd_jax.discovery.refits import assign_novel
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = ["score", "score_test_split", "true_names"]


def score(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI of found classes `i[u]` against true ones `i[u]`, both from 0."""
    table = contingency(
        jnp.asarray(labels),
        jnp.asarray(truth),
        n_labels=int(labels.max()) + 1,
        n_classes=int(truth.max()) + 1,
    )
    return {name: float(value) for name, value in clustering_scores(table)._asdict().items()}


def score_test_split(
    problem: Problem,
    table: Table,
    truth: Truth | None,
    state: PyTree,
    hparams: PyTree,
    answer: Answer,
) -> dict[str, Any]:
    """Known accuracy on the rows of a given test split, and novel scores in both modes.

    Inductive: novel test rows join the clusters of the training rows. Transductive: they are
    clustered anew, into as many clusters: in the same latent space, or, where the method is not
    trained, after it is fitted to them and the known training rows. A method that makes its
    clusters in training has nothing to fit anew: both are the same.
    """
    assert table.x_test is not None
    assert table.y_test is not None
    x = jnp.asarray(problem.scaler.apply(table.x_test))
    novel = table.y_test == UNLABELLED
    logits = jax.jit(problem.method.known_logits)(state, x)
    known_right = np.asarray(logits).argmax(axis=1)[~novel] == table.y_test[~novel]
    result: dict[str, Any] = {"known_accuracy": float(known_right.mean())}
    if truth is not None and truth.y_test is not None:
        z = jax.jit(problem.method.represent)(state, x[novel])
        inductive = assign_novel(problem.method, state, z, answer.centroids, answer.slots)
        transductive = inductive
        if not (problem.method.stages and problem.info.needs_k):
            transductive = _cluster_anew(problem, state, x[novel], hparams, answer.k)
        result["inductive"] = score(np.asarray(inductive), truth.y_test[novel])
        result["transductive"] = score(np.asarray(transductive), truth.y_test[novel])
    return result


def _cluster_anew(problem: Problem, state: PyTree, x: Array, hparams: PyTree, k: int) -> Array:
    """Clusters `i32[m]` of the rows `f32[m, d]`, fitted on themselves."""
    key_fit, key_cluster = jax.random.split(purpose_key(problem.config, "discover"))
    k_traced = jnp.int32(min(k, len(x)))
    if not problem.method.stages:
        labelled = problem.data.y != UNLABELLED
        rows = jnp.concatenate([x, problem.data.x[labelled]])
        y = jnp.concatenate([jnp.full(len(x), UNLABELLED), problem.data.y[labelled]])
        goal = Goal(jnp.arange(len(x)), jnp.ones(len(x), bool), k_traced)
        state = jax.jit(problem.method.init)(key_fit, NCDData(rows, y), goal, hparams)
    return _cluster(key_cluster, problem.method, state, x, k_traced)


@functools.partial(jax.jit, static_argnames="method")
def _cluster(key: Array, method: Method, state: PyTree, x: Array, k: Array) -> Array:
    z = method.represent(state, x)
    return method.cluster(key, state, z, k, jnp.ones(len(x), bool)).labels


def true_names(table: Table, truth: Truth | None) -> list[str] | None:
    """The true class of every row by name, for the picture of it; none without a truth."""
    if truth is None:
        return None
    known = np.asarray(table.classes)[table.y]
    return np.where(table.y == UNLABELLED, np.asarray(truth.classes)[truth.y], known).tolist()
