"""The files of what a run leaves for asking, its questions among them.

`model/asked.npz` and `model/asked.json` hold the rows that are asked about and the answer before
any answer, `model/asked.csv` the rows as people know them; nothing rewrites these. Names of
questions end in `@` and a fingerprint of what the run asks about, so that answers of another run
are refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.ask.choose import Question, plan_questions
from ncd_jax.ask.resort import remembered_as, sight_of
from ncd_jax.discovery.model import Model, Places
from ncd_jax.discovery.solution import Asked
from ncd_jax.store.answer_lines import as_written
from ncd_jax.store.workdir import Workdir, check_arrays, stored_arrays

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
_FORMS = """
evidence f[m,m]  micro i[n]  z f[n,w]  known f[n,c]  row i[n]  number i[u]  like i[u]  at i[u]
labels i[u]  confidence f[u]  runner_up i[u]  runner_up_confidence f[u]  p_known f[u]
familiar f[u]
"""
"""Of the arrays, as `check_arrays` has them."""
_OF_MODEL = ("means", "rows", "limits", "y", *(f"places_{name}" for name in Places._fields))
"""What answers change of the model, as it was before any."""
_MOST_SHIFT = 100.0
"""Evidence has two digits at most."""


def fingerprint(asked: Asked, rows: np.ndarray) -> str:
    """Eight signs that stand for what is asked about; of row numbers `i[u]` of unlabelled rows."""
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
        columns = (as_written(shown[name]) for name in shown)
        lines = zip(rows[asked.row].tolist(), *columns, strict=True)
        group.write_csv(_CELLS, ["row", *shown.columns], lines)
        questions = plan_questions(sight_of(asked), {}, {})
        write_questions(group, question_lines(questions, asked, rows, model))
    return questions


def read_cells(workdir: Workdir, rows: np.ndarray) -> pd.DataFrame:
    """The rows that questions may show, as people know them, as text under their numbers `i[n]`.

    Raises:
        UserError: they are missing or damaged.
    """
    header, lines = workdir.read_csv(_CELLS)
    with workdir.reading(_CELLS):
        frame = pd.DataFrame([line[1:] for line in lines], columns=header[1:], dtype=str)
        frame = frame.set_axis([int(line[0]) for line in lines], axis=0)
        if not np.array_equal(frame.index, rows):
            raise ValueError("these are other rows")
        return frame


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

    Of the unlabelled rows these are `i[u]`, and known classes are those of the model.
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
    cells = (
        [" ".join(map(str, cell)) if isinstance(cell, np.ndarray) else cell for cell in line]
        for line in lines
    )
    workdir.write_csv("questions.csv", QUESTION_COLUMNS, cells)


def read_asked(workdir: Workdir, model: Model) -> tuple[Asked, np.ndarray, Model, list[str]]:
    """What a run left for asking.

    Args:
        workdir: of the run.
        model: as it is now.

    Returns:
        The record, row numbers `i[u]` of the unlabelled rows, the model before any answer, and
        columns of the rows that name them and are no features.

    Raises:
        UserError: it is missing or damaged.
    """
    with workdir.reading(_ARRAYS):
        facts, data = workdir.read_json(FACTS, dict), workdir.read_bytes(_ARRAYS)
        arrays = stored_arrays(data, str(facts["sha256"]))
        check_arrays(arrays, _FORMS)
        rows = arrays.pop("number")
        parts = {name: arrays.pop(f"base_{name}") for name in _OF_MODEL}
        scalars = {name: facts[name] for name in _SCALARS}
        asked = Asked(**arrays, **scalars)._replace(view=tuple(facts["view"]))
        _check(asked)
        if not isinstance(facts["copied"], list):
            raise TypeError("copied")
        return asked, rows, _base(model, asked, parts), [str(name) for name in facts["copied"]]


def _base(model: Model, asked: Asked, parts: Mapping[str, np.ndarray]) -> Model:
    """The model before any answer."""
    n_known, n_new = model.n_known, len(parts["rows"]) - model.n_known
    base = model._replace(
        classes=(*model.classes[:n_known], *(f"novel_{i}" for i in range(n_new))),
        means=parts["means"],
        rows=parts["rows"],
        places=Places(**{name: parts[f"places_{name}"] for name in Places._fields}),
        reference=model.reference._replace(limits=parts["limits"], y=parts["y"]),
    )
    remembered = remembered_as(base, asked, asked.labels, asked.confidence, asked.p_known)
    return base._replace(remembered=remembered)


def _check(asked: Asked) -> None:
    """Fails where numbers do not belong together."""
    n, u = len(asked.micro), len(asked.like)
    if not (
        all(type(number) is int for number in (asked.n_voters, asked.n_novel, *asked.view))
        and isinstance(asked.shift, int | float)
        and abs(asked.shift) <= _MOST_SHIFT
        and asked.n_voters > 0
        and 0 <= asked.n_novel <= n
        and len(asked.view) == 2
        and 0 <= asked.view[0] < asked.view[1] <= asked.z.shape[-1]
        and np.isfinite(asked.evidence).all()
        and np.isfinite(asked.z).all()
        and np.array_equal(np.unique(asked.micro), np.arange(len(asked.evidence)))
        and ((asked.row >= 0) & (asked.row < u)).all()
        and ((asked.like >= -1) & (asked.like < n)).all()
    ):
        raise ValueError("they do not belong together")
