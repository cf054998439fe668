"""The search: batches of candidates, all evaluated by the same compiled programs."""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from ncd_jax.tuning.cross_validation import Protocol, SweepData, by_candidate, run_pairs
from ncd_jax.tuning.devices import devices_for
from ncd_jax.tuning.halving import Climb, compile_rungs
from ncd_jax.tuning.processes import gather
from ncd_jax.tuning.proposals import LockstepProposals, Proposal, Proposals
from ncd_jax.tuning.trials import SearchResult, Trial
from ncd_jax.types import Method, PyTree, RunResult

__all__ = ["Sweep", "compile_sweep", "search"]

_RUN_PAIRS = jax.jit(run_pairs, static_argnames=("method", "protocol", "n_candidates"))
"""Of one function, so that a later search of the same shapes finds what this one traced."""


class Sweep(NamedTuple):
    """What candidates are scored on.

    Attributes:
        method: the method.
        make_hparams: its hyperparameter tuple from arrays by name.
        data: what the candidates share.
        protocol: static facts of a run.
    """

    method: Method
    make_hparams: Callable[[Mapping[str, np.ndarray]], PyTree]
    data: SweepData
    protocol: Protocol


def search(
    sweep: Sweep,
    proposals: Proposals | LockstepProposals,
    *,
    candidates: int,
    batch: int,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
    say: Callable[[str], None] = lambda text: None,
) -> SearchResult:
    """Evaluates candidates until as many have a score as are wanted.

    Every batch has the same shape, so however many there are, programs are compiled once; none
    is where a continued search is complete already. Where other workers have the last candidates,
    it waits for their scores. Where memory runs out, the batch is repeated with half as many
    trainings side by side.

    Args:
        sweep: what they are scored on.
        proposals: where candidates come from and results go.
        candidates: how many are wanted in all, those of an interrupted search included.
        batch: candidates evaluated together.
        on_batch: called with all trials so far, after each batch.
        say: told where memory ran out.

    Raises:
        JaxRuntimeError: not even a single training has room.
    """
    batch = min(batch, candidates)
    method, make_hparams, data, protocol = sweep
    compilations, evaluate, seconds = 0, None, 0.0
    with proposals.at_work():
        while len(trials := proposals.finished()) < candidates:
            asked = proposals.ask(batch, candidates)
            if not asked:
                on_batch(trials)
                proposals.wait()
                continue
            hparams, climb = make_hparams(_stack(asked, batch)), None
            while climb is None:
                try:
                    if evaluate is None:
                        start = time.perf_counter()
                        evaluate = compile_sweep(method, data, hparams, protocol, batch)
                        compilations, seconds = compilations + 1, time.perf_counter() - start
                    climb = evaluate(hparams, len(asked))
                except jax.errors.JaxRuntimeError as error:
                    evaluate, protocol = None, _with_fewer_lanes(error, protocol, batch, data)
                    say(f"memory ran out; {protocol.lanes} trainings side by side from now on")
            result, epochs = climb
            for i, proposal in enumerate(asked):
                found = jax.tree.map(lambda a, i=i: a[i], result)
                proposals.tell(_trial(proposal, found, int(epochs[i]), protocol))
            on_batch(proposals.finished())
    return SearchResult(trials, compilations, seconds)


def _with_fewer_lanes(
    error: jax.errors.JaxRuntimeError, protocol: Protocol, batch: int, data: SweepData
) -> Protocol:
    """Half the lanes, of those that there was something for."""
    n_runs = batch * len(data.ks)
    used = min(protocol.lanes, -(-n_runs // len(devices_for(n_runs))))
    # Other processes would wait for this one in vain.
    if "RESOURCE_EXHAUSTED" not in str(error) or used < 2 or jax.process_count() > 1:
        raise error
    return dataclasses.replace(protocol, lanes=used // 2)


def compile_sweep(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol, n_candidates: int
) -> Callable[[PyTree, int], Climb]:
    """As `compile_rungs`, also where there is one rung: then it is one program from end to end."""
    if protocol.rungs > 1 and method.stages:
        return compile_rungs(method, data, hparams, protocol, n_candidates)
    program = _RUN_PAIRS.lower(method, data, hparams, protocol, n_candidates).compile()

    def run(hparams: PyTree, n_asked: int) -> Climb:
        del n_asked  # The others are there to fill up the shape.
        result = by_candidate(gather(program(data, hparams)), n_candidates, len(data.ks))
        return Climb(result, np.full(n_candidates, protocol.epochs))

    return run


def _stack(asked: list[Proposal], batch: int) -> dict[str, np.ndarray]:
    """Hyperparameters with a leading axis of exactly `batch`, the last one repeated."""
    padded = asked + asked[-1:] * (batch - len(asked))
    return {name: np.asarray([p.hparams[name] for p in padded]) for name in asked[0].hparams}


def _trial(proposal: Proposal, result: RunResult, epochs: int, protocol: Protocol) -> Trial:
    """Sums up the runs `[F, S]` of one candidate that was trained so long."""
    fold_scores = result.accuracy.mean(axis=1, dtype=np.float64)
    log_loss = float(result.log_loss.mean(dtype=np.float64))
    return Trial(
        number=proposal.number,
        hparams=proposal.hparams,
        score=float(fold_scores.mean()),
        fold_scores=tuple(fold_scores.tolist()),
        fold_k=tuple(result.k.mean(axis=1).tolist()),
        diverged=int(result.diverged.sum()),
        log_loss=None if math.isnan(log_loss) else log_loss,
        stopped=epochs if epochs < protocol.epochs else None,
    )
