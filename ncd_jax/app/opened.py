"""A finished run in memory: its rows, its map, and the person who is asked.

All of it is read from the run's folder, so that any run opens; what the report has drawn is taken
out of the report. A run is read again once its files are no longer those that were read.
"""

import base64
import html
import itertools
import json
import re
import threading
import zlib
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ncd_jax.app.folder import Run
from ncd_jax.ask.state import State
from ncd_jax.errors import UserError
from ncd_jax.precision import in_single_precision
from ncd_jax.profiles.classes import Profiles, SortedRows, profile_classes
from ncd_jax.report.redraw import apply
from ncd_jax.store.answers import Answers
from ncd_jax.store.asking import Asking
from ncd_jax.store.model_files import names_of
from ncd_jax.store.records import ANSWER_COLUMNS, read_assignments, read_metrics

__all__ = ["ClassLine", "Opened", "OpenedRuns", "RowLine"]

MOST_OPEN = 3
_NEIGHBOURS = 3
_JITTER = 0.004
"""Of the width of the map: rows that are alike do not hide each other."""
_SIGNS = str.maketrans(",.:", "<>&")
_OWN = ("row", *ANSWER_COLUMNS)
_STAMPS = ("metrics.json", "assignments.csv", "names.json", "answers.csv", "labels.csv")


class RowLine(NamedTuple):
    """An unlabelled row: class and second likeliest class, if any; cells copied to the answer."""

    row: int
    label: str
    confidence: float
    runner_up: str
    runner_up_confidence: float | None
    copied: tuple[str, ...]


class ClassLine(NamedTuple):
    """A class with rows that had no label, and the mean of their confidence.

    Attributes:
        name: as people call it.
        novel: `novel_i`, the name that the run gave it; empty of a known class.
    """

    name: str
    novel: str
    size: int
    confidence: float


