import dataclasses

import jax
import numpy as np
import pytest

from benchmarks.person import Person
from ncd_jax.ask.choose import next_questions
from ncd_jax.ask.parts import Sight, cut, halves
from ncd_jax.ask.state import answer_all, merge_all
from ncd_jax.judge.merges import merges

MERGES = jax.jit(merges)
ROOM = 20


@pytest.fixture
def sight():
    """Four micro clusters of ten rows; the judge takes 0 and 1 for one class, and 2 and 3.

    The truth: 0 is a class, 1 and 2 are one, and 3 holds five rows each of two more.
    """
    rng = np.random.default_rng(0)
    micro = np.repeat(np.arange(4), 10)
    z = np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [6.0, 0.0]])[micro]
    z[35:] += [0.0, 5.0]
    z = z + 0.01 * rng.normal(size=z.shape)
    evidence = np.full((4, 4), -3.0)
    evidence[0, 1] = evidence[1, 0] = evidence[2, 3] = evidence[3, 2] = 1.5
    evidence[1, 2] = evidence[2, 1] = -1.0
    np.fill_diagonal(evidence, 0)
    return Sight(evidence, micro, z, np.zeros((40, 0)))


TRUTH = np.repeat([0, 1, 1, 2, 3], [10, 10, 10, 5, 5])


def same_partition(one, other):
    return (
        len(np.unique(np.stack([one, other]), axis=1).T)
        == len(np.unique(one))
        == len(np.unique(other))
    )


def test_merges_are_the_judges():
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 20):
        evidence = rng.normal(size=(n, n)).astype(np.float32)
        evidence = evidence + evidence.T
        np.fill_diagonal(evidence, 0)
        sizes = rng.integers(1, 30, n)
        made, still_open, groups = merge_all(evidence, sizes)
        labels = np.empty(n, int)
        for k, group in enumerate(groups):
            labels[group] = k
        if n > 1:
            room = (0, ROOM - n)  # filled up with slots that are empty
            path = MERGES(np.pad(evidence, (room, room)), np.pad(sizes, room).astype(np.int32))
            np.testing.assert_array_equal(labels, np.asarray(path.labels)[len(made), :n])
            judged = np.asarray(path.linkage)[: len(made)]
            np.testing.assert_allclose([m.linkage for m in made], judged, rtol=1e-4, atol=1e-5)
        assert len(still_open) == len(groups) * (len(groups) - 1) // 2


def test_without_an_answer_it_is_what_the_judge_said(sight):
    state = answer_all(sight, {})
    np.testing.assert_array_equal(state.labels, np.repeat([0, 1], 20))
    assert state.n_novel == 2
    assert state.contradicted == {}


def test_answers_part_and_join(sight):
    state = answer_all(sight, {"same-1-2": "no"})
    assert same_partition(state.labels, np.repeat([0, 1, 2, 2], 10))
    state = answer_all(sight, {"same-1-2": "no", "same-2-4": "yes", "same-4-8": "no"})
    assert same_partition(state.labels, np.repeat([0, 1, 1, 3], 10))
    state = answer_all(sight, {"same-0_3.2-0_3.3": "no", "same-4-8": "no"})
    assert same_partition(state.labels, np.repeat([0, 1, 2, 3], [20, 10, 5, 5]))


def test_mixed_and_unknown_change_no_class_by_themselves(sight):
    for answer in ("mixed", "unknown"):
        state = answer_all(sight, {"same-3-c": answer})
        np.testing.assert_array_equal(state.labels, answer_all(sight, {}).labels)
        subjects = [q.name.partition("-again")[0] for q in next_questions(sight, state, 100)]
        assert ("same-3-c" in subjects) == (answer == "unknown")
    gain = {q.name: q.gain for q in next_questions(sight, answer_all(sight, {}), 100)}
    mixed = answer_all(sight, {"same-4-8": "mixed"})
    after = {q.name: q.gain for q in next_questions(sight, mixed, 100)}
    assert after["same-0_3.2-0_3.3"] > 2 * gain["same-0_3.2-0_3.3"]


