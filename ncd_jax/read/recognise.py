"""What the words of a column of text mean: numbers, dates, yes and no, or categories.

A column has the form that nearly all of its cells have. What else stands in it is a gap where
people write gaps so, is named and taken for one where it is little, and otherwise decides: few
different whole numbers among words are categories, many are a mistake that is told.

The mark of fractions, and whether the day comes first, are decided for a whole table. A single word
does not say whether `1,234` is a thousand or little more than one, nor does a column of such. So
all of them are asked: `0,5` and `1.234,5` speak for the comma, `0.5` for the point.
"""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.read.columns import KINDS, Column
from ncd_jax.read.date_words import Order, clock_of, dates_of, day_order, durations_of
from ncd_jax.read.gaps import is_gap, is_lone_mark
from ncd_jax.read.number_words import SIDES, Evidence, evidence, is_currency, numbers_of, ratio
from ncd_jax.read.words import Words, truth_levels

__all__ = [
    "FEW",
    "Form",
    "Locale",
    "as_wished",
    "as_words",
    "column_decimal",
    "date_order",
    "decide_locale",
    "recognise",
]

FEW = 20
"""Different cells that no column is blamed for, however short the table."""

_LASTS = re.compile(r"durat|elaps|laps|length|dauer|durée|split|pace|finish|runtime|_took", re.I)
"""Names of columns in which `7:30` is how long something took."""
_ODD = 0.05
"""Share of the cells that may be odd in a column of numbers or dates."""


@dataclass(frozen=True)
class Locale:
    """The mark of fractions and the order of dates in a table, if anything says it.

    It is certain where a word says what the mark is, and forced where somebody has.
    """

    decimal: str = "."
    order: Order = ""
    is_certain: bool = False
    is_forced: bool = False


def decide_locale(
    columns: Sequence[Evidence],
    days: Sequence[tuple[int, int, int]] = (),
    separator: str = "",
    decimal: str = "",
) -> Locale:
    """Asks all columns of text.

    Args:
        columns: what the words of each say about the mark of fractions.
        days: what they say about the order of dates, see `date_words.day_order`.
        separator: between the cells of a file; who writes fractions with a comma needs another.
        decimal: the mark of fractions where somebody has said it.
    """
    votes, thousands, fractions = [0, 0], [0, 0], [0, 0]
    for said in columns:
        if not said.are_numbers:
            continue
        votes[0] += said.comma > said.point
        votes[1] += said.point > said.comma
        if not said.comma and not said.point:
            for i, marked in enumerate((said.with_comma, said.with_point)):
                thousands[i] += bool(marked) and said.parts_thousands
                fractions[i] += bool(marked) and not said.parts_thousands
    certain = votes[0] != votes[1]
    if decimal:
        mark = decimal
    elif any(votes):
        mark = "," if votes[0] > votes[1] or (not certain and separator == ";") else "."
    elif any(thousands):
        mark = "," if thousands[1] > thousands[0] else "."
    else:
        mark = "," if fractions[0] and separator == ";" else "."
    first = [sum(day > month for day, month, _ in days), sum(month > day for day, month, _ in days)]
    order: Order = "dmy" if mark == "," else ""
    if first[0] != first[1]:
        order = "dmy" if first[0] > first[1] else "mdy"
    return Locale(mark, order, certain, bool(decimal))


def column_decimal(said: Evidence, locale: Locale) -> tuple[str, str]:
    """The mark of fractions in a column, and a word that may be read in another way."""
    if not locale.is_forced and said.comma != said.point:
        return ("," if said.comma > said.point else "."), ""
    # Where every word has the mark, both readings differ by a unit only.
    doubtful = said.doubtful if said.whole else ""
    is_known = locale.is_forced or locale.is_certain
    return locale.decimal, "" if is_known else doubtful


def date_order(
    days: tuple[int, int, int], words: Sequence[str], order: Order
) -> tuple[Order, bool]:
    """Whether the day or the month comes first in a column, and whether that is a guess.

    Its words say it, see `day_order`, or else `order`, what is known beside them.
    """
    day, month, neither = days
    if day != month:
        return ("dmy" if day > month else "mdy"), False
    if neither and not order:
        return ("mdy" if any("/" in word for word in words) else "dmy"), True
    return order, False


