"""Rows that a run has not seen get one of its classes: a file, a folder or a pattern of them.

A file may be larger than memory: its rows come in batches, and the answer grows with them. Who is
stopped goes on with the same command: files and batches that are whole are kept.
"""

import glob
import hashlib
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import ncd_jax
from ncd_jax.data.own_table import NewRows, read_numeric_rows, read_rows_in_batches
from ncd_jax.discovery.model import Model, assign
from ncd_jax.discovery.solution import second_of
from ncd_jax.errors import UserError
from ncd_jax.precision import in_single_precision
from ncd_jax.read.files import is_table
from ncd_jax.read.options import ReadOptions
from ncd_jax.report.headline import Assigned
from ncd_jax.store.answer_lines import Assignments, header_of, lines_of
from ncd_jax.store.growing import Growing
from ncd_jax.store.model_files import load_model
from ncd_jax.store.workdir import Workdir, digest_of

__all__ = ["assign_rows"]

_PIECE = 1 << 16
"""Rows whose chances of every class are there together."""
_ROUNDING = 1e-5
"""By which a chance may be above 1."""
_MOST_NOTES = 20
"""Notes on a file that are kept: one of each batch may be many."""


class _Told(NamedTuple):
    """What was said of the rows of a table so far, as JSON can hold it.

    Attributes:
        n_rows: rows of the table that were read.
        sizes: rows that each class got.
        n_unfamiliar: rows that are like no class.
        notes: on how rows were read.
    """

    n_rows: int = 0
    sizes: Sequence[int] = ()
    n_unfamiliar: int = 0
    notes: Sequence[str] = ()

    def plus(self, other: "_Told") -> "_Told":
        """What was said of these rows and those behind them."""
        sizes = [a + b for a, b in itertools.zip_longest(self.sizes, other.sizes, fillvalue=0)]
        notes = list(dict.fromkeys([*self.notes, *other.notes]))
        n_unfamiliar = self.n_unfamiliar + other.n_unfamiliar
        return _Told(max(self.n_rows, other.n_rows), sizes, n_unfamiliar, notes[:_MOST_NOTES])


@in_single_precision
def assign_rows(workdir: Workdir, path: Path, options: ReadOptions | None = None) -> Assigned:
    """Applies the model of a finished run to new rows.

    Writes `assigned/<name of the table>.csv` in the run's folder, with the columns
    `row,label,confidence,runner_up,runner_up_confidence`, one line a row, and behind `row` those
    copied. Of a folder, or of a pattern such as `new/*.parquet`, each file is a table, whose answer
    is in `assigned/<name of the folder>/`.

    Args:
        workdir: of the run.
        path: the file, the folder or the pattern.
        options: its encoding or sheet, and columns that are copied to the answer.

    Raises:
        UserError: there is no model, or a table lacks a column of it or has a cell of another
            kind.
    """
    model, options = load_model(workdir), options or ReadOptions()
    is_pattern = glob.has_magic(str(path)) and not path.exists()
    with workdir.alone():
        if path.is_dir() or is_pattern:
            folder = (path.parent if is_pattern else path).resolve().name
            name = f"assigned/{folder}"
            told = _assign_files(workdir, model, _named(path, is_pattern), name, options)
        else:
            name = f"assigned/{path.stem}.csv"
            told = _assign_file(workdir, model, path, name, options)
    sizes = zip(model.classes, told.sizes, strict=True)
    return Assigned(
        file=workdir.path(name),
        sizes={name: size for name, size in sizes if size},
        n_unfamiliar=told.n_unfamiliar,
        usual=float(model.reference.usual),
        notes=tuple(told.notes),
    )


def _named(path: Path, is_pattern: bool) -> dict[str, Path]:
    """The tables of a folder or a pattern, and what the answer to each is called."""
    found = map(Path, glob.glob(str(path))) if is_pattern else path.iterdir()
    tables = sorted(each for each in found if is_table(each) and not each.name.startswith("."))
    if not tables:
        raise UserError(f"{path} holds no table; give a file, a folder of files or a pattern")
    stems = Counter(table.stem for table in tables)
    named = {f"{t.stem if stems[t.stem] == 1 else t.name}.csv": t for t in tables}
    if len(named) < len(tables):
        raise UserError(f"{path} holds tables of one name; give one folder at a time")
    return named


