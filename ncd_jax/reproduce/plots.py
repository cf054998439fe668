"""Figures of a benchmark.

Methods are lines and every dataset has a figure of its own, so that a page can put figures
beside or under each other as there is room. Each takes `methods` from top to bottom, of which those
without a value on any dataset are left out, and `titles`, their names for people; `tables` are for
k unknown, k known, or both.
"""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from ncd_jax.report.plot_style import (
    ACCENT,
    BEST,
    EDGE,
    FAINT,
    MUTED,
    Figure,
    display_name,
    new_figure,
)
from ncd_jax.reproduce.tables import AUTO, Estimates, ScoreTable

__all__ = ["accuracy_plot", "found_k_plot", "rank_plot", "seconds_plot"]

_OFFSET = 0.2
"""Between the two settings of a method, in lines."""

_WIDEST = 20
"""Letters of a method's name in a line."""

_NARROWEST = 10.0
"""Percent that an axis spans at least; over less, noise would look like a difference."""


def accuracy_plot(
    tables: Sequence[ScoreTable], dataset: str, methods: Sequence[str], titles: Mapping[str, str]
) -> Figure:
    """Score of every method on one dataset with its standard deviation over seeds."""
    methods = [m for m in methods if m != AUTO and any(m in table.mean.index for table in tables)]
    figure = _lines("ACC in percent", methods, titles)
    ends: list[float] = []
    shapes: list[dict[str, object]] = []
    for table in tables:
        mean = table.mean.reindex(methods).get(dataset, pd.Series()).dropna()
        std = table.std.reindex(mean.index).get(dataset, pd.Series())
        y = [methods.index(m) + _shift(tables, table) for m in mean.index]
        chosen = [table.chosen.get(dataset) == m for m in mean.index]
        colours = [BEST if c else ACCENT for c in chosen]
        lows, highs = (mean - std).clip(lower=0).tolist(), (mean + std).clip(upper=100).tolist()
        ends += [*lows, *highs]
        # One by one: Plotly draws all error bars of a trace in one colour.
        for low, high, y_bar, colour in zip(lows, highs, y, colours, strict=True):
            line = {"type": "line", "line": {"color": colour, "width": 2}, "layer": "between"}
            shapes.append(
                {**line, "x0": low, "x1": high, "y0": y_bar, "y1": y_bar, "opacity": 0.55}
            )
        figure.add(
            "scatter",
            x=mean.tolist(),
            y=y,
            mode="markers",
            marker=_markers(table, colours, chosen),
            customdata=[
                (display_name(titles.get(m, m)), _k_text(table), s) for m, s in std.items()
            ],
            hovertemplate="%{customdata[0]}, %{customdata[1]}<br>"
            "%{x:.1f} ± %{customdata[2]:.1f}<extra></extra>",
        )
    figure.update_layout(shapes=shapes)
    if ends:
        low, high = min(ends), max(ends)
        margin = max(0.04 * (high - low), (_NARROWEST - (high - low)) / 2)
        figure.update_xaxes(range=[low - margin, high + margin])
    return figure


def rank_plot(
    tables: Sequence[ScoreTable], methods: Sequence[str], titles: Mapping[str, str]
) -> Figure:
    """Average rank of every method over datasets, `auto` among them, and its rank on each."""
    ranked = [table.ranks.reindex(methods).dropna() for table in tables]
    methods = [m for m in methods if any(m in ranks.index for ranks in ranked)]
    figure = _lines("rank by ACC, 1 is best", methods, titles)
    for table, ranks in zip(tables, ranked, strict=True):
        y = [methods.index(m) + _shift(tables, table) for m in ranks.index]
        figure.add(
            "scatter",
            x=ranks.to_numpy().ravel().tolist(),
            y=[place for place in y for _ in ranks],
            mode="markers",
            marker={"color": FAINT, "size": 6},
            customdata=[display_name(dataset) for _ in y for dataset in ranks],
            hovertemplate="%{customdata}: %{x:.3g}<extra></extra>",
        )
        is_auto = [m == AUTO for m in ranks.index]
        colours = [BEST if a else ACCENT for a in is_auto]
        figure.add(
            "scatter",
            x=ranks.mean(axis=1).tolist(),
            y=y,
            mode="markers",
            marker=_markers(table, colours, is_auto),
            customdata=[(display_name(titles.get(m, m)), _k_text(table)) for m in ranks.index],
            hovertemplate="%{customdata[0]}, %{customdata[1]}<br>"
            "average rank %{x:.2f}<extra></extra>",
        )
    figure.update_xaxes(dtick=1)
    return figure


