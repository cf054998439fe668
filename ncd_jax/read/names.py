"""Names of columns: checked, looked up, and shown in messages."""

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any

from ncd_jax.errors import UserError

__all__ = [
    "Mistakes",
    "checked_names",
    "find_name",
    "find_names",
    "gathered",
    "is_index_name",
    "one_line",
    "show",
    "some",
    "twin_of",
]

_MOST_NAMES = 10
"""Names that a message lists; with more of them a list helps nobody."""


_INDEX = re.compile(
    r"unnamed: \d+|index|level_\d+|__index_level_\d+__|row|#|\.\.\.\d+|"
    r"row[ _.]?(id|names?|nr|no|num|number|index)\.?",
    re.I | re.A,
)


def checked_names(names: Sequence[Any]) -> list[str]:
    """Names of columns as text, without white space around them, all different.

    Columns without a name get the one that pandas gives them: `Unnamed: 3`, counted from 0. The
    second column of a name is called `name (2)`.
    """
    clean = ["" if name is None or name != name else str(name).strip() for name in names]
    clean = [name or f"Unnamed: {i}" for i, name in enumerate(clean)]
    seen = set(clean)
    if len(seen) == len(clean):
        return clean
    counts: dict[str, int] = {}
    for i, name in enumerate(clean):
        n = counts[name] = counts.get(name, 0) + 1
        while n > 1 and (clean[i] == name or clean[i] in seen):
            clean[i] = twin_of(name, n)
            n += 1
        seen.add(clean[i])
    return clean


def twin_of(name: str, n: int = 2) -> str:
    """What the `n`th column of a name is called."""
    return f"{name} ({n})"


def find_name(name: str, names: Sequence[str]) -> str:
    """The name, if it is among the names.

    Raises:
        UserError: it is not; the message says which one may be meant.
    """
    if name in names:
        return name
    lower = {other.lower(): other for other in names}
    if close := difflib.get_close_matches(name.lower(), lower, 1):
        hint = f"did you mean {show(lower[close[0]])}?"
    elif 2 * sum(map(_is_fraction, names)) >= len(names):
        hint = f"the header holds numbers such as {show(next(filter(_is_fraction, names)))}, as a"
        hint += " row does; write a line with the names of the columns above it"
    elif len(names) <= _MOST_NAMES:
        hint = f"its columns are {', '.join(map(show, names))}"
    else:
        hint = f"it has {len(names)} columns, the first of them {show(names[0])}"
    raise UserError(f"no column {show(name)}; {hint}")


def _is_fraction(name: str) -> bool:
    """Whether a name is a number that is not whole, as no column is called."""
    return bool(re.fullmatch(r"[+-]?\d*[.,]\d+(e[+-]?\d+)?", name, re.I | re.A))


def find_names(wanted: Sequence[str], names: Sequence[str]) -> None:
    """Checks that all are among the names.

    Raises:
        UserError: some are not; all that are missing are in one line.
    """
    missing = [name for name in dict.fromkeys(wanted) if name not in set(names)]
    if len(missing) == 1:
        find_name(missing[0], names)
    if missing:
        said, there = (some([*map(show, each)], _MOST_NAMES) for each in (missing, names))
        raise UserError(f"{len(missing)} columns are missing: {said}; the table has {there}")


def is_index_name(name: str) -> bool:
    """Whether programs call a column so that numbers or names the rows."""
    return bool(_INDEX.fullmatch(name))


def gathered(errors: Sequence[UserError]) -> UserError:
    """All mistakes as one."""
    return UserError("; ".join(dict.fromkeys(str(error) for error in errors)))


class Mistakes:
    """Gathers mistakes, so that all are told at once: `with Mistakes() as mistakes`."""

    def __init__(self) -> None:
        self.found: list[UserError] = []

    def __enter__(self) -> "Mistakes":
        return self

    def add(self, call: Callable[..., Any], *args: Any) -> Any:
        """Calls, and keeps the mistake that is raised."""
        try:
            return call(*args)
        except UserError as error:
            self.found.append(error)
            return None

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is None and self.found:
            raise gathered(self.found)


def show(text: Any) -> str:
    """Quoted, on one line, and short."""
    text = str(text)
    return repr(text if len(text) <= 60 else text[:57] + "...")


def some(texts: Sequence[str], most: int, *, count: bool = False) -> str:
    """The first of some texts, and that there are more, or how many."""
    more = f" and {len(texts) - most} more" if count else ", ..."
    return ", ".join(texts[:most]) + more * (len(texts) > most)


def one_line(error: Exception) -> str:
    """What an error says, on one line and short."""
    return " ".join(str(error).split())[:120] or type(error).__name__
