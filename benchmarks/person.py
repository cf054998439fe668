"""A person who knows the rows, simulated: what benchmarks and tests ask instead of one.

Sees the rows that a question shows, knows their classes, and compares the most frequent one of each
group. May be wrong now and then, and may not know.
"""

from typing import NamedTuple

import numpy as np

from ncd_jax.ask.choose import Question

__all__ = ["Person"]


class Person(NamedTuple):
    """Who answers.

    Attributes:
        classes: `i[n]`, the true class of every row; known ones are counted from 0 as the run does.
        rng: decides where the person errs.
        wrong: share of answers that are turned around.
        unknowing: share of answers *don't know*.
        sees_mixed: whether *mixed* is said where no class has two thirds of a group's rows shown.
    """

    classes: np.ndarray
    rng: np.random.Generator
    wrong: float = 0.0
    unknowing: float = 0.0
    sees_mixed: bool = False

    def answer(self, question: Question) -> str:
        """`yes`, `no`, `mixed` or `unknown`."""
        wrong, unknowing = self.rng.random(2) < (self.wrong, self.unknowing)
        if unknowing:
            return "unknown"
        most = []
        for rows in (question.rows_a, question.rows_b):
            values, counts = np.unique(self.classes[rows], return_counts=True)
            if len(rows):
                most.append(values[counts.argmax()])
                if self.sees_mixed and 3 * counts.max() < 2 * len(rows):
                    return "mixed"
        yes = most[0] == (question.known if question.kind == "known" else most[1])
        return "yes" if yes != wrong else "no"
