import numpy as np
import pytest

from ncd_jax.ask.subject import Subject, parse_subject, same_subject, shown_rows

EXAMPLES = {
    "same-3-18": Subject(((0, 1), (1, 1)), ((3, 1), (4, 1))),
    "same-0_5.2-0_5.3": Subject(((5, 2),), ((5, 3),)),
    "same-1_5.13-2": Subject(((0, 1), (5, 13)), ((1, 1),)),
    "known-18-class2": Subject(((3, 1), (4, 1)), (), 2),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_name_says_what_is_asked(name):
    assert EXAMPLES[name].name() == name
    assert parse_subject(name) == (EXAMPLES[name], 1)
    assert parse_subject(f"{name}-again3") == (EXAMPLES[name], 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "same",
        "same-3",
        "same-3-",
        "same-3-1",
        "same-03-4",
        "same-3-18-again1",
        "same-0-1",
        "known-1-class",
        "known-0-class1",
        "same-0_5.3-0_5.2-",
        "same-1-2-again02",
        "SAME-1-2",
    ],
)
def test_what_is_no_name(text):
    assert parse_subject(text) is None


def test_which_group_comes_first_is_no_matter():
    one, other = [(3, 1), (0, 1)], [(2, 1)]
    assert same_subject(one, other) == same_subject(other, one[::-1])


def test_shown_rows_hang_on_the_name_alone_and_are_new_when_asked_again():
    rows = np.arange(100, 130)
    first = shown_rows("same-1-2", "a", rows)
    assert len(set(first)) == 6
    assert set(first) <= set(rows)
    np.testing.assert_array_equal(first, shown_rows("same-1-2", "a", rows))
    assert set(first) != set(shown_rows("same-1-2", "b", rows))
    again = shown_rows("same-1-2-again2", "a", rows)
    assert not set(first) & set(again)
    np.testing.assert_array_equal(shown_rows("same-1-2-again3", "a", rows[:4]), rows[:4])
