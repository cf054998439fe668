"""The files of what a run leaves for asking, its questions among them.

`model/asked.npz` and `model/asked.json` hold the rows that are asked about and the answer before
any answer, `model/asked.csv` the rows as people know them; nothing rewrites these. Names of
questions end in `@` and a fingerprint of what the run asks about, so that answers of another run
are refused.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import Question, plan_questions
from ncd_jax.ask.resort import sight_of
from ncd_jax.discovery.model import Model, Places
from ncd_jax.discovery.solution import OF_ROWS, Asked
from ncd_jax.errors import UserError
from ncd_jax.read.words import as_text
from ncd_jax.store.workdir import Workdir, as_it_was, stored_arrays

__all__ = [
    "FACTS",
    "QUESTION_COLUMNS",
    "fingerprint",
    "question_lines",
    "read_asked",
    "read_cells",
    "save_asked",
    "write_questions",
]

FACTS = "model/asked.json"
"""What is there where something can be asked."""
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
_ARRAYS, _CELLS = "model/asked.npz", "model/asked.csv"
_SCALARS = ("shift", "n_novel", "n_voters", "view")
_KINDS = dict.fromkeys(("micro", "row", "like", "at", "labels", "runner_up"), "i") | dict.fromkeys(
    ("evidence", "z", "known", "p_known", "familiar", "confidence", "runner_up_confidence"), "f"
)
"""Numbers of NumPy's, whole ones and others."""
_OF_MODEL = ("means", "rows", "limits", "y", *(f"places_{name}" for name in Places._fields))
"""What answers change of the model, as it was before any."""
_MOST_SHIFT = 100.0
"""Evidence has two digits at most."""


def fingerprint(asked: Asked, rows: np.ndarray) -> str:
    """Eight signs that stand for what is asked about.

    Args:
        asked: of a run.
        rows: `i[u]`, row numbers of the unlabelled rows.
    """
    said = np.stack([rows[asked.row].astype("<i8"), asked.micro.astype("<i8")])
    return hashlib.sha256(said.tobytes()).hexdigest()[:8]


def save_asked(
    workdir: Workdir,
    asked: Asked,
    model: Model,
    rows: np.ndarray,
    cells: pd.DataFrame,
    copied: Sequence[str] = (),
) -> list[Question]:
    """Writes what asking needs, and the first questions, which it returns.

    Args:
        workdir: of the run.
        asked: what was found.
        model: before any answer.
        rows: `i[u]`, row numbers of the unlabelled rows.
        cells: those that are asked about, in their order, as people know them.
        copied: columns of them that name the rows and are no features.
    """
    arrays = {name: value for name, value in asked._asdict().items() if name not in _SCALARS}
    reference = model.reference
    of_model = (model.means, model.rows, reference.limits, reference.y, *model.places)
    parts = dict(zip(_OF_MODEL, of_model, strict=True))
    shown = cells[_telling(cells, asked.micro)]
    with workdir.together() as group:
        arrays |= {f"base_{name}": value for name, value in parts.items()} | {"number": rows}
        facts = {name: getattr(asked, name) for name in _SCALARS}
        facts["copied"] = [name for name in shown.columns if name in copied]
        facts["sha256"] = group.write_arrays(_ARRAYS, arrays)
        group.write_json(FACTS, facts)
        lines = ([int(rows[i]), *map(as_text, line)] for i, line in _lines(shown, asked.row))
        group.write_csv(_CELLS, ["row", *shown.columns], lines)
        sight = sight_of(asked)
        questions = plan_questions(sight, {}, {})
        write_questions(group, question_lines(questions, asked, rows, model))
    return questions


def read_cells(workdir: Workdir, rows: np.ndarray) -> pd.DataFrame:
    """The rows that questions may show, as people know them, under their numbers, as text.

    Args:
        workdir: of the run.
        rows: `i[n]`, these numbers.

    Raises:
        UserError: they are missing or damaged.
    """
    text = io.StringIO(workdir.read_text(_CELLS), newline="")
    try:
        header, *lines = ([as_it_was(cell) for cell in line] for line in csv.reader(text))
        if any(len(line) != len(header) for line in lines):
            raise ValueError
        frame = pd.DataFrame([line[1:] for line in lines], columns=header[1:], dtype=str)
        frame = frame.set_axis([int(line[0]) for line in lines], axis=0)
        if not np.array_equal(frame.index, rows):
            raise ValueError
        return frame
    except (ValueError, IndexError, csv.Error):
        raise UserError(f"{workdir.path(_CELLS)} is damaged; run again in a new workdir") from None


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


def write_questions(workdir: Workdir, lines: Sequence[tuple[Any, ...]]) -> None:
    """Writes `questions.csv` from lines of `question_lines`."""

    def cell(value: Any) -> Any:
        return " ".join(map(str, value)) if isinstance(value, np.ndarray) else value

    workdir.write_csv("questions.csv", QUESTION_COLUMNS, [list(map(cell, line)) for line in lines])


class StoredAsked(NamedTuple):
    """What `save_asked` wrote.

    Attributes:
        asked: the record.
        rows: `i[u]`, row numbers of the unlabelled rows.
        parts: of the model before any answer.
        copied: columns of the rows that name them and are no features.
    """

    asked: Asked
    rows: np.ndarray
    parts: dict[str, np.ndarray]
    copied: list[str]


def read_asked(workdir: Workdir) -> StoredAsked:
    """What a run left for asking.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        facts, data = workdir.read_json(FACTS, dict), workdir.read_bytes(_ARRAYS)
        arrays = stored_arrays(data, str(facts["sha256"]))
        rows = arrays.pop("number")
        parts = {name: arrays.pop(f"base_{name}") for name in _OF_MODEL}
        scalars = {name: facts[name] for name in _SCALARS}
        asked = Asked(**arrays, **scalars)._replace(view=tuple(facts["view"]))
        _check(asked, rows)
        if not isinstance(facts["copied"], list):
            raise TypeError
        return StoredAsked(asked, rows, parts, [str(name) for name in facts["copied"]])
    except UserError:
        raise
    except Exception as error:  # somebody else's data may be wrong in any way
        raise UserError(
            f"{workdir.path(_ARRAYS)} is damaged; run again in a new workdir"
        ) from error


def _check(asked: Asked, rows: np.ndarray) -> None:
    """Whether the arrays belong together.

    Raises:
        ValueError: they do not.
    """
    n, m, u = len(asked.micro), len(asked.evidence), len(rows)
    if not (
        all(type(number) is int for number in (asked.n_voters, asked.n_novel, *asked.view))
        and isinstance(asked.shift, int | float)
        and abs(asked.shift) <= _MOST_SHIFT
        and asked.n_voters > 0
        and 0 <= asked.n_novel <= n
        and all(getattr(asked, name).dtype.kind == kind for name, kind in _KINDS.items())
        and len(asked.view) == 2
        and 0 <= asked.view[0] < asked.view[1] <= asked.z.shape[-1]
        and asked.evidence.shape == (m, m)
        and np.isfinite(asked.evidence).all()
        and asked.z.ndim == asked.known.ndim == 2
        and asked.z.shape[:1] == asked.known.shape[:1] == asked.row.shape == (n,)
        and np.isfinite(asked.z).all()
        and np.array_equal(np.unique(asked.micro), np.arange(m))
        and all(len(getattr(asked, name)) == u for name in OF_ROWS)
        and ((asked.row >= 0) & (asked.row < u)).all()
        and ((asked.like >= -1) & (asked.like < n)).all()
    ):
        raise ValueError("arrays do not belong together")
