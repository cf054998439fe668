"""One look for all figures of the report, and figures as Plotly's script takes them.

They are plain dictionaries: its package for Python, which checks and copies every part, takes a
second to import and to draw with, and the browser draws them either way.

Names come from the user's table and Plotly reads some HTML in every text, so each name
passes through `display_name` on its way into a figure. Colours are those of Okabe and Ito,
told apart with any colour vision; where they run out, the marker's shape changes.
"""

import html
from typing import Any

from ncd_jax.store.workdir import strict_json

__all__ = [
    "ACCENT",
    "AXIS",
    "BEST",
    "EDGE",
    "FAINT",
    "MUTED",
    "PERCENT",
    "Figure",
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


class Figure:
    """Traces with their `type`, whose arrays may be NumPy's, and a layout, for Plotly's script."""

    def __init__(self, layout: dict[str, Any]) -> None:
        """A figure without a trace."""
        self.data: list[dict[str, Any]] = []
        self.layout = layout

    def add(self, kind: str, **trace: Any) -> None:
        """Adds a trace, such as a `scatter` or a `bar`."""
        self.data.append({"type": kind, **trace})

    def update_layout(self, **changes: Any) -> None:
        """Changes parts of the layout; what they do not name inside of a part stays."""
        _merge(self.layout, changes)

    def update_xaxes(self, **changes: Any) -> None:
        """Changes all horizontal axes."""
        self._update_axes("xaxis", changes)

    def update_yaxes(self, **changes: Any) -> None:
        """Changes all vertical axes."""
        self._update_axes("yaxis", changes)

    def _update_axes(self, start: str, changes: dict[str, Any]) -> None:
        for name, part in self.layout.items():
            if name.startswith(start):
                _merge(part, changes)

    def plain(self) -> dict[str, Any]:
        """As JSON can say it: lists, and nothing where a number is not finite."""
        plain: dict[str, Any] = strict_json({"data": self.data, "layout": self.layout})
        return plain


def _merge(into: dict[str, Any], changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            _merge(into[name], value)
        else:
            into[name] = value


def new_figure(x: str, y: str) -> Figure:
    """An empty figure with titled axes."""
    axes = {"xaxis": {**AXIS, "title": {"text": x}}, "yaxis": {**AXIS, "title": {"text": y}}}
    return Figure({**layout(), **axes})


def layout() -> dict[str, Any]:
    """What all figures have in common."""
    return {
        # An empty template: Plotly's own would add several kilobytes to each figure.
        "template": {},
        "height": 400,
        "margin": {"l": 8, "r": 16, "t": 12, "b": 8},
        "font": {"family": _FONT, "size": 13, "color": "#2B3440"},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "bgcolor": "white", "font": {"color": "#2B3440"}},
        "legend": {"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    }
