"""What comes out of a procedure, put into the words of the records and the report.

No truth here: scores are added by whoever has it.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ncd_jax.data.selection import NOT_RANDOM
from ncd_jax.data.table import Table
from ncd_jax.discovery.evaluate import (
    Evaluation,
    accuracy_by_confidence,
    calibration_error,
    is_right,
    ranking_quality,
)
from ncd_jax.discovery.fit import Refits, k_search
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.solution import Answer, Solution
from ncd_jax.discovery.tune import Tuned, unselected_scores
from ncd_jax.judge.number import FEWEST_ROWS
from ncd_jax.profiles.classes import Profiles, SortedRows, profile_classes
from ncd_jax.profiles.contrasts import repeating_columns
from ncd_jax.read.names import show
from ncd_jax.report.findings import Findings, Ranked, assignments_of, choose_shown
from ncd_jax.report.headline import are, are_unlike, plural
from ncd_jax.report.how_many import KCurve, number_story
from ncd_jax.report.latent_map import LatentMap, latent_map
from ncd_jax.types import UNLABELLED

__all__ = ["compare_groups", "find", "measure", "one_group_warnings"]

MOST_GROUPS = 20
"""Groups that are told of, the largest ones."""
NEARLY_ALL, MOST_EXPECTED = 0.9, 0.7
"""Share of a new class in one group, and of all unlabelled rows, from which it may be the group."""
FEWEST = 10
"""Rows of such a class."""


def measure(solution: Solution, table: Table) -> dict[str, Any]:
    """The content of `metrics.json`, but for times and what the truth says."""
    problem, found, best, on_hidden, _ = solution.winner
    answer, gate, trials = solution.answer, solution.gate, found.trials
    scored = on_hidden[0] if problem.info.tuned_on_known else best[0]
    groups = compare_groups(table, _names(table, solution), solution.evaluation)
    of_groups = one_group_warnings(table.group_column, groups, answer.k)
    metrics = {
        "method": problem.config.method,
        "warnings": [*_warnings(solution, table), *of_groups],
        "n_answers": 0,
        "setting": solution.setting,
        "setting_in_doubt": gate is not None and gate.in_doubt,
        "n_rows": len(table.y),
        "n_unlabelled": len(solution.confidence),
        "n_rows_known": int((~solution.is_new).sum()),
        "n_rows_unlike": solution.n_unlike,
        "known_sizes": _known_sizes(solution, table),
        "n_known_classes": len(table.classes),
        "n_novel_estimated": answer.k,
        "n_novel_probability": _number_probability(solution),
        "novel_sizes": np.bincount(answer.labels, minlength=answer.k).tolist(),
        "hidden_class_score": scored.score,
        "hidden_class_score_std": float(np.std(scored.fold_scores or np.nan)),
        "known_accuracy": solution.known_accuracy,
        "known_accuracy_by_chance": float(_shares(table).max()),
        "stability": answer.stability,
        "mean_confidence": float(np.mean(solution.confidence)),
        "gate": gate.trust._asdict() if gate is not None and gate.trust is not None else None,
        "groups": groups,
        **_evaluated(solution.evaluation),
        "diverged_runs": sum(t.diverged for t in trials),
        "total_runs": len(trials) * len(trials[0].fold_scores) * problem.config.search.seeds,
        "compilations": found.compilations,
        "refit_candidates": [trial.number for trial in best],
        "notes": [note for note in table.notes if NOT_RANDOM not in note],
    }
    if len(solution.tuned) > 1:
        metrics["ranking"] = [
            {"method": each.method, "hidden_class_score": each.score, "std": each.spread}
            for each in _ranking(solution.tuned)
        ]
    return metrics


def _number_probability(solution: Solution) -> dict[str, float]:
    """The chance of every number of novel classes; of a number that was given nobody asks."""
    if solution.judged is None or solution.winner.problem.n_novel is not None:
        return {}
    likely = enumerate(solution.judged.partition.numbers.tolist(), start=1)
    return {str(k): round(p, 4) for k, p in likely if p >= 5e-5}


def _warnings(solution: Solution, table: Table) -> list[str]:
    """What people must know before they read the answer, in sentences."""
    said = [note for note in table.notes if NOT_RANDOM in note]
    if solution.evaluation is None:
        said.append(
            f"with {len(table.classes)} known {plural('class', len(table.classes))} none could be"
            " hidden, so how good the answer is was not measured on this table"
        )
    by_chance = float(_shares(table).max())
    if len(table.classes) > 1 and solution.known_accuracy <= by_chance:
        said.append(
            "rows whose label was taken away got it back no more often than by naming the largest"
            f" class ({solution.known_accuracy:.0%}, {by_chance:.0%}): the columns hardly say what"
            " makes a class, so the answer is a guess; add columns that do, or more labels"
        )
    new = np.flatnonzero(table.y == UNLABELLED)[solution.is_new]
    said += _too_few(solution, len(new), int((table.y != UNLABELLED).sum()))
    names = np.array(_names(table, solution), object)[new]
    for column in repeating_columns(table.original().iloc[new], names):
        said.append(
            f"column {column!r} alone reproduces the novel classes, and the other columns hardly"
            f" tell them apart; if its values are not what you look for, leave it out with"
            f" --drop={column}"
        )
    return said


def _too_few(solution: Solution, n_new: int, n_labelled: int) -> list[str]:
    """What so few rows cannot say."""
    said, unlike = [], solution.n_unlike
    if n_labelled < FEWEST_ROWS:
        said.append(
            f"only {n_labelled} rows are labelled, too few to say how rows of one class differ;"
            " label more of them"
        )
    if 0 < n_new < FEWEST_ROWS and solution.winner.problem.n_novel is None:
        said.append(
            f"only {n_new} {plural('row', n_new)} {are(n_new)} new, too few to"
            " say how many classes they are"
        )
    if are_unlike(unlike, len(solution.found)):
        said.append(
            f"{unlike} {plural('row', unlike)} given to known classes {are(unlike)} far from every"
            " row of theirs, as a few rows of a new class would be"
        )
    return said


def _evaluated(evaluation: Evaluation | None) -> dict[str, Any]:
    """What answers for hidden classes were worth; nothing is known where none could be hidden."""
    if evaluation is None:
        unknown = float("nan")
        return {
            "hidden_class_accuracy": unknown,
            "hidden_class_accuracy_by": {},
            "later_accuracy": unknown,
            "later_confidence": unknown,
            "hidden_class_k": [],
            "confidence_ranking": unknown,
            "confidence_error": unknown,
        }
    sure, right = evaluation.confidence, evaluation.right
    apart = {name: evaluation.accuracy(several=name == "several") for name in ("several", "one")}
    return {
        "hidden_class_accuracy": float(np.mean(right)),
        "hidden_class_accuracy_by": {k: v for k, v in apart.items() if not np.isnan(v)},
        "later_accuracy": float(np.mean(evaluation.later)),
        "later_confidence": float(np.mean(evaluation.later_confidence)),
        "hidden_class_k": list(evaluation.k),
        "confidence_ranking": ranking_quality(sure, right),
        "confidence_error": calibration_error(sure, right),
    }


def _known_sizes(solution: Solution, table: Table) -> dict[str, int]:
    """Unlabelled rows that were given to each known class, of those that got any."""
    given = solution.found[~solution.is_new]
    sizes = np.bincount(given, minlength=len(table.classes)).tolist()
    return {name: size for name, size in zip(table.classes, sizes, strict=True) if size}


def _shares(table: Table) -> np.ndarray:
    """Share of every known class of the labelled rows."""
    sizes = np.bincount(table.y[table.y != UNLABELLED])
    return np.asarray(sizes / sizes.sum())


def compare_groups(
    table: Table, names: Sequence[str], evaluation: Evaluation | None
) -> list[dict[str, Any]]:
    """What each group holds, and how well hidden classes were found in it.

    Names are those of the class of every row, as it is labelled or was answered.

    Returns:
        A record a group, the largest first; none where there are no groups. `shares` are those of
        classes among all its rows. `hidden_class_accuracy` goes by classes matched across all
        groups, `hidden_class_accuracy_alone` by classes matched within this one: where it is much
        higher, the group is told apart and not its classes. None where no row of it was hidden.
    """
    if table.group is None:
        return []
    classes, codes = np.unique(np.asarray(names, str), return_inverse=True)
    sizes = np.bincount(table.group, minlength=len(table.group_names))
    records = []
    for g in np.argsort(-sizes, kind="stable")[:MOST_GROUPS].tolist():
        own = table.group == g
        shares = np.bincount(codes[own], minlength=len(classes)) / max(sizes[g], 1)
        together, alone = _hidden(evaluation, own)
        records.append(
            {
                "group": table.group_names[g],
                "n_rows": int(sizes[g]),
                "n_unlabelled": int((table.y[own] == UNLABELLED).sum()),
                "shares": {
                    name: round(share, 4)
                    for name, share in zip(classes.tolist(), shares.tolist(), strict=True)
                    if share
                },
                "hidden_class_accuracy": together,
                "hidden_class_accuracy_alone": alone,
            }
        )
    return records


def _hidden(evaluation: Evaluation | None, own: np.ndarray) -> tuple[float | None, float | None]:
    """Share of the rows of hidden classes in a group that were sorted right, matched both ways."""
    if evaluation is None or not (here := own[evaluation.rows]).any():
        return None, None
    right = 0
    for fold in np.unique(evaluation.fold[here]):
        rows = here & (evaluation.fold == fold) & (evaluation.found >= 0)
        right += int(is_right(evaluation.found[rows], evaluation.y[rows]).sum())
    return float(evaluation.right[here].mean()), right / int(here.sum())


def one_group_warnings(column: str, groups: Sequence[Mapping[str, Any]], k: int) -> list[str]:
    """New classes that lie in one group nearly wholly, as a group that differs would."""
    said, unlabelled = [], sum(each["n_unlabelled"] for each in groups)
    for name in (f"novel_{i}" for i in range(k)):
        sizes = [each["shares"].get(name, 0.0) * each["n_rows"] for each in groups]
        most = int(np.argmax(sizes)) if sizes else 0
        if sum(sizes) < FEWEST or sizes[most] < NEARLY_ALL * sum(sizes):
            continue
        if (expected := groups[most]["n_unlabelled"] / unlabelled) <= MOST_EXPECTED:
            said.append(
                f"{sizes[most] / sum(sizes):.0%} of {name} lie in {show(groups[most]['group'])} of"
                f" {show(column)}, which holds {expected:.0%} of the unlabelled rows: it may be how"
                " that group differs, and no class"
            )
    return said


def find(
    solution: Solution,
    table: Table,
    true_names: list[str] | None,
    recorded: dict[str, Any],
    metrics: dict[str, Any],
) -> Findings:
    """Gathers what the records and the report are made from.

    True names are of every row's class where they are known, for eyes only; what is `recorded` is
    the content of `config.json`.
    """
    problem, found, best, on_hidden, _ = solution.winner
    answer, evaluation = solution.answer, solution.evaluation
    names, frame = _names(table, solution), table.original()
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    drawn, profiles = _described(solution, table, names, true_names)
    points = np.searchsorted(table.row_numbers, drawn.row)
    rows, copied = table.row_numbers[unlabelled], table.copied
    copied = None if copied is None else copied.iloc[unlabelled]
    assignments = assignments_of(solution, solution.found, rows, copied)
    return Findings(
        config=recorded,
        metrics=metrics,
        classes=table.classes,
        n_columns=frame.shape[1],
        hidden=tuple(
            tuple(np.asarray(table.classes)[hidden].tolist())
            for hidden in problem.hidden_folds.hidden
        ),
        trials=tuple(found.trials),
        best=best[0].number,
        scored=tuple(on_hidden),
        ranking=_ranking(solution.tuned),
        assignments=assignments,
        confidence_curve=None
        if evaluation is None
        else accuracy_by_confidence(evaluation.confidence, evaluation.right),
        profiles=profiles,
        k_curve=_k_curve(problem, solution.refits, answer),
        number=number_story(solution),
        latent_map=drawn,
        shown=choose_shown(frame, profiles, points, unlabelled, assignments),
        loss=(
            np.asarray(solution.refits.loss[answer.refit]) if problem.method.stages else np.zeros(0)
        ),
        reading=table.reading,
    )


def _described(
    solution: Solution, table: Table, names: list[str], true_names: list[str] | None
) -> tuple[LatentMap, Profiles]:
    """The map of the rows and what sets the classes apart; both work outside Python mostly."""
    seed, new = solution.winner.problem.config.seed, solution.is_new
    is_novel = np.zeros(len(table.y), bool)
    is_novel[np.flatnonzero(table.y == UNLABELLED)[new]] = True
    z, numbers = solution.z, table.row_numbers
    rows = SortedRows(table.original(), names, is_novel, z, solution.confidence[new], numbers)
    with ThreadPoolExecutor(1) as beside:
        drawing = beside.submit(latent_map, z, numbers, names, is_novel, true_names, seed=seed)
        profiles = profile_classes(rows, table.classes, solution.answer.k, seed=seed)
        return drawing.result(), profiles


def _ranking(tuned: list[Tuned]) -> tuple[Ranked, ...]:
    """The methods by hidden-class score, the best first."""
    ranked = []
    for problem, _, _, on_hidden, _ in tuned:
        scores = unselected_scores(on_hidden)
        ranked.append(Ranked(problem.config.method, problem.info.title, scores))
    return tuple(sorted(ranked, key=lambda each: -each.score))


def _k_curve(problem: Problem, refits: Refits, answer: Answer) -> KCurve | None:
    """The validity index, averaged over the refits that count."""
    if refits.estimate is None or (how := k_search(problem)) is None:
        return None
    finite = np.asarray(refits.finite)
    values = np.ma.masked_invalid(refits.estimate.values)[finite]
    return KCurve(
        name=how.index,
        ks=np.asarray(refits.estimate.ks[0]),
        index=values.mean(axis=0).filled(np.nan),
        spread=values.std(axis=0).filled(np.nan),
        chosen=answer.k,
        tolerance=how.tolerance,
    )


def _names(table: Table, solution: Solution) -> list[str]:
    """The name of every row's class: a known one, or `novel_i`."""
    n_known = len(table.classes)
    classes = [*table.classes, *(f"novel_{i}" for i in range(solution.answer.k))]
    codes = table.y.astype(int)
    codes[table.y == UNLABELLED] = solution.labels(n_known)
    return np.asarray(classes, dtype=object)[codes].tolist()
