"""Two finished runs on one table: which rows moved between classes."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ncd_jax.clustering.matching import adjusted_rand, match_names
from ncd_jax.data.table import is_novel_name
from ncd_jax.errors import UserError
from ncd_jax.report.headline import class_order
from ncd_jax.report.templating import environment
from ncd_jax.store.model_files import names_of
from ncd_jax.store.records import read_assignments
from ncd_jax.store.workdir import Workdir

__all__ = ["Comparison", "Match", "Move", "compare_runs", "render_comparison", "write_comparison"]

_MOST_MOVES_SHOWN = 200
_Names = dict[str, str]
"""From class as its run gave it to the name that people gave it, where they did."""


class Match(NamedTuple):
    """A class of the run A with its counterpart in B, and the rows of each and of both.

    No name where a run has none of it.
    """

    name: str | None
    other: str | None
    size: int
    other_size: int
    shared: int


class Move(NamedTuple):
    """A row, by its number in the table, that is in another class in B than in A.

    Classes go by A's names; `B:` and B's name where A has none.
    """

    row: int
    from_class: str
    to_class: str


@dataclass(frozen=True)
class Comparison:
    """Run A against run B, on the unlabelled rows of their table.

    Attributes:
        a: folder of A; likewise `b`.
        n_rows: rows that both have a class for.
        agreement: adjusted Rand index of the two partitions: 1 is identical, 0 is chance.
        matches: A's classes in order, those that only B has last.
        table: rows by class of A, down, and class of B, across, each under its own name there;
            counterparts in A's order.
        moves: in order of row.
        changes: what differs in the configurations: key, value in A, value in B.
    """

    a: str
    b: str
    n_rows: int
    agreement: float
    matches: tuple[Match, ...]
    table: pd.DataFrame
    moves: tuple[Move, ...]
    changes: tuple[tuple[str, str, str], ...]

    @property
    def files(self) -> tuple[str, str]:
        """Names of the page and of the table of moves in the folder of A: each B has its own."""
        path = os.path.relpath(Path(self.b).resolve(), Path(self.a).resolve().parent)
        name = "_".join(part for part in Path(path).parts if part != "..")
        return f"comparison_{name}.html", f"moved_{name}.csv"

    @property
    def new(self) -> tuple[str, ...]:
        """Classes of B without a counterpart in A."""
        return tuple(m.other for m in self.matches if m.name is None and m.other is not None)

    @property
    def vanished(self) -> tuple[str, ...]:
        """Classes of A without a counterpart in B."""
        return tuple(m.name for m in self.matches if m.other is None and m.name is not None)


def compare_runs(a: Path, b: Path) -> Comparison:
    """Matches the classes of two runs on one table, by their folders, and finds rows that moved.

    Novel classes are numbered anew by every run, so they are matched one to one for the most
    shared rows. Classes that share no row are no counterparts. Known names mean the same in
    both runs.

    Raises:
        UserError: one of them is missing, unfinished or damaged, they are the same folder, or
            their tables differ.
    """
    first, second = Workdir(a), Workdir(b)
    if a.resolve() == b.resolve():
        raise UserError(f"--workdir and --against are both {a}; give two runs")
    tables = [_table(workdir) for workdir in (first, second)]
    if tables[0] != tables[1]:
        raise UserError(f"{a} and {b} are runs on different tables; compare runs on the same one")
    (in_a, names_a), (in_b, names_b) = _assignments(first), _assignments(second)
    if not in_a.index.equals(in_b.index):
        raise UserError(f"{a} and {b} have classes for different rows; run one of them again")

    counts = pd.crosstab(in_a, in_b)
    counts = counts.loc[sorted(counts.index, key=class_order)]
    counts = counts[sorted(counts.columns, key=class_order)]
    counterpart = _counterparts(counts)
    name_in_a = {other: name for name, other in counterpart.items()}
    in_words = {other: f"B:{names_b.get(other, other)}" for other in counts}
    in_words |= {other: names_a.get(name, name) for other, name in name_in_a.items()}
    moves = tuple(
        Move(row, names_a.get(before, before), in_words[other])
        for row, before, other in zip(in_a.index, in_a, in_b, strict=True)
        if before != name_in_a.get(other)
    )
    table = counts[list(dict.fromkeys([*counterpart.values(), *counts.columns]))]
    configs = [workdir.read_json("config.json", dict)["run"] for workdir in (first, second)]
    return Comparison(
        a=str(a),
        b=str(b),
        n_rows=len(in_a),
        agreement=adjusted_rand(in_a, in_b),
        matches=tuple(_matches(counts, counterpart, names_a, names_b)),
        table=table.rename(index=names_a, columns=names_b),
        moves=moves,
        changes=tuple(_changes(*configs)),
    )


def write_comparison(comparison: Comparison) -> Path:
    """Writes the two `files` of a comparison into the folder of A; returns the page's path."""
    workdir = Workdir(Path(comparison.a))
    page, moved = comparison.files
    with workdir.alone(), workdir.together() as group:
        group.write_csv(moved, ("row", "from", "to"), comparison.moves)
        group.write_text(page, render_comparison(comparison))
    return workdir.path(page)


