"""One look for all figures of the report.

Names come from the user's table and Plotly reads some HTML in every text, so each name
passes through `display_name` on its way into a figure. Colours are those of Okabe and Ito,
told apart with any colour vision; where they run out, the marker's shape changes.
"""

import html

import plotly.graph_objects as go

__all__ = [
    "ACCENT",
    "AXIS",
    "BEST",
    "EDGE",
    "FAINT",
    "MUTED",
    "PERCENT",
    "class_style",
    "display_name",
    "layout",
    "new_figure",
]

ACCENT, BEST, MUTED, FAINT = "#0072B2", "#D55E00", "#8A94A0", "#C9CFD6"
AXIS = {"gridcolor": "#E8EBEF", "linecolor": "#C9CFD6", "zeroline": False, "automargin": True}
PERCENT = {"tickformat": ".0%"}
EDGE = {"color": "white", "width": 1}

_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D00")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "cross", "star")
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def display_name(name: str, longest: int = 28) -> str:
    """A name as Plotly should be given it: short, and with its markup disarmed."""
    short = name if len(name) <= longest else name[: longest - 1] + "…"
    return html.escape(short, quote=False)


def class_style(i: int) -> tuple[str, str]:
    """Colour and marker of the novel class `i`, the same in all figures."""
    return _PALETTE[i % len(_PALETTE)], _SYMBOLS[i // len(_PALETTE) % len(_SYMBOLS)]


def new_figure(x: str, y: str) -> go.Figure:
    """An empty figure with titled axes."""
    figure = go.Figure(layout=layout())
    figure.update_xaxes(AXIS, title=x)
    figure.update_yaxes(AXIS, title=y)
    return figure


def layout() -> go.Layout:
    """What all figures have in common."""
    return go.Layout(
        # An empty template: Plotly's own would add several kilobytes to each figure.
        template=go.layout.Template(),
        height=400,
        margin={"l": 8, "r": 16, "t": 12, "b": 8},
        font={"family": _FONT, "size": 13, "color": "#2B3440"},
        paper_bgcolor="white",
        plot_bgcolor="white",
        hovermode="closest",
        hoverlabel={"align": "left", "bgcolor": "white", "font": {"color": "#2B3440"}},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    )
