"""What the words of a column of text mean: numbers, dates, yes and no, or categories.

A column has the form that nearly all of its cells have. What else stands in it is a gap where
people write gaps so, is named and taken for one where it is little, and otherwise decides: few
different whole numbers among words are categories, many are a mistake that is told.
"""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.read.columns import Column
from ncd_jax.read.date_words import clock_of, dates_of, day_order, durations_of
from ncd_jax.read.gaps import is_gap, is_lone_mark
from ncd_jax.read.locales import Locale, column_decimal
from ncd_jax.read.number_words import evidence, numbers_of
from ncd_jax.read.units import SIDES, is_currency, ratio
from ncd_jax.read.words import Words, truth_levels

__all__ = ["FEW", "Form", "as_dates", "as_numbers", "as_words", "recognise"]

FEW = 20
"""Different cells that no column is blamed for, however short the table."""

_LASTS = re.compile(r"durat|elaps|laps|length|dauer|durée|split|pace|finish|runtime|_took", re.I)
"""Names of columns in which `7:30` is how long something took."""
_ODD = 0.05
"""Share of the cells that may be odd in a column of numbers or dates."""


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


class _Match(NamedTuple):
    """Words of which some have a form.

    Attributes:
        fits: `bool[m]`, which.
        column: the column, if it had that form.
        form: its name for people.
        remark: what was assumed.
        values: of those that fit.
    """

    fits: np.ndarray
    column: Column
    form: str
    remark: str
    values: np.ndarray


def recognise(name: str, words: Words, locale: Locale) -> Form:
    """What a column of text means.

    Args:
        name: of the column.
        words: its words, less those that are gaps in every column.
        locale: of the table.
    """
    is_soft = words.shapes.ask(is_gap)
    if is_soft.all():
        return as_words(name, words)
    rest = words.without(is_soft)
    weights = rest.counts
    if levels := truth_levels(rest.words):
        return Form(Column(name, "boolean", levels=levels, gaps=_soft(words, is_soft)))
    best: _Match | None = None
    for match in (_match_numbers, _match_dates, _match_clock, _match_durations):
        found = match(name, rest, locale)
        if best is None or weights[found.fits].sum() > weights[best.fits].sum():
            best = found
        if found.fits.all():
            break
    assert best is not None
    if best.column.kind == "numeric" and best.column.order == "" and _are_codes(rest, best):
        form = as_words(name, words)
        return Form(form.column, form=form.form, remark="digits that name something")
    return _settle(name, words, is_soft, rest, best)


def as_words(name: str, words: Words) -> Form:
    """A column of words as a category: dashes alone are gaps, other words are levels."""
    firsts = words.shapes.firsts
    gaps = _soft(words, words.shapes.ask(lambda word: is_lone_mark(word, firsts)))
    doubtful = [w for w in _soft(words, words.shapes.ask(is_gap)) if len(w) > 3 and w not in gaps]
    remark = ""
    if doubtful:
        remark = f"{', '.join(map(repr, doubtful))} is a level; --missing makes it a gap"
    return Form(Column(name, "category", gaps=gaps), remark=remark)


def as_numbers(name: str, words: Words, locale: Locale) -> Form:
    """A column that somebody says is numbers: what spells none is a gap, or all is a mistake."""
    return _wished(name, words, locale, _match_numbers)


def as_dates(name: str, words: Words, locale: Locale) -> Form:
    """A column that somebody says is dates: what spells none is a gap, or all is a mistake."""
    return _wished(name, words, locale, _match_dates)


def _wished(
    name: str,
    words: Words,
    locale: Locale,
    match: Callable[[str, Words, Locale], _Match],
) -> Form:
    is_soft = words.shapes.ask(is_gap)
    rest = words.without(is_soft)
    weights = rest.counts
    found = match(name, rest, locale)
    odd = rest.without(found.fits).words
    if 2 * weights[found.fits].sum() <= weights.sum():
        return Form(found.column, blame=tuple(odd))
    return _form(found, _soft(words, is_soft), odd)


