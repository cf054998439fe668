"""What was found, in words: of a run in one line, the same wherever it is said; of new rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ncd_jax.data.table import is_novel_name
from ncd_jax.errors import printable

__all__ = ["Assigned", "are", "are_unlike", "class_order", "headline", "plural"]

_FEWEST = 10
"""Rows that make one more class worth a look."""
_USUAL = 0.02
"""Share of rows like no class where none could be held out to measure it."""


def headline(metrics: Mapping[str, Any]) -> str:
    """How many novel classes there are, and among what, and what else it might be."""
    k, n_rows, n_known = (
        metrics[name] for name in ("n_novel_estimated", "n_unlabelled", "n_rows_known")
    )
    rows = f"{n_rows:,} unlabelled {plural('row', n_rows)}"
    if not n_known:
        return f"{k} novel {plural('class', k)} among {rows}"
    n_new = n_rows - n_known
    said = f"{n_known:,} of {rows} look like known classes;"
    said += f" {n_new:,} {are(n_new)} {k} novel {plural('class', k)}"
    unlike = metrics.get("n_rows_unlike", 0)
    if not k:
        said = f"no novel class: all {rows} look like known classes"
        if are_unlike(unlike, n_rows):
            said = f"no novel class found: {n_rows - unlike:,} of {rows} look like known classes"
            said += f", {unlike:,} {are(unlike)} like no labelled row"
    if metrics.get("setting_in_doubt"):
        said += "; whether any is of a known class is not clear,"
        said += " --config.setting=ncd takes all for new"
    return said


def are_unlike(n: int, n_rows: int) -> bool:
    """Whether more of the rows are far from their known class than are so anyway."""
    return n > _USUAL * n_rows


def are(n: int) -> str:
    """The verb as it goes with the number."""
    return "is" if n == 1 else "are"


def class_order(name: str) -> tuple[bool, int, str]:
    """Sorts new classes by number, then known ones by name."""
    novel = is_novel_name(name)
    return not novel, int(name.removeprefix("novel_")) if novel else 0, name


def plural(word: str, n: int) -> str:
    """The word as it goes with the number."""
    if n == 1:
        return word
    return word + ("es" if word.endswith("s") else "s")


@dataclass(frozen=True)
class Assigned:
    """What a model said of new rows.

    Attributes:
        file: where the class of each is.
        sizes: rows of each class that got any.
        n_unfamiliar: rows that are like no class of the run.
        usual: share of held-out rows of known classes that are; NaN where it was not measured.
        notes: on how the rows were read.
    """

    file: Path
    sizes: dict[str, int]
    n_unfamiliar: int
    usual: float
    notes: tuple[str, ...] = ()

    @property
    def expected(self) -> float:
        """Rows that would be like no class if all were of one."""
        return sum(self.sizes.values()) * (self.usual if self.usual >= 0 else _USUAL)

    @property
    def new_run_is_due(self) -> bool:
        """Whether there are enough rows like no class for a class of their own.

        At least ten, and more than twice what is usual by three standard deviations.
        """
        most = 2 * self.expected + 3 * self.expected**0.5
        return self.n_unfamiliar >= max(_FEWEST, most)

    @property
    def text(self) -> str:
        """For people: a few lines."""
        n = sum(self.sizes.values())
        lines = [f"{printable(str(self.file))}: {n:,} {plural('row', n)}"]
        lines += [f"  {size:>7,}  {printable(name)}" for name, size in self.sizes.items()]
        line = f"{self.n_unfamiliar:,} {are(self.n_unfamiliar)} like no class of this run"
        if self.usual >= 0:
            line += f"; {self.expected:,.0f} would be usual"
        if self.new_run_is_due:
            line += ". They are enough for one more class: a new run on all rows is due"
        notes = (f"note: {printable(note)}" for note in self.notes)
        return "\n".join([*lines, line, *notes])
