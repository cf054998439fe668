"""What a run leaves for asking, answers as files, and everything that follows from them.

`model/asked.npz` holds the rows that are asked about and the answer before any answer; nothing
rewrites it, so every answer can be taken back. `answers.csv` and `labels.csv` in the folder of the
run are all that is remembered of a person: the rest follows from them. Names of questions end in
`@` and a fingerprint of what the run asks about, so that answers of another run are refused.
"""

import csv
import hashlib
import io
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
from ncd_jax.discovery.asked import OF_ROWS, Asked
from ncd_jax.discovery.model import Model, Places
from ncd_jax.errors import UserError
from ncd_jax.read.words import as_text
from ncd_jax.store.answers import Answers, read_answers
from ncd_jax.store.model_files import load_model, names_of, save_model
from ncd_jax.store.records import read_assignments, read_metrics
from ncd_jax.store.workdir import Workdir, as_it_was

__all__ = [
    "QUESTION_COLUMNS",
    "Asking",
    "Outcome",
    "as_user_errors",
    "fingerprint",
    "in_resort",
    "question_lines",
    "save_asked",
]

QUESTION_COLUMNS = (
    "question",
    "kind",
    "rows_a",
    "rows_b",
    "known_class",
    "rows_moved",
    "chance_yes",
)
MOST_COLUMNS = 200
"""Columns of the table that questions may show."""
_ARRAYS, _FACTS, _CELLS = "model/asked.npz", "model/asked.json", "model/asked.csv"
_ANSWERS, _LABELS = "answers.csv", "labels.csv"
_SCALARS = ("shift", "n_novel", "n_voters", "view")
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
    """What answers have changed, for people.

    Attributes:
        metrics: the content of `metrics.json`.
        questions: the next ones.
        n_asked: rows that questions are about.
        n_new: rows that were new before any answer, whose sample these are.
        n_moved: rows that were in another class before any answer.
        contradicted: questions whose answer does not hold.
    """

    metrics: dict[str, Any]
    questions: list[Question]
    n_asked: int
    n_new: int
    n_moved: int
    contradicted: list[str]


def fingerprint(asked: Asked, rows: np.ndarray) -> str:
    """Eight signs that stand for what is asked about.

    Args:
        asked: of a run.
        rows: `i[u]`, row numbers of the unlabelled rows.
    """
    said = np.stack([rows[asked.row].astype("<i8"), asked.micro.astype("<i8")])
    return hashlib.sha256(said.tobytes()).hexdigest()[:8]


def in_resort(
    said: Answers, asked: Asked, rows: np.ndarray
) -> tuple[dict[str, str], dict[int, str]]:
    """Answers as `resort` takes them: questions without their mark, rows by their place.

    Args:
        said: the answers.
        asked: what the run left.
        rows: `i[u]`, row numbers of the unlabelled rows.

    Raises:
        UserError: one is of another run, or for a row that is not unlabelled.
    """
    mark, answers = fingerprint(asked, rows), dict[str, str]()
    for name, answer in said.answers.items():
        question, _, of = name.partition("@")
        if of != mark:
            raise UserError(f"{name!r} is no question of this run; answer those that it asks")
        answers[question] = answer
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


def save_asked(
    workdir: Workdir,
    asked: Asked,
    model: Model,
    rows: np.ndarray,
    cells: pd.DataFrame,
    copied: Sequence[str] = (),
) -> None:
    """Writes what asking needs, and the first questions.

    Args:
        workdir: of the run.
        asked: what was found.
        model: before any answer.
        rows: `i[u]`, row numbers of the unlabelled rows.
        cells: those that are asked about, in their order, as people know them.
        copied: columns of them that name the rows and are no features.
    """
    arrays = {name: value for name, value in asked._asdict().items() if name not in _SCALARS}
    parts = {
        "means": model.means,
        "rows": model.rows,
        "limits": model.reference.limits,
        "y": model.reference.y,
        **{f"places_{name}": value for name, value in model.places._asdict().items()},
    }
    shown = cells[_telling(cells, asked.micro)]
    with workdir.together() as group:
        arrays |= {f"base_{name}": value for name, value in parts.items()} | {"number": rows}
        facts = {name: getattr(asked, name) for name in _SCALARS}
        facts["copied"] = [name for name in shown.columns if name in copied]
        facts["sha256"] = group.write_arrays(_ARRAYS, arrays)
        group.write_json(_FACTS, facts)
        lines = ([int(rows[i]), *map(as_text, line)] for i, line in _lines(shown, asked.row))
        group.write_csv(_CELLS, ["row", *shown.columns], lines)
        sight = sight_of(asked)
        questions = plan_questions(sight, {}, {})
        _write_questions(group, question_lines(questions, asked, rows, model))