def _settle(
    name: str,
    words: Words,
    is_soft: np.ndarray,
    rest: Words,
    best: _Match,
) -> Form:
    """Decides between the form that most words have and categories."""
    odd, weights = rest.without(best.fits).words, rest.counts
    soft = _soft(words, is_soft)
    if not odd:
        return _form(best, soft, odd)
    n_odd, n = int(weights[~best.fits].sum()), int(weights.sum())
    if not best.fits.any():
        return as_words(name, words)
    others = numbers_of(odd, best.column.decimal or ".").values
    units = "has numbers with several units or none" if np.isfinite(others).mean() > 0.5 else ""
    if 2 * n_odd >= n:
        return _mixed(name, words, best, rest, units)
    values = best.values[best.fits]
    are_few = len(values) <= FEW and best.column.kind == "numeric" and bool((values % 1 == 0).all())
    is_slip = weights[~best.fits].max() == 1 and n_odd <= _ODD * n
    if are_few and not best.column.unit and not (is_slip and all(map(str.isalpha, odd))):
        return _mixed(name, words, best, rest)
    recurring = len(odd) <= 3 and (weights[~best.fits] > 1).all() and all(map(str.isalpha, odd))
    if n_odd <= max(_ODD * n, min(2, n / 8)) or recurring:
        return _form(best, soft, odd)
    if units:
        return _mixed(name, words, best, rest, units)
    plain = rest.without(~best.fits).words
    if all(word.isdigit() for word in plain) and all(_is_code(word) for word in odd):
        return _mixed(name, words, best, rest, "has codes, some of them all digits")
    if len(values) <= FEW:
        return _mixed(name, words, best, rest)
    return Form(best.column, blame=tuple(odd))


def _form(found: _Match, soft: tuple[str, ...], odd: list[str]) -> Form:
    column = found.column
    column = dataclasses.replace(column, gaps=(*soft, *odd))
    return Form(column, tuple(odd), found.form, found.remark, bool(found.remark))


def _mixed(name: str, words: Words, best: _Match, rest: Words, what: str = "") -> Form:
    """A category that could have been something else, of which people are told."""
    form = as_words(name, words)
    if not what:
        plain = rest.words[int(np.argmax(best.fits))]
        other = rest.words[int(np.argmin(best.fits))]
        kind = "dates" if best.column.kind == "date" else "numbers"
        what = f"mixes {kind} such as {plain!r} and words such as {other!r}"
    flag = "dates" if best.column.kind == "date" else "numbers"
    remark = f"{what}; it is a category, and --{flag}={name} makes the others gaps"
    return Form(form.column, form=form.form, remark=remark, is_told=True)


def _match_numbers(name: str, rest: Words, locale: Locale) -> _Match:
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
    values, fits = values * scale, fits & np.isfinite(scale)
    shown = unit.upper() if len(unit) == 3 and is_currency(unit) else unit
    forms = ["per cent" if unit == "%" else f"currency {shown}" if is_currency(unit) else ""]
    forms += [f"unit {unit}"] if unit and forms == [""] else []
    forms += ["other units converted"] * any(ratios[u] not in (None, 1.0) for u in ratios)
    forms += ["limits as numbers"] * bool((fits & limits).any())
    forms += ["thousands"] * grouped
    forms += ["decimal comma"] * (decimal == "," and any("," in word for word in rest.words))
    remark = ""
    if doubtful:
        value = numbers_of([doubtful], decimal).values[0]
        other = "," if decimal == "." else "."
        remark = f"{doubtful!r} is read as {value:g}; --decimal={other} reads it otherwise"
    column = Column(name, "numeric", decimal, unit)
    return _Match(fits, column, ", ".join(filter(None, forms)), remark, values)


def _match_dates(name: str, rest: Words, locale: Locale) -> _Match:
    day, month, neither = day_order(rest.shapes)
    order, remark = locale.order, ""
    if day != month:
        order = "dmy" if day > month else "mdy"
    elif neither and not order:
        order = "mdy" if any("/" in word for word in rest.words) else "dmy"
        first = "month" if order == "mdy" else "day"
        other = "dmy" if order == "mdy" else "mdy"
        remark = f"the {first} is taken to come first; --dates={name}:{other} says otherwise"
    times = dates_of(rest.shapes, order)
    used = day + month + neither
    form = ({"dmy": "day first", "mdy": "month first"}.get(order, "") if used else "") or ""
    return _Match(~np.isnat(times), Column(name, "date", order=order), form, remark, times)


def _match_clock(name: str, rest: Words, locale: Locale) -> _Match:
    times = clock_of(rest.shapes)
    if _LASTS.search(name):
        times[:] = np.datetime64("NaT")
    column = Column(name, "date", order="clock")
    return _Match(~np.isnat(times), column, "time of day", "", times)


def _match_durations(name: str, rest: Words, locale: Locale) -> _Match:
    seconds = durations_of(rest.shapes)
    column = Column(name, "numeric", order="duration")
    return _Match(np.isfinite(seconds), column, "times, in seconds", "", seconds)


def _are_codes(rest: Words, found: _Match) -> bool:
    """Whether numbers are names: `00017`, or more digits than a number can hold."""
    whole = rest.shapes.without(~found.fits, rest.without(~found.fits).words)
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
