"""The search: batches of candidates, each evaluated by one call of one compiled program."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.data.folds import Folds
from ncd_jax.tuning.cross_validation import Protocol, cross_validate
from ncd_jax.tuning.proposals import Proposal, Proposals, Trial
from ncd_jax.types import Array, Method, PyTree, RunResult

__all__ = ["SearchResult", "search"]


class SearchResult(NamedTuple):
    """What a search ends with.

    Attributes:
        trials: all candidates in order of number, those of earlier processes included.
        compilations: sweep programs that this process compiled: one or, where nothing was
            left to do, none.
        compile_seconds: the time that took.
    """

    trials: list[Trial]
    compilations: int
    compile_seconds: float


def search(
    keys: Array,
    method: Method,
    make_hparams: Callable[[dict[str, np.ndarray]], PyTree],
    x: Array,
    folds: Folds[np.ndarray],
    ks: Array,
    proposals: Proposals,
    protocol: Protocol,
    *,
    candidates: int,
    batch: int,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
) -> SearchResult:
    """Evaluates candidates until as many have a score as are wanted.

    Every batch has the same shape, so however many there are, one program is compiled; none
    is where a continued search is complete already.

    Args:
        keys: random keys `[S]`, one a seed, shared by all candidates.
        method: the method.
        make_hparams: its hyperparameter tuple from arrays by name.
        x: `f32[n, d]`.
        folds: as host arrays.
        ks: `i32[F]`, numbers of clusters; see `cross_validate`.
        proposals: where candidates come from and results go.
        protocol: static facts of a run.
        candidates: how many are wanted in all, those of an interrupted search included.
        batch: candidates evaluated together.
        on_batch: called with all trials so far, after each batch.
    """
    batch = min(batch, candidates)
    on_device: Folds[Array] = jax.tree.map(jnp.asarray, folds)
    evaluate, seconds = None, 0.0
    while (missing := candidates - len(trials := proposals.finished())) > 0:
        asked = proposals.ask(min(batch, missing), batch)
        hparams = make_hparams(_stack(asked, batch))
        if evaluate is None:
            start = time.perf_counter()
            program = jax.jit(
                lambda keys, x, folds, ks, hparams: cross_validate(
                    keys, method, x, folds, ks, hparams, protocol, batch
                )
            )
            evaluate = program.lower(keys, x, on_device, ks, hparams).compile()
            seconds = time.perf_counter() - start
        result = jax.tree.map(np.asarray, evaluate(keys, x, on_device, ks, hparams))
        for i, proposal in enumerate(asked):
            proposals.tell(_trial(proposal, jax.tree.map(lambda a, i=i: a[i], result)))
        on_batch(proposals.finished())
    return SearchResult(trials, int(evaluate is not None), seconds)


def _stack(asked: list[Proposal], batch: int) -> dict[str, np.ndarray]:
    """Hyperparameters with a leading axis of exactly `batch`, the last one repeated."""
    padded = asked + asked[-1:] * (batch - len(asked))
    return {name: np.asarray([p.hparams[name] for p in padded]) for name in asked[0].hparams}


def _trial(proposal: Proposal, result: RunResult) -> Trial:
    """Sums up the runs `[F, S]` of one candidate."""
    measured = result.known_accuracy[~np.isnan(result.known_accuracy)]
    fold_scores = result.scores.acc.mean(axis=1, dtype=np.float64)
    return Trial(
        number=proposal.number,
        hparams=proposal.hparams,
        score=float(fold_scores.mean()),
        fold_scores=tuple(fold_scores.tolist()),
        fold_k=tuple(result.k.mean(axis=1).tolist()),
        known_accuracy=float(measured.mean(dtype=np.float64)) if measured.size else math.nan,
        diverged=int(result.diverged.sum()),
    )
