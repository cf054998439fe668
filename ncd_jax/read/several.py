"""Cells that hold several values: columns in their place, one for each value.

* numbers, as programs write an embedding and people a pair: `[0.1, -2.3, 4]`, `120/80`,
  `5.1 ± 0.2`, and lists of numbers: `q[0]`, `q[1]`, ...
* records, `{"a": 1, "b": "x"}`: a column for each key, `q[a]`;
* choices, as forms write them, `email; phone`, and lists of words: yes or no, `q: email`.
"""

import ast
import collections
import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.read.dtypes import holds_text
from ncd_jax.read.gaps import is_gap
from ncd_jax.read.names import show
from ncd_jax.read.raw import RawTable, is_empty

__all__ = ["source_of", "split_cells"]

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_VECTOR = re.compile(rf"\s*[\[(]\s*{_NUMBER}(?:\s*[,;\s]\s*{_NUMBER})+\s*,?\s*[\])]\s*", re.A)
_PAIR = re.compile(rf"\s*{_NUMBER}\s*(?:±|/(?!\s*(?:19|20)\d\d\s*$))\s*{_NUMBER}\s*", re.A)
_SAMPLE, _ODD = 50, 0.05
"""Cells that are looked at first, and the share that may hold something else than numbers."""
_PLACED, _CHOSEN = re.compile(r"(.+)\[([^\[\]]+)\]"), re.compile(r"(.+): (.+)")
_MOST_KEYS, _MOST_CHOICES, _FEWEST_CHOICES = 200, 40, 3
_FEWEST, _OFTEN, _RARELY = 20, 0.2, 0.1
"""Cells from which choices are seen, the share that holds several, and that may hold rare ones."""
_FIRST, _MANY, _LONG = 1000, 400, 60
"""Cells that show whether they are text, by how many words they hold, and letters of a choice."""
_MARKS = (";", "|", ",")


def source_of(name: str, names: Collection[str]) -> str:
    """The column of a table that holds a column of the model: itself, or one of several values."""
    for form in (_PLACED, _CHOSEN):
        found = form.fullmatch(name)
        if found and name not in names and found[1] in names:
            return found[1]
    return name


def split_cells(
    raw: RawTable, features: Sequence[str], kept: Collection[str] = (), model: Collection[str] = ()
) -> tuple[RawTable, list[str]]:
    """The table with columns in place of those whose cells hold several values, and its features.

    Args:
        raw: the table.
        features: names of columns without the label.
        kept: those that stay as they are, as somebody wants something else of them.
        model: columns that new rows must have; what their cells hold was decided then.
    """
    columns, names = dict(raw.frame.items()), []
    notes = []
    for name in features:
        cells = raw.frame[name]
        parts, what = ({}, "") if name in kept or not holds_text(cells) else _parts(cells)
        new = [each for each in model if each not in raw.frame]
        if wanted := [each for each in new if source_of(each, [name]) == name]:
            parts = _as_before(cells, name, wanted)
        elif parts:
            parts = {f"{name}{key}": values for key, values in parts.items()}
            new = list(parts)
            notes.append(
                f"column {show(name)} holds {what}, read as columns {show(new[0])} to"
                f" {show(new[-1])}"
            )
        columns |= {each: pd.Series(values) for each, values in parts.items()}
        names += [*parts] or [name]
    if len(columns) == len(raw.frame.columns):
        return raw, list(features)
    frame = pd.DataFrame(columns, copy=False)
    return dataclasses.replace(raw, frame=frame, notes=(*raw.notes, *notes)), names


def _parts(cells: pd.Series) -> tuple[Mapping[str, Any], str]:
    """What the cells hold, by the ends of names of the new columns, and in words."""
    sample = cells.iloc[_filled(cells.iloc[:_SAMPLE])].tolist()
    if not sample:
        return {}, ""
    if _nearly_all(map(_numbers_in, sample), len(sample)):
        return _numbers(cells)
    if all(isinstance(cell, str) and cell.lstrip()[:1] == "{" for cell in sample):
        return _records(cells)
    several = sum(not isinstance(c, str) or any(mark in c for mark in _MARKS) for c in sample)
    return _choices(cells) if several >= _OFTEN / 2 * len(sample) else ({}, "")


def _filled(cells: pd.Series) -> list[int]:
    """Rows whose cells hold something that is no gap in anybody's words."""
    rows = np.flatnonzero(~is_empty(cells)).tolist()
    found = cells.iloc[rows].tolist()
    return [row for row, cell in zip(rows, found, strict=True) if not _says_nothing(cell)]


def _numbers_in(cell: Any) -> list[float]:
    """The numbers of a list, or of a text of several; empty where it is no such thing."""
    if isinstance(cell, str):
        is_several = _VECTOR.fullmatch(cell) or _PAIR.fullmatch(cell)
        return [float(each) for each in re.findall(_NUMBER, cell)] if is_several else []
    if isinstance(cell, list | tuple | np.ndarray) and len(cell) > 1:
        try:
            return np.asarray(cell, np.float64).reshape(len(cell)).tolist()
        except (ValueError, TypeError):
            return []
    return []


def _nearly_all(found: Iterable[Any], n: int) -> bool:
    return sum(map(bool, found)) >= (1 - _ODD) * n


