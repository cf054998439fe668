"""Classes of two partitions, one to one."""

import pandas as pd
from scipy.optimize import linear_sum_assignment

__all__ = ["match"]


def match(counts: pd.DataFrame) -> dict[str, str]:
    """The counterpart of each line among the columns, so that most rows are in both.

    Args:
        counts: rows of the table by class of the one partition, down, and of the other, across.

    Returns:
        From line to column; classes that share no row are no counterparts.
    """
    lines, columns = linear_sum_assignment(-counts.to_numpy())
    pairs = zip(counts.index[lines], counts.columns[columns], strict=True)
    return {line: column for line, column in pairs if counts.at[line, column] > 0}
