"""The figure of what sets all classes apart at one look."""

import numpy as np
import plotly.graph_objects as go

from ncd_jax.profiles.contrasts import Grid
from ncd_jax.report.plot_style import ACCENT, BEST, display_name, new_figure

__all__ = ["profile_plot"]

_LONGEST_FEATURE, _LONGEST_CLASS = 22, 14
_MOST_CLASSES = 16


def profile_plot(grid: Grid) -> go.Figure | None:
    """Effect of each class in each telling column; none where no column tells anything.

    With many classes the novel ones come first and the last known ones are left out.
    """
    if not grid.features or not grid.classes:
        return None
    n_classes = min(len(grid.classes), _MOST_CLASSES)
    # Numbers as positions: two names may be cut to the same text, and would share a line.
    figure = new_figure("", "")
    figure.add_heatmap(
        x=np.arange(n_classes),
        y=np.arange(len(grid.features)),
        z=grid.effect[:, :n_classes],
        zmin=-1,
        zmax=1,
        colorscale=[[0, BEST], [0.5, "#F6F8FA"], [1, ACCENT]],
        xgap=2,
        ygap=2,
        text=[
            [_hover_text(grid, f, c) for c in range(n_classes)] for f in range(len(grid.features))
        ],
        hovertemplate="%{text}<extra></extra>",
        colorbar={
            "orientation": "h",
            "thickness": 10,
            "len": 1,
            "y": 1,
            "yanchor": "bottom",
            "tickvals": [-1, 0, 1],
            "ticktext": ["less", "same", "more"],
            "tickangle": 0,
        },
    )
    figure.update_xaxes(
        tickvals=np.arange(n_classes),
        ticktext=[display_name(name, _LONGEST_CLASS) for name in grid.classes[:n_classes]],
        autotickangles=[0, -60],  # upright only where names would not fit
        showgrid=False,
    )
    figure.update_yaxes(
        tickvals=np.arange(len(grid.features)),
        ticktext=[_feature_text(column, title) for column, title in grid.features],
        autorange="reversed",
        showgrid=False,
    )
    # Room for two lines of text at every row.
    figure.update_layout(height=180 + 36 * len(grid.features))
    return figure


def _feature_text(column: str, title: str) -> str:
    """The column and, below it, what of it is compared where that is not its median."""
    name = display_name(column, _LONGEST_FEATURE)
    if title == "median":
        return name
    return f"{name}<br>{display_name(title, _LONGEST_FEATURE)}"


def _hover_text(grid: Grid, feature: int, group: int) -> str:
    column, title = grid.features[feature]
    return (
        f"{display_name(grid.classes[group])}<br>{display_name(column)}: {display_name(title)} "
        f"{display_name(grid.here[feature][group])}<br>"
        f"all other rows: {display_name(grid.there[feature][group])}"
    )
