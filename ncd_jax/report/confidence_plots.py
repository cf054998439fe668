"""The figure of what confidence is worth."""

import numpy as np
import plotly.graph_objects as go

from ncd_jax.discovery.calibration import ConfidenceCurve
from ncd_jax.report.plot_style import ACCENT, AXIS, FAINT, MUTED, PERCENT, new_figure

__all__ = ["confidence_plot"]


def confidence_plot(curve: ConfidenceCurve) -> go.Figure:
    """Accuracy of rows of hidden classes by their confidence, with how many they are."""
    # Two standard errors of a share, drawn towards one half so that 100 % of few rows is unsure.
    n = curve.n_rows + 4
    share = (curve.accuracy * curve.n_rows + 2) / n
    error = 2 * np.sqrt(share * (1 - share) / n)
    low, high = np.clip(share - error, 0, 1), np.clip(share + error, 0, 1)
    figure = new_figure("confidence", "rows sorted right")
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dot"},
        name="as confident as right",
        hoverinfo="skip",
    )
    figure.add_scatter(
        x=curve.confidence,
        y=curve.accuracy,
        mode="lines+markers",
        line={"color": ACCENT, "width": 2},
        marker={"size": 8},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": np.maximum(high - curve.accuracy, 0),
            "arrayminus": np.maximum(curve.accuracy - low, 0),
            "color": ACCENT,
            "thickness": 1,
            "width": 3,
        },
        name="hidden classes",
        customdata=curve.n_rows,
        hovertemplate="confidence %{x:.0%}: %{y:.1%} of %{customdata} rows right<extra></extra>",
    )
    figure.add_bar(
        x=curve.confidence,
        y=curve.n_rows,
        width=0.012,
        marker={"color": FAINT},
        name="rows",
        yaxis="y2",
        hovertemplate="%{y} rows at confidence %{x:.0%}<extra></extra>",
    )
    figure.update_xaxes(PERCENT, range=[-0.02, 1.02])
    figure.update_yaxes(PERCENT, range=[-0.02, 1.05])
    figure.update_layout(
        yaxis={"domain": [0.26, 1]},
        # A little panel of its own below, or bars and curve would share no scale.
        yaxis2={**AXIS, "domain": [0, 0.16], "title": "rows", "nticks": 3, "anchor": "x"},
        xaxis={"anchor": "y2"},
        height=440,
    )
    return figure
