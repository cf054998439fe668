"""Scoring against the truth: the only place, with the report's pictures, that sees it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.kmeans import kmeans, nearest
from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.data.table import Table, Truth
from ncd_jax.problem import Answer, Problem
from ncd_jax.types import UNLABELLED, PyTree

__all__ = ["score", "score_test_split"]


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
    clustered anew, in the same latent space and into as many clusters.
    """
    assert table.x_test is not None
    assert table.y_test is not None
    x = jnp.asarray(problem.scaler.apply(table.x_test))
    novel = table.y_test == UNLABELLED
    logits = jax.jit(problem.method.known_logits)(state, x, hparams)
    known_right = np.asarray(logits).argmax(axis=1)[~novel] == table.y_test[~novel]
    result: dict[str, Any] = {"known_accuracy": float(known_right.mean())}
    if truth is not None and truth.y_test is not None:
        z = jax.jit(problem.method.represent)(state, x[novel], hparams)
        inductive = nearest(z, answer.centroids, jnp.ones(answer.k, bool))
        key = jax.random.key(problem.config.seed)
        restarts = problem.config.k.restarts
        transductive = kmeans(key, z, answer.k, max_clusters=answer.k, restarts=restarts).labels
        result["inductive"] = score(np.asarray(inductive), truth.y_test[novel])
        result["transductive"] = score(np.asarray(transductive), truth.y_test[novel])
    return result
