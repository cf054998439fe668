"""What answers change: evidence for and against, and the classes that it all speaks for.

An answer is evidence, not law: `ONCE` log-odds for every pair of a micro cluster of the one group
and one of the other. Where it contradicts the judge the question is asked again with other rows;
two answers that agree count twice, and where they do not a third decides. Then everything is merged
again, by average linkage as the judge does. The state is a function of the answers alone, whatever
their order: each can be taken back.

*It is the known class X*, `class2` with its number, is two answers in one: what is asked about is
one class, and that is it.

Labels that a person writes for rows are the strongest answers: parts with rows of one label belong
together and others do not, a part with rows of two is cut, and the rows themselves have their
label.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ncd_jax.ask.parts import Leaves, Sight, cut
from ncd_jax.ask.subject import Node, Subject, parse_subject

__all__ = ["ANSWERS", "Merge", "State", "Told", "answer_all", "expects", "merge_all"]

ANSWERS = ("yes", "no", "mixed", "unknown")
_CLASS = re.compile(r"class(\d+)")
ONCE = 4.0
"""Log-odds of an answer; twice as many where a second one agrees."""
MIXED = 1.0
"""Log-odds by which an answer *mixed* speaks against each two parts of its groups."""
WRITTEN = 20.0
"""Log-odds of labels that a person wrote: five answers."""


class Told(NamedTuple):
    """What answers say of one subject.

    Attributes:
        yes: how many times.
        no: how many times.
        mixed: how many times.
        unknown: how many times a person did not know.
        names: of the questions that were answered so.
    """

    yes: int = 0
    no: int = 0
    mixed: int = 0
    unknown: int = 0
    names: tuple[str, ...] = ()

    @property
    def times(self) -> int:
        """How many times it was asked about, less those that found it mixed."""
        return self.yes + self.no + self.unknown

    @property
    def says(self) -> float:
        """Log-odds that it is one class: of two answers more of the one kind at most."""
        return ONCE * float(np.clip(self.yes - self.no, -2, 2))


class Merge(NamedTuple):
    """Two groups that were put together, or were not.

    Attributes:
        a: leaves of the one.
        b: leaves of the other.
        linkage: mean evidence of all pairs of their rows, answers included.
    """

    a: list[int]
    b: list[int]
    linkage: float


class State(NamedTuple):
    """All that follows from some answers.

    Attributes:
        leaves: what the rows are cut into.
        evidence: `f[U, U]` of the leaves, answers included.
        known: `f[U, C]`, log-odds that a leaf is a known class, answers included.
        told: of every subject that was asked about.
        made: merges, in order.
        open: pairs of groups that were left apart.
        groups: leaves of each class that was found.
        group_of: the group `i[U]` of each leaf.
        is_known: the known class `i[K]` of each group, -1 where it is a new one.
        codes: the label `i[U]` of the rows of each leaf, but for what a person wrote of them.
        written: rows that a person labelled, and what with: a known class from 0, or -1, -2, ...
            for new ones.
        labels: `i[n]` of all rows: a known class from 0 to `C - 1`, new ones from `C`.
        contradicted: names of questions whose answer does not hold in what was found, each with
            those that speak against it; none where that is the judge.
    """

    leaves: Leaves
    evidence: np.ndarray
    known: np.ndarray
    told: dict[Subject, Told]
    made: list[Merge]
    open: list[Merge]
    groups: list[list[int]]
    group_of: np.ndarray
    is_known: np.ndarray
    codes: np.ndarray
    written: dict[int, int]
    labels: np.ndarray
    contradicted: dict[str, tuple[str, ...]]

    @property
    def n_novel(self) -> int:
        """New classes with a row."""
        n_known = self.known.shape[1]
        return len(np.unique(self.labels[self.labels >= n_known]))


def answer_all(
    sight: Sight, answers: Mapping[str, str], written: Mapping[int, int] | None = None
) -> State:
    """The state after some answers.

    Args:
        sight: what the run left.
        answers: `yes`, `no`, `mixed`, `unknown` or `class<c>`, for the known class `c`, to
            questions by their name.
        written: labels of single rows by their number: a known class from 0, or -1, -2, ... for
            new classes of the person's own.

    Raises:
        ValueError: for a name or an answer that there is not.
    """
    written = dict(sorted((written or {}).items()))
    told = _told(answers)
    n_known = sight.known.shape[1]
    for subject in told:
        if subject.known >= n_known:
            raise ValueError(f"there is no known class {subject.known}")
    nodes = {node for subject in told for node in (*subject.a, *subject.b)}
    leaves = _cut_between(sight, nodes, written)
    evidence, known = leaves.evidence.copy(), _known(sight, leaves)
    for subject, said in told.items():
        a, b = leaves.under(subject.a), leaves.under(subject.b)
        if subject.known >= 0:
            known[a, subject.known] += said.says
        else:
            evidence[np.ix_(a, b)] += said.says
            evidence[np.ix_(b, a)] += said.says
        for group in (a, b):
            evidence[np.ix_(group, group)] -= MIXED * said.mixed
    _write(leaves, written, evidence, known)
    np.fill_diagonal(evidence, 0.0)
    made, still_open, groups = merge_all(evidence, leaves.sizes)
    is_known = _known_groups(known, groups, leaves.sizes)
    group_of = np.empty(len(leaves.nodes), np.intp)
    for k, group in enumerate(groups):
        group_of[group] = k
    new = is_known < 0
    codes = np.where(new, n_known + np.cumsum(new) - 1, is_known)[group_of]
    labels = _label_rows(leaves, codes, written, n_known)
    found = groups, group_of, is_known, codes, written, labels
    state = State(leaves, evidence, known, told, made, still_open, *found, {})
    return state._replace(contradicted=_contradicted(state))


def expects(sight: Sight, state: State, subject: Subject) -> bool:
    """Whether the judge, without any answer, would say yes."""
    a = state.leaves.under(subject.a)
    sizes = state.leaves.sizes
    if subject.known >= 0:
        before = _known(sight, state.leaves)[a, subject.known]
        return float(np.average(before, weights=sizes[a])) > 0
    b = state.leaves.under(subject.b)
    between = state.leaves.evidence[np.ix_(a, b)]
    return float((between * np.outer(sizes[a], sizes[b])).sum()) > 0


def merge_all(
    evidence: np.ndarray, sizes: np.ndarray, least: float = 0.0
) -> tuple[list[Merge], list[Merge], list[list[int]]]:
    """Average linkage as long as it is above 0, as `judge.merges` does it.

    Args:
        evidence: `f[U, U]`, symmetric.
        sizes: `i[U]`, rows of each.
        least: what it must be above.

    Returns:
        Merges that were made, pairs of groups that were left apart, and the groups.
    """
    mean, rows = evidence.astype(np.float64), sizes.astype(np.float64)
    members = {i: [i] for i in range(len(rows))}
    np.fill_diagonal(mean, -np.inf)
    made = []
    while len(members) > 1:
        i, j = divmod(int(np.argmax(mean)), len(rows))
        if mean[i, j] <= least:
            break
        made.append(Merge(members[i], members[j], float(mean[i, j])))
        mean[i] = (rows[i] * mean[i] + rows[j] * mean[j]) / (rows[i] + rows[j])
        mean[:, i], mean[i, i] = mean[i], -np.inf
        mean[j], mean[:, j] = -np.inf, -np.inf
        rows[i] += rows[j]
        members[i] = members[i] + members.pop(j)
    left = list(members)
    still_open = [
        Merge(members[i], members[j], float(mean[i, j]))
        for n, i in enumerate(left)
        for j in left[:n]
    ]
    return made, still_open, [sorted(members[i]) for i in left]


def _told(answers: Mapping[str, str]) -> dict[Subject, Told]:
    """What is said of every subject, in the order of names."""
    told: dict[Subject, Told] = {}
    for name, answer in sorted(answers.items()):
        parsed = parse_subject(name)
        if parsed is None:
            raise ValueError(f"no such question: {name}")
        for subject, says in _meaning(parsed[0], answer):
            said = told.get(subject, Told())
            if says in ANSWERS:
                said = said._replace(**{says: getattr(said, says) + 1})
            else:
                raise ValueError(f"no such answer to {name}: {answer}")
            told[subject] = said._replace(names=(*said.names, name))
    return told


def _meaning(subject: Subject, answer: str) -> Iterator[tuple[Subject, str]]:
    """What an answer says, as answers to questions of yes and no."""
    if (found := _CLASS.fullmatch(answer)) is None:
        yield subject, answer
        return
    is_it = Subject(tuple(sorted((*subject.a, *subject.b))), (), int(found[1]))
    if subject != is_it:
        yield subject, "yes" if subject.known < 0 else "no"
    yield is_it, "yes"


def _cut_between(sight: Sight, nodes: set[Node], written: Mapping[int, int]) -> Leaves:
    """Leaves for all nodes that were spoken of, none with rows of two written labels."""
    nodes = set(nodes)
    while True:
        leaves = cut(sight, nodes)
        torn = set()
        for node, rows in zip(leaves.nodes, leaves.rows, strict=True):
            if len({written[row] for row in rows.tolist() if row in written}) > 1:
                torn |= {node} if sight.halves(node, rows) else set()
        if not torn:
            return leaves
        nodes |= {(micro, 2 * part) for micro, part in torn}


def _known(sight: Sight, leaves: Leaves) -> np.ndarray:
    """Log-odds `f[U, C]` that leaves are known classes, from how likely their rows are."""
    if not sight.known.shape[1]:
        return np.zeros((len(leaves.rows), 0))
    share = np.clip(np.stack([sight.known[r].mean(axis=0) for r in leaves.rows]), 0.02, 0.98)
    return np.asarray(np.log(share / (1 - share)))


def _write(
    leaves: Leaves, written: Mapping[int, int], evidence: np.ndarray, known: np.ndarray
) -> None:
    """Adds what a person wrote to the evidence, in place."""
    kinds = sorted(set(written.values()))
    of = np.zeros((len(known), len(kinds)))
    for row, kind in written.items():
        of[leaves.of_row[row], kinds.index(kind)] += 1
    said = of.sum(axis=1) > 0
    most = np.where(said, of.argmax(axis=1) if kinds else 0, -1)
    both = said[:, None] & said[None]
    evidence += WRITTEN * both * np.where(most[:, None] == most[None], 1, -1)
    for u in np.flatnonzero(said).tolist():
        known[u] -= WRITTEN
        if kinds[most[u]] >= 0:
            known[u, kinds[most[u]]] += 2 * WRITTEN


def _known_groups(known: np.ndarray, groups: list[list[int]], sizes: np.ndarray) -> np.ndarray:
    """The known class `i[K]` that each group is, -1 for none."""
    is_known = np.full(len(groups), -1)
    if known.shape[1]:
        for k, group in enumerate(groups):
            mean = np.average(known[group], axis=0, weights=sizes[group])
            if mean.max() > 0:
                is_known[k] = mean.argmax()
    return is_known


def _label_rows(
    leaves: Leaves, codes: np.ndarray, written: Mapping[int, int], n_known: int
) -> np.ndarray:
    """Labels `i[n]`: of a row's leaf, or what a person wrote."""
    labels, number = codes[leaves.of_row], max(int(codes.max()) + 1, n_known)
    # A new class that a person wrote is the group with most of the rows that it was written for,
    # unless it is another one already.
    taken = set()
    for kind in sorted({*written.values()}, reverse=True):
        rows = [row for row, value in written.items() if value == kind]
        if kind < 0:
            values, counts = np.unique(labels[rows], return_counts=True)
            order = values[np.argsort(-counts, kind="stable")].tolist()
            free = [value for value in order if value >= n_known and value not in taken]
            kind, number = (free[0], number) if free else (number, number + 1)
            taken.add(kind)
        labels[rows] = kind
    return labels


