"""The procedure, once: tune, refit, choose, evaluate on hidden classes. No file, no truth."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from ncd_jax.config import RunConfig, method_configs
from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer, choose
from ncd_jax.discovery.calibration import AS_IT_IS, calibrate
from ncd_jax.discovery.hidden_class_evaluation import (
    HiddenClassEvaluation,
    evaluate_hidden_classes,
    known_accuracy,
    without_some_labels,
)
from ncd_jax.discovery.judged import (
    answer_of,
    evaluate_folds,
    join_rows,
    partition_of,
    row_confidence,
)
from ncd_jax.discovery.judging import Judgement, judge_scenes, see_folds
from ncd_jax.discovery.model import Model, apply_model, fitted_model, refit_and_choose
from ncd_jax.discovery.problem import Problem, judged, prepare
from ncd_jax.discovery.progress import Phase, Reporter, Stopwatch
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.discovery.tune import Tuned, tune, unselected_scores, weigh
from ncd_jax.judge.confidence import Partition
from ncd_jax.judge.prior import read_prior
from ncd_jax.tuning.proposals import Trial
from ncd_jax.types import UNLABELLED

__all__ = ["Judged", "Solution", "prepare_methods", "solve", "solve_problems"]


class Judged(NamedTuple):
    """What the judge saw and said of the novel rows.

    Attributes:
        judgement: the evidence and its merges.
        partition: what the confidence rests on, the likelihood of every number included.
    """

    judgement: Judgement
    partition: Partition


class Solution(NamedTuple):
    """All that a run found out, before anything is scored or drawn.

    Attributes:
        tuned: every method that was compared.
        winner: the one that gave the answer.
        refits: its trainings on all known classes.
        answer: the partition of the novel rows.
        evaluation: answers for hidden classes; none where no class could be hidden.
        known_accuracy: share of held-out known rows that `predict` gives their class.
        model: for rows of any kind.
        z: `f32[n, L]`, all rows in the representation that the answer comes from.
        confidence: `f64[u]`, of every unlabelled row.
        judged: what the judge saw and said; none where an index counted.
        seconds: wall time by phase.
    """

    tuned: list[Tuned]
    winner: Tuned
    refits: Refits
    answer: Answer
    evaluation: HiddenClassEvaluation | None
    known_accuracy: float
    model: Model
    z: np.ndarray
    confidence: np.ndarray
    judged: Judged | None
    seconds: dict[str, float]


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
    return [prepare(each, table, n_novel) for each in method_configs(config)]


def solve_problems(
    problems: Sequence[Problem],
    table: Table,
    progress: Reporter | None = None,
    journal: Callable[[str], Path] | None = None,
) -> Solution:
    """Tunes each problem and answers with the method that finds hidden classes best.

    Args:
        problems: of one table.
        table: the table.
        progress: told of the phases; silent by default.
        journal: from the name of a method to the file that keeps its search, so that it goes on
            after a kill; none to keep searches in memory.

    Raises:
        FloatingPointError: every training diverged.
    """
    progress, seconds = progress or Reporter(), Stopwatch()
    with seconds("tune"):
        tuned = [_tuned(problem, journal, progress) for problem in problems]
    seconds.add("compile", sum(each.found.compile_seconds for each in tuned))
    if len(tuned) > 1:
        tuned = [weigh(each) for each in tuned]
    winner = max(tuned, key=lambda each: _mean(unselected_scores(each.on_hidden)))
    finish = _by_judge if judged(winner.problem.config) else _by_index
    return finish(tuned, winner, table, progress, seconds)


def _by_index(
    tuned: list[Tuned], winner: Tuned, table: Table, progress: Reporter, seconds: Stopwatch
) -> Solution:
    """Refits into as many classes as a validity index says."""
    problem, n_refits = winner.problem, winner.problem.config.train.refits
    hparams = winner.refit_hparams(n_refits)
    detail = f"{n_refits} trainings on all known classes"
    with seconds("refit"), progress.phase("refit", detail):
        refits = jax.block_until_ready(refit_all(problem, hparams))
    with seconds("discover"), progress.phase("discover", "clusters the unlabelled rows"):
        answer = choose(problem, refits)
        own, state = hparams[answer.refit], refits.state_of(answer.refit)
        model = fitted_model(problem, table, own, state, answer)
        z = apply_model(model, table.x).z
    detail = f"answers for {len(problem.hidden_folds.y)} folds of hidden classes"
    with seconds("evaluate"), progress.phase("evaluate", detail):
        evaluation, calibration = evaluate_hidden_classes(problem, table, hparams)
        recognised = _recognised_by_index(problem, table, hparams)
    return Solution(
        tuned=tuned,
        winner=winner,
        refits=refits,
        answer=answer,
        evaluation=evaluation,
        known_accuracy=recognised,
        model=model._replace(calibration=evaluation.lone_calibration),
        z=z,
        confidence=calibrate(calibration, answer.margin),
        judged=None,
        seconds=seconds.total(),
    )


def _recognised_by_index(problem: Problem, table: Table, hparams: list[dict[str, float]]) -> float:
    without, held = without_some_labels(problem, table)
    try:
        _, _, model = refit_and_choose(without, table, hparams)
    except FloatingPointError:
        return float("nan")
    return known_accuracy(model, table, held)


def _by_judge(
    tuned: list[Tuned], winner: Tuned, table: Table, progress: Reporter, seconds: Stopwatch
) -> Solution:
    """Refits whose micro clusters the judge merges."""
    problem = winner.problem
    hparams = winner.refit_hparams(problem.config.train.refits)
    prior, n_novel = read_prior(), problem.n_novel
    detail = f"{len(hparams)} fits on {len(problem.hidden_folds.y)} folds of hidden classes"
    with seconds("learn"), progress.phase("learn", detail):
        folds = winner.folds or see_folds(problem, hparams)
    with seconds("refit"), progress.phase("refit", f"{len(hparams)} fits on all known classes"):
        refits = jax.block_until_ready(refit_all(problem, hparams))
        without, held = without_some_labels(problem, table)
        try:
            others = [refit_all(without, hparams)]
        except FloatingPointError:
            others = []
    with seconds("discover"), progress.phase("discover", "judges which rows are one class"):
        judgements = judge_scenes(folds, [refits, *others], prior)
        of_folds, judgement = judgements[: len(folds.refits)], judgements[len(folds.refits)]
        x = problem.scaler.apply(table.x[table.y == UNLABELLED])
        rows = join_rows(problem, refits, x)
        answer = answer_of(problem, refits, judgement, rows, n_novel)
        own, state = hparams[answer.refit], refits.state_of(answer.refit)
        model = fitted_model(problem, table, own, state, answer)
        z = apply_model(model, table.x).z
        partition = partition_of(judgement, rows, prior, n_novel)
    with seconds("evaluate"), progress.phase("evaluate", "answers for hidden classes"):
        evaluation, weights = evaluate_folds(problem, table, hparams, folds, of_folds, prior)
        recognised = float("nan")
        for fitted in others:
            joined = join_rows(without, fitted, x)
            other = answer_of(without, fitted, judgements[-1], joined, n_novel)
            state = fitted.state_of(other.refit)
            of_known = fitted_model(without, table, hparams[other.refit], state, other)
            recognised = known_accuracy(of_known, table, held)
    calibration = AS_IT_IS if evaluation is None else evaluation.lone_calibration
    weighed = weigh(winner, judgement)
    return Solution(
        tuned=[weighed if each is winner else each for each in tuned],
        winner=weighed,
        refits=refits,
        answer=answer,
        evaluation=evaluation,
        known_accuracy=recognised,
        model=model._replace(calibration=calibration),
        z=z,
        confidence=row_confidence(partition, weights),
        judged=Judged(judgement, partition),
        seconds=seconds.total(),
    )


def _tuned(problem: Problem, journal: Callable[[str], Path] | None, progress: Reporter) -> Tuned:
    config, folds = problem.config, problem.tuning_folds
    n_candidates = config.search.candidates if problem.space else 1
    if problem.candidates is not None:
        n_candidates = len(problem.candidates)
    detail = f"{n_candidates} candidates x {len(folds.y)} folds x {config.search.seeds} seeds"
    with progress.phase("tune", f"{problem.info.title}: {detail}", n_candidates) as phase:
        phase.note("compiling, then the first batch")
        return tune(problem, journal and journal(config.method), _tell(phase))


def _tell(phase: Phase) -> Callable[[list[Trial]], None]:
    """Reports the trials that are new since the last call."""
    told = 0

    def on_batch(trials: list[Trial]) -> None:
        nonlocal told
        phase.note(f"best {max(t.score for t in trials):.1%}")
        phase.advance(len(trials) - told)
        told = len(trials)

    return on_batch


def _mean(scores: Sequence[float]) -> float:
    return float(np.mean(scores)) if scores else 0.0
