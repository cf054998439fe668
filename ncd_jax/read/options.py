"""What somebody wants of the reading of a table, beside what the rules make of it."""

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from ncd_jax.errors import UserError
from ncd_jax.read.date_words import Order
from ncd_jax.read.names import Mistakes, find_name, show, twin_of
from ncd_jax.read.words import as_float

__all__ = ["NO_WISHES", "Choose", "ReadOptions"]

Choose = Callable[[Sequence[str]], Collection[str]]
"""From the names of all columns of a file to those that are wanted."""
_GB = 1e9


@dataclass(frozen=True)
class ReadOptions:
    """How a table is to be read, where people know better. Names are those of columns.

    Attributes:
        columns: features to use, whatever they look like; none for all that say something.
        drop: features to leave out.
        numbers: features that are numbers; what spells none is a gap.
        dates: features that are dates; `NAME:dmy` and `NAME:mdy` say what comes first.
        categories: features that are categories, such as codes written as numbers.
        circular: features that begin again, as `NAME:PERIOD`: `direction:360`.
        missing: words that mean an empty cell in every feature.
        encoding: of a text file.
        decimal: mark of fractions, `.` or `,`.
        max_gb: most that a table may hold unpacked, in gigabytes.
        sheet: of an Excel file: its name, or its number from 1 on.
        id: a column that names the rows; no feature, copied to the answer.
        keep: columns that are copied to the answer.
        use: features that stay so though they tell labelled rows from unlabelled ones.
        group: a column of groups of rows, such as plates or sessions; no feature.
    """

    columns: Collection[str] | None = None
    drop: Collection[str] = ()
    numbers: Collection[str] = ()
    dates: Collection[str] = ()
    categories: Collection[str] = ()
    circular: Collection[str] = ()
    missing: Collection[str] = ()
    encoding: str = ""
    decimal: str = ""
    max_gb: float = 8.0
    sheet: str = ""
    id: str = ""
    keep: Collection[str] = ()
    use: Collection[str] = ()
    group: str = ""

    def __post_init__(self) -> None:
        marks = {"comma": ",", "point": ".", "dot": "."}
        object.__setattr__(self, "decimal", marks.get(self.decimal, self.decimal))
        if self.decimal not in ("", ".", ","):
            raise UserError(f"--decimal={self.decimal} is no mark of fractions; give . or ,")
        for wish in self.circular:
            name, _, period = wish.rpartition(":")
            if not name or not 0 < (as_float(period) or 0) < math.inf:
                raise UserError(
                    f"--circular={wish} does not say after what a column begins again; write"
                    f" --circular={name or wish}:360"
                )

    @property
    def orders(self) -> dict[str, Order]:
        """From columns that are dates to what comes first: `dmy`, `mdy`, or empty."""
        orders: dict[str, Order] = {}
        for wish in self.dates:
            name, _, order = wish.rpartition(":")
            if order == "dmy" or order == "mdy":
                orders[name] = order
            else:
                orders[wish] = ""
        return orders

    @property
    def periods(self) -> dict[str, float]:
        """From columns that begin again to what after."""
        wishes = (wish.rpartition(":") for wish in self.circular)
        return {name: float(period) for name, _, period in wishes}

    @property
    def wished(self) -> list[str]:
        """Features that somebody says the kind of."""
        return [*self.numbers, *self.orders, *self.categories, *self.periods]

    @property
    def copied(self) -> list[str]:
        """Columns that are copied to the answer."""
        return list(dict.fromkeys(name for name in (self.id, *self.keep) if name))

    def check_size(self, n_bytes: float) -> None:
        """Raises `UserError` where a table is larger than somebody wants it to be."""
        if n_bytes > self.max_gb * _GB:
            raise UserError(
                f"it holds more than {self.max_gb:g} GB when unpacked; if it is meant to, say"
                f" --max_gb={max(2 * self.max_gb, n_bytes / _GB):.0f}"
            )

    def features(self, names: Sequence[str], label: str = "") -> list[str]:
        """Those of all columns that are features, in their order; a label is none.

        Raises:
            UserError: there is no such column, one is both wanted and not, or no feature is left.
        """
        said = [self.columns or (), self.drop, self.numbers, self.orders, self.categories, self.use]
        said += [self.periods, [self.group]]
        with Mistakes() as mistakes:
            for name in filter(None, dict.fromkeys([label, *self.copied, *itertools.chain(*said)])):
                mistakes.add(find_name, name, names)
        if label and twin_of(label) in names:
            raise UserError(f"two columns are named {show(label)}; rename one")
        if label in self.drop:
            raise UserError(f"{show(label)} is the label column and cannot be dropped")
        if label and label == self.group:
            raise UserError(f"{show(label)} is the label column and no group; give another --group")
        kinds = {"numbers": self.numbers, "dates": self.orders, "categories": self.categories}
        pairs = [("columns", self.columns or (), "drop", self.drop)]
        pairs += [(a, kinds[a], b, kinds[b]) for a, b in itertools.combinations(kinds, 2)]
        for one, these, other, those in pairs:
            if both := set(these) & set(those):
                raise UserError(
                    f"column {show(min(both))} is in both {one} and {other}; take it from one"
                )
        wanted = set(names if self.columns is None else self.columns)
        wanted -= {*self.drop, label, self.id, self.group}
        if not wanted:
            raise UserError("only the label column is left; add columns with features")
        for kind, these in {**kinds, "circular": self.periods}.items():
            if unused := set(these) - wanted:
                raise UserError(
                    f"column {show(min(unused))} is in {kind} and no feature; take it from there"
                )
        return [name for name in names if name in wanted]


NO_WISHES = ReadOptions()
"""Nobody knows better."""
