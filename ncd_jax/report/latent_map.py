"""A two-dimensional picture of the latent space: its points, and how they are drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ncd_jax.clustering.matching import match_names
from ncd_jax.clustering.neighbour_map import neighbour_map, principal_axes
from ncd_jax.report.headline import class_order
from ncd_jax.report.plot_style import FAINT, Figure, class_style, display_name, new_figure

__all__ = ["LatentMap", "latent_map", "map_plot"]

_FEWEST_FOR_TSNE = 8
"""With fewer distinct points neighbourhoods mean nothing, and t-SNE divides by zero."""


@dataclass(frozen=True)
class LatentMap:
    """A two-dimensional picture of the latent space, for at most a few thousand rows.

    Attributes:
        xy: `f[p, 2]`.
        row: `i[p]`, row number in the table.
        label: the known class or `novel_i` of each point.
        is_novel: `bool[p]`, whether the row is in a novel class.
        truth: true class of each point where it is known, else none. For eyes only.
    """

    xy: np.ndarray
    row: np.ndarray
    label: tuple[str, ...]
    is_novel: np.ndarray
    truth: tuple[str, ...] | None


def latent_map(
    z: np.ndarray,
    rows: np.ndarray,
    labels: Sequence[str],
    is_novel: np.ndarray,
    truth: Sequence[str] | None,
    *,
    seed: int,
    max_points: int = 1000,
) -> LatentMap:
    """Lays latents `z`, `f[n, L]`, out in the plane with t-SNE; for all else see `LatentMap`.

    Known rows keep at least a third of the points, unlabelled rows two thirds, as far as there are
    that many. The picture is in order of row.
    """
    chosen = _sample(np.asarray(is_novel), max_points, np.random.default_rng(seed))
    chosen = chosen[np.argsort(np.asarray(rows)[chosen])]
    points = np.nan_to_num(np.asarray(z, dtype=np.float64)[chosen])
    return LatentMap(
        xy=_embed(points),
        row=np.asarray(rows)[chosen],
        label=tuple(labels[i] for i in chosen),
        is_novel=np.asarray(is_novel)[chosen],
        truth=None if truth is None else tuple(truth[i] for i in chosen),
    )


def map_plot(latent: LatentMap) -> Figure:
    """The latent space in two dimensions, with a switch to the truth where it is known."""
    novel = np.asarray(latent.is_novel)
    label = np.array(latent.label, dtype=object)
    found = sorted(set(label[novel]), key=class_order)
    figure = new_figure("", "")
    below = {"itemsizing": "constant", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top"}
    # On a phone two names stand in a line of the legend, which takes its room from the picture.
    figure.update_layout(height=560 + 11 * max(len(found) - 8, 0), legend=below)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    _add_points(figure, latent, ~novel, "known classes", FAINT, "circle", size=4)
    for i, name in enumerate(found):
        _add_points(figure, latent, novel & (label == name), name, *class_style(i))
    if latent.truth is None:
        return figure
    truth = np.array(latent.truth, dtype=object)
    matched = _match(label[novel], found, truth[novel])
    for i, name in enumerate(matched):
        of_class = novel & (truth == name)
        _add_points(figure, latent, of_class, name, *class_style(i), visible=False)
    is_found = np.arange(len(found) + len(matched)) < len(found)
    buttons = [
        {"label": text, "method": "restyle", "args": [{"visible": [True, *shown.tolist()]}]}
        for text, shown in (("found classes", is_found), ("true classes", ~is_found))
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "y": 1.0}
    menu |= {"xanchor": "left", "yanchor": "bottom", "bgcolor": "white", "bordercolor": FAINT}
    figure.layout["updatemenus"] = [menu]
    return figure


def _sample(is_novel: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    known, novel = np.flatnonzero(~is_novel), np.flatnonzero(is_novel)
    n_known = min(known.size, max(size // 3, size - novel.size))
    n_novel = min(novel.size, size - n_known)
    return np.concatenate(
        [random.choice(known, n_known, replace=False), random.choice(novel, n_novel, replace=False)]
    )


def _embed(points: np.ndarray) -> np.ndarray:
    n_distinct = len(np.unique(points, axis=0))
    if n_distinct < _FEWEST_FOR_TSNE:
        return principal_axes(points)
    return neighbour_map(points, min(30.0, (n_distinct - 1) / 3))


def _add_points(
    figure: Figure,
    latent: LatentMap,
    mask: np.ndarray,
    name: str,
    colour: str,
    symbol: str,
    size: int = 7,
    visible: bool = True,
) -> None:
    which = np.flatnonzero(mask)
    # A thousandth of the picture is less than a pixel, and all digits would be most of its bytes.
    span = float(np.ptp(latent.xy)) if latent.xy.size else 0.0
    xy = latent.xy[which].astype(float)
    if span:
        xy = np.round(xy, 3 - math.floor(math.log10(span)))
    # SVG, not WebGL: some browsers that print or run without a display have none.
    figure.add(
        "scatter",
        x=xy[:, 0].tolist(),
        y=xy[:, 1].tolist(),
        mode="markers",
        marker={"color": colour, "symbol": symbol, "size": size, "opacity": 0.8},
        name=display_name(name),
        visible=visible,
        customdata=which.tolist(),  # whose values the page adds to the text
        text=[_point_text(latent, i) for i in which.tolist()],
        hovertemplate="%{text}<extra></extra>",
    )


def _point_text(latent: LatentMap, i: int) -> str:
    text = f"row {display_name(str(latent.row[i]))}<br>{display_name(latent.label[i])}"
    if latent.truth is not None:
        text += f"<br>truth: {display_name(latent.truth[i])}"
    return text


def _match(label: np.ndarray, found: list[str], truth: np.ndarray) -> list[str]:
    """True classes in the order of the found classes they agree with, the rest behind.

    A true class so takes the colour of its counterpart, and switching shows what differs.
    """
    counterpart = match_names(pd.crosstab(truth, label))
    place = {t: found.index(name) for t, name in counterpart.items()}
    return sorted(sorted(set(truth)), key=lambda t: place.get(t, len(found)))
