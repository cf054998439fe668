"""Sorting again: rows that the judge has not seen, known classes, and how sure the answer is."""

import dataclasses

import numpy as np
import pytest

from benchmarks.person import Person
from ncd_jax.ask.choose import next_questions, plan_questions
from ncd_jax.ask.resort import resort, sight_of
from ncd_jax.config import KConfig
from ncd_jax.discovery.model import assign
from ncd_jax.discovery.solution import as_they_stood
from ncd_jax.discovery.solve import solve
from ncd_jax.types import UNLABELLED


@pytest.fixture(scope="module")
def sampled(gaussians, judged_config):
    """A run of which the judge saw 100 of 115 new rows and was told one class too few."""
    table, classes = gaussians([25] * 4, [40, 30, 45])
    config = dataclasses.replace(judged_config, k=KConfig(max_rows=100, n_novel=2))
    return table, classes, solve(config, table)


def converse(solution, classes, n):
    """A person who knows the classes `i[u]` of the unlabelled rows answers `n` questions."""
    asked, sight = solution.asked, sight_of(solution.asked)
    person = Person(classes[asked.row], np.random.default_rng(0))
    answers = {}
    for _ in range(n):
        found = resort(solution.model, asked, sight, answers)
        if not (questions := next_questions(sight, found.state)):
            break
        answers[questions[0].name] = person.answer(questions[0])
    return resort(solution.model, asked, sight, answers), answers


def test_rows_that_were_not_seen_follow_those_that_were(sampled):
    table, classes, solution = sampled
    asked, novel = solution.asked, classes[table.y == UNLABELLED]
    assert len(asked.row) == 100
    assert len(asked.like) == 115
    np.testing.assert_array_equal(asked.like[asked.row], np.arange(100))
    assert (asked.labels[asked.row[asked.like]] == asked.labels).all()
    found, _ = converse(solution, novel - 4, 5)
    assert len(np.unique(np.stack([found.labels, novel]), axis=1).T) == 3
    assert np.bincount(found.labels)[4:].tolist() == [45, 40, 30]
    said = assign(found.model, table.x[table.y == UNLABELLED])
    np.testing.assert_array_equal(said.labels, found.labels)
    np.testing.assert_allclose(said.confidence, found.confidence, atol=1e-6)


def test_without_an_answer_it_is_the_run(sampled):
    _, _, solution = sampled
    found = resort(solution.model, solution.asked, sight_of(solution.asked), {})
    assert found.model is solution.model
    np.testing.assert_array_equal(found.labels, solution.found)
    np.testing.assert_array_equal(found.confidence, solution.confidence)
    assert found.state.n_novel == 2, "questions start from the number that was given"


def test_the_order_of_the_rows_says_nothing(sampled):
    table, _, solution = sampled
    order = np.random.default_rng(1).permutation(len(table.y))
    there = as_they_stood(solution, table.y[np.argsort(order)], order)
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    moved = np.flatnonzero(table.y[np.argsort(order)] == UNLABELLED)
    rows, other = unlabelled[solution.asked.row], moved[there.asked.row]
    np.testing.assert_array_equal(order[rows], other)
    name = next_questions(sight_of(solution.asked), resort_of(solution).state)[0].name
    one = resort(solution.model, solution.asked, sight_of(solution.asked), {name: "no"})
    two = resort(there.model, there.asked, sight_of(there.asked), {name: "no"})
    by_row = dict(zip(order[unlabelled].tolist(), one.labels.tolist(), strict=True))
    assert by_row == dict(zip(moved.tolist(), two.labels.tolist(), strict=True))


def resort_of(solution):
    return resort(solution.model, solution.asked, sight_of(solution.asked), {})


def test_an_answer_to_the_doubt_makes_surer(run_of):
    table, classes, solution = run_of("judge", "ncd")
    novel = classes[table.y == UNLABELLED] - 4
    found, answers = converse(solution, novel, 10)
    assert len(answers) == 10
    assert found.confidence.mean() > solution.confidence.mean()
    assert found.numbers[2] > 0.9
    assert found.numbers.sum() == pytest.approx(1)
    names = [q.name for q in plan_questions(sight_of(solution.asked), answers, {})]
    assert len(names) == len(set(names))
    assert not set(names) & set(answers)


def test_new_rows_become_known_and_known_ones_stay(run_of):
    table, _, solution = run_of("judge", "gcd")
    asked, model = solution.asked, solution.model
    n_known = model.n_known
    assert asked.known.shape == (len(asked.row), n_known)
    assert ((asked.like < 0) == (asked.labels < n_known)).all()
    sight = sight_of(asked)
    found = resort(model, asked, sight, {})
    group = next(g for g, k in zip(found.state.groups, found.state.is_known, strict=True) if k < 0)
    name = f"known-{sum(1 << u for u in group):x}-class1"
    once = resort(model, asked, sight, {name: "yes", f"{name}-again2": "yes"})
    rows = asked.row[found.state.leaves.rows_of(group)]
    assert (once.labels[rows] == 1).mean() > 0.9
    assert len(once.model.classes) == len(model.classes) - 1
    others = asked.like < 0
    np.testing.assert_array_equal(once.labels[others], asked.labels[others])
    np.testing.assert_array_equal(once.confidence[others], asked.confidence[others])
    unlabelled = table.y == UNLABELLED
    said = assign(once.model, table.x[unlabelled])
    np.testing.assert_array_equal(said.labels, once.labels)
    # Later rows like them are known too: they lie among labelled ones from now on.
    later = assign(once.model._replace(remembered=None), table.x[unlabelled][rows])
    assert (later.labels == 1).mean() > 0.9
    row = int(np.flatnonzero(others)[0])
    other = resort(model, asked, sight, {}, {row: model.classes[2]})
    assert other.labels[row] == 2
    with pytest.raises(ValueError, match="written for rows of known classes alone"):
        resort(model, asked, sight, {}, {row: "of their own"})


def test_classes_that_a_person_writes_are_kept_apart(run_of):
    table, classes, solution = run_of("judge", "ncd")
    novel, asked = classes[table.y == UNLABELLED], solution.asked
    rows = [int(np.flatnonzero(novel == c)[i]) for c in (4, 5, 6) for i in (1, 2)]
    written = {row: f"class {novel[row]}" for row in rows}
    found = resort(solution.model, asked, sight_of(asked), {}, written)
    assert len({int(found.labels[row]) for row in rows}) == 3
    assert (found.confidence[rows] == 1).all()
    # Torn apart by hand: one row is a class of its own if a person says so.
    found = resort(solution.model, asked, sight_of(asked), {}, written | {rows[0]: "alone"})
    assert (found.labels == found.labels[rows[0]]).sum() >= 1
    assert found.labels[rows[0]] != found.labels[rows[1]]