def found_k_plot(
    found: Estimates, dataset: str, methods: Sequence[str], titles: Mapping[str, str]
) -> Figure:
    """Numbers of novel classes that every method found on one dataset, over the true number."""
    there = set(found.lines.method) - {AUTO}
    methods, truth = [m for m in methods if m in there], found.truth[dataset]
    here = found.lines[found.lines.dataset == dataset]
    points = []
    for i, method in enumerate(methods):
        counts = Counter(sorted(here.n_novel_estimated[here.method == method].tolist()))
        points += [(i, k, n, counts.total()) for k, n in counts.items()]
    figure = _lines("number of novel classes", methods, titles)
    figure.add(
        "scatter",
        x=[truth, truth],
        y=[-0.5, len(methods) - 0.5],
        mode="lines",
        line={"color": BEST, "width": 2, "dash": "dot"},
        hoverinfo="skip",
    )
    figure.add(
        "scatter",
        x=[k for _, k, _, _ in points],
        y=[i for i, _, _, _ in points],
        mode="markers",
        marker={
            # The area is the share of seeds.
            "size": [max(5.0, 18 * math.sqrt(n / of)) for _, _, n, of in points],
            "color": [ACCENT if k == truth else MUTED for _, k, _, _ in points],
            "line": EDGE,
            "opacity": 1,
        },
        customdata=[
            (display_name(titles.get(methods[i], methods[i])), n, of) for i, _, n, of in points
        ],
        hovertemplate="%{customdata[0]}<br>%{x} in %{customdata[1]} of %{customdata[2]} seeds"
        "<extra></extra>",
    )
    ks = [truth, *(k for _, k, _, _ in points)]
    figure.update_xaxes(
        range=[min(ks) - 0.7, max(ks) + 0.7], dtick=max(1, -(-(max(ks) - min(ks)) // 8))
    )
    return figure


def seconds_plot(
    seconds: pd.DataFrame, methods: Sequence[str], titles: Mapping[str, str]
) -> Figure:
    """Seconds of every cell, by method and dataset, on a logarithmic scale, and their median."""
    shown = [m for m in methods if m in seconds.index]
    figure = _lines("seconds", shown, titles)
    # Times are kept to a tenth of a second, and zero has no logarithm.
    seconds = seconds.loc[shown].clip(lower=0.1)
    each = [(i, d, s) for i, m in enumerate(shown) for d, s in seconds.loc[m].dropna().items()]
    figure.add(
        "scatter",
        x=[s for _, _, s in each],
        y=[i for i, _, _ in each],
        mode="markers",
        marker={"color": MUTED, "size": 8, "opacity": 0.6},
        customdata=[display_name(d) for _, d, _ in each],
        hovertemplate="%{customdata}: %{x:,.3~r} s<extra></extra>",
    )
    figure.add(
        "scatter",
        x=seconds.median(axis=1).tolist(),
        y=list(range(len(shown))),
        mode="markers",
        marker={
            "color": ACCENT,
            "symbol": "line-ns",
            "size": 18,
            "line": {"width": 3, "color": ACCENT},
        },
        customdata=[display_name(titles.get(m, m)) for m in shown],
        hovertemplate="%{customdata}, median: %{x:,.3~r} s<extra></extra>",
    )
    figure.update_xaxes(type="log", dtick=1, tickformat="~s", ticksuffix=" s")
    return figure


def _lines(x: str, methods: Sequence[str], titles: Mapping[str, str]) -> Figure:
    """A figure with a line for each method, the first on top."""
    figure = new_figure(x, "")
    # Numbers under the names: two methods may share a name, and points move off the line.
    figure.update_yaxes(
        tickvals=list(range(len(methods))),
        ticktext=[_wrapped(titles.get(m, m)) for m in methods],
        tickfont={"size": 11},
        range=[len(methods) - 0.5, -0.5],
    )
    figure.update_layout(height=70 + 29 * max(len(methods), 1), showlegend=False)
    return figure


def _markers(
    table: ScoreTable, colours: Sequence[str], special: Sequence[bool]
) -> dict[str, object]:
    """Filled where k was unknown, hollow where it was known; a diamond where special."""
    return {
        "size": [11 if s else 8 for s in special],
        "symbol": ["diamond" if s else "circle" for s in special],
        "color": ["white" if table.setting.k_known else colour for colour in colours],
        "line": {"color": list(colours), "width": 2},
        "opacity": 1,  # or Plotly lets points shine through where sizes differ
    }


def _shift(tables: Sequence[ScoreTable], table: ScoreTable) -> float:
    """Off the line where two settings share it: k unknown above, k known below."""
    if len(tables) == 1:
        return 0.0
    return _OFFSET if table.setting.k_known else -_OFFSET


def _k_text(table: ScoreTable) -> str:
    return "k known" if table.setting.k_known else "k unknown"


def _wrapped(name: str) -> str:
    """The name over at most two lines, so that it leaves room for the points."""
    words = textwrap.wrap(name, _WIDEST, max_lines=2, placeholder=" …") or [""]
    return "<br>".join(display_name(line) for line in words)
