"""The procedure: tune on hidden classes, refit, say how many novel classes there are and which.

No file, no truth: `experiment.run` wraps it in records, `scoring` compares what comes out.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.n_clusters import INDEX_SIGNS, best_number
from ncd_jax.data.folds import Folds
from ncd_jax.discovery.margins import consensus_margin
from ncd_jax.discovery.problem import (
    Problem,
    fold_method,
    fold_protocol,
    k_tolerance,
    make_hparams,
    purpose_key,
)
from ncd_jax.discovery.refits import Refits, agreement, centroid_distances, partition, refit
from ncd_jax.tuning.k_estimation import KSearch, estimate_k
from ncd_jax.tuning.proposals import Proposals, Trial
from ncd_jax.tuning.search import SearchResult, search
from ncd_jax.types import Array, Goal, KEstimate, NCDData

__all__ = [
    "Answer",
    "best_trials",
    "choose",
    "hparams_of_refits",
    "refit_all",
    "score_on_hidden",
    "tune",
]

# Compiled once for all calls on one problem.
_REFIT = jax.jit(refit, static_argnames=("method", "epochs", "batch_size", "k_search"))
_PARTITION = jax.jit(partition, static_argnames="method")


class Answer(NamedTuple):
    """The partition of the novel rows that a run stands by.

    Attributes:
        refit: index of the refit it comes from.
        k: number of novel classes.
        labels: `i[u]`, novel class of every unlabelled row; 0 is the largest.
        centroids: `f32[k, L]`.
        slots: `i[k]`, the slot that each class has in the method.
        margin: `f64[u]` between 0 and 1, how clearly each row belongs to its class in the eyes
            of all refits; see `tuning.margins.consensus_margin`.
        stability: mean adjusted Rand index between the partitions of all refits; none with
            one refit.
    """

    refit: int
    k: int
    labels: np.ndarray
    centroids: Array
    slots: np.ndarray
    margin: np.ndarray
    stability: float | None


def tune(
    problem: Problem,
    storage: Path | None = None,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
) -> SearchResult:
    """Scores candidates on the tuning folds; see `search`.

    With every hyperparameter fixed there is one candidate, and tuning only measures it.
    """
    config = problem.config
    proposals = Proposals(
        problem.space, config.hparams, config.search.sampler, config.seed, storage
    )
    candidates = config.search.candidates if problem.space else 1
    return _search(problem, problem.tuning_folds, proposals, candidates, on_batch)


def best_trials(problem: Problem, trials: Sequence[Trial]) -> list[Trial]:
    """The candidates that refits are made of: at most `config.search.winners`, the best first.

    Behind the best one stand those that it does not beat by more than one standard error of their
    difference over the folds. Which of them came out on top is luck, but what they say of the
    number of novel classes may differ, and averaged over them depends less on it.

    Source of the rule: Breiman, Friedman, Olshen, Stone, "Classification and regression trees",
    1984, section 3.4.3; here the difference is paired, as candidates share folds and seeds.
    """
    ranked = sorted(trials, key=lambda trial: (-trial.score, trial.number))
    best = np.array(ranked[0].fold_scores)

    def is_level(trial: Trial) -> bool:
        behind = best - np.array(trial.fold_scores)
        return bool(behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)))

    level = [trial for trial in ranked[1:] if len(best) > 1 and is_level(trial)]
    most = min(problem.config.search.winners, problem.config.train.refits)
    return [ranked[0], *level][:most]


def hparams_of_refits(
    candidates: Sequence[dict[str, float]], n_refits: int
) -> list[dict[str, float]]:
    """The hyperparameters of each refit; all candidates are refitted as often, or once more."""
    return [candidates[i % len(candidates)] for i in range(n_refits)]


def score_on_hidden(problem: Problem, best: Trial) -> Trial:
    """What the best candidate scores where known classes are hidden.

    That is its own score, but for methods that are tuned on the known classes: theirs is not
    one of a evaluation, and cannot be compared with that of other methods.
    """
    if not problem.info.tuned_on_known:
        return best
    proposals = Proposals({}, best.hparams, "quasi_random", problem.config.seed)
    found = _search(problem, problem.hidden_folds, proposals, 1, lambda trials: None)
    return found.trials[0]


def _search(
    problem: Problem,
    folds: Folds[np.ndarray],
    proposals: Proposals,
    candidates: int,
    on_batch: Callable[[list[Trial]], None],
) -> SearchResult:
    config = problem.config
    return search(
        jax.random.split(purpose_key(config, "search"), config.search.seeds),
        fold_method(problem, folds),
        functools.partial(make_hparams, config.method),
        problem.data.x,
        folds,
        _numbers_in_folds(problem, folds),
        proposals,
        fold_protocol(problem, folds),
        candidates=candidates,
        batch=config.search.batch,
        on_batch=on_batch,
    )


def _numbers_in_folds(problem: Problem, folds: Folds[np.ndarray]) -> Array:
    """The number of clusters in each fold, `i32[F]`: given, or estimated in the columns."""
    protocol = fold_protocol(problem, folds)
    if problem.n_novel is not None or not problem.info.needs_k:
        return jnp.asarray(folds.hidden.sum(axis=1), jnp.int32)
    k_search = protocol.k_search(problem.spec.n_known)

    @jax.jit
    def numbers(key: Array, x: Array, folds: Folds[Array]) -> Array:
        def one(fold: Folds[Array]) -> Array:
            goal = Goal(fold.hidden_rows, fold.hidden_mask, jnp.int32(0))
            data = NCDData(x, fold.y)
            return estimate_k(key, lambda x: x, data, goal, x[goal.rows], k_search).k

        return jax.lax.map(one, folds)

    key = purpose_key(problem.config, "columns")
    return numbers(key, problem.data.x, jax.tree.map(jnp.asarray, folds))


def refit_all(
    problem: Problem, hparams: Sequence[Mapping[str, float]], mask: np.ndarray | None = None
) -> Refits:
    """Trains on all known classes, with each of `hparams` once, in one program.

    Args:
        problem: what is solved.
        hparams: hyperparameters of each training, from `hparams_of_refits`.
        mask: `bool[u]`, which of the novel rows count; all by default.

    Raises:
        FloatingPointError: every refit diverged.
    """
    config, rows = problem.config, problem.novel_rows
    k_search = KSearch(
        config.k.max,
        problem.spec.n_known,
        config.k.index,
        config.k.restarts,
        config.k.max_rows,
        k_tolerance(problem),
    )
    counts = jnp.ones(len(rows), bool) if mask is None else jnp.asarray(mask)
    goal = Goal(rows, counts, jnp.int32(0))
    k, in_columns = problem.n_novel or config.k.max, None
    if problem.n_novel is None and problem.info.needs_k:
        key = purpose_key(config, "columns")
        in_columns = _estimate_in_columns(key, problem.data, goal, k_search=k_search)
        k = int(in_columns.k)
    given = problem.n_novel is not None or problem.info.needs_k

    keys = jax.random.split(purpose_key(config, "refit"), len(hparams))
    stacked = {name: np.array([each[name] for each in hparams]) for name in hparams[0]}
    refits = _REFIT(
        keys,
        problem.method,
        problem.data,
        goal._replace(k=jnp.int32(min(k, len(rows)))),
        make_hparams(config.method, stacked),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        k_search=None if given else k_search,
    )
    if not bool(jnp.any(refits.finite)):
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    if in_columns is not None:
        # All refits were made for the one number; said in each, so that all records are alike.
        said = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(keys), *a.shape)), in_columns)
        refits = refits._replace(estimate=KEstimate(*said))
    return refits


@functools.partial(jax.jit, static_argnames="k_search")
def _estimate_in_columns(key: Array, data: NCDData, goal: Goal, k_search: KSearch) -> KEstimate:
    return estimate_k(key, lambda x: x, data, goal, data.x[goal.rows], k_search)


def choose(problem: Problem, refits: Refits, mask: np.ndarray | None = None) -> Answer:
    """Takes the number of classes that the refits prefer together, and the central partition.

    The validity index is averaged over the refits before its best number is taken. Of the
    refits' partitions into that number the answer is the one that agrees best with the
    others, by mean adjusted Rand index. Refits that diverged have no say, nor on a number those
    for which its index is not defined.

    Args:
        problem: what is solved.
        refits: trainings.
        mask: `bool[u]`, rows of theirs that count; all by default.
    """
    counts = np.ones(refits.z.shape[1], bool) if mask is None else mask
    votes = np.flatnonzero(np.asarray(refits.finite))
    if refits.estimate is None:
        assert problem.n_novel is not None
        k = problem.n_novel
    else:
        sign = INDEX_SIGNS[problem.config.k.index]
        values = np.ma.masked_invalid(refits.estimate.values)[votes].mean(axis=0)
        values = jnp.asarray(values.filled(-sign * np.inf))
        at = best_number(values, sign, k_tolerance(problem))
        k = int(refits.estimate.ks[0][at])
    k = min(k, int(counts.sum()))
    clusters = _PARTITION(
        purpose_key(problem.config, "discover"),
        problem.method,
        refits,
        jnp.int32(k),
        jnp.asarray(counts),
    )

    best, stability = int(votes[0]), None
    if len(votes) > 1:
        labels = clusters.labels[votes]
        agree = np.array(agreement(labels, jnp.asarray(counts), problem.spec.max_clusters))
        np.fill_diagonal(agree, np.nan)
        best = int(votes[np.argmax(np.nanmean(agree, axis=1))])
        stability = float(np.nanmean(agree))

    found = np.asarray(clusters.labels[best])
    sizes = np.bincount(found[counts], minlength=problem.spec.max_clusters)
    by_size = np.argsort(-sizes, kind="stable")
    # Empty clusters occur where there are fewer distinct rows than classes wanted.
    slots = by_size[: np.count_nonzero(sizes)]
    return Answer(
        refit=best,
        k=len(slots),
        labels=np.argsort(by_size)[found],
        centroids=clusters.centroids[best][slots],
        slots=slots,
        margin=consensus_margin(
            np.asarray(centroid_distances(refits.z[votes], clusters.centroids[votes][:, slots])),
            int(np.flatnonzero(votes == best)[0]),
        ),
        stability=stability,
    )