def _lines(frame: pd.DataFrame, row: np.ndarray) -> list[tuple[int, list[Any]]]:
    empty = frame.isna().to_numpy()
    return [
        (int(i), ["" if none else cell for cell, none in zip(line, of_line, strict=True)])
        for i, line, of_line in zip(row, frame.itertuples(index=False), empty, strict=True)
    ]


def _telling(frame: pd.DataFrame, micro: np.ndarray) -> list[str]:
    """The columns, of very many those whose numbers differ most between micro clusters."""
    columns = list(frame.columns)
    if len(columns) <= MOST_COLUMNS:
        return columns
    numbers = frame.apply(pd.to_numeric, errors="coerce")
    between = numbers.groupby(micro).transform("mean").var() / numbers.var().replace(0, np.nan)
    best = set(between.fillna(0.0).sort_values(kind="stable").index[-MOST_COLUMNS:])
    return [name for name in columns if name in best]


def question_lines(
    questions: Sequence[Question], asked: Asked, rows: np.ndarray, model: Model
) -> list[tuple[Any, ...]]:
    """Questions as lines of a table with `QUESTION_COLUMNS`; rows are arrays of their numbers.

    Args:
        questions: these.
        asked: what they are about.
        rows: `i[u]`, row numbers of the unlabelled rows.
        model: whose known classes they may be about.
    """
    mark, number = fingerprint(asked, rows), rows[asked.row]
    share = float((asked.like >= 0).sum() / len(asked.row))
    return [
        (
            f"{each.name}@{mark}",
            each.kind,
            number[each.rows_a],
            number[each.rows_b],
            model.classes[each.known] if each.known >= 0 else "",
            round(each.rows_moved * share),
            round(each.chance_yes, 3),
        )
        for each in questions
    ]