@dataclass(frozen=True)
class Form:
    """What a column of text was recognised as.

    Attributes:
        column: to be read so.
        odd: words that were taken for gaps and are none in anybody's words.
        form: how it is written, for people.
        remark: for people.
        is_told: whether the remark is worth a note.
        blame: words that keep the column from being read; then it is a mistake.
    """

    column: Column
    odd: tuple[str, ...] = ()
    form: str = ""
    remark: str = ""
    is_told: bool = False
    blame: tuple[str, ...] = ()

    def of(self, **facts: Any) -> "Form":
        """The same of a column with other facts."""
        return dataclasses.replace(self, column=dataclasses.replace(self.column, **facts))


Match = tuple[Form, np.ndarray]
"""A column as if all words had one form, and their values; those that have another have none."""


def recognise(name: str, words: Words, locale: Locale) -> Form:
    """What a column of text means, by its words less those that are gaps in every column."""
    is_soft = words.shapes.ask(is_gap)
    if is_soft.all():
        return as_words(name, words)
    rest = words.without(is_soft)
    if levels := truth_levels(rest.words):
        return Form(Column(name, "boolean", levels=levels, gaps=_soft(words, is_soft)))
    found: list[tuple[int, Match]] = []
    for match in (_match_numbers, _match_dates, _match_clock, _match_durations):
        form, values = match(name, rest, locale)
        fits = values == values
        found.append((rest.counts[fits].sum(), (form, values)))
        if fits.all():
            break
    _, (form, values) = max(found, key=lambda each: each[0])
    if form.column.kind == "numeric" and form.column.order == "" and _are_codes(rest, values):
        return Form(as_words(name, words).column, remark="digits that name something")
    return _settle(words, _soft(words, is_soft), rest, form, values)


def as_words(name: str, words: Words) -> Form:
    """A column of words as a category: dashes alone are gaps, other words are levels."""
    firsts = words.shapes.firsts
    gaps = _soft(words, words.shapes.ask(lambda word: is_lone_mark(word, firsts)))
    doubtful = [w for w in _soft(words, words.shapes.ask(is_gap)) if len(w) > 3 and w not in gaps]
    remark = ""
    if doubtful:
        remark = f"{', '.join(map(repr, doubtful))} is a level; --missing makes it a gap"
    return Form(Column(name, "category", gaps=gaps), remark=remark)


def as_wished(name: str, words: Words, locale: Locale, *, is_date: bool) -> Form:
    """A column that somebody says is dates or numbers: what spells none is a gap.

    Where most words spell none, they are all to blame.
    """
    is_soft = words.shapes.ask(is_gap)
    rest = words.without(is_soft)
    form, values = (_match_dates if is_date else _match_numbers)(name, rest, locale)
    fits = values == values
    odd = rest.without(fits).words
    if 2 * rest.counts[fits].sum() <= rest.counts.sum():
        return Form(form.column, blame=tuple(odd))
    return _with_gaps(form, _soft(words, is_soft), odd)


def _settle(
    words: Words, soft: tuple[str, ...], rest: Words, form: Form, values: np.ndarray
) -> Form:
    """Decides between the form that most words have and categories."""
    fits, column = values == values, form.column
    odd, plain, weights = rest.without(fits).words, rest.without(~fits).words, rest.counts
    if not odd:
        return _with_gaps(form, soft, odd)
    if not plain:
        return as_words(column.name, words)
    n_odd, n = int(weights[~fits].sum()), int(weights.sum())
    others = numbers_of(odd, column.decimal or ".").values
    units = "has numbers with several units or none" if np.isfinite(others).mean() > 0.5 else ""
    mixed = f"mixes {KINDS[column.kind]} such as {plain[0]!r} and words such as {odd[0]!r}"
    if 2 * n_odd >= n:
        return _mixed(form, words, units or mixed)
    is_few, is_word = len(plain) <= FEW, all(map(str.isalpha, odd))
    are_whole = column.kind == "numeric" and bool((values[fits] % 1 == 0).all())
    is_slip = weights[~fits].max() == 1 and n_odd <= _ODD * n
    if is_few and are_whole and not column.unit and not (is_slip and is_word):
        return _mixed(form, words, mixed)
    recurring = len(odd) <= 3 and (weights[~fits] > 1).all() and is_word
    if n_odd <= max(_ODD * n, min(2, n / 8)) or recurring:
        return _with_gaps(form, soft, odd)
    if units:
        return _mixed(form, words, units)
    if all(word.isdigit() for word in plain) and all(_is_code(word) for word in odd):
        return _mixed(form, words, "has codes, some of them all digits")
    return _mixed(form, words, mixed) if is_few else Form(column, blame=tuple(odd))


def _with_gaps(form: Form, soft: tuple[str, ...], odd: list[str]) -> Form:
    told = bool(form.remark)
    return dataclasses.replace(form.of(gaps=(*soft, *odd)), odd=tuple(odd), is_told=told)