class Opened:
    """A finished run.

    Attributes:
        run: which.
        metrics: the content of `metrics.json`.
        names: from `novel_i` to the name that people gave it.
        copied: columns that are copied to the answer.
        rows: all unlabelled rows, by their number in the table.
    """

    def __init__(self, run: Run) -> None:
        """Reads it.

        Raises:
            UserError: it is not finished, or damaged.
        """
        if not run.is_done:
            raise UserError(f"{run.name} is not finished; let it run to its end first")
        self.run, self._stamp = run, _stamp(run)
        self.metrics = read_metrics(run.workdir)
        self.names = names_of(run.workdir)
        header, lines = read_assignments(run.workdir)
        others = [i for i, name in enumerate(header) if name not in _OWN]
        self.copied = [header[i] for i in others]
        try:
            place = [header.index(name) for name in _OWN]
            self.rows = {}
            for line in lines:
                row, label, sure, second, second_sure = (line[i] for i in place)
                chances = float(sure or "nan"), second, float(second_sure) if second_sure else None
                copied = tuple(line[i] for i in others)
                self.rows[int(row)] = RowLine(int(row), label, *chances, copied)
        except ValueError:
            raise UserError(
                f"assignments.csv of {run.name} is of another release; run again in a new workdir"
            ) from None

    @property
    def is_fresh(self) -> bool:
        """Whether the files are still those that were read."""
        return self._stamp == _stamp(self.run)

    def classes(self) -> list[ClassLine]:
        """All classes with unlabelled rows: new ones by number, then known ones by size."""
        sure = defaultdict[str, list[float]](list)
        for row in self.rows.values():
            sure[row.label].append(row.confidence)
        novel = self.novel()
        order = {name: i for i, name in enumerate(novel)}
        named = sorted(sure, key=lambda n: (order.get(n, len(order)), -len(sure[n]), n))
        return [
            ClassLine(name, novel.get(name, ""), len(sure[name]), float(np.mean(sure[name])))
            for name in named
        ]

    def novel(self) -> dict[str, str]:
        """From the name of each new class to the one that the run gave it, by number."""
        k = self.metrics["n_novel_estimated"]
        return {self.names.get(f"novel_{i}", f"novel_{i}"): f"novel_{i}" for i in range(k)}

    def labels(self) -> dict[int, str]:
        """From row to class."""
        return {row: line.label for row, line in self.rows.items()}

    def labels_at_once(self, state: State) -> dict[int, str]:
        """From row to class, as the groups of some answers have it.

        New classes keep the name that most of their rows have; other ones get the next free number.

        Rows that are asked about are grouped again in a few milliseconds, also of a large table;
        the vote of neighbours, confidence and files take up to a second, and come behind.
        """
        asking = self.asking
        asked = asking.asked
        before = self.labels()
        codes = np.where(asked.like >= 0, state.labels[asked.like], -1)
        n_columns, rows = asked.known.shape[1], asking.rows.tolist()
        called: dict[int, str] = dict(enumerate(self.known[:n_columns]))
        novel, taken = self.novel(), set[str]()
        sizes = Counter(codes[codes >= n_columns].tolist())
        for code, _ in sizes.most_common():
            old = Counter(before[rows[i]] for i in np.flatnonzero(codes == code).tolist())
            fresh = (f"novel_{number}" for number in itertools.count(len(novel)))
            names = itertools.chain((name for name, _ in old.most_common() if name in novel), fresh)
            called[code] = next(name for name in names if name not in taken)
            taken.add(called[code])
        return {
            row: called[code] if code >= 0 else before[row]
            for row, code in zip(rows, codes.tolist(), strict=True)
        }

    def classes_at_once(self, labels: dict[int, str]) -> list[ClassLine]:
        """Classes and how many rows they have, without a confidence, those of before first."""
        sizes = Counter(labels.values())
        place = {line.name: i for i, line in enumerate(self.classes())}
        known = set(self.known)
        order = sorted(sizes, key=lambda name: (name in known, place.get(name, len(place)), name))
        novel = {name: "" if name in known else name for name in order}
        return [ClassLine(name, novel[name], sizes[name], float("nan")) for name in order]

    @property
    def known(self) -> tuple[str, ...]:
        """Known classes that rows may be given to; all of them where a person can be asked."""
        if self.why_not_asked:
            return tuple(self.metrics["known_sizes"])
        return tuple(self.asking.base.classes[: self.asking.base.n_known])

    def least_sure(self, n: int) -> list[RowLine]:
        """The rows whose class is least sure."""
        return sorted(self.rows.values(), key=lambda r: (np.nan_to_num(r.confidence), r.row))[:n]

    @cached_property
    def asking(self) -> Asking:
        """The person who is asked.

        Raises:
            UserError: there is nothing to ask.
        """
        return Asking(self.run.workdir)

    @cached_property
    def why_not_asked(self) -> str:
        """Why nothing can be asked; empty where it can."""
        try:
            return self.asking.mark and ""
        except UserError as error:
            return str(error)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Cells of the rows that are asked about, by row number, as text."""
        return self.asking.cells()

    @cached_property
    def drawn(self) -> dict[str, Any]:
        """What the report has drawn: points of the map with their place and cells, as JSON can say.

        Raises:
            UserError: there is no report, or it is of another release.
        """
        page = self.run.workdir.read_text("report.html")
        try:
            figures, rows = _unpacked(page, "packed-figures"), _unpacked(page, "packed-rows")
            points = _points_of(figures["map"]["data"], rows)
        except (KeyError, ValueError, TypeError, IndexError, zlib.error):
            raise UserError(f"report.html of {self.run.name} is of another release") from None
        return points if self.why_not_asked else _with_all_rows(points, self.asking, self.cells)

    @in_single_precision
    def profiles(self) -> Profiles:
        """What the new classes are now, by the rows that are asked about."""
        asked, base = self.asking.asked, self.asking.base
        number = self.asking.rows[asked.row]
        novel = self.novel()
        lines = [self.rows[i] for i in number.tolist()]
        labels = [novel.get(line.label, line.label) for line in lines]
        is_novel = np.array([line.label in novel for line in lines])
        frame = self.cells.loc[number].reset_index(drop=True)
        frame = frame.drop(columns=[name for name in self.asking.copied if name in frame])
        typed = pd.DataFrame({name: _typed_cells(frame[name]) for name in frame})
        sure = np.array([line.confidence for line in lines])[is_novel]
        view = asked.z[:, slice(*asked.view)]
        rows = SortedRows(typed, labels, is_novel, view, sure, number)
        return profile_classes(rows, base.classes[: base.n_known], len(novel))


class OpenedRuns:
    """The runs that were looked at last; others are let go of, for the memory that they take."""

    def __init__(self) -> None:
        """Starts with none."""
        self._open: OrderedDict[str, Opened] = OrderedDict()
        self._lock = threading.RLock()
        self._writer = ThreadPoolExecutor(1)
        self._promised: dict[str, tuple[Answers, Future[None]]] = {}

    def get(self, run: Run, *, as_promised: bool = True) -> Opened:
        """The run, read unless it was already; what was promised for it is done first.

        Raises:
            UserError: it is not finished, or damaged.
        """
        if as_promised and (promised := self._promised.get(run.name)) is not None:
            promised[1].result()
        with self._lock:
            opened = self._open.get(run.name)
            if opened is None or not (opened.is_fresh or run.name in self._promised):
                opened = Opened(run)
            self._keep(opened)
            return opened

    def said(self, run: Run) -> Answers:
        """What somebody has said of a run, what is promised included."""
        promised = self._promised.get(run.name)
        return promised[0] if promised else self.get(run).asking.said

    def promise(self, run: Run, said: Answers) -> None:
        """Does what `tell` does, behind: what is read from now on waits for it."""
        with self._lock:
            work = self._writer.submit(self._fulfil, run, said)
            self._promised[run.name] = said, work

    def tell(self, run: Run, said: Answers) -> None:
        """Sorts the rows of a run again by some answers, which are all that there are from now on.

        Raises:
            UserError: an answer is of another run, or the folder is in use.
        """
        self._write(self.get(run), said)

    def _fulfil(self, run: Run, said: Answers) -> None:
        with self._lock:
            if self._promised[run.name][0] is not said:
                return  # more was said since then, and comes behind
        try:
            self._write(self.get(run, as_promised=False), said)
        finally:
            with self._lock:
                if self._promised[run.name][0] is said:
                    del self._promised[run.name]

    @in_single_precision
    def draw_again(self, run: Run) -> None:
        """Has the report speak of the answers that were given since it was drawn."""
        opened = self.get(run)
        if opened.why_not_asked:
            return
        said = opened.asking.said
        if f'data-answers="{said.mark}"' not in run.workdir.read_text("report.html"):
            apply(opened.asking, said)

    @in_single_precision
    def _write(self, opened: Opened, said: Answers) -> None:
        opened.asking.write(opened.asking.outcome(said))
        now = Opened(opened.run)
        # What no answer changes need not be read again.
        kept = ("asking", "cells", "drawn", "why_not_asked")
        now.__dict__.update({k: v for k, v in opened.__dict__.items() if k in kept})
        with self._lock:
            self._keep(now)

    def _keep(self, opened: Opened) -> None:
        name = opened.run.name
        self._open[name] = opened
        self._open.move_to_end(name)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)


def _stamp(run: Run) -> tuple[Any, ...]:
    """Changes whenever an answer or a name does."""
    paths = [run.root / name for name in _STAMPS]
    return tuple((p.stat().st_mtime_ns, p.stat().st_size) if p.exists() else None for p in paths)


def _unpacked(page: str, name: str) -> Any:
    """What `report.templating.pack_json` has put into an element of a page."""
    found = re.search(rf'id="{name}" data-bytes="(\d+)">([^<]*)<', page)
    if found is None:
        raise ValueError(name)
    data = base64.b85decode(found[2].translate(_SIGNS))[: int(found[1])]
    return json.loads(zlib.decompress(data))


def _points_of(traces: Sequence[Mapping[str, Any]], rows: Mapping[str, Any]) -> dict[str, Any]:
    """Points of the map in order of row: place, row number, class at the time, and cells."""
    points = []
    for trace in traces:
        if trace.get("visible") is False:  # the truth, where it is known
            continue
        for x, y, text, i in zip(
            trace["x"], trace["y"], trace["text"], trace["customdata"], strict=True
        ):
            row, _, label = text.partition("<br>")
            label = html.unescape(label.partition("<br>")[0])
            points.append((int(row.removeprefix("row ")), x, y, label, i))
    points.sort()
    order = [i for *_, i in points]
    columns = [
        {**column, "values": [column["values"][i] for i in order]} for column in rows["drawn"]
    ]
    return {
        "row": [p[0] for p in points],
        "x": [p[1] for p in points],
        "y": [p[2] for p in points],
        "label": [p[3] for p in points],
        "columns": columns,
        "telling": rows["telling"],
        "n_placed": 0,
    }


def _typed_cells(cells: pd.Series) -> pd.Series:
    """Cells of text as numbers where all of them are, empty ones as missing."""
    cells = cells.mask(cells == "")
    numbers = pd.to_numeric(cells, errors="coerce")
    return numbers if numbers.notna().sum() == cells.notna().sum() else cells


def _with_all_rows(drawn: dict[str, Any], asking: Asking, cells: pd.DataFrame) -> dict[str, Any]:
    """The points of the map and, behind them, all unlabelled rows that are not among these.

    A row that is asked about lies between its nearest neighbours that are drawn; any other one
    at the row that it does as. A place says of which rows it is a neighbour, and no more than that.
    """
    asked, rows = asking.asked, asking.rows
    place = {row: i for i, row in enumerate(drawn["row"])}
    number = rows[asked.row]
    at = np.array([place.get(row, -1) for row in number.tolist()])
    missing = [i for i, row in enumerate(rows.tolist()) if row not in place and asked.like[i] >= 0]
    if not missing or not (at >= 0).any():
        return drawn
    view = asked.z[:, slice(*asked.view)]
    points = np.stack([drawn["x"], drawn["y"]], axis=1)
    k = min(_NEIGHBOURS, int((at >= 0).sum()))
    _, near = cKDTree(view[at >= 0]).query(view, k=k)
    xy = points[at[at >= 0]][near.reshape(len(view), k)].mean(axis=1)
    xy[at >= 0] = points[at[at >= 0]]
    new = xy[asked.like[missing]]
    new = new + _JITTER * np.ptp(points) * np.random.default_rng(0).normal(size=new.shape)
    new_rows = rows[missing].tolist()
    columns = [
        {**column, "values": [*column["values"], *_cells(column, cells, new_rows)]}
        for column in drawn["columns"]
    ]
    return {
        **drawn,
        "row": [*drawn["row"], *new_rows],
        "x": [*drawn["x"], *np.round(new[:, 0], 3).tolist()],
        "y": [*drawn["y"], *np.round(new[:, 1], 3).tolist()],
        "label": [*drawn["label"], *[""] * len(new_rows)],
        "columns": columns,
        "n_placed": len(new_rows),
    }


def _cells(column: dict[str, Any], cells: pd.DataFrame, rows: list[int]) -> list[Any]:
    """The cells of some rows in a column of the map, as JSON can say them."""
    if column["name"] not in cells:
        return [None] * len(rows)
    found = cells[column["name"]].reindex(rows)
    if column["kind"] == "linear":
        numbers = pd.to_numeric(found, errors="coerce")
        return [None if np.isnan(number) else float(number) for number in numbers.tolist()]
    return [None if pd.isna(cell) or cell == "" else cell for cell in found.tolist()]