def _write_questions(workdir: Workdir, lines: Sequence[tuple[Any, ...]]) -> None:
    def cell(value: Any) -> Any:
        return " ".join(map(str, value)) if isinstance(value, np.ndarray) else value

    workdir.write_csv("questions.csv", QUESTION_COLUMNS, [list(map(cell, line)) for line in lines])


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
        if not workdir.has(_FACTS):
            load_model(workdir)  # says it where there is none, or one of another release
            raise UserError(
                f"the run in {workdir.root} has nothing to ask: it found nothing new, or was"
                " without the judge; run again with --config.method=rca in a new workdir"
            )
        self.workdir = workdir
        self._current = load_model(workdir)
        self.asked, self.rows, parts = _read_asked(workdir)
        self.copied = [str(name) for name in workdir.read_json(_FACTS, dict)["copied"]]
        self.base = _base(self._current, self.asked, parts)
        self.mark = fingerprint(self.asked, self.rows)
        self.sight: Sight = sight_of(self.asked)
        self.said = Answers(
            read_answers(workdir.path(_ANSWERS)).answers if workdir.has(_ANSWERS) else {},
            read_answers(workdir.path(_LABELS)).labels if workdir.has(_LABELS) else {},
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
        """The rows that may be shown, as people know them, under their row numbers, as text."""
        text = io.StringIO(self.workdir.read_text(_CELLS), newline="")
        header, *lines = ([as_it_was(cell) for cell in line] for line in csv.reader(text))
        frame = pd.DataFrame([line[1:] for line in lines], columns=header[1:], dtype=str)
        return frame.set_axis([int(line[0]) for line in lines], axis=0)

    def following(self, said: Answers) -> tuple[State, list[Question]]:
        """What some answers say of the rows that are asked about, and the next question, if any.

        Raises:
            UserError: an answer is of another run, to no question, or for a row that is labelled.
        """
        told = in_resort(said, self.asked, self.rows)
        with as_user_errors():
            state = state_of(self.base, self.asked, self.sight, *told)
        return state, next_questions(self.sight, state, 1)

    def write(self, said: Answers) -> Outcome:
        """Writes all that follows from some answers; these are all that there are from now on.

        Args:
            said: the answers.

        Raises:
            UserError: see `following`; or the folder is in use or cannot be written.
        """
        told = in_resort(said, self.asked, self.rows)
        with as_user_errors():
            found = resort(self.base, self.asked, self.sight, *told)
        questions = plan_questions(self.sight, told[0], found.state.written)
        names = self._names(found)
        called = [names.get(name, name) for name in found.model.classes]
        lines_of_questions = question_lines(questions, self.asked, self.rows, self.base)
        header, lines = read_assignments(self.workdir)
        self._put(header, lines, found, called)
        read_metrics(self.workdir)  # says what is wrong with it
        old = self.workdir.read_json("metrics.json")
        metrics = _metrics(old, found, len(said), names)
        with self.workdir.alone(), self.workdir.together() as group:
            is_named = names or self.workdir.has("names.json")
            save_model(group, found.model, names if is_named else None)
            group.write_csv(_ANSWERS, ("question", "answer"), sorted(said.answers.items()))
            if said.labels or self.workdir.has(_LABELS):
                group.write_csv(_LABELS, ("row", "label"), sorted(said.labels.items()))
            _write_questions(group, lines_of_questions)
            group.write_csv("assignments.csv", header, lines)
            group.write_json("metrics.json", metrics)
        self.said, self._current = said, found.model
        moved = _moved(self.asked.labels, found.labels, self.base.n_known)
        counts = self.n_asked, self.n_new, moved
        return Outcome(metrics, questions, *counts, found.state.contradicted)

    def _put(
        self, header: list[str], lines: list[list[str]], found: Resorted, called: list[str]
    ) -> None:
        """Puts the answer into lines of `assignments.csv`, in place."""
        columns = ("row", "label", "confidence", "runner_up", "runner_up_confidence")
        row, label, sure, second, second_sure = (header.index(name) for name in columns)
        place = {str(number): i for i, number in enumerate(self.rows.tolist())}
        if {line[row] for line in lines} != set(place):
            raise UserError(
                f"{self.workdir.path('assignments.csv')} has other rows than the run; run again in"
                " a new workdir"
            )
        for line in lines:
            i = place[line[row]]
            line[label] = called[found.labels[i]]
            line[sure] = f"{found.confidence[i]:.4f}"
            runner_up = int(found.runner_up[i])
            line[second] = called[runner_up] if runner_up >= 0 else ""
            line[second_sure] = f"{found.runner_up_confidence[i]:.4f}" if runner_up >= 0 else ""

    def _names(self, found: Resorted) -> dict[str, str]:
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


def _read_asked(workdir: Workdir) -> tuple[Asked, np.ndarray, dict[str, np.ndarray]]:
    """What `save_asked` wrote: the record, row numbers, and parts of the model."""
    try:
        facts, data = workdir.read_json(_FACTS, dict), workdir.read_bytes(_ARRAYS)
        if hashlib.sha256(data).hexdigest() != facts["sha256"]:
            raise ValueError("these are other arrays than those that were written")
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        rows = arrays.pop("number")
        parts = {
            name.removeprefix("base_"): arrays.pop(name)
            for name in list(arrays)
            if name.startswith("base_")
        }
        scalars = {name: facts[name] for name in _SCALARS}
        asked = Asked(**arrays, **scalars)._replace(view=tuple(facts["view"]))
        _check(asked, rows)
    except UserError:
        raise
    except Exception as error:  # somebody else's data may be wrong in any way
        raise UserError(
            f"{workdir.path(_ARRAYS)} is damaged; run again in a new workdir"
        ) from error
    return asked, rows, parts


def _check(asked: Asked, rows: np.ndarray) -> None:
    """Whether the arrays belong together.

    Raises:
        ValueError: they do not.
    """
    n, m, u = len(asked.micro), len(asked.evidence), len(rows)
    if not (
        asked.evidence.shape == (m, m)
        and np.isfinite(asked.evidence).all()
        and asked.z.shape[:1] == asked.known.shape[:1] == asked.row.shape == (n,)
        and np.isfinite(asked.z).all()
        and np.array_equal(np.unique(asked.micro), np.arange(m))
        and all(len(getattr(asked, name)) == u for name in OF_ROWS)
        and ((asked.row >= 0) & (asked.row < u)).all()
        and ((asked.like >= -1) & (asked.like < n)).all()
    ):
        raise ValueError("arrays do not belong together")


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
