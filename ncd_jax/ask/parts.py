"""Micro clusters and their parts: the judge's evidence, cut as fine as the answers speak.

The judge compares micro clusters. Where rows of one are of two classes no merge can part them, so a
question may be about its halves. Then the halves stand in for it: each has its evidence against all
others, a little more where it lies nearer than the whole did and less where it lies farther.
"""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from ncd_jax.ask.subject import Node

__all__ = ["Leaves", "Sight", "cut", "halves"]

WHOLE = 3.0
"""Evidence that both halves of a micro cluster are one class."""
NEARER = 1.0
"""Evidence for each e-th of a distance that a part is nearer."""
MOST = 4.0
FEWEST_ROWS = 6
"""Rows of what is cut; a half has at least two."""
ITERATIONS = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Sight:
    """What a run leaves of the rows that are asked about.

    Attributes:
        evidence: `f[M, M]`, the judge's log-odds that two micro clusters are one class.
        micro: `i[n]`, the micro cluster of every row; none is empty.
        z: `f[n, L]`, the rows in a space in which distances mean something.
        known: `f[n, C]`, how likely each row is of each known class; all 0 where none can be, of
            which nobody is asked then, but may say it.
    """

    evidence: np.ndarray
    micro: np.ndarray
    z: np.ndarray
    known: np.ndarray
    _halves: dict[Node, tuple[np.ndarray, np.ndarray] | None] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def may_be_known(self) -> bool:
        """Whether rows may be of known classes as far as the run knows."""
        return bool(self.known.any())

    def halves(self, node: Node, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """Both halves of a node, cut once; see `halves`.

        Args:
            node: which.
            rows: `i[m]`, its rows.
        """
        if node not in self._halves:
            self._halves[node] = halves(self.z, rows)
        return self._halves[node]


@dataclasses.dataclass(frozen=True, eq=False)
class Leaves:
    """Micro clusters, or the parts that stand in for them.

    Attributes:
        nodes: each one's, in order.
        rows: `i[n_u]` of each.
        evidence: `f[U, U]`, the judge's, handed down; 0 on the diagonal.
    """

    nodes: list[Node]
    rows: list[np.ndarray]
    evidence: np.ndarray

    @functools.cached_property
    def sizes(self) -> np.ndarray:
        """Rows `i[U]` of each."""
        return np.array([len(rows) for rows in self.rows])

    @functools.cached_property
    def of_row(self) -> np.ndarray:
        """Which one `i[n]` each row is in."""
        found = np.empty(int(self.sizes.sum()), np.intp)
        for i, rows in enumerate(self.rows):
            found[rows] = i
        return found

    @functools.cached_property
    def _below(self) -> dict[Node, list[int]]:
        """Leaves that make up each node that is one or was cut."""
        below: dict[Node, list[int]] = {}
        for i, node in enumerate(self.nodes):
            for above in _line(node):
                below.setdefault(above, []).append(i)
        return below

    def rows_of(self, leaves: Iterable[int]) -> np.ndarray:
        """All rows of some leaves."""
        return np.concatenate([self.rows[i] for i in leaves])

    def under(self, nodes: Iterable[Node]) -> np.ndarray:
        """Which leaves `i[u]` make up some nodes, each of which is a leaf or was cut."""
        return np.array(sorted({i for node in nodes for i in self._below.get(node, ())}), np.intp)


def halves(z: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Both halves of some rows by 2-means, the start along their longest axis; none of too few.

    Args:
        z: `f[n, L]` of all rows.
        rows: `i[m]`, of one micro cluster or a part of it.
    """
    if len(rows) < FEWEST_ROWS:
        return None
    z = np.asarray(z[rows], np.float64)
    z = z - z.mean(axis=0)
    axis = z[np.argmax((z**2).sum(axis=1))]
    for _ in range(ITERATIONS):
        axis = (z @ axis) @ z
        length = np.linalg.norm(axis)
        if length < 1e-12:
            return None
        axis = axis / length
    second = z @ axis > 0
    for _ in range(ITERATIONS):
        if not 2 <= second.sum() <= len(rows) - 2:
            return None
        one, other = z[~second].mean(axis=0), z[second].mean(axis=0)
        nearer = z @ (other - one) > (other @ other - one @ one) / 2
        if (nearer == second).all():
            break
        second = nearer
    if not 2 <= second.sum() <= len(rows) - 2:
        return None
    # The half of the first row is the first: the axis has no sign.
    second = second if not second[0] else ~second
    return rows[~second], rows[second]


def cut(sight: Sight, nodes: Iterable[Node]) -> Leaves:
    """The coarsest cut in which every one of some nodes is there or is cut further.

    Args:
        sight: what the run left.
        nodes: that were spoken of.

    Raises:
        ValueError: where there is no such node.
    """
    n_micro = len(sight.evidence)
    order = np.argsort(sight.micro, kind="stable")
    bounds = np.searchsorted(sight.micro[order], np.arange(n_micro + 1))
    spoken = set(nodes)
    parents = {(m, h >> up) for m, h in spoken for up in range(1, h.bit_length())}
    found: list[Node] = []
    rows: list[np.ndarray] = []
    todo: list[tuple[Node, np.ndarray]] = [
        ((m, 1), order[bounds[m] : bounds[m + 1]]) for m in range(n_micro)
    ]
    missing = spoken.copy()
    while todo:
        node, of_node = todo.pop(0)
        missing.discard(node)
        both = sight.halves(node, of_node) if node in parents else None
        if both is None:
            found.append(node)
            rows.append(of_node)
        else:
            todo[:0] = [((node[0], 2 * node[1] + i), half) for i, half in enumerate(both)]
    if missing:
        raise ValueError(f"no such part of a micro cluster: {min(missing)}")
    return Leaves(found, rows, _handed_down(sight, found, rows))


def _handed_down(sight: Sight, nodes: list[Node], rows: list[np.ndarray]) -> np.ndarray:
    """The evidence `f[U, U]` of leaves."""
    of_micro = np.array([m for m, _ in nodes])
    evidence = np.asarray(sight.evidence, np.float64)[np.ix_(of_micro, of_micro)].copy()
    part = np.array([h > 1 for _, h in nodes])
    if part.any():
        own = np.stack([sight.z[r].mean(axis=0, dtype=np.float64) for r in rows])
        sizes = np.array([len(r) for r in rows])
        member = (of_micro[None] == np.arange(len(sight.evidence))[:, None]) * sizes
        whole = (member @ own / np.maximum(member.sum(axis=1, keepdims=True), 1))[of_micro]
        nearer = np.log(_distances(whole) + 1e-6) - np.log(_distances(own) + 1e-6)
        moved = evidence + NEARER * nearer
        either = part[:, None] | part[None]
        evidence = np.where(either, np.clip(moved, -MOST, MOST), evidence)
        evidence[of_micro[:, None] == of_micro[None]] = WHOLE
    np.fill_diagonal(evidence, 0.0)
    return evidence


def _distances(z: np.ndarray) -> np.ndarray:
    norms = (z**2).sum(axis=1)
    return np.sqrt(np.maximum(norms[:, None] + norms[None] - 2 * z @ z.T, 0.0))


def _line(node: Node) -> list[Node]:
    """A node and all that it is a part of."""
    micro, part = node
    return [(micro, part >> up) for up in range(part.bit_length())]
