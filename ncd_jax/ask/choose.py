"""Which question comes next: the one whose answer is expected to put most rows right.

Asked about are all merges, made and not made; every leaf against the rest of its group, and
against the group that is nearest otherwise; both halves of every leaf; and, where unlabelled rows
may be of known classes, every group and the known class that is nearest. The judge's evidence is no
calibrated probability: how often two groups are one class at a given linkage was counted on
development tables. What a question may bring is the chance that the answer is not what is assumed,
times the rows that then move.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from ncd_jax.ask.parts import Sight
from ncd_jax.ask.state import State, Told, answer_all, expects
from ncd_jax.ask.subject import SHOWN, Subject, same_subject, shown_rows

__all__ = ["Question", "next_questions", "one_class_probability", "plan_questions"]

SLOPE, INTERCEPT = 0.6, -0.7
"""Of the logistic curve from linkage to the share of pairs of groups that were one class."""
MIXED_LEAF, LEAF_WORTH = 0.1, 5
"""Chance that the halves of a micro cluster are of two classes, and how many answers about halves
that is worth: tables differ in it. Thrice as much each time that a person says *mixed* of a group
that it is in."""
LITTLE = 0.002
"""Share of the rows: a question that is expected to put fewer right is not worth asking."""
MOST_TURNS = 3


class Question(NamedTuple):
    """What a person is asked.

    Attributes:
        subject: what it is about.
        all_a: `i[n]`, all rows of the one group.
        all_b: of the other; none where a known class is asked about.
        chance_yes: how likely the answer is yes.
        assumed: the answer that holds until a person says otherwise.
        turn: which time it is asked.
    """

    subject: Subject
    all_a: np.ndarray
    all_b: np.ndarray
    chance_yes: float
    assumed: bool
    turn: int = 1

    @property
    def name(self) -> str:
        """Stands for what is asked, always the same."""
        return self.subject.name(self.turn)

    @property
    def kind(self) -> str:
        """`same`: are the rows of both groups one class? `known`: are they the class `known`?"""
        return self.subject.kind

    @property
    def known(self) -> int:
        """The known class from 0, else -1."""
        return self.subject.known

    @property
    def rows_a(self) -> np.ndarray:
        """The rows `i[<= 6]` that are shown of the one group."""
        return shown_rows(self.name, "a", self.all_a)

    @property
    def rows_b(self) -> np.ndarray:
        """Those of the other; none where a known class is asked about."""
        return shown_rows(self.name, "b", self.all_b)

    @property
    def rows_moved(self) -> int:
        """Rows that another answer than the assumed one would move: those of the smaller group."""
        return min(len(self.all_a), len(self.all_b) or len(self.all_a))

    @property
    def surprise(self) -> float:
        """How likely the answer is not the one that is assumed."""
        return 1 - self.chance_yes if self.assumed else self.chance_yes

    @property
    def gain(self) -> float:
        """Rows that the answer is expected to put right."""
        return self.surprise * self.rows_moved

    @property
    def worth(self) -> float:
        """Surprise times a mean of both groups' rows in which the smaller one counts twice.

        Of two questions that would move as many rows the one about the larger groups comes first:
        with it goes all that is merged with them later.
        """
        fewer, more = self.rows_moved, max(len(self.all_a), len(self.all_b))
        return self.surprise * float(np.cbrt(fewer**2 * more))

    def is_worth_asking(self, n_rows: int) -> bool:
        """Whether so many of all rows gain by it; where it is not of the first, one may stop."""
        return self.gain > LITTLE * n_rows


def one_class_probability(linkage: float) -> float:
    """How likely two groups are one class, from their mean evidence."""
    return float(1 / (1 + np.exp(-(SLOPE * linkage + INTERCEPT))))


def next_questions(sight: Sight, state: State, n_questions: int = 10) -> list[Question]:
    """The next questions, the most useful first; fewer or none where all was asked.

    A question whose answer contradicts the judge, or was *don't know*, comes again at once, with
    other rows.

    Args:
        sight: what the run left.
        state: after the answers so far.
        n_questions: at most.
    """
    again = [
        _asked(state, subject)._replace(turn=said.times + 1)
        for subject, said in state.told.items()
        if _comes_again(sight, state, subject, said)
    ]
    fresh: dict[Subject, Question] = {}
    for each in (*_merges(state), *_leaves(state), *_halves(sight, state), *_known(sight, state)):
        if each.subject not in state.told:
            fresh.setdefault(each.subject, each)
    most = sorted(fresh.values(), key=lambda each: (-each.worth, each.subject))
    return (again + most)[:n_questions]


def plan_questions(
    sight: Sight, answers: Mapping[str, str], written: Mapping[int, int], n_questions: int = 10
) -> list[Question]:
    """Questions that are answered together, the most useful first.

    Each is the next one if those before it have their likelier answer. Ten that were chosen at once
    would ask about the parts of groups that the first answer will have parted.

    Args:
        sight: what the run left.
        answers: those so far; see `answer_all`.
        written: labels of single rows so far.
        n_questions: at most.
    """
    planned: list[Question] = []
    likely = dict(answers)
    while len(planned) < n_questions:
        following = next_questions(sight, answer_all(sight, likely, written), n_questions)
        # Whether one of them comes again is known only when it is answered.
        asked = {each.subject for each in planned}
        fresh = [each for each in following if each.subject not in asked]
        if not fresh:
            break
        planned.append(fresh[0])
        likely[fresh[0].name] = "yes" if fresh[0].chance_yes > 0.5 else "no"
    return planned


def _comes_again(sight: Sight, state: State, subject: Subject, said: Told) -> bool:
    """Whether a question comes again with other rows: it is doubtful, or nobody knew."""
    if said.mixed or said.times >= MOST_TURNS:
        return False
    if not said.yes + said.no:
        sizes = state.leaves.sizes
        largest = max(sizes[state.leaves.under(nodes)].sum() for nodes in (subject.a, subject.b))
        return bool(largest > SHOWN * said.times)
    surprise = said.no if expects(sight, state, subject) else said.yes
    return surprise > 0 and abs(said.yes - said.no) < 2


def _asked(state: State, subject: Subject) -> Question:
    """What was asked about before."""
    leaves = state.leaves
    a = leaves.under(subject.a)
    if subject.known >= 0:
        return _is_known(state, subject, a)
    b = leaves.under(subject.b)
    pairs = np.outer(leaves.sizes[a], leaves.sizes[b])
    linkage = float((state.evidence[np.ix_(a, b)] * pairs).sum() / pairs.sum())
    return _pair(state, subject, a, b, linkage)


def _pair(state: State, subject: Subject, a: np.ndarray, b: np.ndarray, linkage: float) -> Question:
    """Two groups; assumed is what holds now of most of their rows."""
    rows_a, rows_b = state.leaves.rows_of(a), state.leaves.rows_of(b)
    assumed = _most(state.labels[rows_a]) == _most(state.labels[rows_b])
    return Question(subject, rows_a, rows_b, one_class_probability(linkage), assumed)


def _most(labels: np.ndarray) -> int:
    return int(np.bincount(labels).argmax())


def _same(state: State, a: list[int], b: list[int], linkage: float) -> Question:
    nodes = state.leaves.nodes
    subject = same_subject([nodes[i] for i in a], [nodes[i] for i in b])
    if subject.a[0] not in {nodes[i] for i in a}:
        a, b = b, a
    return _pair(state, subject, np.sort(a), np.sort(b), linkage)


def _merges(state: State) -> Iterator[Question]:
    """Merges that were made, and those that would come next."""
    for a, b, linkage in (*state.made, *state.open):
        yield _same(state, a, b, linkage)


def _leaves(state: State) -> Iterator[Question]:
    """Every leaf and the rest of its group; every leaf and the nearest other group."""
    sizes, groups = state.leaves.sizes, state.groups
    of = state.group_of
    member = (of[:, None] == np.arange(len(groups))) * sizes[:, None]
    rows = member.sum(axis=0) - member
    mean = state.evidence @ member / np.maximum(rows, 1)
    for i, own in enumerate(of):
        rest = [j for j in groups[own] if j != i]
        if rest:
            yield _same(state, [i], rest, float(mean[i, own]))
        if len(groups) > 1:
            other = np.where(np.arange(len(groups)) == own, -np.inf, mean[i])
            nearest = int(other.argmax())
            yield _same(state, [i], groups[nearest], float(other[nearest]))


def _halves(sight: Sight, state: State) -> Iterator[Question]:
    """Both halves of every leaf."""
    mixed = np.zeros(len(state.leaves.nodes))
    n_two, n_told = MIXED_LEAF * LEAF_WORTH, float(LEAF_WORTH)
    for subject, said in state.told.items():
        if subject.is_of_halves and said.yes != said.no:
            n_two, n_told = n_two + (said.no > said.yes), n_told + 1
        if said.mixed:
            mixed[state.leaves.under((*subject.a, *subject.b))] += said.mixed
    for (micro, part), rows, times in zip(
        state.leaves.nodes, state.leaves.rows, mixed, strict=True
    ):
        both = sight.halves((micro, part), rows)
        if both is not None:
            subject = Subject(((micro, 2 * part),), ((micro, 2 * part + 1),))
            chance = 1 - min(n_two / n_told * 3**times, 0.8)
            yield Question(subject, *both, chance, True)


def _known(sight: Sight, state: State) -> Iterator[Question]:
    """Every group, and every leaf, and the known class that is nearest."""
    if sight.may_be_known:
        every = [*state.groups, *([i] for i in range(len(state.known)))]
        for group in every:
            a = np.array(group)
            mean = np.average(state.known[a], axis=0, weights=state.leaves.sizes[a])
            nodes = tuple(sorted(state.leaves.nodes[i] for i in group))
            yield _is_known(state, Subject(nodes, (), int(mean.argmax())), a)


def _is_known(state: State, subject: Subject, a: np.ndarray) -> Question:
    rows = state.leaves.rows_of(a)
    log_odds = np.average(state.known[a, subject.known], weights=state.leaves.sizes[a])
    chance = float(1 / (1 + np.exp(-log_odds)))
    return Question(subject, rows, rows[:0], chance, _most(state.labels[rows]) == subject.known)
