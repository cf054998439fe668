"""What a question is about, and its name.

A node is a micro cluster or a part of one. Micro cluster `m` is node `(m, 1)`; 2-means cuts it in
two, and the halves of `(m, h)` are `(m, 2h)` and `(m, 2h + 1)`. A name lists the nodes of both
groups, so it is read back without a record of what was asked: `same-3-18` asks whether micro
clusters 0 and 1 (hexadecimal 3 = 2^0 + 2^1) are of one class with 3 and 4 (18 = 2^3 + 2^4),
`same-0_5.2-0_5.3` whether both halves of micro cluster 5 are, and `known-18-class2` whether 3 and 4
are the known class 2. Asked again with other rows, a name ends in `-again2`.
"""

import re
import zlib
from typing import NamedTuple

import numpy as np

__all__ = ["SHOWN", "Node", "Subject", "parse_subject", "same_subject", "shown_rows"]

Node = tuple[int, int]

SHOWN = 6
"""Rows of a group that are shown."""
_GROUP = r"[0-9a-f]+(?:_\d+\.\d+)*"
_NAME = re.compile(
    rf"(?:same-({_GROUP})-({_GROUP})|known-({_GROUP})-class(\d+))(?:-again([2-9]|[1-9]\d+))?"
)


class Subject(NamedTuple):
    """Two groups that may be one class, or one that may be a known class.

    Attributes:
        a: nodes of the one group, in order.
        b: nodes of the other, behind `a` in order; none where a known class is asked about.
        known: the known class, from 0; -1 where two groups are.
    """

    a: tuple[Node, ...]
    b: tuple[Node, ...] = ()
    known: int = -1

    @property
    def kind(self) -> str:
        """`same` or `known`."""
        return "same" if self.known < 0 else "known"

    @property
    def is_of_halves(self) -> bool:
        """Whether it is about both halves of a node."""
        if self.known >= 0 or len(self.a) != 1 or len(self.b) != 1:
            return False
        (micro, part), (other, second) = self.a[0], self.b[0]
        return micro == other and second == part ^ 1

    def name(self, turn: int = 1) -> str:
        """The name of the question that asks about it for the first, second, ... time."""
        end = f"-again{turn}" if turn > 1 else ""
        other = _write(self.b) if self.known < 0 else f"class{self.known}"
        return f"{self.kind}-{_write(self.a)}-{other}{end}"


def same_subject(one: list[Node], other: list[Node]) -> Subject:
    """Two groups, whichever stands first."""
    a, b = sorted((tuple(sorted(one)), tuple(sorted(other))))
    return Subject(a, b)


def parse_subject(name: str) -> tuple[Subject, int] | None:
    """What a question is about, and which time it is asked; none for what is no name.

    Args:
        name: as `Subject.name` makes it.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    a, b, group, known, turn = match.groups()
    if group is None:
        subject = Subject(_read(a), _read(b))
    else:
        subject = Subject(_read(group), (), int(known))
    number = int(turn or 1)
    if subject.name(number) != name or set(subject.a) & set(subject.b) or not subject.a:
        return None
    return subject, number


def shown_rows(name: str, side: str, rows: np.ndarray) -> np.ndarray:
    """The rows `i[<= 6]` of a group that a question shows: a draw that its name alone decides.

    Rows at random say what most of a group are; the most typical ones would hide that it is mixed.
    Asked again, it shows rows that were not shown before as long as there are any.

    Args:
        name: of the question.
        side: `a` or `b`.
        rows: `i[n]`, all rows of the group.
    """
    first, _, turn = name.partition("-again")
    order = np.random.default_rng(zlib.crc32(f"{first} {side}".encode())).permutation(rows)
    start = SHOWN * (int(turn or 1) - 1)
    return np.sort(np.take(order, np.arange(start, start + min(SHOWN, len(rows))), mode="wrap"))


def _write(nodes: tuple[Node, ...]) -> str:
    whole = sum(1 << micro for micro, part in nodes if part == 1)
    parts = "".join(f"_{micro}.{part}" for micro, part in nodes if part > 1)
    return f"{whole:x}{parts}"


def _read(text: str) -> tuple[Node, ...]:
    whole, *parts = text.split("_")
    mask = int(whole, 16)
    nodes = [(micro, 1) for micro in range(mask.bit_length()) if mask >> micro & 1]
    for part in parts:
        micro, number = part.split(".")
        nodes.append((int(micro), int(number)))
    return tuple(sorted(nodes))