def test_halves_are_doubted_as_often_as_they_were_two_classes(sight):
    halves = [f"same-0_{m}.2-0_{m}.3" for m in range(4)]

    def chance(answers):
        found = {
            q.name: q.chance_yes for q in next_questions(sight, answer_all(sight, answers), 99)
        }
        return found[halves[3]]

    assert chance({}) == pytest.approx(0.9)
    assert chance(dict.fromkeys(halves[:3], "no")) == pytest.approx(1 - 3.5 / 8)
    assert chance(dict.fromkeys(halves[:3], "yes")) == pytest.approx(1 - 0.5 / 8)
    assert chance({"same-1-2": "no", halves[0]: "unknown"}) == pytest.approx(0.9)


def test_order_is_no_matter_and_an_answer_can_be_taken_back(sight):
    answers = {"same-1-2": "no", "same-0_3.2-0_3.3": "no", "same-2-4": "yes", "same-1-8": "unknown"}
    one = answer_all(sight, answers)
    other = answer_all(sight, dict(reversed(answers.items())))
    assert one.evidence.tobytes() == other.evidence.tobytes()
    assert one.labels.tobytes() == other.labels.tobytes()
    names = [[q.name for q in next_questions(sight, state)] for state in (one, other)]
    assert names[0] == names[1]
    before = {k: v for k, v in answers.items() if k != "same-0_3.2-0_3.3"}
    assert answer_all(sight, before).leaves.nodes == [(m, 1) for m in range(4)]


def test_an_answer_against_the_judge_is_asked_again(sight):
    state = answer_all(sight, {"same-1-2": "no"})
    first = next_questions(sight, state)[0]
    assert first.name == "same-1-2-again2"
    assert next_questions(sight, answer_all(sight, {"same-1-2": "yes"}))[0].name != first.name
    twice = answer_all(sight, {"same-1-2": "no", "same-1-2-again2": "no"})
    assert twice.evidence[0, 1] == 1.5 - 8
    split = answer_all(sight, {"same-1-2": "no", "same-1-2-again2": "yes"})
    assert split.evidence[0, 1] == 1.5
    first, second = "same-1-2", "same-1-2-again2"
    assert split.contradicted == {first: (second,), second: (first,)}
    assert next_questions(sight, split)[0].name == "same-1-2-again3"
    third = answer_all(sight, {"same-1-2": "no", "same-1-2-again2": "yes", "same-1-2-again3": "no"})
    assert third.evidence[0, 1] == 1.5 - 4
    assert not next_questions(sight, third)[0].name.startswith("same-1-2")


def test_who_does_not_know_is_shown_other_rows(sight):
    """Twice at most, and only where a group has rows that were not shown."""
    names = ["same-3-c", "same-3-c-again2", "same-3-c-again3"]
    told: dict[str, str] = {}
    seen: set[int] = set()
    for name in names[1:]:
        told[names[len(told)]] = "unknown"
        first = next_questions(sight, answer_all(sight, told))[0]
        assert first.name == name
        assert not seen & set(first.rows_a.tolist())
        seen |= set(first.rows_a.tolist())
    told[names[2]] = "unknown"
    assert not any("same-3-c" in q.name for q in next_questions(sight, answer_all(sight, told), 99))
    halves = answer_all(sight, {"same-0_3.2-0_3.3": "unknown"})  # of five rows each
    assert not any("same-0_3" in q.name for q in next_questions(sight, halves, 99))
    knew = answer_all(sight, {names[0]: "unknown", names[1]: "no"})
    assert not any("same-3-c" in q.name for q in next_questions(sight, knew, 99))


def test_answers_that_cannot_all_hold_are_named(sight):
    circle = {"same-1-2": "yes", "same-2-4": "yes", "same-1-4": "no"}
    state = answer_all(sight, circle)
    assert len(state.contradicted) >= 1
    for name, others in state.contradicted.items():
        assert others
        assert {name, *others} <= set(circle)
        assert all(circle[other] != circle[name] for other in others)
    assert answer_all(sight, {"same-1-2": "yes", "same-1-4": "no"}).contradicted == {}


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        ({"same-1": "yes"}, "same-1"),
        ({"same-1-2": "perhaps"}, "perhaps"),
        ({"same-1-10": "yes"}, "4"),
        ({"known-1-class0": "yes"}, "known class 0"),
        ({"same-0_0.9999-2": "yes"}, "part"),
    ],
)
def test_answers_to_nothing(sight, answers, named):
    with pytest.raises(ValueError, match=named):
        answer_all(sight, answers)


