"""Rows of a file that are no rows of its table: blank lines, headers, units, sums, remarks below.

Spreadsheets leave lines without a cell, joined files repeat the header, people write units under
it and sums below. What is left out here would be "discovered" otherwise. A row is taken for a sum
or mean only where its numbers are what the others give, digit by digit, in every column that it
fills: by how many other cells would agree as well, chance is to do so less than once in a hundred
thousand tables; less will do where the row calls itself `Total`.
"""

import functools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import are_numeric, arrow_of, bytes_of, holds_text
from ncd_jax.read.gaps import MARKS, is_gap
from ncd_jax.read.names import is_index_name, show, some
from ncd_jax.read.number_words import evidence, is_unit, numbers_of, plain_numbers
from ncd_jax.read.raw import RawTable, is_empty
from ncd_jax.read.words import as_text, shapes_of, words_of

__all__ = ["without_false_rows", "without_headers"]

_SAMPLE = 200
"""Rows that say whether a column is numbers."""
_FEWEST = 8
"""Rows of a table that may have a summary."""
_FOOT = 20
"""Rows below a table that may be remarks."""
_TAIL = 4
"""Rows at the end of a table that may be its summary without saying so."""
_MOST_NAMED = 50
"""Rows that may say so; what more rows say is a level."""
_CHANCE = 1e-5
"""Most that chance may explain where a row does not say what it is."""
_CHANCE_NAMED = 0.05
"""Most that it may explain where the last rows say so, and `_CHANCE` where others do."""
_CHANCE_BESIDE = 1e-3
"""Most that it may explain of one row beside others that sum up, all together `_CHANCE`."""
_LARGEST = 1e150
"""Squares of larger numbers overflow; nobody sums them up."""
_TWINS = 0.98
"""Correlation from which two columns are one piece of evidence."""
_SUMMARIES = re.compile(
    r"((?:grand|sub|over)?[- ]?totals?|sums?|summen?|(?:zwischen|gesamt|teil)summe|(?:ins)?gesamt"
    r"|somme|suma|totale|totaal|som|Σ|averages?|avg|means?|durchschnitt|mittel(?:wert)?|ø|∅|moyenne"
    r"|promedio|media|gemiddelde|count|anzahl|n|median(?:wert)?|min(?:imum)?|max(?:imum)?|std"
    r"|st\.? ?dev|stdev|sd|standardabweichung)(?:\b.{0,40}|[:.=])?"
    r"|.{1,40}[ _-](?:(?:sub-?)?totals?|sum|(?:zwischen)?summe|gesamt|(?:gesamt)?ergebnis|average"
    r"|mean|durchschnitt|mittelwert)|gesamtergebnis",
    re.I,
)
"""How rows below a table call themselves."""
_KINDS = ("sum", "mean", "count", "median", "minimum", "maximum", "standard deviation")
_BY_THEMSELVES = 3
"""The first kinds stand without others; somebody called Max may well have the largest number."""


def without_false_rows(raw: RawTable, features: Sequence[str], label: str = "") -> RawTable:
    """The same without rows that are none, with a note on each kind; the others keep their numbers.

    Where no features are named, rows without a cell stay, as new rows do.
    """
    raw = _without_remarks(raw, label)
    raw = _without_blank(raw, features) if features else raw
    return _without_summaries(without_headers(raw, label=label), label)


def without_headers(raw: RawTable, is_first: bool = True, label: str = "") -> RawTable:
    """The same without rows that are the header again; of the first rows, without units too."""
    raw = _without_header(raw)
    return _without_units(raw, label) if is_first else raw


def _without_remarks(raw: RawTable, label: str) -> RawTable:
    """Without last rows of one cell of text, `Source: ...`, where no other row has so few.

    A class of that name is none.
    """
    frame, n = raw.frame, len(raw.frame)
    if len(frame.columns) < 3 or n < _FEWEST:
        return raw
    start = max(n - _FOOT, 1)
    filled = ~np.stack([is_empty(frame[name].iloc[start:]) for name in frame], axis=1)
    n_above = start + int(np.flatnonzero(filled.sum(axis=1) > 1).max(initial=-1)) + 1
    foot = [r for r in range(n_above, n) if filled[r - start].any()]
    if not foot:
        return raw
    texts = [frame.iloc[r, int(filled[r - start].argmax())] for r in foot]
    above = frame.iloc[:n_above]
    n_empty = np.sum([is_empty(above[name]) for name in above], axis=0)
    if (
        (n_empty >= len(frame.columns) - 1).any()
        or not all(isinstance(text, str) and any(map(str.isalpha, text)) for text in texts)
        or (label in above and above[label].isin(texts).any())
    ):
        return raw
    said = [f"{raw.where(r)} ({show(text)})" for r, text in zip(foot, texts, strict=True)]
    remarks = f"remark{'s' * (len(said) > 1)} below the table"
    return _left_out(raw, foot, said, f"{len(said)} {remarks}")