def _numbers(cells: pd.Series) -> tuple[dict[str, Any], str]:
    """As many numbers in nearly each cell; others are gaps."""
    rows = _filled(cells)
    found = [_numbers_in(cell) for cell in cells.iloc[rows].tolist()]
    n = max(map(len, found))
    if not _nearly_all(found, len(rows)) or any(len(numbers) not in (0, n) for numbers in found):
        return {}, ""
    parts = np.full((len(cells), n), np.nan)
    for row, numbers in zip(rows, found, strict=True):
        parts[row] = numbers or np.nan
    n_odd = found.count([])
    odd = f", but for {n_odd} cell{'s' * (n_odd > 1)} taken for gaps" * bool(n_odd)
    return {f"[{i}]": parts[:, i] for i in range(n)}, f"lists of {n} numbers{odd}"


def _record_in(cell: Any) -> dict[str, Any]:
    """A text such as `{"a": 1}`, of JSON or as Python writes it; empty where it is none."""
    for read in (json.loads, ast.literal_eval):
        try:
            found = read(cell)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            continue
        return {str(key): each for key, each in found.items()} if isinstance(found, dict) else {}
    return {}


def _values_of(found: Sequence[dict[str, Any]], key: str) -> pd.Series:
    """One value of each record; what holds others stays text."""
    values = [record.get(key) for record in found]
    values = [str(v) if isinstance(v, dict | list | tuple) else v for v in values]
    return pd.Series(values, dtype=object).infer_objects()


def _records(cells: pd.Series) -> tuple[dict[str, Any], str]:
    """A record in each cell."""
    found: list[dict[str, Any]] = [{}] * len(cells)
    for row in _filled(cells):
        found[row] = _record_in(cells.iloc[row])
        if not found[row]:
            return {}, ""
    keys = list(dict.fromkeys(key for record in found for key in record))
    if len(keys) > _MOST_KEYS or any(set("[]") & {*key} for key in keys):
        return {}, ""
    parts = {f"[{key}]": _values_of(found, key) for key in keys}
    return parts, f"records of {len(keys)} key{'s' * (len(keys) > 1)}"


def _choices_in(cell: Any, mark: str) -> list[str]:
    """What was chosen, of a text or a list."""
    if isinstance(cell, str):
        cell = cell.strip("[](){}").split(mark)
    elif not isinstance(cell, list | tuple | np.ndarray):
        cell = [cell]
    return [text for each in cell if (text := str(each).strip(" \t\n'\""))]


def _different(cells: pd.Series) -> tuple[np.ndarray, list[Any]]:
    """Which of the different cells each is, `i[n]`, -1 where there is none, and these."""
    try:
        codes, values = pd.factorize(cells)
    except TypeError:  # lists
        return np.arange(len(cells)), cells.tolist()
    return codes, values.tolist()


def _says_nothing(cell: Any) -> bool:
    if isinstance(cell, str):
        return not cell.strip() or is_gap(cell.strip())
    return cell is None or (isinstance(cell, float) and cell != cell)


def _choices(cells: pd.Series) -> tuple[dict[str, Any], str]:
    """Some of the same few words in each cell, in more ways than there are words."""
    codes, texts = _different(cells)
    n_cells = np.bincount(codes[codes >= 0], minlength=len(texts))
    n_cells[[_says_nothing(text) for text in texts]] = 0
    texts = [text for text, n in zip(texts, n_cells, strict=True) if n]
    n_cells = n_cells[n_cells > 0]
    total = int(n_cells.sum())
    for mark in _MARKS if total >= _FEWEST else ():
        several = np.array([not isinstance(text, str) or mark in text for text in texts])
        if n_cells[several].sum() < _OFTEN * total:
            continue
        first = {each for text in texts[:_FIRST] for each in _choices_in(text, mark)}
        if len(first) > _MANY:
            continue
        chosen = [_choices_in(text, mark) for text in texts]
        counts: collections.Counter[str] = collections.Counter()
        for these, n in zip(chosen, n_cells.tolist(), strict=True):
            counts.update(dict.fromkeys(these, n))
        kept = sorted(word for word, n in counts.items() if n > 1 and len(word) < _LONG)
        rare = np.array([not {*these} <= {*kept} for these in chosen])
        if (
            _FEWEST_CHOICES <= len(kept) <= _MOST_CHOICES
            and n_cells[rare].sum() <= _RARELY * total
            and all(len(set(these)) == len(these) for these in chosen)
            and len({frozenset(these) for these in chosen}) > len(counts)
            and not (mark == "," and any(word[0].isdigit() for word in kept))
            and not any(": " in word for word in kept)
        ):
            return _chosen(cells, kept), f"choices among {len(kept)}"
    return {}, ""


def _chosen(cells: pd.Series, words: Sequence[str]) -> dict[str, Any]:
    """Where words are among those of a cell, `bool[n]` of each."""
    codes, texts = _different(cells)
    sets = [{each for mark in _MARKS for each in _choices_in(text, mark)} for text in texts]
    return {f": {w}": np.array([*(w in these for these in sets), False])[codes] for w in words}


def _as_before(cells: pd.Series, name: str, wanted: Sequence[str]) -> dict[str, Any]:
    """The columns of a model that a column of new rows is read as; gaps where it does not fit."""
    keys = {each: each.removeprefix(name) for each in wanted}
    if all(key.startswith(": ") for key in keys.values()):
        chosen = _chosen(cells, [key[2:] for key in keys.values()])
        return {each: chosen[key] for each, key in keys.items()}
    lists = [_numbers_in(cell) for cell in cells.tolist()]
    if any(lists) and all(key[1:-1].isdecimal() for key in keys.values()):
        places = {each: int(key[1:-1]) for each, key in keys.items()}
        return {
            each: np.array([found[i] if i < len(found) else np.nan for found in lists])
            for each, i in places.items()
        }
    records = [_record_in(cell) if isinstance(cell, str) else {} for cell in cells.tolist()]
    return {each: _values_of(records, key[1:-1]) for each, key in keys.items()}
