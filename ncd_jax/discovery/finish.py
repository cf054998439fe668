"""From a tuned method to the solution: refits, their answer, and what it is worth."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer, choose, nothing_novel
from ncd_jax.discovery.calibration import AS_IT_IS, calibrate
from ncd_jax.discovery.cells import Cells, seen_rows, settle
from ncd_jax.discovery.familiarity import familiarity, make_reference
from ncd_jax.discovery.gating import Gated
from ncd_jax.discovery.hidden_class_evaluation import (
    UNKNOWN,
    Recognised,
    evaluate_hidden_classes,
    recognise,
    without_some_labels,
)
from ncd_jax.discovery.joining import JoinedRows, join_rows
from ncd_jax.discovery.judged import answer_of, evaluate_folds, partition_of, row_confidence
from ncd_jax.discovery.judging import Judgement, judge_scenes, see_folds
from ncd_jax.discovery.model import Model, apply_model, fitted_model, refit_and_choose
from ncd_jax.discovery.problem import Problem, judged, median_class_size
from ncd_jax.discovery.progress import Reporter, Stopwatch
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.discovery.solution import Judged, Solution
from ncd_jax.discovery.tune import Tuned, weigh
from ncd_jax.judge.prior import read_prior
from ncd_jax.types import UNLABELLED

__all__ = ["Sifted", "finish"]

SMALL, FEWEST_ROWS = 0.25, (5, 40)
"""Part of a known class that a group has to be where the gate was in doubt, and its bounds."""
_NOTHING = np.zeros(0)


class Sifted(NamedTuple):
    """The methods after their search, and which unlabelled rows are new in the eyes of the best.

    Attributes:
        tuned: all of them.
        winner: the best.
        gate: which unlabelled rows are of known classes; none where nobody looked.
    """

    tuned: list[Tuned]
    winner: Tuned
    gate: Gated | None

    def new_rows(self, table: Table) -> np.ndarray:
        """Rows `i[v]` of the table that are to be told apart."""
        unlabelled = np.flatnonzero(table.y == UNLABELLED)
        return unlabelled if self.gate is None else unlabelled[self.gate.is_new]


def finish(sifted: Sifted, table: Table, progress: Reporter, seconds: Stopwatch) -> Solution:
    """Answers for the rows that are new.

    Args:
        sifted: the methods, tuned.
        table: the table.
        progress: told of the phases.
        seconds: of the phases so far.

    Raises:
        FloatingPointError: every training diverged.
    """
    new, winner, gate, asked = sifted.new_rows(table), sifted.winner, sifted.gate, sifted
    if gate is not None and len(new):
        winner = winner._replace(problem=winner.problem.asking_for(new))
        asked = Sifted([winner if t is sifted.winner else t for t in sifted.tuned], winner, gate)
    how = _by_judge if judged(winner.problem.config) else _by_index
    solution = how(asked, table, progress, seconds)
    if gate is None or not gate.is_open:
        return solution
    fewest = np.clip(median_class_size(table.y) * SMALL, *FEWEST_ROWS)
    kept = gate.without_strays(solution.answer.labels, float(fewest))
    if kept.is_new.sum() == gate.is_new.sum():
        return solution
    return finish(sifted._replace(gate=kept), table, progress, seconds)


def _by_index(sifted: Sifted, table: Table, progress: Reporter, seconds: Stopwatch) -> Solution:
    """Refits into as many classes as a validity index says."""
    problem = sifted.winner.problem
    n_refits, new = problem.config.train.refits, sifted.new_rows(table)
    hparams = sifted.winner.refit_hparams(n_refits)
    detail = f"{n_refits} trainings on all known classes"
    with seconds("refit"), progress.phase("refit", detail):
        refits = jax.block_until_ready(refit_all(problem, hparams))
    with seconds("discover"), progress.phase("discover", "clusters the unlabelled rows"):
        answer = choose(problem, refits) if len(new) else nothing_novel(problem, refits.z.shape[-1])
        model = _model(problem, table, hparams, refits, answer)
        z = apply_model(model, table.x).z
    detail = f"answers for {len(problem.hidden_folds.y)} folds of hidden classes"
    with seconds("evaluate"), progress.phase("evaluate", detail):
        evaluation, calibration = evaluate_hidden_classes(problem, table, hparams)
        recognised = _recognised_by_index(problem, table, hparams)
    solution = Solution(
        tuned=sifted.tuned,
        winner=sifted.winner,
        refits=refits,
        answer=answer,
        gate=sifted.gate,
        evaluation=evaluation,
        known_accuracy=recognised.accuracy,
        model=model._replace(calibration=evaluation.lone_calibration),
        z=z,
        confidence=_confidence(sifted.gate, calibrate(calibration, answer.margin)),
        judged=None,
        seconds=seconds.total(),
    )
    return _held_against_all_rows(solution, table, recognised.unfamiliar)


def _recognised_by_index(
    problem: Problem, table: Table, hparams: list[dict[str, float]]
) -> Recognised:
    without, held = without_some_labels(problem, table)
    try:
        _, _, model = refit_and_choose(without, table, hparams)
    except FloatingPointError:
        return UNKNOWN
    return recognise(model, table, held)


def _by_judge(sifted: Sifted, table: Table, progress: Reporter, seconds: Stopwatch) -> Solution:
    """Refits whose micro clusters the judge merges."""
    winner, problem = sifted.winner, sifted.winner.problem
    hparams = winner.refit_hparams(problem.config.train.refits)
    prior, new = read_prior(), sifted.new_rows(table)
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
    x = problem.scaler.apply(table.x[new])

    def answer_for(
        problem: Problem, refits: Refits, judgement: Judgement
    ) -> tuple[Answer, tuple[Cells, JoinedRows] | None]:
        if not len(new):
            return nothing_novel(problem, refits.z.shape[-1]), None
        cells = settle(seen_rows(problem, refits), judgement, problem.n_novel)
        rows = join_rows(problem, refits, cells, x)
        return answer_of(problem, refits, judgement, cells, rows), (cells, rows)

    with seconds("discover"), progress.phase("discover", "judges which rows are one class"):
        judgements = judge_scenes(folds, [refits, *others], prior)
        of_folds, judgement = judgements[: len(folds.refits)], judgements[len(folds.refits)]
        answer, joined = answer_for(problem, refits, judgement)
        model = _model(problem, table, hparams, refits, answer)
        z = apply_model(model, table.x).z
    with seconds("evaluate"), progress.phase("evaluate", "answers for hidden classes"):
        evaluation, weights = evaluate_folds(problem, table, hparams, folds, of_folds, prior)
        recognised = UNKNOWN
        for fitted in others:
            other, _ = answer_for(without, fitted, judgements[-1])
            of_known = _model(without, table, hparams, fitted, other)
            recognised = recognise(of_known, table, held)
        found, sure = None, _NOTHING
        if joined is not None:
            partition = partition_of(judgement, *joined, prior, problem.n_novel)
            found = Judged(judgement, joined[0], partition)
            sure = row_confidence(partition, weights)
    calibration = AS_IT_IS if evaluation is None else evaluation.lone_calibration
    weighed = weigh(winner, judgement)
    solution = Solution(
        tuned=[weighed if each is winner else each for each in sifted.tuned],
        winner=weighed,
        refits=refits,
        answer=answer,
        gate=sifted.gate,
        evaluation=evaluation,
        known_accuracy=recognised.accuracy,
        model=model._replace(calibration=calibration),
        z=z,
        confidence=_confidence(sifted.gate, sure),
        judged=found,
        seconds=seconds.total(),
    )
    return _held_against_all_rows(solution, table, recognised.unfamiliar)


def _held_against_all_rows(solution: Solution, table: Table, usual: float) -> Solution:
    """The solution whose rows are the less sure the less they are like any other of their class.

    Args:
        solution: so far.
        table: its table.
        usual: share of held-out rows that are like no class.
    """
    model, z, n_known = solution.model, solution.z, len(table.classes)
    x, codes, unlabelled = model.scaler.apply(table.x), table.y.copy(), table.y == UNLABELLED
    codes[unlabelled] = solution.labels(n_known)
    seed = solution.winner.problem.config.seed
    reference = make_reference(x, z, codes, len(model.classes), seed=seed, usual=usual)
    familiar = familiarity(reference, x[unlabelled], z[unlabelled], codes[unlabelled])
    return solution._replace(
        model=model._replace(reference=reference), confidence=solution.confidence * familiar
    )


def _model(
    problem: Problem,
    table: Table,
    hparams: list[Mapping[str, float]] | list[dict[str, float]],
    refits: Refits,
    answer: Answer,
) -> Model:
    own, state = hparams[answer.refit], refits.state_of(answer.refit)
    return fitted_model(problem, table, own, state, answer)


def _confidence(gate: Gated | None, of_new: np.ndarray) -> np.ndarray:
    return of_new if gate is None else gate.confidence(of_new)