def _without_blank(raw: RawTable, features: Sequence[str]) -> RawTable:
    """Without rows in which no feature has a cell.

    Columns that number the rows are no features. Where no column has more than one value,
    that a row has none may be what it says, and it stays.
    """
    columns = [name for name in features if not is_index_name(name)] or list(features)
    blank = np.ones(len(raw.frame), bool)
    for name in columns:
        blank &= is_empty(raw.frame[name]) if blank.any() else False
    if not blank.any() or blank.all() or not any(_varies(raw.frame[name]) for name in columns):
        return raw
    rows = np.flatnonzero(blank).tolist()
    places = [raw.where(row) for row in rows]
    return _left_out(raw, rows, places, f"{len(rows)} row{'s' * (len(rows) > 1)} without any cell")


def _varies(cells: pd.Series) -> bool:
    return cells[~is_empty(cells)].map(str).nunique() > 1


def _without_header(raw: RawTable) -> RawTable:
    """Without rows whose cells are the names of their columns."""
    frame = raw.frame
    texts = [name for name in frame if holds_text(frame[name]) and not is_index_name(name)]
    if not texts or len(frame.columns) < 2:
        return raw
    rows = _rows_with(raw, texts[0], texts[0])
    if len(rows) > len(frame) // 2:
        return raw

    def is_header(row: int) -> bool:
        return all(
            as_text(cell).casefold() == name.casefold() or (is_index_name(name) and not _word(cell))
            for name, cell in zip(frame.columns, frame.iloc[row], strict=True)
        )

    again = [row for row in rows.tolist() if is_header(row)]
    return _left_out(raw, again, [f"{raw.where(row)} is the header again" for row in again])


def _rows_with(raw: RawTable, column: str, word: str) -> np.ndarray:
    """Rows in which a column of text holds a word, whatever the case of its letters, `i[m]`."""
    cells, word = raw.frame[column], word.casefold()
    if cells.dtype == object:
        same = [isinstance(cell, str) and cell.strip().casefold() == word for cell in cells]
        return np.flatnonzero(same)
    text = arrow_of(cells)
    if text is not None and bytes_of(text).are_numeric and not are_numeric(word.encode()):
        return np.zeros(0, int)
    found = raw.words(column)
    same = [each.casefold() == word for each in found.words]
    return np.flatnonzero(np.append(same, False)[found.codes])


def _without_units(raw: RawTable, label: str) -> RawTable:
    """Without a first row that has words in the columns of numbers, one of them a unit at least."""
    frame = raw.frame
    if len(frame) < 3:
        return raw
    first = {name: _word(frame[name].iloc[0]) for name in frame if holds_text(frame[name])}
    plainly = {name: word.strip("[](){} ") for name, word in first.items() if name != label}
    if not any(map(is_unit, plainly.values())):
        return raw
    words, is_known = [], False
    for name in frame:
        if name not in first:
            if types.is_numeric_dtype(frame[name].dtype) and not pd.isna(frame[name].iloc[0]):
                return raw
            continue
        if name == label or not _are_numbers(frame[name].iloc[1 : 1 + _SAMPLE]):
            continue
        word, plain = first[name], plainly[name]
        if plain in MARKS or is_gap(plain) or plain == "1":
            continue
        if any(map(str.isdigit, plain)) and not is_unit(plain):
            return raw
        words.append(word)
        is_known |= is_unit(plain)
    rest = [word for word in map(_word, frame.iloc[0]) if word]
    alone = all(word in words or word in MARKS or is_gap(word) for word in rest)
    if not is_known or (len(words) < 2 and not alone):
        return raw
    said = ", ".join(dict.fromkeys(words[:8]))
    return _left_out(raw, [0], [f"{raw.where(0)} holds units ({said})"])


def _are_numbers(cells: pd.Series) -> bool:
    """Whether nearly all of some cells are numbers."""
    if types.is_bool_dtype(cells.dtype) or types.is_datetime64_any_dtype(cells.dtype):
        return False
    if types.is_numeric_dtype(cells.dtype) or plain_numbers(cells) is not None:
        return True
    words = [as_text(cell) for cell in cells[~is_empty(cells)].tolist()]
    words = [word for word in words if not is_gap(word)]
    shapes = shapes_of(words)
    n_numbers = (np.isfinite(numbers_of(shapes, mark).values).sum() for mark in ".,")
    return bool(words) and any(n >= 0.9 * len(words) for n in n_numbers)


