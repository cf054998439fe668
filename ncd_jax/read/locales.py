"""What is decided for a whole table: the mark of fractions, and whether the day comes first.

A single word does not say whether `1,234` is a thousand or little more than one, nor does a
column of such. So all of them are asked: `0,5` and `1.234,5` speak for the comma, `0.5` for the
point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ncd_jax.read.date_words import Order
from ncd_jax.read.number_words import Evidence

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
