"""How a problem is gone about: how folds are scored, how the number of classes is looked for."""

import dataclasses

import numpy as np

from ncd_jax.clustering.n_clusters import KM_ACC, KSearch
from ncd_jax.config import JUDGE
from ncd_jax.data.folds import Folds
from ncd_jax.discovery.hyperparameters import make_method
from ncd_jax.discovery.problem import Problem, judged, most_hidden
from ncd_jax.tuning.cross_validation import Protocol
from ncd_jax.tuning.devices import fitting_lanes, fitting_rungs
from ncd_jax.types import Method

__all__ = ["fold_method", "fold_protocol", "k_search"]


def fold_protocol(problem: Problem, folds: Folds[np.ndarray]) -> Protocol:
    """How candidates are scored on folds of a problem."""
    config, how = problem.config, k_search(problem, folds)
    return Protocol(
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        n_hidden=most_hidden(folds),
        lanes=config.search.lanes or fitting_lanes(),
        k_search=None if problem.info.needs_k or judged(config) else how,
        judged=judged(config),
        rungs=config.search.rungs or fitting_rungs(),
    )


def fold_method(problem: Problem, folds: Folds[np.ndarray]) -> Method:
    """The method of a problem as candidates are scored with it on folds.

    Many clusterings are scored, so each has fewer restarts than that of the answer. Where all
    known classes are hidden at once it may need more slots.
    """
    how = k_search(problem, folds)
    most = max(problem.spec.max_clusters, most_hidden(folds), how.max_clusters if how else 0)
    restarts = problem.config.search.restarts
    spec = dataclasses.replace(problem.spec, max_clusters=most, restarts=restarts)
    return make_method(problem.config.method, spec)


def k_search(problem: Problem, folds: Folds[np.ndarray] | None = None) -> KSearch | None:
    """How the number of classes is looked for; none where it is given.

    Args:
        problem: what is solved.
        folds: among the rows of these; among the novel rows where there are none.
    """
    if problem.n_novel is not None:
        return None
    k, info = problem.config.k, problem.info
    # Where the judge cannot be asked, an index that needs no label is.
    index = "silhouette" if k.index == JUDGE else k.index
    most, restarts, max_rows = k.max, k.restarts, k.max_rows
    if folds is not None:
        restarts, max_rows = k.fold_restarts, k.fold_max_rows
        # All known classes at once are more than a fold hides; leave room to find too many.
        most = max(most, 2 * most_hidden(folds)) if info.tuned_on_known else most
    return KSearch(
        max_clusters=most,
        n_known=problem.spec.n_known,
        index=index,
        restarts=restarts,
        max_rows=max_rows,
        # The values of `km_acc` are often equal, and then the smallest number wins anyway.
        tolerance=0.0 if index == KM_ACC else info.k_tolerance,
    )