def _without_summaries(raw: RawTable, label: str) -> RawTable:
    """Without rows that sum up others."""
    n = len(raw.frame)
    if n < _FEWEST:
        return raw
    table = _Figures(raw.frame, label)
    if not table.names:
        return raw
    named = _named(raw, table.names, label)
    if named.sum() > min(n // 3, _MOST_NAMED):
        named[:-_TAIL] = False
    found = _named_summaries(table, named) or _silent_summaries(table)
    rows = sorted(found)
    said = [f"{raw.where(row)} is the {found[row]} of the others" for row in rows]
    return _left_out(raw, rows, said)


def _named(raw: RawTable, figures: Collection[str], label: str) -> np.ndarray:
    """Rows with a cell such as `Total`, `bool[n]`.

    In columns of numbers the last rows alone are looked at, and a class may be called `average`.
    """
    frame = raw.frame
    named = np.zeros(len(frame), bool)
    for name in frame:
        if not holds_text(frame[name]):
            continue
        first = len(frame) - _TAIL if name in figures else 0
        try:
            found = words_of(frame[name].iloc[first:]) if first else raw.words(name)
        except UserError:  # lists, which are told of later
            continue
        most = 1 if name == label else len(frame)
        named_so = found.shapes.ask(lambda w: not w[:1].isdigit() and _SUMMARIES.fullmatch(w))
        named[first:] |= np.append(named_so & (found.counts <= most), False)[found.codes]
    return named


class _Figures:
    """The columns of numbers of a table, read when they are asked for.

    Attributes:
        n: rows.
        names: of columns that look like numbers.
        column: from a name to values `f64[n]`, the last digit of the cell in a row, and that of the
            column.
    """

    def __init__(self, frame: pd.DataFrame, label: str) -> None:
        self.n = len(frame)
        self._frame, self._label = frame, label
        sample = frame.iloc[:: max(len(frame) // _SAMPLE, 1)]
        self.names = [c for c in frame if c != label and _are_numbers(sample[c])]
        self.column = functools.cache(lambda name: _values_of(frame[name]))

    def says_nothing_else(self, row: int) -> bool:
        """Whether all cells of a row but numbers are empty, or nobody else's, as its label is."""
        others = {name: self._frame[name] for name in self._frame if name not in self.names}
        filled = [name for name, cells in others.items() if not is_empty(cells.iloc[[row]])[0]]
        if filled != [self._label]:
            return not filled
        cells = others[self._label].map(str)  # they may be lists
        return int((cells == cells.iloc[row]).sum()) == 1

    def explained(self, row: int, base: np.ndarray, kinds: Sequence[str]) -> tuple[str, float]:
        """As what a row sums up `base: bool[n]`, and the odds that chance does so; else no kind.

        Of the kinds that may be meant, each column may have any.
        """
        said: dict[str, int] = {}
        odds: list[tuple[float, np.ndarray]] = []
        for name in self.names:
            values, digit, last = self.column(name)
            if np.isnan(values[row]):
                continue
            others = values[base & ~np.isnan(values)]
            kind, chance = _match(values[row], digit(row), others, last, kinds)
            if not kind:
                if _number_rows(others):
                    continue
                return "", 1.0
            said[kind], chance = said.get(kind, 0) + 1, min(chance * len(kinds), 1.0)
            odds.append((chance, np.where(np.isnan(values), others.mean(), values)[base]))
        return max(said, key=lambda kind: said[kind], default=""), _together(odds)


def _named_summaries(table: _Figures, named: np.ndarray) -> dict[int, str]:
    """Rows that say that they sum up others, and do; the last ones may do so in several ways."""
    rows, n = np.flatnonzero(named), len(named)
    found: dict[int, str] = {}
    for kinds in (_KINDS[:_BY_THEMSELVES], _KINDS):
        for row in (row for row in rows.tolist() if row not in found):
            is_last = bool(named[row:].all())
            before = rows[rows < row]
            since = np.arange(n) > (before[-1] if len(before) else -1)
            above = np.arange(n) < row
            for base in (~named, ~named & above, ~named & above & since):
                most = _CHANCE_NAMED if is_last else _CHANCE / len(rows)
                for allowed in [kinds] if is_last else [[kind] for kind in kinds]:
                    kind, chance = table.explained(row, base, allowed)
                    if kind and chance < most:
                        found.setdefault(row, kind)
        if not found:
            break
    return found


def _silent_summaries(table: _Figures) -> dict[int, str]:
    """The last rows, or the first, where they sum up the others without saying so."""
    n = table.n
    blocks = [list(range(n - size, n)) for size in range(_TAIL, 0, -1)] + [[0]]
    says_nothing_else = functools.cache(table.says_nothing_else)
    for block in blocks:
        base = ~np.isin(np.arange(n), block)
        found, together = {}, 1.0
        for row in block if all(map(says_nothing_else, block)) else ():
            tried = [table.explained(row, base, [kind]) for kind in _KINDS[:_BY_THEMSELVES]]
            kind, chance = min(tried, key=lambda each: each[1])
            if not kind or chance > _CHANCE_BESIDE:
                break
            found[row], together = kind, together * chance
        if len(found) == len(block) and together < _CHANCE:
            return found
    return {}


def _match(
    value: float, digit: float, others: np.ndarray, last: float, kinds: Sequence[str]
) -> tuple[str, float]:
    """Which summary of the others a value is, and how many of them would be as well by chance."""
    n = len(others)
    if n < 2 or max(abs(value), np.abs(others).max()) > _LARGEST:
        return "", 1.0
    for kind in kinds:
        exact = 0.51 * digit + 1e-9 * abs(value)
        slack = exact
        if kind == "sum":
            target, slack = others.sum(), slack + 1.2 * last * np.sqrt(n)
        elif kind == "mean":
            target, slack = others.mean(), slack + 1.2 * last / np.sqrt(n)
        elif kind == "count":
            target = float(n)
        elif kind == "standard deviation":
            target, slack = others.std(ddof=1), slack + abs(value) / n + last
        else:
            target = np.quantile(others, {"median": 0.5, "minimum": 0.0, "maximum": 1.0}[kind])
        if (off := abs(value - target)) <= slack:
            slack = exact if off <= exact else slack
            chance = (1 + np.count_nonzero(np.abs(others - target) <= slack)) / (n + 1)
            low, high = others.min(), others.max()
            if not 2 * low - high <= target <= 2 * high - low and low < high:
                chance = min(chance, max(slack / abs(target), 1e-6))
            return kind, float(chance)
    return "", 1.0


def _together(odds: list[tuple[float, np.ndarray]]) -> float:
    """The odds of all columns; those that say the same as an earlier one do not count."""
    chance = 1.0
    kept: list[np.ndarray] = []
    for odd, values in sorted(odds, key=lambda each: each[0])[:40]:
        centred = values - values.mean()
        size = np.linalg.norm(centred)
        if size == 0:
            continue
        if all(abs(centred @ other) < _TWINS * size for other in kept):
            kept.append(centred / size)
            chance *= odd
    return chance


def _values_of(cells: pd.Series) -> tuple[np.ndarray, Callable[[int], float], float]:
    """Numbers `f64[n]`, what the last digit of the cell in a row counts, and of most cells."""
    mark = "."
    if types.is_numeric_dtype(cells.dtype):
        values = cells.to_numpy(np.float64, na_value=np.nan).copy()
    elif (quick := plain_numbers(cells)) is not None:
        values = quick.values
    else:
        words = words_of(cells)
        said = evidence(words.shapes)
        by_thousands = said.with_point and not said.with_comma and said.parts_thousands
        mark = "," if said.comma > said.point or (not said.point and by_thousands) else "."
        values = np.append(numbers_of(words.shapes, mark).values, np.nan)[words.codes]
    values[np.isinf(values)] = np.nan

    def digit(cell: Any) -> float:
        text = repr(float(cell)) if isinstance(cell, (float, np.floating)) else as_text(cell)
        found = _DIGITS[mark].search(text)
        if found is None:
            return 1.0
        behind = 0 if found[1] == "0" and not isinstance(cell, str) else len(found[1] or "")
        return 10.0 ** (int(found[2] or 0) - behind)

    step = max(len(cells) // _SAMPLE, 1)
    filled = np.flatnonzero(~np.isnan(values))[::step].tolist()
    last = min(map(digit, cells.iloc[filled].tolist()), default=1.0)
    return values, lambda row: digit(cells.iloc[row]), last


_DIGITS = {mark: re.compile(rf"\d(?:\{mark}(\d+))?(?:[eE]([+-]?\d+))?(?![\d.,'])") for mark in ".,"}


def _number_rows(others: np.ndarray) -> bool:
    """Whether values are whole numbers, all different, as of a column that numbers rows."""
    return bool((others % 1 == 0).all()) and len(np.unique(others)) == len(others)


def _word(cell: Any) -> str:
    """A cell as text, empty where there is none; it may be a list."""
    is_none = cell is None or cell is pd.NA or cell is pd.NaT
    return "" if is_none or (isinstance(cell, float) and np.isnan(cell)) else as_text(cell)


def _left_out(raw: RawTable, rows: list[int], said: list[str], what: str = "") -> RawTable:
    """The same without some rows, if there are any, and a note on what they are."""
    if not rows:
        return raw
    what = what or f"{len(said)} row{'s' * (len(said) > 1)}"
    note = f"{what} left out: {some(said, _TAIL)}"
    return raw.without(np.isin(np.arange(len(raw.frame)), rows), note)
