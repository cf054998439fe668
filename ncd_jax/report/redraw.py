"""Answers put to a run: its rows are sorted again, and its report drawn again.

`model/drawn.npz` and `model/drawn.json` hold the rows in the columns that people know and in the
space in which they are shown, a random sample of very many, and what answers do not change.
Nothing rewrites them.
"""

import dataclasses
from typing import Any, NamedTuple

import jinja2
import numpy as np
import pandas as pd

from ncd_jax.data.table import Table
from ncd_jax.discovery.evaluate import ConfidenceCurve
from ncd_jax.discovery.solution import Asked
from ncd_jax.errors import UserError
from ncd_jax.profiles.classes import Profiles, SortedRows, profile_classes
from ncd_jax.read.columns import OddCell, Reading, TableReading
from ncd_jax.report.findings import Findings, Ranked, assignments_of, choose_shown
from ncd_jax.report.how_many import NumberStory, chance_of
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.report.page import render_report
from ncd_jax.report.questions import AskingStory, contradictions, first_story, unsorted
from ncd_jax.report.renaming import rename_page
from ncd_jax.store.answers import Answers
from ncd_jax.store.asking import Asking, Outcome
from ncd_jax.store.frames import frame_of, frame_parts
from ncd_jax.store.records import read_config
from ncd_jax.store.workdir import Workdir, check_arrays, stored_arrays
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import UNLABELLED

__all__ = ["apply", "keep"]

MOST_KEPT = 20_000
"""Rows of the table that a report is drawn from again."""
_ARRAYS, _FACTS = "model/drawn.npz", "model/drawn.json"


class _Kept(NamedTuple):
    """What was kept of `k` of the `n` rows of a table.

    Attributes:
        frame: their columns, as people know them.
        row: `i[k]`, their numbers.
        y: `i[k]`, their known class, or `UNLABELLED`.
        z: `f32[k, L]`, as they are shown.
        drawn: `i[p]`, which of them are points of the map, `xy` `f[p, 2]` where these lie and
            `truth` their true classes where they are known, for eyes only.
        number: what was said of the number of classes before any answer.
        unknown: metrics that nobody could measure.
        facts: all other `Findings` that answers do not change, by name.
    """

    frame: pd.DataFrame
    row: np.ndarray
    y: np.ndarray
    z: np.ndarray
    drawn: np.ndarray
    xy: np.ndarray
    truth: tuple[str, ...] | None
    number: NumberStory | None
    unknown: tuple[str, ...]
    facts: dict[str, Any]


def keep(workdir: Workdir, findings: Findings, table: Table, z: np.ndarray) -> None:
    """Writes what `_read_kept` reads: findings before any answer, and rows `z`, `f32[n, L]`."""
    n, drawn = len(table.y), np.searchsorted(table.row_numbers, findings.latent_map.row)
    kept = np.arange(n)
    if n > MOST_KEPT:
        rng = np.random.default_rng(findings.config["run"]["config"]["seed"])
        kept = np.union1d(drawn, rng.choice(n, MOST_KEPT - len(drawn), replace=False))
    columns, of_columns = frame_parts(table.original().iloc[kept].reset_index(drop=True))
    arrays = columns | {
        "row": table.row_numbers[kept],
        "y": table.y[kept],
        "z": z[kept],
        "drawn": np.searchsorted(kept, drawn),
        "xy": findings.latent_map.xy,
        "loss": findings.loss,
    }
    curve, number, reading = findings.confidence_curve, findings.number, findings.reading
    facts = {
        "columns": of_columns,
        "truth": findings.latent_map.truth,
        "hidden": findings.hidden,
        "trials": [dataclasses.asdict(trial) for trial in findings.trials],
        "best": findings.best,
        "scored": [dataclasses.asdict(trial) for trial in findings.scored],
        "ranking": [dataclasses.asdict(each) for each in findings.ranking],
        "curve": curve and [values.tolist() for values in curve],
        "number": number and dataclasses.asdict(number),
        "reading": reading and dataclasses.asdict(reading),
        "unknown": [name for name, value in findings.metrics.items() if value != value],
    }
    with workdir.together() as group:
        group.write_arrays(_ARRAYS, arrays)
        group.write_json(_FACTS, facts)


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
    findings = _findings(asking, outcome, _read_kept(asking.workdir))
    try:
        page = render_report(findings)
    except jinja2.UndefinedError:
        path = asking.workdir.path("metrics.json")
        raise UserError(f"{path} lacks what a run writes; run again in a new workdir") from None
    asking.write(outcome, rename_page(page, asking.names(outcome.found)))
    return outcome


