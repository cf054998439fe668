"""Two finished runs on one table: which rows moved between classes."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score

from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.errors import UserError
from ncd_jax.report.templating import environment
from ncd_jax.store.workdir import Workdir

__all__ = ["Comparison", "Match", "Move", "compare_runs", "render_comparison", "write_comparison"]

_MOST_MOVES_SHOWN = 200


@dataclass(frozen=True)
class Match:
    """A class of the one run with its counterpart in the other.

    Attributes:
        name: in the run A; none for a class that only B has.
        other: in the run B; none for a class that only A has.
        size: its rows in A.
        other_size: its rows in B.
        shared: rows that are in both.
    """

    name: str | None
    other: str | None
    size: int
    other_size: int
    shared: int


@dataclass(frozen=True)
class Move:
    """A row that is in another class in B than in A.

    Attributes:
        row: number in the table.
        from_class: its class in A.
        to_class: its class in B, under A's name for it; `B:` and B's name where A has none.
    """

    row: int
    from_class: str
    to_class: str


@dataclass(frozen=True)
class Comparison:
    """Run A against run B, on the unlabelled rows of their table.

    Attributes:
        a: folder of A.
        b: folder of B.
        n_rows: rows that both have a class for.
        agreement: adjusted Rand index of the two partitions: 1 is identical, 0 is chance.
        matches: A's classes in order, those that only B has last.
        table: `i[a, b]` rows by class of A and class of B.
        a_classes: names of the lines of `table`.
        b_classes: names of its columns, as B has them, counterparts in A's order.
        moves: in order of row.
    """

    a: str
    b: str
    n_rows: int
    agreement: float
    matches: tuple[Match, ...]
    table: np.ndarray
    a_classes: tuple[str, ...]
    b_classes: tuple[str, ...]
    moves: tuple[Move, ...]

    @property
    def new(self) -> tuple[str, ...]:
        """Classes of B without a counterpart in A."""
        return tuple(m.other for m in self.matches if m.name is None and m.other is not None)

    @property
    def vanished(self) -> tuple[str, ...]:
        """Classes of A without a counterpart in B."""
        return tuple(m.name for m in self.matches if m.other is None and m.name is not None)


def compare_runs(a: Path, b: Path) -> Comparison:
    """Matches the classes of two runs and looks for the rows that moved.

    Novel classes are numbered anew by every run, so they are matched one to one for the most
    shared rows. Classes that share no row are no counterparts. Known names mean the same in
    both runs.

    Args:
        a: working directory of a finished run.
        b: that of another one on the same table.

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
    in_a, in_b = _assignments(first), _assignments(second)
    if in_a.keys() != in_b.keys():
        raise UserError(f"{a} and {b} have classes for different rows; run one of them again")

    rows = sorted(in_a)
    a_classes = sorted({in_a[row] for row in rows}, key=_class_order)
    b_classes = sorted({in_b[row] for row in rows}, key=_class_order)
    codes_a = np.array([a_classes.index(in_a[row]) for row in rows], np.int64)
    codes_b = np.array([b_classes.index(in_b[row]) for row in rows], np.int64)
    counts = count_pairs(codes_a, codes_b, len(a_classes), len(b_classes))
    counterpart = _counterparts(counts, a_classes, b_classes)

    in_order = [*counterpart.values(), *(j for j in range(len(b_classes)))]
    order = list(dict.fromkeys(in_order))
    names = {j: a_classes[i] for i, j in counterpart.items()}
    in_names_of_a = [names.get(j, f"B:{name}") for j, name in enumerate(b_classes)]
    moves = (
        Move(row, a_classes[i], in_names_of_a[j])
        for row, i, j in zip(rows, codes_a, codes_b, strict=True)
    )
    return Comparison(
        a=str(a),
        b=str(b),
        n_rows=len(rows),
        agreement=float(adjusted_rand_score(codes_a, codes_b)),
        matches=_matches(counts, a_classes, b_classes, counterpart),
        table=counts[:, order],
        a_classes=tuple(a_classes),
        b_classes=tuple(b_classes[j] for j in order),
        moves=tuple(move for move in moves if move.from_class != move.to_class),
    )


def write_comparison(comparison: Comparison) -> Path:
    """Writes `moved.csv` and `comparison.html` into the folder of A; returns the page's path."""
    workdir = Workdir(Path(comparison.a))
    rows = ((m.row, m.from_class, m.to_class) for m in comparison.moves)
    workdir.write_csv("moved.csv", ("row", "from", "to"), rows)
    workdir.write_text("comparison.html", render_comparison(comparison))
    return workdir.path("comparison.html")


def render_comparison(comparison: Comparison) -> str:
    """The page: a whole HTML document without script, which asks the network for nothing."""
    return (
        environment()
        .get_template("comparison.html.j2")
        .render(comparison=comparison, shown=comparison.moves[:_MOST_MOVES_SHOWN])
    )


def _table(workdir: Workdir) -> object:
    """What `config.json` says of the table, without its name: a copy is the same table."""
    config = workdir.read_json("config.json")
    if not workdir.is_complete:
        raise UserError(f"the run in {workdir.root} is not finished; let it finish first")
    try:
        return {key: value for key, value in config["run"]["table"].items() if key != "name"}
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"{workdir.path('config.json')} is of something else; check it") from None


def _assignments(workdir: Workdir) -> dict[int, str]:
    """The class of every row in `assignments.csv`."""
    path = workdir.path("assignments.csv")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return {int(line["row"]): line["label"] for line in csv.DictReader(file)}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run again in a new workdir") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UserError(f"{path} is damaged; run again in a new workdir") from None


def _counterparts(counts: np.ndarray, a_classes: list[str], b_classes: list[str]) -> dict[int, int]:
    """From class of A to class of B, in A's order."""
    found = {i: b_classes.index(n) for i, n in enumerate(a_classes) if n in b_classes}
    found = {i: j for i, j in found.items() if not _is_novel(a_classes[i])}
    novel_a = [i for i, name in enumerate(a_classes) if _is_novel(name)]
    novel_b = [j for j, name in enumerate(b_classes) if _is_novel(name)]
    block = counts[np.ix_(novel_a, novel_b)]
    for i, j in enumerate(match_clusters(block)):
        if j >= 0:
            found[novel_a[i]] = novel_b[j]
    return dict(sorted(found.items()))


def _matches(
    counts: np.ndarray, a_classes: list[str], b_classes: list[str], counterpart: dict[int, int]
) -> tuple[Match, ...]:
    in_a, in_b = counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()
    matches = []
    for i, name in enumerate(a_classes):
        if (j := counterpart.get(i)) is None:
            matches.append(Match(name, None, in_a[i], 0, 0))
        else:
            matches.append(Match(name, b_classes[j], in_a[i], in_b[j], int(counts[i, j])))
    for j, name in enumerate(b_classes):
        if j not in counterpart.values():
            matches.append(Match(None, name, 0, in_b[j], 0))
    return tuple(matches)


def _is_novel(name: str) -> bool:
    return re.fullmatch(r"novel_\d+", name) is not None


def _class_order(name: str) -> tuple[bool, int, str]:
    """Novel classes by number, then known ones by name."""
    novel = _is_novel(name)
    return not novel, int(name.removeprefix("novel_")) if novel else 0, name