def _contradicted(state: State) -> dict[str, tuple[str, ...]]:
    """Questions whose answer does not hold, and those that hold and say otherwise."""

    def where(nodes: tuple[Node, ...]) -> int:
        """The group of most of their rows; -1 for none."""
        leaves = state.leaves.under(nodes)
        sizes = state.leaves.sizes[leaves]
        return int(np.bincount(state.group_of[leaves], sizes).argmax()) if nodes else -1

    places, holds = {}, {}
    for subject, said in state.told.items():
        if said.yes + said.no:
            a, b = places[subject] = where(subject.a), where(subject.b)
            is_one = a == b if subject.known < 0 else state.is_known[a] == subject.known
            holds[subject] = is_one == (said.yes > said.no) and said.yes != said.no
    against: dict[str, tuple[str, ...]] = {}
    for subject, place in places.items():
        said = state.told[subject]
        if said.yes and said.no:
            against |= {name: tuple(n for n in said.names if n != name) for name in said.names}
        elif not holds[subject]:
            others = [
                name
                for other, elsewhere in places.items()
                if holds[other] and sorted(elsewhere) == sorted(place)
                if _disagree(subject, other, bool(said.yes), bool(state.told[other].yes))
                for name in state.told[other].names
            ]
            against |= {name: (*against.get(name, ()), *others) for name in said.names}
    return against


def _disagree(one: Subject, other: Subject, one_yes: bool, other_yes: bool) -> bool:
    """Whether answers about the same groups cannot both hold."""
    if one.known == other.known:
        return one_yes != other_yes
    return min(one.known, other.known) >= 0 and one_yes and other_yes
