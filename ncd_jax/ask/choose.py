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
        name: stands for what is asked, always the same.
        kind: `same`: are the rows of both groups one class? `known`: are they the class `known`?
        rows_a: `i[<= 6]`, rows that are shown of the one group.
        rows_b: of the other; none for `known`.
        all_a: `i[n]`, all rows of the one group.
        all_b: of the other.
        known: the known class from 0, else -1.
        rows_moved: rows that another answer than the assumed one would move.
        chance_yes: how likely the answer is yes.
        assumed: the answer that holds until a person says otherwise.
        gain: rows that the answer is expected to put right.
    """

    name: str
    kind: str
    rows_a: np.ndarray
    rows_b: np.ndarray
    all_a: np.ndarray
    all_b: np.ndarray
    known: int
    rows_moved: int
    chance_yes: float
    assumed: bool
    gain: float

    def is_worth_asking(self, n_rows: int) -> bool:
        """Whether so many of all rows gain by it; where it is not of the first, one may stop."""
        return self.gain > LITTLE * n_rows


class _Candidate(NamedTuple):
    subject: Subject
    rows_a: np.ndarray
    rows_b: np.ndarray
    chance: float
    assumed: bool

    @property
    def surprise(self) -> float:
        """How likely the answer is not the one that is assumed."""
        return 1 - self.chance if self.assumed else self.chance

    @property
    def rows_moved(self) -> int:
        """Rows of the smaller group."""
        return min(len(self.rows_a), len(self.rows_b) or len(self.rows_a))

    @property
    def worth(self) -> float:
        """Surprise times a mean of both groups' rows in which the smaller one counts twice.

        Of two questions that would move as many rows the one about the larger groups comes first:
        with it goes all that is merged with them later.
        """
        fewer, more = self.rows_moved, max(len(self.rows_a), len(self.rows_b))
        return self.surprise * float(np.cbrt(fewer**2 * more))


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
        _question(_asked(state, subject), said.times + 1)
        for subject, said in state.told.items()
        if _comes_again(sight, state, subject, said)
    ]
    fresh: dict[Subject, _Candidate] = {}
    for candidate in (
        *_merges(state),
        *_leaves(state),
        *_halves(sight, state),
        *_known(sight, state),
    ):
        if candidate.subject not in state.told:
            fresh.setdefault(candidate.subject, candidate)
    most = sorted(fresh.values(), key=lambda each: (-each.worth, each.subject))
    return (again + [_question(each, 1) for each in most[:n_questions]])[:n_questions]


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
        asked = {_first_time(each) for each in planned}
        fresh = [each for each in following if _first_time(each) not in asked]
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


def _first_time(question: Question) -> str:
    return question.name.partition("-again")[0]


def _question(candidate: _Candidate, turn: int) -> Question:
    subject = candidate.subject
    name = subject.name(turn)
    return Question(
        name=name,
        kind=subject.kind,
        rows_a=shown_rows(name, "a", candidate.rows_a),
        rows_b=shown_rows(name, "b", candidate.rows_b),
        all_a=candidate.rows_a,
        all_b=candidate.rows_b,
        known=subject.known,
        rows_moved=candidate.rows_moved,
        chance_yes=candidate.chance,
        assumed=candidate.assumed,
        gain=candidate.surprise * candidate.rows_moved,
    )


def _asked(state: State, subject: Subject) -> _Candidate:
    """What was asked about before."""
    leaves = state.leaves
    a = leaves.under(subject.a)
    if subject.known >= 0:
        return _is_known(state, subject, a)
    b = leaves.under(subject.b)
    pairs = np.outer(leaves.sizes[a], leaves.sizes[b])
    linkage = float((state.evidence[np.ix_(a, b)] * pairs).sum() / pairs.sum())
    return _pair(state, subject, a, b, linkage)


def _pair(
    state: State, subject: Subject, a: np.ndarray, b: np.ndarray, linkage: float
) -> _Candidate:
    """Two groups; assumed is what holds now of most of their rows."""
    rows_a, rows_b = state.leaves.rows_of(a), state.leaves.rows_of(b)
    assumed = _most(state.labels[rows_a]) == _most(state.labels[rows_b])
    return _Candidate(subject, rows_a, rows_b, one_class_probability(linkage), assumed)


def _most(labels: np.ndarray) -> int:
    return int(np.bincount(labels).argmax())


def _same(state: State, a: list[int], b: list[int], linkage: float) -> _Candidate:
    nodes = state.leaves.nodes
    subject = same_subject([nodes[i] for i in a], [nodes[i] for i in b])
    if subject.a[0] not in {nodes[i] for i in a}:
        a, b = b, a
    return _pair(state, subject, np.sort(a), np.sort(b), linkage)


def _merges(state: State) -> Iterator[_Candidate]:
    """Merges that were made, and those that would come next."""
    for a, b, linkage in (*state.made, *state.open):
        yield _same(state, a, b, linkage)


def _leaves(state: State) -> Iterator[_Candidate]:
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


def _halves(sight: Sight, state: State) -> Iterator[_Candidate]:
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
            yield _Candidate(subject, *both, chance, True)


def _known(sight: Sight, state: State) -> Iterator[_Candidate]:
    """Every group, and every leaf, and the known class that is nearest."""
    if sight.may_be_known:
        every = [*state.groups, *([i] for i in range(len(state.known)))]
        for group in every:
            a = np.array(group)
            mean = np.average(state.known[a], axis=0, weights=state.leaves.sizes[a])
            nodes = tuple(sorted(state.leaves.nodes[i] for i in group))
            yield _is_known(state, Subject(nodes, (), int(mean.argmax())), a)


def _is_known(state: State, subject: Subject, a: np.ndarray) -> _Candidate:
    rows = state.leaves.rows_of(a)
    log_odds = np.average(state.known[a, subject.known], weights=state.leaves.sizes[a])
    chance = float(1 / (1 + np.exp(-log_odds)))
    return _Candidate(subject, rows, rows[:0], chance, _most(state.labels[rows]) == subject.known)
