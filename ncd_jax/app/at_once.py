"""What an answer changes, before everything that follows from it is worked out and written.

The rows that are asked about are grouped again in a few milliseconds, also of a large table; the
vote of neighbours, confidence and files take up to a second, and come behind.
"""

from collections import Counter

import numpy as np

from ncd_jax.app.opened import ClassLine, Opened
from ncd_jax.ask.state import State

__all__ = ["classes_at_once", "labels_at_once"]


def labels_at_once(opened: Opened, state: State) -> dict[int, str]:
    """From row to class, as the groups of some answers have it.

    New classes keep the name that most of their rows have; other ones get the next free number.

    Args:
        opened: the run, as it was read.
        state: after the answers.
    """
    asking = opened.asking
    asked = asking.asked
    before = {row.row: row.label for row in opened.rows}
    codes = np.where(asked.like >= 0, state.labels[asked.like], -1)
    n_columns, rows = asked.known.shape[1], asking.rows.tolist()
    called: dict[int, str] = dict(enumerate(opened.known[:n_columns]))
    novel, taken = opened.novel(), set[str]()
    sizes = Counter(codes[codes >= n_columns].tolist())
    for code, _ in sizes.most_common():
        old = Counter(before[rows[i]] for i in np.flatnonzero(codes == code).tolist())
        free = [name for name, _ in old.most_common() if name in novel and name not in taken]
        number = len(novel)
        while not free:
            free = [f"novel_{number}"] if f"novel_{number}" not in taken else []
            number += 1
        called[code] = free[0]
        taken.add(free[0])
    return {
        row: called[code] if code >= 0 else before[row]
        for row, code in zip(rows, codes.tolist(), strict=True)
    }


def classes_at_once(opened: Opened, labels: dict[int, str]) -> list[ClassLine]:
    """Classes and how many rows they have, without a confidence, those of before first."""
    sizes = Counter(labels.values())
    old = [line.name for line in opened.classes()]
    known = set(opened.known)
    order = [name for name in old if name in sizes] + sorted(set(sizes) - set(old))
    order.sort(key=lambda name: name in known)
    n = max(len(labels), 1)
    return [
        ClassLine(name, "" if name in known else name, sizes[name], sizes[name] / n, float("nan"))
        for name in order
    ]
