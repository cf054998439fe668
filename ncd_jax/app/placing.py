"""Rows that the report had no room to draw, put on its map among those that are like them.

A place says of which drawn rows a row is a neighbour, and no more than that.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from ncd_jax.store.asking import Asking

__all__ = ["with_all_rows"]

_NEIGHBOURS = 3
_JITTER = 0.004
"""Of the width of the map: rows that are alike do not hide each other."""


def with_all_rows(drawn: dict[str, Any], asking: Asking, cells: pd.DataFrame) -> dict[str, Any]:
    """The points of the map and, behind them, all unlabelled rows that are not among these.

    A row that is asked about lies between its nearest neighbours that are drawn; any other one
    at the row that it does as.

    Args:
        drawn: as `opened.points_of` has it.
        asking: the run.
        cells: of the rows that are asked about.
    """
    asked, rows = asking.asked, asking.rows
    place = {row: i for i, row in enumerate(drawn["row"])}
    number = rows[asked.row]
    at = np.array([place.get(row, -1) for row in number.tolist()])
    missing = [i for i, row in enumerate(rows.tolist()) if row not in place and asked.like[i] >= 0]
    if not missing or not (at >= 0).any():
        return drawn
    view = asked.z[:, slice(*asked.view)]
    points = np.stack([drawn["x"], drawn["y"]], axis=1)
    k = min(_NEIGHBOURS, int((at >= 0).sum()))
    _, near = cKDTree(view[at >= 0]).query(view, k=k)
    xy = points[at[at >= 0]][near.reshape(len(view), k)].mean(axis=1)
    xy[at >= 0] = points[at[at >= 0]]
    new = xy[asked.like[missing]]
    new = new + _JITTER * np.ptp(points) * np.random.default_rng(0).normal(size=new.shape)
    new_rows = rows[missing].tolist()
    columns = [
        {**column, "values": [*column["values"], *_cells(column, cells, new_rows)]}
        for column in drawn["columns"]
    ]
    return {
        **drawn,
        "row": [*drawn["row"], *new_rows],
        "x": [*drawn["x"], *np.round(new[:, 0], 3).tolist()],
        "y": [*drawn["y"], *np.round(new[:, 1], 3).tolist()],
        "label": [*drawn["label"], *[""] * len(new_rows)],
        "columns": columns,
        "n_placed": len(new_rows),
    }


def _cells(column: dict[str, Any], cells: pd.DataFrame, rows: list[int]) -> list[Any]:
    """The cells of some rows in a column of the map, as JSON can say them."""
    if column["name"] not in cells:
        return [None] * len(rows)
    found = cells[column["name"]].reindex(rows)
    if column["kind"] == "linear":
        numbers = pd.to_numeric(found, errors="coerce")
        return [None if np.isnan(number) else float(number) for number in numbers.tolist()]
    return [None if pd.isna(cell) or cell == "" else cell for cell in found.tolist()]