def render_comparison(comparison: Comparison) -> str:
    """The page: a whole HTML document without script, which asks the network for nothing."""
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(comparison=comparison, shown=comparison.moves[:_MOST_MOVES_SHOWN])
    )


def _table(workdir: Workdir) -> object:
    """What `config.json` says of the table, without its name: a copy is the same table."""
    config = workdir.read_json("config.json", dict)
    if not workdir.is_complete:
        raise UserError(f"the run in {workdir.root} is not finished; let it finish first")
    try:
        return {key: value for key, value in config["run"]["table"].items() if key != "name"}
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{workdir.path('config.json')} is of something else; check it") from None


def _assignments(workdir: Workdir) -> tuple[pd.Series, _Names]:
    """The class of every row, by its number and as the run gave it; what classes are called now."""
    header, lines = read_assignments(workdir)
    row, label = header.index("row"), header.index("label")
    names = names_of(workdir)
    given = {name: novel for novel, name in names.items()}
    labels = [given.get(line[label], line[label]) for line in lines]
    return pd.Series(labels, [int(line[row]) for line in lines], dtype=str).sort_index(), names


def _changes(a: Any, b: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Keys of the configurations whose values differ, in A's order."""
    if not (isinstance(a, dict) and isinstance(b, dict)):
        if a != b:
            yield key.removeprefix("config."), _value(a), _value(b)
        return
    for name in [*a, *(name for name in b if name not in a)]:
        if key or name != "table":
            yield from _changes(a.get(name), b.get(name), f"{key}.{name}" if key else name)


def _value(value: Any) -> str:
    return "not set" if value in (None, {}, "") else json.dumps(value, ensure_ascii=False)


def _counterparts(counts: pd.DataFrame) -> dict[str, str]:
    """From class of A to class of B, in A's order: known ones by name, novel ones by rows."""
    novel_a, novel_b = (list(filter(is_novel_name, names)) for names in (counts.index, counts))
    found = {name: name for name in counts.index if name in counts and not is_novel_name(name)}
    found |= match_names(counts.loc[novel_a, novel_b])
    return {name: found[name] for name in counts.index if name in found}


def _matches(
    counts: pd.DataFrame, counterpart: dict[str, str], names_a: _Names, names_b: _Names
) -> Iterator[Match]:
    in_a, in_b = counts.sum(axis=1).to_dict(), counts.sum().to_dict()
    for name, size in in_a.items():
        called, other = names_a.get(name, name), counterpart.get(name)
        if other is None:
            yield Match(called, None, size, 0, 0)
        else:
            shared = int(counts.at[name, other])
            yield Match(called, names_b.get(other, other), size, in_b[other], shared)
    for other in counts:
        if other not in counterpart.values():
            yield Match(None, names_b.get(other, other), 0, in_b[other], 0)
