"""A finished run that a person is asked about: answers as files, and all that follows from them.

What the run has left is never rewritten, so every answer can be taken back. `answers.csv` and
`labels.csv` in the folder of the run are all that is remembered of a person: the rest follows.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import Question, next_questions, plan_questions
from ncd_jax.ask.parts import Sight
from ncd_jax.ask.resort import Resorted, remembered_as, resort, sight_of, state_of
from ncd_jax.ask.state import State
from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.discovery.model import Model, Places
from ncd_jax.discovery.solution import Asked
from ncd_jax.errors import UserError
from ncd_jax.store.answers import KNOWN, Answers, read_answers
from ncd_jax.store.asked_files import (
    FACTS,
    fingerprint,
    question_lines,
    read_asked,
    read_cells,
    write_questions,
)
from ncd_jax.store.model_files import load_model, names_of, save_model
from ncd_jax.store.records import ANSWER_COLUMNS, read_assignments, read_metrics
from ncd_jax.store.workdir import Workdir

__all__ = ["Asking", "Outcome", "as_user_errors", "in_resort"]

_ANSWERS, _LABELS = "answers.csv", "labels.csv"
_SCORES = ("novel_acc", "novel_nmi", "novel_ari")
_BEFORE = (
    "n_rows_known",
    "known_sizes",
    "n_novel_estimated",
    "n_novel_probability",
    "novel_sizes",
    "mean_confidence",
    *_SCORES,
)
"""Of the metrics, what answers change."""


class Outcome(NamedTuple):
    """All that follows from some answers.

    Attributes:
        said: the answers.
        found: what holds now.
        metrics: the content of `metrics.json`.
        questions: the next ones.
        n_asked: rows that questions are about.
        n_new: rows that were new before any answer, whose sample these are.
        n_moved: rows that were in another class before any answer.
    """

    said: Answers
    found: Resorted
    metrics: dict[str, Any]
    questions: list[Question]
    n_asked: int
    n_new: int
    n_moved: int

    def contradicted(self) -> dict[str, tuple[str, ...]]:
        """Questions whose answer does not hold, and those whose answers speak against it."""
        full = {name.partition("@")[0]: name for name in self.said.answers}
        against = self.found.state.contradicted
        return {full[name]: tuple(full[n] for n in others) for name, others in against.items()}


def in_resort(
    said: Answers, asked: Asked, rows: np.ndarray, classes: Sequence[str]
) -> tuple[dict[str, str], dict[int, str]]:
    """Answers as `resort` takes them: questions without their mark, rows by their place.

    Args:
        said: the answers.
        asked: what the run left.
        rows: `i[u]`, row numbers of the unlabelled rows.
        classes: names of the known classes.

    Raises:
        UserError: one is of another run, for a row that is not unlabelled, or of a known class that
            there is not.
    """
    mark, answers = fingerprint(asked, rows), dict[str, str]()
    code = {f"{KNOWN}{name}": f"class{c}" for c, name in enumerate(classes)}
    for name, answer in said.answers.items():
        question, _, of = name.partition("@")
        if of != mark:
            raise UserError(f"{name!r} is no question of this run; answer those that it asks")
        if answer.startswith(KNOWN) and answer not in code:
            raise UserError(
                f"{answer.removeprefix(KNOWN)!r}, the answer to {name}, is no known class of this"
                " run; name one that is"
            )
        answers[question] = code.get(answer, answer)
    place = {row: i for i, row in enumerate(rows.tolist())}
    for row in said.labels:
        if row not in place:
            raise UserError(f"row {row} is no unlabelled row of this run; label one of those")
    return answers, {place[row]: name for row, name in said.labels.items()}


@contextmanager
def as_user_errors() -> Iterator[None]:
    """Questions that there are not, as mistakes of the user's."""
    try:
        yield
    except ValueError as error:
        raise UserError(f"{error}; answer questions of this run") from None


