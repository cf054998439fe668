"""Rows that the page lists and draws, with their values in the columns that matter."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.profiles.classes import Profiles

__all__ = ["Shown", "choose_shown"]

_MOST_TELLING = 5
_MOST_DRAWN = 64
_MOST_CELLS = 12_000
"""Of all columns that are drawn: 8 of them for 1500 points."""
_MOST_LISTED = 2000


class Shown(NamedTuple):
    """Values of rows, and where they belong.

    Attributes:
        telling: names of the columns that set the classes apart most, the best first.
        drawn: columns of the `p` points of the map, the telling ones first.
        listed: `i[l]`, which of the unlabelled rows are listed, in order.
        listed_values: the telling columns of these, behind those that are copied to the answer.
    """

    telling: tuple[str, ...]
    drawn: pd.DataFrame
    listed: np.ndarray
    listed_values: pd.DataFrame


def choose_shown(
    frame: pd.DataFrame,
    profiles: Profiles,
    points: np.ndarray,
    unlabelled: np.ndarray,
    names: tuple[str, ...],
    copied: pd.DataFrame | None,
) -> Shown:
    """Chooses what a page has room for.

    Where there are more unlabelled rows than it can list, all classes have their first ones in it.

    Args:
        frame: the columns of all rows, as people know them.
        profiles: what the novel classes are.
        points: `i[p]`, the rows of the map.
        unlabelled: `i[u]`, the unlabelled rows.
        names: the class of each.
        copied: columns of these rows that are copied to the answer.
    """
    columns = [str(name) for name in frame]
    told = dict.fromkeys(column for column, _ in profiles.grid.features if column in columns)
    n_drawn = max(min(_MOST_DRAWN, _MOST_CELLS // max(len(points), 1)), 2)
    telling = [*told, *(name for name in columns if name not in told)][:n_drawn]
    places = [columns.index(name) for name in telling]
    rank = pd.Series(names).groupby(list(names)).cumcount().to_numpy() if names else np.zeros(0)
    listed = np.sort(np.argsort(rank, kind="stable")[:_MOST_LISTED])
    values = frame.iloc[unlabelled[listed], places[:_MOST_TELLING]].reset_index(drop=True)
    if copied is not None:
        values = pd.concat([copied.iloc[listed].reset_index(drop=True), values], axis=1)
    drawn = frame.iloc[points, places].reset_index(drop=True)
    return Shown(tuple(telling[:_MOST_TELLING]), drawn, listed, values)
