"""Answers put to a run: its rows are sorted again, and its report drawn again."""

import dataclasses

import jinja2
import numpy as np
import pandas as pd

from ncd_jax.discovery.solution import Asked
from ncd_jax.errors import UserError
from ncd_jax.profiles.classes import Profiles, SortedRows, profile_classes
from ncd_jax.report.findings import Findings, choose_shown
from ncd_jax.report.how_many import NumberStory
from ncd_jax.report.kept import Kept, read_kept
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.report.page import render_report
from ncd_jax.report.questions import AskingStory, contradictions, outlook, show_question, unsorted
from ncd_jax.report.renaming import rename_page
from ncd_jax.store.answers import Answers
from ncd_jax.store.asking import Asking, Outcome
from ncd_jax.store.records import Assignments, read_assignments, read_config
from ncd_jax.types import UNLABELLED

__all__ = ["apply"]


def apply(asking: Asking, said: Answers) -> Outcome:
    """Sorts the rows of a run again by some answers, draws its report again, and writes all.

    Args:
        asking: the run.
        said: the answers, which are all that there are from now on.

    Raises:
        UserError: an answer is of another run, to no question, or for a row that is labelled; or
            the folder is in use, damaged, or cannot be written.
    """
    outcome = asking.outcome(said)
    findings = _findings(asking, outcome, read_kept(asking.workdir))
    try:
        page = render_report(findings)
    except jinja2.UndefinedError:
        path = asking.workdir.path("metrics.json")
        raise UserError(f"{path} lacks what a run writes; run again in a new workdir") from None
    asking.write(outcome, rename_page(page, asking.names(outcome.found)))
    return outcome


def _findings(asking: Asking, outcome: Outcome, kept: Kept) -> Findings:
    """What the report speaks of."""
    found, n_known = outcome.found, outcome.found.model.n_known
    classes = found.model.classes
    place = np.searchsorted(asking.rows, kept.row[kept.y == UNLABELLED])
    codes = kept.y.astype(np.intp)
    codes[kept.y == UNLABELLED] = found.labels[place]
    names = np.array(classes, object)[codes]
    config = read_config(asking.workdir)
    seed = config["run"]["config"]["seed"]
    profiles = _profiles(kept, outcome, codes, found.confidence[place], seed)
    assignments = _assignments(asking, outcome)
    unknown = dict.fromkeys(kept.unknown, float("nan"))
    of_kept = assignments._replace(
        rows=assignments.rows[place],
        labels=tuple(assignments.labels[i] for i in place.tolist()),
        copied=None if assignments.copied is None else assignments.copied.iloc[place],
    )
    unlabelled = np.flatnonzero(kept.y == UNLABELLED)
    shown = choose_shown(kept.frame, profiles, kept.drawn, unlabelled, of_kept)
    return Findings(
        config=config,
        metrics={"warnings": [], "gate": None, **outcome.metrics, **unknown},
        classes=classes[:n_known],
        n_columns=kept.frame.shape[1],
        assignments=assignments,
        profiles=profiles,
        k_curve=None,
        number=_number(asking.asked, outcome, kept.number),
        latent_map=LatentMap(
            xy=kept.xy,
            row=kept.row[kept.drawn],
            label=tuple(names[kept.drawn]),
            is_novel=codes[kept.drawn] >= n_known,
            truth=kept.truth,
        ),
        shown=shown._replace(listed=place[shown.listed]),
        asking=_story(asking, outcome, len(kept.y)),
        **kept.facts,
    )


def _profiles(
    kept: Kept, outcome: Outcome, codes: np.ndarray, confidence: np.ndarray, seed: int
) -> Profiles:
    """What the classes are now; how many rows they have is known of all."""
    n_known, classes = outcome.found.model.n_known, outcome.found.model.classes
    is_novel = codes >= n_known
    rows = SortedRows(
        frame=kept.frame,
        labels=[classes[code] for code in codes.tolist()],
        is_novel=is_novel,
        z=kept.z,
        confidence=confidence[is_novel[kept.y == UNLABELLED]],
        numbers=kept.row,
    )
    n_novel = len(classes) - n_known
    found = profile_classes(rows, classes[:n_known], n_novel, seed=seed)
    sizes = dict(zip(classes[n_known:], outcome.metrics["novel_sizes"], strict=True))
    total = max(sum(sizes.values()), 1)
    profiles = tuple(
        dataclasses.replace(each, size=sizes[each.name], share=sizes[each.name] / total)
        for each in found.classes
    )
    return dataclasses.replace(found, classes=profiles)


def _assignments(asking: Asking, outcome: Outcome) -> Assignments:
    """The class of every unlabelled row; what is copied of them stands in the file."""
    found, rows = outcome.found, asking.rows
    header, lines = read_assignments(asking.workdir)
    first, last = header.index("row") + 1, header.index("label")
    copied = None
    if first < last:
        order = np.argsort([int(line[first - 1]) for line in lines])
        cells = [[cell or None for cell in lines[i][first:last]] for i in order.tolist()]
        copied = pd.DataFrame(cells, columns=header[first:last], dtype=object)
    classes = (*found.model.classes, "")
    return Assignments(
        rows=rows,
        labels=tuple(classes[label] for label in found.labels.tolist()),
        confidence=found.confidence,
        runners_up=tuple(classes[label] for label in found.runner_up.tolist()),
        runner_up_confidence=found.runner_up_confidence,
        copied=copied,
    )


def _number(asked: Asked, outcome: Outcome, before: NumberStory | None) -> NumberStory | None:
    """What is to be said of the number: the merges that were nearly made, and nearly not."""
    found = outcome.found
    if found.numbers is None or before is None:
        return before
    state, n_known, labels = found.state, found.model.n_known, found.labels[asked.row]

    def sides(a: list[int], b: list[int]) -> list[int]:
        rows = (state.leaves.rows_of(a), state.leaves.rows_of(b))
        return [int(np.bincount(labels[each]).argmax()) for each in rows]

    nearly_one = nearly_two = None
    for merge in sorted(state.open, key=lambda each: each.linkage):
        a, b = sorted(sides(merge.a, merge.b))
        if n_known <= a < b:
            names = found.model.classes[a], found.model.classes[b]
            nearly_one = (*names, _chance(merge.linkage))
    for merge in state.made:
        a, b = sides(merge.a, merge.b)
        if n_known <= a == b:
            rows = sorted(len(state.leaves.rows_of(each)) for each in (merge.a, merge.b))
            name = found.model.classes[a]
            nearly_two = (name, rows[1], rows[0], _chance(merge.linkage))
    k = outcome.metrics["n_novel_estimated"]
    is_given = before.is_given and k == asked.n_novel
    return NumberStory(k, tuple(found.numbers.tolist()), nearly_one, nearly_two, is_given)


def _story(asking: Asking, outcome: Outcome, n_drawn: int) -> AskingStory:
    """What is to be said of questions and answers."""
    found, n_all = outcome.found, outcome.metrics["n_rows"]
    now = unsorted(asking, asking.cells())
    now = now._replace(labels=found.labels, classes=found.model.classes)
    return AskingStory(
        questions=tuple(show_question(question, now) for question in outcome.questions),
        outlook=outlook(outcome.questions, outcome.n_asked, outcome.n_new),
        known=asking.base.classes[: asking.base.n_known],
        mark=outcome.said.mark,
        n_answers=len(outcome.said),
        n_moved=outcome.n_moved,
        contradicted=contradictions(outcome.contradicted(), outcome.said.answers),
        n_drawn=n_drawn if n_drawn < n_all else None,
    )


def _chance(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