def _findings(asking: Asking, outcome: Outcome, kept: _Kept) -> Findings:
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
    assignments = assignments_of(found, found.labels, asking.rows, _copied(asking))
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
    kept: _Kept, outcome: Outcome, codes: np.ndarray, confidence: np.ndarray, seed: int
) -> Profiles:
    """What the classes are now; how many rows they have is known of all."""
    n_known, classes = outcome.found.model.n_known, outcome.found.model.classes
    is_novel = codes >= n_known
    labels = [classes[code] for code in codes.tolist()]
    confidence = confidence[is_novel[kept.y == UNLABELLED]]
    rows = SortedRows(kept.frame, labels, is_novel, kept.z, confidence, kept.row)
    found = profile_classes(rows, classes[:n_known], len(classes) - n_known, seed=seed)
    sizes = dict(zip(classes[n_known:], outcome.metrics["novel_sizes"], strict=True))
    total = max(sum(sizes.values()), 1)
    profiles = tuple(
        dataclasses.replace(each, size=sizes[each.name], share=sizes[each.name] / total)
        for each in found.classes
    )
    return dataclasses.replace(found, classes=profiles)


def _copied(asking: Asking) -> pd.DataFrame | None:
    """What is copied of every unlabelled row, in order of row: it stands in the file."""
    header, lines = asking.assignments()
    first, last = header.index("row") + 1, header.index("label")
    if first >= last:
        return None
    order = np.argsort([int(line[first - 1]) for line in lines])
    cells = [[cell or None for cell in lines[i][first:last]] for i in order.tolist()]
    return pd.DataFrame(cells, columns=header[first:last], dtype=object)


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
            nearly_one = (*names, chance_of(merge.linkage))
    for merge in state.made:
        a, b = sides(merge.a, merge.b)
        if n_known <= a == b:
            rows = sorted(len(state.leaves.rows_of(each)) for each in (merge.a, merge.b))
            name = found.model.classes[a]
            nearly_two = (name, rows[1], rows[0], chance_of(merge.linkage))
    k = outcome.metrics["n_novel_estimated"]
    is_given = before.is_given and k == asked.n_novel
    return NumberStory(k, tuple(found.numbers.tolist()), nearly_one, nearly_two, is_given)


def _story(asking: Asking, outcome: Outcome, n_drawn: int) -> AskingStory:
    """What is to be said of questions and answers."""
    found, n_all = outcome.found, outcome.metrics["n_rows"]
    now = unsorted(asking, asking.cells())
    now = now._replace(labels=found.labels, classes=found.model.classes)
    return first_story(outcome.questions, now, found.model.n_known)._replace(
        mark=outcome.said.mark,
        n_answers=len(outcome.said),
        n_moved=outcome.n_moved,
        contradicted=contradictions(outcome.contradicted(), outcome.said.answers),
        n_drawn=n_drawn if n_drawn < n_all else None,
    )


def _read_kept(workdir: Workdir) -> _Kept:
    """Reads what a run has kept; a mistake of the user's where it is missing or damaged."""
    said, data = workdir.read_json(_FACTS, dict), workdir.read_bytes(_ARRAYS)
    with workdir.reading(_ARRAYS):
        arrays, facts = stored_arrays(data), _tuples(said)
        check_arrays(arrays, "row i[k] y i[k] z f[k,l] drawn i[p] xy f[p,2]")
        rows = {name: arrays[name] for name in ("row", "y", "z", "drawn", "xy")}
        if not ((rows["drawn"] >= 0) & (rows["drawn"] < len(rows["row"]))).all():
            raise ValueError("points are of other rows")
        curve, reading = facts["curve"], facts["reading"]
        return _Kept(
            frame=frame_of(arrays, said["columns"]),
            **rows,
            truth=facts["truth"],
            number=facts["number"] and NumberStory(**facts["number"]),
            unknown=facts["unknown"],
            facts={
                "hidden": facts["hidden"],
                "trials": _trials(facts["trials"]),
                "best": facts["best"],
                "scored": _trials(facts["scored"]),
                "ranking": tuple(Ranked(**each) for each in facts["ranking"]),
                "confidence_curve": curve and ConfidenceCurve(*map(np.array, curve)),
                "reading": reading and _reading(reading),
                "loss": arrays["loss"],
            },
        )


def _tuples(value: Any) -> Any:
    """Lists as tuples."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _trials(said: tuple[dict[str, Any], ...]) -> tuple[Trial, ...]:
    """Candidates; a score that is not finite was null."""
    unknown = float("nan")
    scores = (unknown if each["score"] is None else each["score"] for each in said)
    return tuple(Trial(**each | {"score": score}) for each, score in zip(said, scores, strict=True))


def _reading(said: dict[str, Any]) -> TableReading:
    columns = (
        Reading(**each | {"odd": tuple(OddCell(**odd) for odd in each["odd"])})
        for each in said["columns"]
    )
    return TableReading(said["facts"], tuple(columns), said["notes"])
