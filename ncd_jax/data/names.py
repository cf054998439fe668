"""Names of columns: checked, looked up, and shown in messages."""

import difflib
from collections.abc import Collection, Sequence
from typing import Any

from ncd_jax.errors import UserError

__all__ = ["checked_names", "chosen_names", "find_name", "show"]

_MOST_NAMES = 10
"""Names that a message lists; with more of them a list helps nobody."""


def checked_names(names: Sequence[Any]) -> list[str]:
    """Names of columns as text, without white space around them.

    Raises:
        UserError: one is empty, or two are equal.
    """
    clean = ["" if name is None or name != name else str(name).strip() for name in names]
    seen = set()
    for i, name in enumerate(clean):
        if not name:
            raise UserError(
                f"column {i} has no name; name it, or leave it out if it numbers the rows"
            )
        if name in seen:
            raise UserError(f"two columns are named {show(name)}; rename one")
        seen.add(name)
    return clean


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
    elif len(names) <= _MOST_NAMES:
        hint = f"its columns are {', '.join(map(show, names))}"
    else:
        hint = f"it has {len(names)} columns, the first of them {show(names[0])}"
    raise UserError(f"no column {show(name)}; {hint}")


def chosen_names(
    names: Sequence[str],
    label: str,
    columns: Collection[str] | None = None,
    drop: Collection[str] = (),
) -> list[str]:
    """The columns of a table that are to be read, the label among them, in their order.

    Args:
        names: of all columns.
        label: the column of class names.
        columns: features to use; all where it is not given.
        drop: features to leave out.

    Raises:
        UserError: there is no such column, one is both wanted and not, or no feature is left.
    """
    for name in (label, *(columns or ()), *drop):
        find_name(name, names)
    if label in drop:
        raise UserError(f"{show(label)} is the label column and cannot be dropped")
    if both := set(columns or ()) & set(drop):
        raise UserError(f"column {show(min(both))} is in both columns and drop; take it from one")
    wanted = set(names if columns is None else columns) - set(drop) - {label}
    if not wanted:
        raise UserError("only the label column is left; add columns with features")
    return [name for name in names if name in wanted or name == label]


def show(text: Any) -> str:
    """Quoted, on one line, and short."""
    text = str(text)
    return repr(text if len(text) <= 60 else text[:57] + "...")