def _assign_files(
    workdir: Workdir, model: Model, tables: Mapping[str, Path], folder: str, options: ReadOptions
) -> _Told:
    """Writes the answers to several files, but for those that the same command has left."""
    record, done = f"{folder}/.done.json", dict[str, Any]()
    with suppress(UserError):
        done = workdir.read_json(record, dict)
    told = _Told()
    for name, path in tables.items():
        key, target = _key(workdir, model, path, options), f"{folder}/{name}"
        said = _told_of(done.get(name), key) if workdir.has(target) else None
        if said is None:
            said = _assign_file(workdir, model, path, target, options)
            done[name] = {"key": key, "told": said._asdict()}
            workdir.write_json(record, done)
        told = told.plus(said)
    workdir.path(record).unlink(missing_ok=True)
    return told


def _told_of(record: Any, key: str) -> _Told | None:
    """What the answer to a file said, if the record is whole, and of this very answer."""
    with suppress(TypeError, LookupError):
        return _Told(**record["told"]) if record["key"] == key else None
    return None


def _assign_file(
    workdir: Workdir, model: Model, path: Path, name: str, options: ReadOptions
) -> _Told:
    """Writes the answer to one file."""
    file = Growing(workdir, name, _key(workdir, model, path, options))
    try:
        told = _Told(**file.state)
        batches = _ahead(_batches(model, path, options, told.n_rows))
        batch = next(batches, None)
        while batch is not None:
            answer, of_batch = _answer(model, batch)
            lines = (b"" if told.n_rows else header_of(answer.copied)) + lines_of(answer)
            told, batch = told.plus(of_batch), next(batches, None)
            if batch is None:
                file.finish(lines)
            else:
                file.add(lines, told._asdict())
    finally:
        file.close()
    return told


def _batches(model: Model, path: Path, options: ReadOptions, n_done: int) -> Iterator[NewRows]:
    """The rows behind those that are done."""
    if model.encoder is None:
        yield read_numeric_rows(path, model.columns, options)
    else:
        yield from read_rows_in_batches(path, model.encoder, options, n_done)


def _ahead(batches: Iterator[NewRows]) -> Iterator[NewRows]:
    """The same; while one is worked with, the next one is made ready."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = beside.submit(next, batches, None)
            yield batch


def _answer(model: Model, new: NewRows) -> tuple[Assignments, _Told]:
    pieces, names = [], np.array([*model.classes, ""], object)
    for start in range(0, max(len(new.x), 1), _PIECE):
        said = assign(model, new.x[start : start + _PIECE])
        seconds = second_of(said.shares, said.labels, said.confidence)
        pieces.append((said.labels, said.confidence, *seconds, said.unfamiliar))
    labels, confidence, runners_up, second, unfamiliar = (
        np.concatenate(parts) for parts in zip(*pieces, strict=True)
    )
    if not np.all((confidence >= 0) & (confidence <= 1 + _ROUNDING)):
        raise UserError("the model is damaged: its chances are none; run again in a new workdir")
    answer = Assignments(
        rows=new.rows,
        labels=names[labels],
        confidence=confidence,
        runners_up=names[runners_up],
        runner_up_confidence=second,
        copied=new.copied,
    )
    sizes = np.bincount(labels, minlength=len(model.classes)).tolist()
    n_rows = int(new.rows[-1]) + 1 if len(new.rows) else 0
    return answer, _Told(n_rows, sizes, int(unfamiliar.sum()), list(new.notes))


def _key(workdir: Workdir, model: Model, path: Path, options: ReadOptions) -> str:
    """What an answer is made of: the model, the file as it is, and how it is read."""
    there = path.stat() if path.exists() else None
    return digest_of(
        {
            "release": ncd_jax.__version__,
            "model": hashlib.sha256(workdir.read_bytes("model/model.json")).hexdigest(),
            "classes": list(model.classes),
            "file": [str(path.absolute()), there and there.st_size, there and there.st_mtime_ns],
            "options": repr(options),
        }
    )
