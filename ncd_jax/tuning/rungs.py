"""Successive halving: after a quarter and a half of the epochs the worse candidates stop.

All candidates of a batch climb the same rungs. At each they find the hidden classes with what they
have learned so far, and the worse half is not trained any further; three rungs are half the work.
Those that stop keep the score of their last rung, and cannot win.

Source: Jamieson and Talwalkar, "Non-stochastic best arm identification and hyperparameter
optimization", 2016.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from ncd_jax.tuning.climbing import How, climb, form_of, make_slots, regroup, start
from ncd_jax.tuning.cross_validation import Protocol, SweepData, by_candidate
from ncd_jax.tuning.processes import gather
from ncd_jax.tuning.train import last_stage
from ncd_jax.types import Method, PyTree, RunResult

__all__ = ["Climb", "Rung", "compile_rungs", "plan_rungs"]


class Rung(NamedTuple):
    """How many candidates are trained until which epoch."""

    candidates: int
    end: int


class Climb(NamedTuple):
    """What a batch of candidates comes to.

    Attributes:
        result: of each on its last rung, with leading axes `[A, F, S]`.
        epochs: `i[A]`, how long each was trained.
    """

    result: RunResult
    epochs: np.ndarray


def plan_rungs(candidates: int, first: int, epochs: int, rungs: int) -> list[Rung]:
    """Half as many candidates on each rung, until twice as far into the last stage of a training.

    Args:
        candidates: how many begin.
        first: the epoch with which the last stage begins.
        epochs: the end.
        rungs: most of them; fewer where there is nothing to halve.
    """
    plan: list[Rung] = []
    for i in range(rungs):
        n = -(-candidates // 2**i)
        end = first + max(round((epochs - first) / 2 ** (rungs - 1 - i)), 1)
        if plan and n == plan[-1].candidates:
            plan[-1] = Rung(n, end)
        elif not plan or end > plan[-1].end:
            plan.append(Rung(n, end))
    return plan


def compile_rungs(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol, n_candidates: int
) -> Callable[[PyTree, int], Climb]:
    """The function from hyperparameters `[A]`, and how many of them count, to what they come to.

    The same programs serve all rungs and all batches: runs go side by side as many at a time as
    the last rung has for each device, and how many times is traced. Which candidates go on is
    decided on the host while no device is at work: one that is done need not wait for others
    inside a program.

    Args:
        method: one that is trained.
        data: what the candidates share.
        hparams: of any candidates, stacked on a leading axis `[A]`.
        protocol: static facts.
        n_candidates: static length `A`.
    """
    n_folds, first = len(data.ks), last_stage(method, protocol.epochs)
    on_last = plan_rungs(n_candidates, first, protocol.epochs, protocol.rungs)[-1].candidates
    slots = make_slots(n_candidates * n_folds, on_last * n_folds, protocol.lanes)
    how = How(method, protocol, slots, form_of(method, data, hparams, protocol))

    def pairs_of(candidates: np.ndarray) -> np.ndarray:
        """Candidate and fold of every slot, `i32[n, 2]`."""
        folds = np.tile(np.arange(n_folds), len(candidates))
        return slots.hand_out(np.stack([np.repeat(candidates, n_folds), folds], 1).astype(np.int32))

    # What is compiled next is told by an example where the states lie.
    pairs, span = pairs_of(np.arange(n_candidates)), (np.int32(0), np.int32(0))
    begin = _START.lower(data, hparams, pairs, how).compile()
    begun = begin(data, hparams, pairs)
    go_on = _CLIMB.lower(data, hparams, pairs, begun, span, np.int32(0), how).compile()
    change = _REGROUP.lower(begun, slots.places, how).compile()

    def run(hparams: PyTree, n_asked: int) -> Climb:
        candidates, end, epochs = np.arange(n_asked), first, np.zeros(n_asked, int)
        begun, worth = begin(data, hparams, pairs_of(candidates)), np.zeros(n_asked)
        result: RunResult | None = None
        for n, next_end in plan_rungs(n_asked, first, protocol.epochs, protocol.rungs):
            if n < len(candidates):
                going_on = np.sort(np.argsort(-worth, kind="stable")[:n])
                runs = going_on[:, None] * n_folds + np.arange(n_folds)
                begun = change(begun, slots.hand_out(slots.places[runs.ravel()]))
                candidates = candidates[going_on]
            span, rounds = (np.int32(end), np.int32(next_end)), slots.rounds_of(n * n_folds)
            begun, shares = go_on(data, hparams, pairs_of(candidates), begun, span, rounds)
            pairs = jax.tree.map(lambda shares: shares[slots.places], gather(shares))
            found = by_candidate(pairs, n, n_folds)
            result = found if result is None else result
            for whole, part in zip(*map(jax.tree.leaves, (result, found)), strict=True):
                whole[candidates] = part
            worth, end, epochs[candidates] = _worth(found), next_end, next_end
        assert result is not None
        return Climb(result, epochs)

    return run


def _worth(found: RunResult) -> np.ndarray:
    """What candidates are ranked by, `f64[A]`: see `Trial.worth`."""
    log_loss, acc = (np.mean(a, (1, 2), np.float64) for a in (found.log_loss, found.scores.acc))
    return np.where(np.isnan(log_loss), acc, -log_loss)


_START = jax.jit(start, static_argnames="how")
_CLIMB = jax.jit(climb, static_argnames="how", donate_argnames="begun")
_REGROUP = jax.jit(regroup, static_argnames="how", donate_argnames="begun")
