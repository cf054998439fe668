"""Figures of the novel classes: how many, how large, and where they lie."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ncd_jax.clustering.matching import match_names
from ncd_jax.report.findings import KCurve, LatentMap
from ncd_jax.report.plot_style import (
    ACCENT,
    BEST,
    EDGE,
    FAINT,
    class_style,
    display_name,
    new_figure,
)

__all__ = ["k_plot", "map_plot", "size_plot"]


def k_plot(curve: KCurve) -> go.Figure:
    """The validity index over the number of novel classes, the chosen one marked."""
    defined = np.isfinite(curve.index)
    ks, index, spread = (a[defined] for a in (curve.ks, curve.index, curve.spread))
    better = "higher" if curve.sign > 0 else "lower"
    figure = new_figure("number of novel classes k", f"{curve.title} index ({better} is better)")
    figure.add_scatter(
        x=np.concatenate([ks, ks[::-1]]),
        y=np.concatenate([index + spread, (index - spread)[::-1]]),
        fill="toself",
        fillcolor="rgba(0, 114, 178, 0.16)",
        line={"width": 0},
        name="± 1 standard deviation",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=ks,
        y=index,
        mode="lines+markers",
        line={"color": ACCENT},
        name="mean over refits",
        customdata=spread,
        hovertemplate="k = %{x}: %{y:.3f} ± %{customdata:.3f}<extra></extra>",
    )
    if (runner_up := curve.runner_up) is not None:
        role = "best index" if runner_up.is_ahead else "runner-up"
        figure.add_scatter(
            x=[runner_up.k],
            y=[runner_up.index],
            mode="markers",
            marker={"color": "white", "size": 12, "line": {"color": BEST, "width": 2}},
            name=f"{role}: {runner_up.k}",
            hovertemplate=f"{role} %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    chosen = ks == curve.chosen
    figure.add_scatter(
        x=ks[chosen],
        y=index[chosen],
        mode="markers",
        marker={"color": BEST, "symbol": "star", "size": 17, "line": EDGE},
        name=f"chosen: {curve.chosen}",
        hovertemplate="chosen %{x}: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(dtick=-(-len(curve.ks) // 10))  # about ten ticks, all whole numbers
    return figure


def map_plot(latent: LatentMap) -> go.Figure:
    """The latent space in two dimensions, with a switch to the truth where it is known."""
    novel = np.asarray(latent.is_novel)
    label = np.array(latent.label, dtype=object)
    found = _novel_order(set(label[novel]))
    figure = new_figure("", "")
    below = {"itemsizing": "constant", "x": 0, "xanchor": "left", "y": 0, "yanchor": "top"}
    figure.update_layout(height=560, legend=below)
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    _add_points(figure, latent, ~novel, "known classes", FAINT, "circle", size=4)
    for i, name in enumerate(found):
        _add_points(figure, latent, novel & (label == name), name, *class_style(i))
    if latent.truth is not None:
        truth = np.array(latent.truth, dtype=object)
        matched = _match(label[novel], found, truth[novel])
        for i, name in enumerate(matched):
            _add_points(
                figure, latent, novel & (truth == name), name, *class_style(i), visible=False
            )
        shown = [[True] * len(found) + [False] * len(matched)]
        shown.append([not on for on in shown[0]])
        buttons = [
            {"label": text, "method": "restyle", "args": [{"visible": [True, *visible]}]}
            for text, visible in zip(("found classes", "true classes"), shown, strict=True)
        ]
        figure.update_layout(
            updatemenus=[
                {
                    "type": "buttons",
                    "direction": "right",
                    "buttons": buttons,
                    "x": 0,
                    "xanchor": "left",
                    "y": 1.0,
                    "yanchor": "bottom",
                    "bgcolor": "white",
                    "bordercolor": FAINT,
                }
            ]
        )
    return figure


def size_plot(sizes: Sequence[int]) -> go.Figure:
    """Number of rows in each novel class."""
    names = [f"novel_{i}" for i in range(len(sizes))]
    figure = new_figure("rows", "")
    figure.add_bar(
        x=list(sizes),
        y=names,
        orientation="h",
        marker={"color": [class_style(i)[0] for i in range(len(sizes))]},
        text=list(sizes),
        textposition="auto",
        hovertemplate="%{y}: %{x} rows<extra></extra>",
    )
    figure.update_layout(height=110 + 30 * len(sizes), showlegend=False)
    figure.update_yaxes(autorange="reversed", showgrid=False, dtick=1)
    return figure


def _add_points(
    figure: go.Figure,
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
    xy = (
        np.round(latent.xy[which].astype(float), 3 - math.floor(math.log10(span)))
        if span
        else latent.xy[which]
    )
    # SVG, not WebGL: some browsers that print or run without a display have none.
    figure.add_scatter(
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


def _novel_order(names: set[str]) -> list[str]:
    """`novel_2` before `novel_10`."""
    return sorted(names, key=lambda name: (len(name), name))


def _match(label: np.ndarray, found: list[str], truth: np.ndarray) -> list[str]:
    """True classes in the order of the found classes they agree with, the rest behind.

    A true class so takes the colour of its counterpart, and switching shows what differs.
    """
    counterpart = match_names(pd.crosstab(truth, label))
    classes = sorted(set(truth))
    return sorted(
        classes, key=lambda t: found.index(counterpart[t]) if t in counterpart else len(found)
    )
