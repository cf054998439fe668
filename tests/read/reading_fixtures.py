"""Small tables written in many ways, for tests of how they are read."""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

N = 48


def make_labels(n=N):
    """Three classes, and a quarter of the rows without one."""
    return [("a", "b", "c", None)[i % 4] for i in range(n)]


def make_values(seed=0, n=N, digits=2):
    """Numbers of either sign, from small ones to some that reach a thousand."""
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(size=n) * 10.0 ** rng.integers(1, 5, n), digits)


def grouped(value, decimal=".", mark=",", digits=2):
    """A number with thousands parted: `1,234.50` and its kin."""
    text = f"{value:,.{digits}f}"
    return text.translate(str.maketrans({",": mark, ".": decimal}))


def write_csv(
    path: Path, columns, separator=",", encoding="utf-8", quoting=csv.QUOTE_MINIMAL, before=""
):
    """Writes columns of text; `before` goes ahead of the header."""
    text = io.StringIO()
    text.write(before)
    lines = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*columns.values(), strict=True))
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def as_written(cells):
    """Cells as words, empty where there is none."""
    return ["" if cell is None or cell != cell else str(cell) for cell in cells]


def typed_table(values, other, labels):
    """What a table should be read as."""
    return pd.DataFrame({"q": values, "other": other, "y": labels})
