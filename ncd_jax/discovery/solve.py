"""The procedure, once: tune, sift, refit, choose, evaluate on hidden classes. No file, no truth."""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ncd_jax.config import RunConfig, split_names
from ncd_jax.data.table import Table
from ncd_jax.discovery.finish import Sifted, finish
from ncd_jax.discovery.gating import pass_gate
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.discovery.progress import Phase, Reporter, Stopwatch
from ncd_jax.discovery.solution import Solution
from ncd_jax.discovery.tune import Tuned, tune, unselected_scores, weigh
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS
from ncd_jax.precision import in_single_precision
from ncd_jax.tuning.proposals import Trial
from ncd_jax.tuning.storage import Storage

__all__ = ["follow", "prepare_methods", "solve", "solve_problems"]


def solve(config: RunConfig, table: Table, progress: Reporter | None = None) -> Solution:
    """Finds the novel classes of a table.

    Args:
        config: the configuration.
        table: the table.
        progress: told of the phases; silent by default.

    Raises:
        UserError: the table or the configuration cannot be used.
        FloatingPointError: every training diverged.
    """
    return solve_problems(prepare_methods(config, table, config.k.n_novel), table, progress)


def prepare_methods(config: RunConfig, table: Table, n_novel: int | None) -> list[Problem]:
    """The problem of every method that is compared: one, but with `auto`.

    Args:
        config: the configuration.
        table: the table.
        n_novel: the number of novel classes where the run may know it.

    Raises:
        UserError: the table or the configuration cannot be used.
    """
    return [prepare(each, table, n_novel) for each in _of_methods(config)]


def solve_problems(
    problems: Sequence[Problem],
    table: Table,
    progress: Reporter | None = None,
    storage: Callable[[str], Storage] | None = None,
) -> Solution:
    """Tunes each problem and answers with the method that finds hidden classes best.

    Args:
        problems: of one table.
        table: the table.
        progress: told of the phases; silent by default.
        storage: from the name of a method to where its search is kept, so that it goes on after
            a kill; none to keep searches in memory.

    Raises:
        FloatingPointError: every training diverged.
    """
    progress, seconds = progress or Reporter(), Stopwatch()
    with ThreadPoolExecutor(1) as beside:
        gated, gate, sifted = problems[0].config.setting != "ncd", None, None
        if gated and len(problems) == 1 and problems[0].candidates is not None:
            # Tuning finds nothing that the gate asks about, and neither fills two cores.
            gate = beside.submit(in_single_precision(pass_gate), problems[0], table)
        with seconds("tune"):
            tuned = [_tuned(problem, storage, progress) for problem in problems]
        seconds.add("compile", sum(each.found.compile_seconds for each in tuned))
        if len(tuned) > 1:
            tuned = [weigh(each) for each in tuned]
        winner = max(tuned, key=lambda each: _mean(unselected_scores(each.on_hidden)))
        if gated:
            with seconds("gate"), progress.phase("gate", "looks for rows of known classes"):
                sifted = gate.result() if gate else pass_gate(winner.problem, table, winner.best)
    return finish(Sifted(tuned, winner, sifted), table, progress, seconds)


def follow(problems: Sequence[Problem]) -> None:
    """Does this process's share of the searches that process 0 leads.

    What comes after a search is done by process 0 alone.
    """
    for problem in problems:
        if problem.candidates is None:
            tune(problem)


def _of_methods(config: RunConfig) -> list[RunConfig]:
    """One configuration for each method that is tuned: a single one but for `auto`.

    A fixed hyperparameter counts for the methods that have it, a variant for those that
    have that.

    Raises:
        UserError: none of the methods has such a hyperparameter or variant.
    """
    if config.method != "auto":
        return [config]
    names = split_names(config.methods, tuple(METHODS), "methods")
    spaces = {name: METHODS[name].space(1) for name in names}
    for hparam in config.hparams:
        if not any(hparam in space for space in spaces.values()):
            raise UserError(f"config.hparams.{hparam} is a hyperparameter of none of the methods")
    if config.variant and not any(config.variant in METHODS[name].variants for name in names):
        raise UserError(f"config.variant={config.variant!r} is a variant of none of the methods")
    return [
        dataclasses.replace(
            config,
            method=name,
            variant=config.variant if config.variant in METHODS[name].variants else "",
            hparams={key: v for key, v in config.hparams.items() if key in spaces[name]},
        )
        for name in names
    ]


def _tuned(problem: Problem, storage: Callable[[str], Storage] | None, progress: Reporter) -> Tuned:
    config, folds = problem.config, problem.tuning_folds
    n_candidates = config.search.candidates if problem.space else 1
    if problem.candidates is not None:
        n_candidates = len(problem.candidates)
    detail = f"{n_candidates} candidates x {len(folds.y)} folds x {config.search.seeds} seeds"
    with progress.phase("tune", f"{problem.info.title}: {detail}", n_candidates) as phase:
        phase.note("compiling, then the first batch")
        return tune(problem, storage and storage(config.method), _tell(phase))


def _tell(phase: Phase) -> Callable[[list[Trial]], None]:
    """Reports the trials that are new since the last call."""
    told = 0

    def on_batch(trials: list[Trial]) -> None:
        nonlocal told
        if trials:
            phase.note(f"best {max(t.score for t in trials):.1%}")
        phase.advance(len(trials) - told)
        told = len(trials)

    return on_batch


def _mean(scores: Sequence[float]) -> float:
    return float(np.mean(scores)) if scores else 0.0
