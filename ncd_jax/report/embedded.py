"""What a page carries packed, because it would be too long as it is: a library, figures, rows."""

import base64
import functools
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from pandas.api import types
from plotly.offline import get_plotlyjs

from ncd_jax.read.words import as_text
from ncd_jax.report.findings import Findings
from ncd_jax.report.plot_style import new_figure

__all__ = ["Packed", "pack", "packed_figures", "packed_plotly", "packed_rows"]

_LONGEST_TEXT = 60
_MARKUP = str.maketrans("<>&", ",.:")
"""Signs of Python's alphabet that mean something in HTML, and others for them."""


class Packed(str):
    """Deflated bytes in base 85, which `report.js` unpacks.

    Attributes:
        n_bytes: how many there are.
    """

    n_bytes: int


def pack(text: str) -> Packed:
    """Packs text for a script element: nothing in it ends one or is read as markup."""
    data = zlib.compress(text.encode(), 9)
    packed = Packed(base64.b85encode(data, pad=True).decode("ascii").translate(_MARKUP))
    packed.n_bytes = len(data)
    return packed


@functools.cache
def packed_plotly() -> Packed:
    """Plotly's script: 4.8 MB, packed 1.8."""
    return pack(get_plotlyjs())


def packed_figures(figures: Mapping[str, go.Figure]) -> Packed:
    """Figures by name."""
    return _packed_json({name: json.loads(figure.to_json()) for name, figure in figures.items()})


def packed_rows(findings: Findings) -> Packed:
    """The rows that are listed, and columns of the points of the map, for `rows.js`."""
    shown, names = findings.shown, findings.names
    classes = sorted({*names, *findings.runners_up} - {""}, key=_class_order)
    index = {name: i for i, name in enumerate(classes)}
    columns = [_column(shown.listed_values.iloc[:, i]) for i in range(shown.listed_values.shape[1])]
    rows = {
        "classes": classes,
        "columns": columns,
        "copied": len(columns) - len(shown.telling),
        "row": findings.rows[shown.listed].tolist(),
        "label": [index[names[i]] for i in shown.listed],
        "confidence": _rounded(findings.confidence[shown.listed]),
        "runnerUp": [index.get(findings.runners_up[i], -1) for i in shown.listed],
        "runnerUpConfidence": _rounded(findings.runner_up_confidence[shown.listed]),
        "telling": list(shown.telling),
        "drawn": [_column(shown.drawn.iloc[:, i]) for i in range(shown.drawn.shape[1])],
        "layout": json.loads(new_figure("", "").to_json())["layout"],
    }
    return _packed_json(rows)


def _packed_json(value: Any) -> Packed:
    return pack(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _class_order(name: str) -> tuple[bool, int, str]:
    """Novel classes by number, then known ones by name."""
    novel = name.startswith("novel_") and name[6:].isdigit()
    return not novel, int(name[6:]) if novel else 0, name


def _column(cells: pd.Series) -> dict[str, Any]:
    """A column for JavaScript: its name, the kind of its axis, and its values."""
    if types.is_numeric_dtype(cells) and not types.is_bool_dtype(cells):
        numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        return {"name": str(cells.name), "kind": "linear", "values": _rounded(numbers, 4)}
    kind = "date" if types.is_datetime64_any_dtype(cells) else "category"
    texts = [None if gap else as_text(v) for v, gap in zip(cells, cells.isna(), strict=True)]
    values = [text and text[:_LONGEST_TEXT] for text in texts]
    return {"name": str(cells.name), "kind": kind, "values": values}


def _rounded(numbers: np.ndarray, digits: int = 3) -> list[float | None]:
    values: Sequence[float] = np.asarray(numbers, np.float64).tolist()
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