class Asking:
    """A finished run that a person is asked about.

    Attributes:
        workdir: of the run.
        asked: what it left.
        rows: `i[u]`, row numbers of its unlabelled rows.
        base: the model before any answer.
        sight: what questions are about.
        copied: columns of the rows that name them and are no features.
        mark: the fingerprint of the run.
        said: what a person has said so far.
    """

    def __init__(self, workdir: Workdir) -> None:
        """Reads what the run left.

        Raises:
            UserError: it is not finished, left nothing, or is damaged.
        """
        if not workdir.is_complete:
            raise UserError(f"the run in {workdir.root} is not finished; let it finish first")
        if not workdir.has(FACTS):
            load_model(workdir)  # says it where there is none, or one of another release
            raise UserError(
                f"the run in {workdir.root} has nothing to ask: it found nothing new, or was"
                " without the judge; run again with --config.method=rca in a new workdir"
            )
        self.workdir = workdir
        self._current = load_model(workdir)
        self.asked, self.rows, parts, self.copied = read_asked(workdir)
        self.base = _base(self._current, self.asked, parts)
        self.mark = fingerprint(self.asked, self.rows)
        self.sight: Sight = sight_of(self.asked)
        self.said = Answers(
            read_answers(workdir.where(_ANSWERS)).answers if workdir.has(_ANSWERS) else {},
            read_answers(workdir.where(_LABELS)).labels if workdir.has(_LABELS) else {},
        )

    @property
    def n_asked(self) -> int:
        """Rows that questions are about."""
        return len(self.asked.row)

    @property
    def n_new(self) -> int:
        """Rows that were new before any answer, whose sample these are."""
        return int((self.asked.like >= 0).sum())

    def cells(self) -> pd.DataFrame:
        """The rows that may be shown; see `read_cells`."""
        return read_cells(self.workdir, self.rows[self.asked.row])

    def following(self, said: Answers) -> tuple[State, list[Question]]:
        """What some answers say of the rows that are asked about, and the next question, if any.

        Raises:
            UserError: an answer is of another run, to no question, or for a row that is labelled.
        """
        told = self._told(said)
        with as_user_errors():
            state = state_of(self.base, self.asked, self.sight, *told)
        return state, next_questions(self.sight, state, 1)

    def outcome(self, said: Answers) -> Outcome:
        """All that follows from some answers.

        Raises:
            UserError: see `following`.
        """
        told = self._told(said)
        with as_user_errors():
            found = resort(self.base, self.asked, self.sight, *told)
        questions = plan_questions(self.sight, told[0], found.state.written)
        read_metrics(self.workdir)  # says what is wrong with it
        old = self.workdir.read_json("metrics.json")
        metrics = _metrics(old, found, len(said), self.names(found))
        moved = _moved(self.asked.labels, found.labels, self.base.n_known)
        return Outcome(said, found, metrics, questions, self.n_asked, self.n_new, moved)

    def write(self, outcome: Outcome, page: str | None = None) -> None:
        """Writes all that follows from some answers, which are all that there are from now on.

        Args:
            outcome: of these.
            page: the report that speaks of it; the old one stays where there is none.

        Raises:
            UserError: the folder is in use, cannot be written, or has other rows than the run.
        """
        said, found = outcome.said, outcome.found
        names = self.names(found)
        called = [names.get(name, name) for name in found.model.classes]
        questions = question_lines(outcome.questions, self.asked, self.rows, self.base)
        header, lines = read_assignments(self.workdir)
        self._put(header, lines, found, called)
        with self.workdir.alone(), self.workdir.together() as group:
            is_named = names or self.workdir.has("names.json")
            save_model(group, found.model, names if is_named else None)
            group.write_csv(_ANSWERS, ("question", "answer"), sorted(said.answers.items()))
            if said.labels or self.workdir.has(_LABELS):
                group.write_csv(_LABELS, ("row", "label"), sorted(said.labels.items()))
            write_questions(group, questions)
            group.write_csv("assignments.csv", header, lines)
            if page is not None:
                group.write_text("report.html", page)
            group.write_json("metrics.json", outcome.metrics)
        self.said, self._current = said, found.model

    def _told(self, said: Answers) -> tuple[dict[str, str], dict[int, str]]:
        return in_resort(said, self.asked, self.rows, self.base.classes[: self.base.n_known])

    def _put(
        self, header: list[str], lines: list[list[str]], found: Resorted, called: list[str]
    ) -> None:
        """Puts the answer into lines of `assignments.csv`, in place."""
        columns, path = ("row", *ANSWER_COLUMNS), self.workdir.path("assignments.csv")
        if not set(columns) <= set(header):
            raise UserError(f"{path} has other columns than a run's; run again in a new workdir")
        row, label, sure, second, second_sure = (header.index(name) for name in columns)
        place = {str(number): i for i, number in enumerate(self.rows.tolist())}
        if {line[row] for line in lines} != set(place):
            raise UserError(f"{path} has other rows than the run; run again in a new workdir")
        for line in lines:
            i = place[line[row]]
            line[label] = called[found.labels[i]]
            line[sure] = f"{found.confidence[i]:.4f}"
            runner_up = int(found.runner_up[i])
            line[second] = called[runner_up] if runner_up >= 0 else ""
            line[second_sure] = f"{found.runner_up_confidence[i]:.4f}" if runner_up >= 0 else ""

    def names(self, found: Resorted) -> dict[str, str]:
        """The names that people gave, each with the class that most of its rows are of now."""
        old, current = names_of(self.workdir), self._current
        if not old or current.remembered is None:
            return {}
        names: dict[str, str] = {}
        labels = current.remembered.labels[self.asked.at]
        n_known = current.n_known
        for novel, name in sorted(old.items(), key=lambda each: int(each[0].split("_")[1])):
            rows = found.labels[labels == n_known + int(novel.split("_")[1])]
            sizes = np.bincount(rows[rows >= n_known])
            if len(sizes):
                names.setdefault(f"novel_{int(sizes.argmax()) - n_known}", name)
        return names


