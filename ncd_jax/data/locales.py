"""What is decided for a whole table: the mark of fractions, and whether the day comes first.

A single word does not say whether `1,234` is a thousand or little more than one, nor does a
column of such. So all of them are asked: `0,5` and `1.234,5` speak for the comma, `0.5` for the
point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ncd_jax.data.date_words import Order, day_order
from ncd_jax.data.number_words import evidence

__all__ = ["Locale", "column_decimal", "decide_locale"]


@dataclass(frozen=True)
class Locale:
    """How numbers and dates are written in a table.

    Attributes:
        decimal: the mark of fractions.
        order: whether the day or the month comes first; empty where nothing says it.
        is_certain: whether a word says what the mark is.
        is_forced: whether somebody has.
    """

    decimal: str = "."
    order: Order = ""
    is_certain: bool = False
    is_forced: bool = False


def decide_locale(
    columns: Sequence[Sequence[str]], separator: str = "", decimal: str = ""
) -> Locale:
    """Asks all columns of text.

    Args:
        columns: the words of each.
        separator: between the cells of a file; who writes fractions with a comma needs another.
        decimal: the mark of fractions where somebody has said it.
    """
    votes, days, thousands, fractions = [0, 0], [0, 0], [0, 0], [0, 0]
    for words in columns:
        day, month, _ = day_order(words)
        days[0] += day > month
        days[1] += month > day
        said = evidence(words)
        if not said.are_numbers:
            continue
        votes[0] += said.comma > said.point
        votes[1] += said.point > said.comma
        if not said.comma and not said.point:
            for i, marked in enumerate((said.with_comma, said.with_point)):
                parts = bool(marked) and _parts_thousands(words)
                thousands[i] += parts
                fractions[i] += bool(marked) and not parts
    certain = votes[0] != votes[1]
    if decimal:
        mark = decimal
    elif any(votes):
        mark = "," if votes[0] > votes[1] or (not certain and separator == ";") else "."
    elif any(thousands):
        mark = "," if thousands[1] > thousands[0] else "."
    else:
        mark = "," if fractions[0] and separator == ";" else "."
    if days[0] != days[1]:
        order: Order = "dmy" if days[0] > days[1] else "mdy"
    else:
        order = "dmy" if mark == "," else ""
    return Locale(mark, order, certain, bool(decimal))


def column_decimal(words: Sequence[str], locale: Locale) -> tuple[str, str]:
    """The mark of fractions in a column, and a word that may be read in another way."""
    said = evidence(words)
    if not locale.is_forced and said.comma != said.point:
        return ("," if said.comma > said.point else "."), ""
    # Where every word has the mark, both readings differ by a unit only.
    doubtful = said.with_comma + said.with_point if said.whole else []
    is_known = locale.is_forced or locale.is_certain
    return locale.decimal, "" if is_known or not doubtful else doubtful[0]


def _parts_thousands(words: Sequence[str]) -> bool:
    """Whether numbers have a mark just where they reach a thousand."""
    plain = [word.lstrip("+-") for word in words]
    plain = [word for word in plain if word.isdigit()]
    return bool(plain) and all(len(word) <= 3 for word in plain)
