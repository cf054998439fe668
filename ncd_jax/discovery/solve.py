"""The procedure, once: tune, tell known from new, fit, partition, evaluate, remember.

No file, no truth.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.config import RunConfig, split_names
from ncd_jax.data.table import Table
from ncd_jax.discovery.by_judge import by_judge
from ncd_jax.discovery.evaluate import (
    Lesson,
    evaluation_of,
    fit_decided,
    learn_weights,
    lesson_of,
    nearer_weights,
    recognised,
    with_weights,
    without_some_labels,
)
from ncd_jax.discovery.fit import Refits, cut, in_parallel, purpose_key, refit_all
from ncd_jax.discovery.known_rows import pass_gate
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.partition import (
    Fitted,
    Folded,
    Found,
    Partitioner,
    by_index,
    make_ready,
    model_of,
)
from ncd_jax.discovery.problem import (
    Problem,
    make_hparams,
    median_class_size,
    ordered,
    prepare,
    prepare_untuned,
)
from ncd_jax.discovery.solution import Solution, answered, as_they_stood
from ncd_jax.discovery.tune import Tuned, every_candidate, tune, unselected_scores, weigh
from ncd_jax.errors import UserError
from ncd_jax.known_or_new.decision import Decided, Gated
from ncd_jax.methods import METHODS
from ncd_jax.precision import in_single_precision
from ncd_jax.progress import Phase, Reporter, Stopwatch
from ncd_jax.tuning.storage import Storage
from ncd_jax.tuning.train import train
from ncd_jax.tuning.trials import SearchResult, Trial
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = [
    "answer_alone",
    "finish",
    "fit_untuned",
    "follow",
    "prepare_methods",
    "solve",
    "solve_problems",
]

SMALL, FEWEST_ROWS = 0.25, (5, 40)
"""Part of a known class that a group has to be where the gate was in doubt, and its bounds."""


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
    inner, order = ordered(table)
    problems = prepare_methods(config, inner, config.k.n_novel)
    return as_they_stood(solve_problems(problems, inner, progress), table.y, order)


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
    alone = len(problems) == 1 and problems[0].candidates is not None
    if alone:  # nothing is compared: folds are fitted once it is known how many rows are new
        tuned = [every_candidate(problems[0])]
    else:
        with seconds("tune"):
            tuned = [_tuned(problem, storage, progress) for problem in problems]
        seconds.add("compile", sum(each.found.compile_seconds for each in tuned))
        if len(tuned) > 1:
            tuned = [weigh(each) for each in tuned]
    winner, gate = max(tuned, key=lambda each: _mean(unselected_scores(each.on_hidden))), None
    if winner.problem.config.setting != "ncd":
        with (
            seconds("gate"),
            progress.phase("gate", "looks for rows of known classes"),
            ThreadPoolExecutor(1) as beside,
        ):
            looking = beside.submit(
                in_single_precision(pass_gate), winner.problem, table, winner.best
            )
            if alone:
                make_ready(winner.problem, winner.refit_hparams(0))
            gate = looking.result()
    return finish(tuned, winner, table, gate, progress, seconds)


def finish(
    tuned: Sequence[Tuned],
    winner: Tuned,
    table: Table,
    gate: Gated | None,
    progress: Reporter | None = None,
    seconds: Stopwatch | None = None,
) -> Solution:
    """From tuned methods to the solution.

    Args:
        tuned: every method that was compared.
        winner: the one that answers.
        table: the table.
        gate: which unlabelled rows are of known classes; none where nobody looked.
        progress: told of the phases; silent by default.
        seconds: of the phases so far.

    Raises:
        FloatingPointError: every training diverged.
    """
    progress, seconds = progress or Reporter(), seconds or Stopwatch()
    return _Finish(list(tuned), winner, table, progress, seconds).solution(gate)


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
        n_candidates, storage = len(problem.candidates), None  # nothing is searched for
    kept = storage(config.method) if storage else None
    detail = f"{n_candidates} candidates x {len(folds.y)} folds x {config.search.seeds} seeds"
    with progress.phase("tune", f"{problem.info.title}: {detail}", n_candidates) as phase:
        phase.note("compiling, then the first batch")
        return tune(problem, kept, _tell(phase), progress.say)


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


class _Fits(NamedTuple):
    """All that is fitted for an answer.

    Attributes:
        problem: which asks for the rows that are new.
        folded: folds of hidden classes.
        table: the fit on all labels.
        spared: the fit in which some rows have lost their label, none where it diverged; and these
            rows, `bool[n]`.
        decided: folds in which labels of all classes were taken away, where unlabelled rows may be
            of known classes.
    """

    problem: Problem
    folded: Folded
    table: Fitted
    spared: tuple[list[Fitted], np.ndarray]
    decided: list[tuple[Fitted, Decided]]


class _Finish(NamedTuple):
    """From tuned methods to the solution: fits, their answer, and what it is worth."""

    tuned: list[Tuned]
    winner: Tuned
    table: Table
    progress: Reporter
    seconds: Stopwatch

    def solution(self, gate: Gated | None) -> Solution:
        """Answers for the rows that are new.

        Args:
            gate: which unlabelled rows are of known classes; none where nobody looked.

        Raises:
            FloatingPointError: every training diverged.
        """
        partitioner = by_judge() if self.winner.problem.is_judged else by_index()
        hparams = self.winner.refit_hparams(self.winner.problem.config.train.refits)
        open_gate = gate if gate is not None and gate.is_open else None
        fits = self._fits(partitioner, hparams, open_gate)
        with self.seconds("discover"), self.progress.phase("discover", "which rows are one class"):
            spared, decided = fits.spared[0], [fit for fit, _ in fits.decided]
            found = iter(partitioner.answer(fits.folded, [fits.table, *spared, *decided]))
            of_folds = [next(found) for _ in fits.folded.fits]
            of_table, of_rest = next(found), list(found)
        if open_gate is not None:
            kept = self._without_strays(open_gate, fits.problem, of_table)
            if kept is not open_gate:
                return self.solution(kept)
        with self.seconds("evaluate"), self.progress.phase("evaluate", "hidden classes"):
            lessons = self._lessons(fits, of_folds, of_rest[len(spared) :])
            weights, nearer = learn_weights(partitioner, lessons), nearer_weights(lessons)

            def model_with(fitted: Fitted, found: Found) -> Model:
                own, judged = dict(hparams[found.view]), fits.problem.is_judged
                model = model_of(fitted, found, self.table, own, judged=judged)
                return with_weights(model, found.features, weights, nearer)

            accuracy, usual = float("nan"), float("nan")
            if spared:
                accuracy, usual = recognised(
                    model_with(spared[0], of_rest[0]), self.table, fits.spared[1]
                )
            model = model_with(fits.table, of_table)
            model = model._replace(reference=model.reference._replace(usual=np.float32(usual)))
            winner = self._weighed(fits, of_table)
            solution = answered(
                self.table,
                [winner if each is self.winner else each for each in self.tuned],
                winner,
                (model, fits.table.refits, of_table),
                gate,
            )
        return solution._replace(
            evaluation=evaluation_of(partitioner, lessons),
            known_accuracy=accuracy,
            seconds=self.seconds.total(),
        )

    def _fits(
        self,
        partitioner: Partitioner,
        hparams: Sequence[Mapping[str, float]],
        gate: Gated | None,
    ) -> _Fits:
        problem, folded = self.winner.problem, self.winner.folds
        decided: Sequence[Decided] = ()
        if gate is not None:
            new = np.flatnonzero(self.table.y == UNLABELLED)[gate.is_new]
            problem, decided = problem.asking_for(new), gate.folds
            folded = None  # folds asked for as many rows as if all were new
        detail = f"{len(hparams)} fits on {len(problem.hidden_folds.y)} folds of hidden classes"
        with self.seconds("learn"), self.progress.phase("learn", detail):
            folded = folded or partitioner.learn(problem, hparams)
            of_decided = fit_decided(problem, decided, hparams)
        nobody = np.zeros(len(self.table.classes), bool)

        def fit(problem: Problem, n_cuts: int) -> Fitted:
            refits = jax.block_until_ready(refit_all(problem, hparams))
            scenes = cut(problem, refits, n_cuts) if problem.is_judged else []
            return Fitted(problem, refits, scenes, nobody)

        with self.seconds("refit"), self.progress.phase("refit", "fits on all known classes"):
            fitted = fit(problem, partitioner.n_cuts)
            without, held = without_some_labels(problem, self.table)
            try:
                spared = [fit(without, 1)]
            except FloatingPointError:
                spared = []
        return _Fits(problem, folded, fitted, (spared, held), of_decided)

    def _lessons(
        self, fits: _Fits, of_folds: Sequence[Found], of_decided: Sequence[Found]
    ) -> list[Lesson]:
        """What folds teach: those in which known rows are unlabelled too, if the table is such."""
        of_fold: list[tuple[Fitted, Decided | None]] = [*fits.decided]
        of_fold = of_fold or [(fit, None) for fit in fits.folded.fits]
        pairs = [*zip(of_fold, of_decided if fits.decided else of_folds, strict=True)]

        def learn(pair: tuple[tuple[Fitted, Decided | None], Found]) -> Lesson:
            (fit, decided), found = pair
            return lesson_of(fit, found, self.table, decided)

        return in_parallel(learn, pairs)

    def _weighed(self, fits: _Fits, found: Found) -> Tuned:
        """The winner, with the problem that was answered in the end."""
        winner = self.winner._replace(problem=fits.problem)
        if winner.problem.candidates is None:
            return winner
        judgement = None if found.details is None else found.details.judgement
        return weigh(winner._replace(folds=fits.folded), judgement)

    def _without_strays(self, gate: Gated, problem: Problem, found: Found) -> Gated:
        """Gives small groups back that may well be known, where the number is not given."""
        if problem.n_novel is not None or problem.n_targets < gate.is_new.sum():
            return gate  # of a sample no group is that small
        fewest = np.clip(median_class_size(self.table.y) * SMALL, *FEWEST_ROWS)
        kept = gate.without_strays(found.labels, float(fewest))
        return gate if kept.is_new.sum() == gate.is_new.sum() else kept


def fit_untuned(config: RunConfig, table: Table) -> Solution:
    """Fits a method with the hyperparameters in `config`, the others in the middle of their range.

    Nothing is hidden, so nobody knows how sure to be. Without an unlabelled row it is a model of
    the known classes, trained once.

    Raises:
        UserError: a hyperparameter or a variant does not exist or is out of range.
        FloatingPointError: the training diverged.
    """
    problem = prepare_untuned(config, table)
    return answer_alone(problem, table, [problem.config.hparams] * config.train.refits)


def answer_alone(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> Solution:
    """The answer of an index, with hyperparameters that are given; nothing is hidden for it.

    Args:
        problem: what is solved.
        table: its table.
        hparams: of each refit.

    Raises:
        FloatingPointError: every training diverged.
    """
    partitioner, nobody = by_index(), np.zeros(len(table.classes), bool)
    fitted = Fitted(problem, _fit_alone(problem, hparams), [], nobody)
    found = partitioner.answer(Folded([], []), [fitted])[0]
    model = model_of(fitted, found, table, dict(hparams[found.view]), judged=False)
    if not np.isfinite(model.means).all():
        raise FloatingPointError(f"{problem.config.method} diverged; give a smaller hparams lr")
    model = with_weights(model, found.features, partitioner.prior, nearer_weights([]))
    trial = Trial(0, dict(hparams[0]), float("nan"), (), (), 0)
    tuned = Tuned(problem, SearchResult([trial], 0, 0.0), [trial], [trial])
    return answered(table, [tuned], tuned, (model, fitted.refits, found), None)


def _fit_alone(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> Refits:
    if problem.n_targets:
        return refit_all(problem, hparams)
    config, n = problem.config, len(problem.data.x)
    everybody = np.arange(n, dtype=np.int32), np.ones(n, bool)
    refits: Refits = _TRAIN(
        purpose_key(config, "refit"),
        problem.method,
        problem.data,
        Goal(*jax.device_put((*everybody, np.int32(problem.spec.n_known)))),
        make_hparams(config.method, hparams[0]),
        problem.known_rows,
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
    )
    return refits


def _train(
    key: Array,
    method: Method,
    data: NCDData,
    goal: Goal,
    hparams: PyTree,
    labelled: Array,
    *,
    epochs: int,
    batch_size: int,
) -> Refits:
    state, info = train(key, method, data, goal, hparams, epochs=epochs, batch_size=batch_size)
    known = method.represent(state, data.x[labelled])
    refit = Refits(state, info["loss"], known[:0], known, None, jnp.ones((), bool))
    return jax.tree.map(lambda leaf: leaf[None], refit)


_TRAIN = jax.jit(_train, static_argnames=("method", "epochs", "batch_size"))