def _moved(before: np.ndarray, after: np.ndarray, n_known: int) -> int:
    """Rows in another class than before; new classes are matched one to one."""
    new = (before >= n_known) & (after >= n_known)
    a, b = before[new] - n_known, after[new] - n_known
    stay = int((before == after)[before < n_known].sum())
    if len(a):
        pairs = count_pairs(a, b, int(a.max()) + 1, int(b.max()) + 1)
        match = match_clusters(pairs)
        stay += int(pairs[match >= 0, match[match >= 0]].sum())
    return len(before) - stay


def _metrics(
    old: dict[str, Any], found: Resorted, n_answers: int, names: dict[str, str]
) -> dict[str, Any]:
    """The content of `metrics.json` after some answers, and before them."""
    before = old.get("before_answers") or {key: old[key] for key in _BEFORE if key in old}
    rest = {k: v for k, v in old.items() if k not in ("before_answers", "names")}
    named = {"names": names} if names else {}
    if not n_answers:
        return {**rest, **before, "n_answers": 0, **named}
    labels, n_known = found.labels, found.model.n_known
    sizes = np.bincount(labels, minlength=len(found.model.classes)).tolist()
    known = zip(found.model.classes, sizes[:n_known], strict=False)
    numbers = {} if found.numbers is None else dict(enumerate(found.numbers.tolist(), start=1))
    now = {
        **{score: None for score in _SCORES if score in before},  # nobody has the truth any more
        "n_answers": n_answers,
        "n_rows_known": int((labels < n_known).sum()),
        "known_sizes": {name: size for name, size in known if size},
        "n_novel_estimated": len(sizes) - n_known,
        "n_novel_probability": {str(k): round(p, 4) for k, p in numbers.items() if p >= 5e-5},
        "novel_sizes": sizes[n_known:],
        "mean_confidence": float(np.mean(found.confidence)),
    }
    return {**rest, **now, "before_answers": before, **named}


def _base(model: Model, asked: Asked, parts: Mapping[str, np.ndarray]) -> Model:
    """The model before any answer."""
    n_known = model.n_known
    known = model.classes[:n_known]
    n_new = len(parts["rows"]) - n_known
    base = model._replace(
        classes=(*known, *(f"novel_{i}" for i in range(n_new))),
        means=parts["means"],
        rows=parts["rows"],
        places=Places(**{name: parts[f"places_{name}"] for name in Places._fields}),
        reference=model.reference._replace(limits=parts["limits"], y=parts["y"]),
    )
    p_known = asked.p_known
    remembered = remembered_as(base, asked, asked.labels, asked.confidence, p_known)
    return base._replace(remembered=remembered)
