"""What a rule asks of one column, in words.

A threshold is written as the roundest number that separates the same values.
"""

import math
from dataclasses import dataclass

import numpy as np

from ncd_jax.profiles.columns import CodedColumn, number_text

__all__ = ["Condition"]


@dataclass(frozen=True)
class Condition:
    """What a rule asks of one column.

    Attributes:
        column: the column.
        allowed: `bool[v + 1]`, the codes that fulfil it, the last one for missing values.
    """

    column: CodedColumn
    allowed: np.ndarray

    @property
    def text(self) -> str:
        """For people: `age > 34`, `colour is red`, `income is missing`."""
        return f"{self.column.name} {_condition_text(self.column, self.allowed)}"


def _condition_text(column: CodedColumn, allowed: np.ndarray) -> str:
    n_values, missing = len(column.values), bool(allowed[-1])
    inside = np.flatnonzero(allowed[:-1])
    if not inside.size:
        return "is missing"
    if inside.size == n_values:
        return "is not missing"
    if column.is_number:
        low, high = int(inside[0]), int(inside[-1])
        if low == high:
            return f"is {column.text(low)}" + (" or missing" if missing else "")
        above = f"> {_between(column, low - 1)}" if low > 0 else ""
        below = f"<= {_between(column, high)}" if high < n_values - 1 else ""
        return " and ".join(filter(None, (above, below))) + (" or missing" if missing else "")
    occur = np.append(np.ones(n_values, bool), (column.codes == n_values).any())
    taken = [column.text(int(i)) for i in np.flatnonzero(allowed & occur)]
    refused = [column.text(int(i)) for i in np.flatnonzero(~allowed & occur)]
    if len(taken) <= len(refused):
        return f"is {' or '.join(taken)}"
    return f"is neither {' nor '.join(refused)}" if len(refused) > 1 else f"is not {refused[0]}"


def _between(column: CodedColumn, code: int) -> str:
    """The roundest number `t` with `values[code] <= t < values[code + 1]`."""
    low, high = column.values[code], column.values[code + 1]
    if not isinstance(low, float):
        return column.text(code)
    middle = low / 2 + high / 2
    coarsest = math.ceil(math.log10(max(abs(low), abs(high))))
    for digits in range(-coarsest, 17 - coarsest):
        scale = 10.0**digits
        for number in (round(middle, digits), round(math.floor(middle * scale) / scale, digits)):
            if low <= number < high:
                return number_text(number) if float(number_text(number)) == number else repr(number)
    return repr(low)