def test_written_labels_are_strongest(sight):
    """Two labels in one micro cluster cut it; both rows keep theirs, and an answer is overruled."""
    state = answer_all(sight, {"same-1-2": "yes"}, {0: -1, 10: -2})
    assert same_partition(state.labels[:20], np.repeat([0, 1], 10))
    state = answer_all(sight, {}, {30: -1, 39: -2})
    assert same_partition(state.labels[30:], TRUTH[30:])
    state = answer_all(sight, {}, {30: -1, 31: -2})
    assert state.labels[30] != state.labels[31]


def test_known_classes():
    micro = np.repeat(np.arange(3), 8)
    known = np.tile([0.1, 0.05], (24, 1))
    known[8:16] = [0.3, 0.6]
    evidence = np.full((3, 3), -3.0)
    np.fill_diagonal(evidence, 0)
    z = np.eye(3)[micro] + 0.01 * np.random.default_rng(0).normal(size=(24, 3))
    sight = Sight(evidence, micro, z, known)
    state = answer_all(sight, {})
    np.testing.assert_array_equal(state.labels, np.repeat([2, 1, 3], 8))
    assert state.n_novel == 2
    told = answer_all(sight, {"known-1-class0": "yes", "known-2-class1": "no"})
    np.testing.assert_array_equal(told.labels, np.repeat([0, 2, 3], 8))
    kinds = {q.kind for q in next_questions(sight, state, 50)}
    assert kinds == {"same", "known"}
    written = answer_all(sight, {}, {0: 1, 8: -1})
    np.testing.assert_array_equal(written.labels, np.repeat([1, 2, 3], 8))


def test_it_is_a_known_class(sight):
    """Of which nobody asks where no row may be of one."""
    sight = dataclasses.replace(sight, known=np.zeros((40, 3)))
    before = answer_all(sight, {})
    assert before.n_novel == 2
    assert {q.kind for q in next_questions(sight, before, 100)} == {"same"}
    told = answer_all(sight, {"same-2-4": "class1"})  # 1 and 2 are one class, and that is 1
    assert set(told.labels[10:30].tolist()) == {1}
    again = {q.name: q for q in next_questions(sight, told) if "again" in q.name}
    assert set(again) == {"same-2-4-again2", "known-6-class1-again2"}
    assert set(again["known-6-class1-again2"].all_a.tolist()) == {*range(10, 30)}
    other = answer_all(sight, {"same-2-4": "class1", "known-6-class1-again2": "class0"})
    assert set(other.contradicted) == {"same-2-4", "known-6-class1-again2"}
    with pytest.raises(ValueError, match="known class 3"):
        answer_all(sight, {"same-2-4": "class3"})


def test_a_person_sorts_the_table(sight):
    answers = {}
    person = Person(TRUTH, np.random.default_rng(0))
    for _ in range(30):
        questions = next_questions(sight, answer_all(sight, answers), 1)
        if not questions:
            break
        answers[questions[0].name] = person.answer(questions[0])
    assert same_partition(answer_all(sight, answers).labels, TRUTH)


def test_halves():
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(size=(7, 3)), rng.normal(size=(9, 3)) + 10])
    order = rng.permutation(16)
    one, other = halves(z[order], np.arange(16))
    assert {frozenset(order[one]), frozenset(order[other])} == {
        frozenset(range(7)),
        frozenset(range(7, 16)),
    }
    assert halves(z, np.arange(5)) is None
    assert halves(np.zeros((20, 3)), np.arange(20)) is None


def test_cut_is_the_coarsest(sight):
    leaves = cut(sight, [(3, 2), (1, 1)])
    assert leaves.nodes == [(0, 1), (1, 1), (2, 1), (3, 2), (3, 3)]
    np.testing.assert_array_equal(np.concatenate(leaves.rows), np.arange(40))
    np.testing.assert_array_equal(leaves.evidence[:3, :3], sight.evidence[:3, :3])
    np.testing.assert_array_equal(leaves.evidence, leaves.evidence.T)
    np.testing.assert_array_equal(leaves.under([(3, 1)]), [3, 4])
    # The half that lies nearer to micro cluster 2 has more evidence for it.
    assert leaves.evidence[2, 3] > sight.evidence[2, 3] > leaves.evidence[2, 4]
