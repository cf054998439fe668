"""Scoring against the truth: the only place, with the report's pictures, that sees it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.matching import adjusted_rand
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.evaluate import all_new, is_right
from ncd_jax.discovery.fit import purpose_key
from ncd_jax.discovery.model import apply_model
from ncd_jax.discovery.problem import make_hparams
from ncd_jax.discovery.solution import Solution
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = ["score", "score_all", "score_test_split", "true_names"]


def score(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """ACC, NMI and ARI of found classes `i[u]` against true ones `i[u]`, both from 0.

    Rows that were given to a known class, below 0, are wrong.
    """
    from sklearn.metrics import normalized_mutual_info_score  # a second, where nobody knows more

    new = labels >= 0
    return {
        "acc": float(is_right(labels[new], truth[new]).sum() / len(labels)),
        "nmi": float(normalized_mutual_info_score(truth, labels)),
        "ari": adjusted_rand(truth, labels),
    }


def score_all(labels: np.ndarray, truth: np.ndarray, n_known: int) -> dict[str, float]:
    """ACC where unlabelled rows are of known classes too: of `all`, of `old` and of `new` classes.

    Found and true classes are matched one to one, once for all rows: a known class that is found
    under another name is as good. NaN where no row is of such a class.

    Source: Vaze, Han, Vedaldi, Zisserman, "Generalized category discovery", CVPR 2022.

    Args:
        labels: `i[u]`, found: a known class, or `n_known` and a novel one.
        truth: `i[u]`, in the same way.
        n_known: number of known classes.
    """
    right, old = is_right(labels, truth), truth < n_known
    parts = {"all": right, "old": right[old], "new": right[~old]}
    return {name: float(part.mean()) if len(part) else np.nan for name, part in parts.items()}


def score_test_split(solution: Solution, table: Table, truth: Truth | None) -> dict[str, Any]:
    """Known accuracy on the rows of a given test split, and novel scores in both modes.

    Inductive: novel test rows join the classes of the run. Transductive: they are clustered anew,
    into as many clusters: in the same latent space, or, where the method is not trained, after it
    is fitted to them and the known training rows. A method that makes its clusters in training has
    nothing to fit anew: both are the same. With the judge only the first is scored here: the other
    is a run of its own.

    Args:
        solution: of the run.
        table: its table.
        truth: the novel labels.
    """
    assert table.x_test is not None
    assert table.y_test is not None
    model, problem = solution.model, solution.winner.problem
    novel = table.y_test == UNLABELLED
    labels = apply_model(model, table.x_test[~novel]).labels
    result: dict[str, Any] = {"known_accuracy": float(np.mean(labels == table.y_test[~novel]))}
    if truth is None or truth.y_test is None:
        return result
    x, true = table.x_test[novel], truth.y_test[novel]
    inductive = apply_model(model, x, all_new(len(x))).labels - model.n_known
    result["inductive"] = score(inductive, true)
    if model.judged:
        return result
    transductive = inductive
    if not (problem.method.stages and problem.info.needs_k):
        transductive = _cluster_anew(solution, problem.scaler.apply(x))
    result["transductive"] = score(transductive, true)
    return result


def _cluster_anew(solution: Solution, x: np.ndarray) -> np.ndarray:
    """Clusters `i32[m]` of the rows `f32[m, d]`, fitted on themselves."""
    problem, model = solution.winner.problem, solution.model
    key_fit, key_cluster = jax.random.split(purpose_key(problem.config, "discover"))
    k = np.int32(min(solution.answer.k, len(x)))
    state = jax.tree.map(lambda leaf: np.asarray(leaf)[model.view], model.state)
    if not problem.method.stages:
        # On the host: single operations would be a program each.
        table_x, table_y = map(np.asarray, problem.data[:2])
        labelled = table_y != UNLABELLED
        rows = np.concatenate([x, table_x[labelled]])
        y = np.concatenate([np.full(len(x), UNLABELLED, np.int32), table_y[labelled]])
        goal = Goal(*jax.device_put((np.arange(len(x)), np.ones(len(x), bool), k)))
        hparams = make_hparams(model.method, model.hparams)
        state = jax.jit(problem.method.init)(
            key_fit, NCDData(*jax.device_put((rows, y))), goal, hparams
        )
    return np.asarray(_cluster(key_cluster, problem.method, state, x, k))


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