def _mixed(form: Form, words: Words, what: str) -> Form:
    """A category that could have been something else, of which people are told."""
    name, kind = form.column.name, KINDS[form.column.kind]
    remark = f"{what}; it is a category, and --{kind}={name} makes the others gaps"
    return Form(as_words(name, words).column, remark=remark, is_told=True)


def _match_numbers(name: str, rest: Words, locale: Locale) -> Match:
    decimal, doubtful = column_decimal(evidence(rest.shapes), locale)
    values, units, grouped, limits = numbers_of(rest.shapes, decimal)
    fits, weights = np.isfinite(values), rest.counts
    if 2 * weights[limits].sum() > weights.sum():
        fits &= ~limits  # `<18` and `>65` are levels
    of_word, names = pd.factorize(np.array(units, object))
    counted = np.bincount(of_word[fits], weights[fits], len(names)).astype(int)
    sizes = {unit: n for unit, n in zip(names, counted.tolist(), strict=True) if n}
    unit = max(sizes, key=lambda u: (sizes[u], u), default="")
    unit = SIDES.get(unit, unit)
    if len(sizes) > 1 and ratio("", unit) and ratio(unit, "k"):
        unit = ""  # thousands and millions beside plain numbers
    ratios = {u: ratio(u, unit) for u in sizes}
    scale = np.array([ratios.get(u) or np.nan for u in names], np.float64)[of_word]
    scale[values == 0] = 1.0
    fits &= np.isfinite(scale)
    shown = f"unit {unit}" if unit else ""
    if is_currency(unit):
        shown = f"currency {unit.upper() if len(unit) == 3 else unit}"
    forms = {
        "per cent" if unit == "%" else shown: bool(unit),
        "other units converted": any(each not in (None, 1.0) for each in ratios.values()),
        "limits as numbers": (fits & limits).any(),
        "thousands": grouped,
        "decimal comma": decimal == "," and any("," in word for word in rest.words),
    }
    remark = ""
    if doubtful:
        value = numbers_of([doubtful], decimal).values[0]
        other = "," if decimal == "." else "."
        remark = f"{doubtful!r} is read as {value:g}; --decimal={other} reads it otherwise"
    form = ", ".join(form for form, is_so in forms.items() if is_so)
    values = np.where(fits, values * scale, np.nan)
    return Form(Column(name, "numeric", decimal, unit), form=form, remark=remark), values


def _match_dates(name: str, rest: Words, locale: Locale) -> Match:
    days = day_order(rest.shapes)
    order, is_guess = date_order(days, rest.words, locale.order)
    first, other = ("day", "mdy") if order == "dmy" else ("month", "dmy")
    remark = f"the {first} is taken to come first; --dates={name}:{other} says otherwise" * is_guess
    form = f"{first} first" if order and any(days) else ""
    column = Column(name, "date", order=order)
    return Form(column, form=form, remark=remark), dates_of(rest.shapes, order)


def _match_clock(name: str, rest: Words, locale: Locale) -> Match:
    times = clock_of(rest.shapes)
    if _LASTS.search(name):
        times[:] = np.datetime64("NaT")
    return Form(Column(name, "date", order="clock"), form="time of day"), times


def _match_durations(name: str, rest: Words, locale: Locale) -> Match:
    seconds = durations_of(rest.shapes)
    seconds[np.isinf(seconds)] = np.nan
    return Form(Column(name, "numeric", order="duration"), form="times, in seconds"), seconds


def _are_codes(rest: Words, values: np.ndarray) -> bool:
    """Whether numbers are names: `00017`, or more digits than a number can hold."""
    gone = np.isnan(values)
    whole = rest.shapes.without(gone, rest.without(gone).words)
    counted = [(word, n) for word, n in whole.each() if word.isdigit()]
    n_whole = sum(n for _, n in counted)
    if 2 * n_whole < len(rest.words):
        return False
    padded = sum(n for word, n in counted if len(word) > 2 and word[0] == "0")
    long = sum(n for word, n in counted if len(word) > 15)
    one_length = len({len(word) for word, _ in counted}) == 1
    return 10 * padded >= n_whole or (padded > 0 and one_length) or 2 * long > n_whole


def _is_code(word: str) -> bool:
    return any(map(str.isdigit, word)) and not any(map(str.isspace, word))


def _soft(words: Words, is_soft: np.ndarray) -> tuple[str, ...]:
    return tuple(words.words[i] for i in np.flatnonzero(is_soft))
