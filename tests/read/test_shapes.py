"""Words that look alike are read together: as each of them is read alone, to the bit."""

import itertools
import random

import numpy as np
import pandas as pd
import pytest

from ncd_jax.read import words as shapes
from ncd_jax.read.date_words import clock_of, dates_of, day_order, durations_of
from ncd_jax.read.gaps import is_gap
from ncd_jax.read.number_words import evidence, numbers_of
from ncd_jax.read.words import level_key, merged, shapes_of, words_of

KINDS = """
999 9,999 99.99 -9.9 .9 9. +99 007 9,999.99 9.999,99 99,99,999 9'999 9\u2019999.9 9 999,9 9\u202f999
-0
$9,999.99 99.9 € (99.9) 99- \u22129.9 <9.9 99% 9.9 kg 99 m9 9 g/100 g 9 g/99 g 9mg/ 100 g 9 kg/m9
9e9
99e9 9.9e99 9.9E+999 99999999999999999 9.99999999999999999 99999-99-99 999.999.999.999 9²
9999-99-99 9999-99-99T99:99:99.999 9999-99-99 99:99:99+99:99 99.99.9999 99/99/9999 9/9/99 9:99 PM
99.99.9999 99:99 9 Mar 9999 März 9, 9999 Mon, 9 Dec 9999 9999-99 9-Okt-99 9999/99/99 99:99
99:99 9:99:99 9:99 AM 99h99 9:99 Uhr 9 days 99:99:99 99:99:99.999 -9:99 9 days 0000-00-00
order 999 of 9 A9999 AB-9 9x9 19e9 1.0 99.00 ünder 99 x\u00a09 no digit 9\t9 "9" 9\0 \u06639
"""


def made():
    rng = random.Random(0)
    for line in KINDS.strip().splitlines():
        parts = line.split(" ")
        for kind in sorted({*parts, *map(" ".join, itertools.pairwise(parts))}):
            low = 1 if rng.random() < 0.5 else 0
            for _ in range(9):
                yield "".join(str(rng.randint(low, 9)) if c == "9" else c for c in kind)


WORDS = sorted(set(made()))


def alone(read):
    return [read([word]) for word in WORDS]


@pytest.mark.parametrize("decimal", [".", ","])
def test_numbers(decimal):
    together, each = numbers_of(WORDS, decimal), alone(lambda words: numbers_of(words, decimal))
    values = np.concatenate([found.values for found in each])
    np.testing.assert_array_equal(together.values, values)
    np.testing.assert_array_equal(np.signbit(together.values), np.signbit(values))
    assert together.units == [found.units[0] for found in each]
    assert together.limits.tolist() == [found.limits[0] for found in each]
    assert 100 < np.isfinite(values).sum() < len(WORDS) - 100
    plain = [word for word in WORDS if word.replace(".", "", 1).isdigit() and word.isascii()]
    if decimal == ".":
        np.testing.assert_array_equal(numbers_of(plain, ".").values, [*map(float, plain)])


def test_dates_and_times():
    for order in ("dmy", "mdy", ""):
        together = dates_of(WORDS, order)
        each = [dates_of([word], order) for word in WORDS]
        np.testing.assert_array_equal(together, np.concatenate(each))
    assert (~np.isnat(together)).sum() > 20
    for read in (clock_of, durations_of):
        np.testing.assert_array_equal(read(WORDS), np.concatenate(alone(read)))
    np.testing.assert_array_equal(day_order(WORDS), np.sum(alone(day_order), axis=0))


def test_dates_are_those_of_the_calendar():
    days = pd.date_range("1999-12-25", "2004-03-05", freq="31h")
    for form, order in [("%d.%m.%Y", "dmy"), ("%m/%d/%Y", "mdy"), ("%Y/%m/%d", "")]:
        wanted = days.floor("min").to_numpy().astype("datetime64[us]")
        np.testing.assert_array_equal(dates_of([*days.strftime(f"{form} %H:%M")], order), wanted)
    wrong = [f"{day:02}.02.2001" for day in range(29, 99)]
    wrong += [f"10.{month:02}.2001" for month in range(13, 99)]
    assert np.isnat(dates_of(wrong, "dmy")).all()
    assert np.isnat(clock_of([f"{hour}:30" for hour in range(24, 99)])).all()


def test_what_is_said_and_asked():
    together, each = evidence(WORDS), alone(evidence)
    for field in ("comma", "point", "with_comma", "with_point", "whole", "all"):
        assert getattr(together, field) == sum(getattr(said, field) for said in each)
    assert together.longest == max(said.longest for said in each)
    firsts = [said.doubtful for said in each if said.with_comma]
    assert together.doubtful == firsts[0]
    for rule in (is_gap, str.isdigit, lambda word: level_key(word) == word):
        assert shapes_of(WORDS).ask(rule).tolist() == [bool(rule(word)) for word in WORDS]


def test_a_digit_of_a_unit_is_no_other():
    words = [f"{i} m{i % 9 + 1}" for i in range(10, 100)]
    units = np.array(numbers_of(words, ".").units)
    known = np.array([word[-1] in "23" for word in words])
    assert set(units[known]) == {"m2", "m3"}
    assert set(units[~known]) == {""}


def test_few_shapes_are_found_and_kept():
    words = [f"order {i} of {i % 90 + 10}" for i in range(100_000, 100_500)]
    found = shapes_of(words)
    assert shapes_of(found) is found
    assert len(found.firsts) < 40
    rest = words[::2]
    less = found.without(np.arange(500) % 2 == 1, rest)
    assert [*less.each()] == [*shapes_of(rest).each()]
    assert [a.words[a.places[0]] for a in less.with_digits] == less.firsts


def test_words_of_arrow_are_those_of_python():
    for cells in (["b", "a", "", "b", "ä"], [" a", "a", "b\t"], ["x", None, "y"], [""], []):
        text = pd.Series(cells, dtype="str")
        ours, wanted = words_of(text), words_of(text.astype(object))
        assert ours.words == wanted.words
        np.testing.assert_array_equal(ours.codes, wanted.codes)
        assert merged(ours).words == merged(wanted).words


def test_few_words_are_read_one_by_one(monkeypatch):
    monkeypatch.setattr(shapes, "_FEWEST", 1000)
    slow = numbers_of(WORDS, ".").values
    monkeypatch.undo()
    np.testing.assert_array_equal(numbers_of(WORDS, ".").values, slow)
