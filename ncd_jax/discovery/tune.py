"""Tuning: which hyperparameters find known classes again that were hidden."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.n_clusters import KSearch, estimate_k
from ncd_jax.data.folds import Folds
from ncd_jax.discovery.by_judge import Judgement, judge_all, trials_of
from ncd_jax.discovery.fit import k_search, purpose_key, purpose_keys
from ncd_jax.discovery.partition import Folded, see_folds
from ncd_jax.discovery.problem import (
    Problem,
    judged,
    make_hparams,
    make_method,
    most_hidden,
)
from ncd_jax.tuning.cross_validation import Protocol, SweepData
from ncd_jax.tuning.devices import fitting_lanes, fitting_rungs
from ncd_jax.tuning.processes import is_leader
from ncd_jax.tuning.storage import Storage
from ncd_jax.tuning.trials import SearchResult, Trial
from ncd_jax.types import UNLABELLED, Array, Goal, Interval, Method, NCDData

__all__ = [
    "Tuned",
    "best_trials",
    "every_candidate",
    "fold_method",
    "fold_protocol",
    "tune",
    "unselected_scores",
    "weigh",
]


class Tuned(NamedTuple):
    """A method after its search.

    Attributes:
        problem: what it was tuned for.
        found: the search.
        best: its best candidates, which the refits are shared among.
        on_hidden: what the candidates score where known classes are hidden: the trials of the
            search or, for a method that is tuned on the known classes, its best one alone.
        folds: as they were fitted, where all candidates were and methods are compared.
    """

    problem: Problem
    found: SearchResult
    best: list[Trial]
    on_hidden: list[Trial]
    folds: Folded | None = None

    def refit_hparams(self, n_refits: int) -> list[dict[str, float]]:
        """Hyperparameters of each refit; all best candidates are refitted as often, or once more.

        Where all candidates have a say in the judgement, each is refitted once.

        Args:
            n_refits: how many are wanted.
        """
        if self.problem.candidates is not None:
            return self.problem.candidates
        return [self.best[i % len(self.best)].hparams for i in range(n_refits)]


def tune(
    problem: Problem,
    storage: Storage | None = None,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
    say: Callable[[str], None] = lambda text: None,
) -> Tuned:
    """Scores candidates on the tuning folds and takes the best; see `search`.

    With every hyperparameter fixed there is one candidate, and tuning only measures it.

    Args:
        problem: what is solved.
        storage: where the search is kept, to go on after a kill; none for memory alone.
        on_batch: called with all trials so far, after each batch.
        say: told where memory ran out.
    """
    config = problem.config
    if problem.candidates is not None:
        return every_candidate(problem)._replace(folds=see_folds(problem, problem.candidates))
    asked = _Asked(
        problem.space,
        config.hparams,
        config.search.sampler,
        config.search.candidates if problem.space else 1,
    )
    found = _search(problem, problem.tuning_folds, asked, storage, on_batch, say)
    best = best_trials(found.trials, min(config.search.winners, config.train.refits))
    on_hidden = found.trials
    if problem.info.tuned_on_known:
        # Its own score is not one of hidden classes, and cannot be compared with other methods'.
        alone = _Asked({}, best[0].hparams, "quasi_random", 1)
        on_hidden = _search(problem, problem.hidden_folds, alone).trials
    return Tuned(problem, found, best, on_hidden)


def every_candidate(problem: Problem) -> Tuned:
    """All candidates, where all have a say: how good each is says the judge, see `weigh`."""
    assert problem.candidates is not None
    trials = [
        Trial(i, values, float("nan"), (), (), 0) for i, values in enumerate(problem.candidates)
    ]
    return Tuned(problem, SearchResult(trials, 0, 0.0), trials[:1], trials)


def weigh(tuned: Tuned, judgement: Judgement | None = None) -> Tuned:
    """Gives candidates that were fitted together their scores, each alone by the judge's prior.

    Args:
        tuned: of a method whose candidates all have a say; any other is returned as it is.
        judgement: of any scene together with the folds; made anew where there is none.
    """
    problem, folds = tuned.problem, tuned.folds
    if folds is None or not folds.fits:
        return tuned
    assert problem.candidates is not None
    judgement = judgement or judge_all(folds, [])[0][0]
    trials = trials_of(problem, problem.candidates, folds, judgement)
    best = sorted(trials, key=lambda trial: (-trial.worth, trial.number))[:1]
    return tuned._replace(found=SearchResult(trials, 0, 0.0), best=best, on_hidden=trials)


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


def best_trials(trials: Sequence[Trial], most: int) -> list[Trial]:
    """The candidates that refits are made of: at most `most`, the best first.

    Only those that were trained to the end come into question.

    Behind the best one stand those that it does not beat by more than one standard error of their
    difference over the folds. Which of them came out on top is luck, but what they say of the
    number of novel classes may differ, and averaged over them depends less on it.

    Source of the rule: Breiman, Friedman, Olshen, Stone, "Classification and regression trees",
    1984, section 3.4.3; here the difference is paired, as candidates share folds and seeds.
    """
    ranked = sorted(_finished(trials), key=lambda trial: (-trial.worth, trial.number))
    best = np.array(ranked[0].fold_scores)

    def is_level(trial: Trial) -> bool:
        behind = best - np.array(trial.fold_scores)
        return bool(behind.mean() <= behind.std(ddof=1) / np.sqrt(len(behind)))

    level = [trial for trial in ranked[1:] if len(best) > 1 and is_level(trial)]
    return [ranked[0], *level][:most]


def unselected_scores(trials: Sequence[Trial]) -> tuple[float, ...]:
    """What each fold says of the candidate that the *other* folds prefer.

    The score of the best of many candidates flatters it, as it was chosen for that score. So
    methods with many candidates are compared with methods that have one by these. With one fold
    there are no others, and it says what it says of the best; without any, nothing is said.

    Source: Varma and Simon, "Bias in error estimation when using cross-validation for model
    selection", 2006.
    """
    scores = np.array([trial.fold_scores for trial in _finished(trials)])
    if not scores.size:
        return ()
    if scores.shape[1] == 1:
        return (float(scores.max()),)
    others = scores.sum(axis=1, keepdims=True) - scores
    return tuple(scores[others.argmax(axis=0), np.arange(scores.shape[1])].tolist())


def _finished(trials: Sequence[Trial]) -> list[Trial]:
    """Those that were trained to the end."""
    return [trial for trial in trials if trial.stopped is None]


class _Asked(NamedTuple):
    """What candidates a search is to try: see `tuning.proposals.Proposals`, and how many."""

    space: Mapping[str, Interval]
    fixed: Mapping[str, float]
    sampler: str
    candidates: int


def _search(
    problem: Problem,
    folds: Folds[np.ndarray],
    asked: _Asked,
    storage: Storage | None = None,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
    say: Callable[[str], None] = lambda text: None,
) -> SearchResult:
    # Here, as they take Optuna, and what is asked by default searches for nothing.
    from ncd_jax.tuning.proposals import LockstepProposals, Proposals
    from ncd_jax.tuning.search import Sweep, search

    config, protocol = problem.config, fold_protocol(problem, folds)
    sizes = [_class_size(problem, folds, f) for f in range(len(folds.y))]
    data = SweepData(
        keys=purpose_keys(config, "search", config.search.seeds),
        x=problem.data.x,
        folds=jax.device_put(folds),
        ks=jax.device_put(folds.hidden.sum(axis=1, dtype=np.int32)),
        class_sizes=jax.device_put(np.array(sizes, np.float32)),
        known_rows=problem.known_rows,
    )
    if (in_columns := k_search(problem, folds)) is not None and problem.info.needs_k:
        key = purpose_key(config, "columns")
        data = data._replace(ks=_numbers_in_columns(key, data, in_columns))
    sweep = Sweep(
        fold_method(problem, folds), functools.partial(make_hparams, config.method), data, protocol
    )
    own = Proposals(*asked[:3], config.seed, storage) if is_leader() else None
    proposals = own if own and jax.process_count() == 1 else LockstepProposals(own)
    return search(
        sweep,
        proposals,
        candidates=asked.candidates,
        batch=config.search.batch,
        on_batch=on_batch,
        say=say,
    )


def _class_size(problem: Problem, folds: Folds[np.ndarray], f: int) -> float:
    """Rows of a fold that a class would have if it were as large as a known one."""
    y = np.asarray(problem.data.y)
    asked = int((folds.hidden[f][y] & (y != UNLABELLED)).sum())
    return problem.expected_class_size(folds.y[f], float(folds.hidden_mask[f].sum() / asked))


@functools.partial(jax.jit, static_argnames="how")
def _numbers_in_columns(key: Array, data: SweepData, how: KSearch) -> Array:
    """The number of clusters in each fold, `i32[F]`, in the columns of the table."""

    def one(fold: Folds[Array]) -> Array:
        goal = Goal(fold.hidden_rows, fold.hidden_mask, jnp.int32(0))
        columns = NCDData(data.x, fold.y)
        return estimate_k(key, lambda x: x, columns, goal, data.x[goal.rows], how).k

    return jax.lax.map(one, data.folds)
