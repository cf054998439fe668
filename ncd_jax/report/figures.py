"""Figures of the classes that were found, and of what the answer and its tuning were worth."""

from collections.abc import Sequence

import numpy as np

from ncd_jax.discovery.evaluate import ConfidenceCurve
from ncd_jax.profiles.contrasts import Grid
from ncd_jax.report.findings import Ranked
from ncd_jax.report.plot_style import (
    ACCENT,
    AXIS,
    BEST,
    EDGE,
    FAINT,
    MUTED,
    PERCENT,
    Figure,
    class_style,
    display_name,
    layout,
    new_figure,
)
from ncd_jax.tuning.trials import Trial

__all__ = [
    "confidence_plot",
    "fold_plot",
    "hparam_plot",
    "loss_plot",
    "profile_plot",
    "ranking_plot",
    "search_plot",
    "size_plot",
]

_LONGEST_FEATURE, _LONGEST_CLASS = 18, 14
_MOST_CLASSES = 16


def size_plot(sizes: Sequence[int]) -> Figure:
    """Number of rows in each novel class."""
    names = [f"novel_{i}" for i in range(len(sizes))]
    figure = new_figure("rows", "")
    figure.add(
        "bar",
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


def profile_plot(grid: Grid) -> Figure | None:
    """Effect of each class in each telling column; none where no column tells anything.

    With many classes the novel ones come first and the last known ones are left out.
    """
    if not grid.features or not grid.classes:
        return None
    n_classes = min(len(grid.classes), _MOST_CLASSES)
    # Numbers as positions: two names may be cut to the same text, and would share a line.
    figure = new_figure("", "")
    figure.add(
        "heatmap",
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


def confidence_plot(curve: ConfidenceCurve) -> Figure:
    """Accuracy of rows of hidden classes by their confidence, with how many they are."""
    # Two standard errors of a share, drawn towards one half so that 100 % of few rows is unsure.
    n = curve.n_rows + 4
    share = (curve.accuracy * curve.n_rows + 2) / n
    error = 2 * np.sqrt(share * (1 - share) / n)
    low, high = np.clip(share - error, 0, 1), np.clip(share + error, 0, 1)
    figure = new_figure("confidence", "rows sorted right")
    figure.add(
        "scatter",
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dot"},
        name="as confident as right",
        hoverinfo="skip",
    )
    figure.add(
        "scatter",
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
    figure.add(
        "bar",
        x=curve.confidence,
        y=curve.n_rows,
        width=0.012,
        marker={"color": FAINT},
        name="rows",
        yaxis="y2",
        hovertemplate="%{y} rows at confidence %{x:.0%}<extra></extra>",
    )
    figure.update_xaxes(**PERCENT, range=[-0.02, 1.02])
    figure.update_yaxes(**PERCENT, range=[-0.02, 1.05])
    figure.update_layout(
        yaxis={"domain": [0.26, 1]},
        # A little panel of its own below, or bars and curve would share no scale.
        yaxis2={**AXIS, "domain": [0, 0.16], "title": {"text": "rows"}, "nticks": 3, "anchor": "x"},
        xaxis={"anchor": "y2"},
        height=440,
    )
    return figure


def ranking_plot(ranking: Sequence[Ranked]) -> Figure:
    """Score of every method, the best on top, with each of its folds."""
    titles = [display_name(each.title) for each in ranking]
    figure = new_figure("hidden rows sorted right", "")
    figure.add(
        "bar",
        x=[each.score for each in ranking],
        y=titles,
        orientation="h",
        marker={"color": [BEST if i == 0 else FAINT for i in range(len(ranking))]},
        text=[f"{each.score:.1%}" for each in ranking],
        textposition="inside",
        insidetextanchor="start",
        name="mean",
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.add(
        "scatter",
        x=[score for each in ranking for score in each.fold_scores],
        y=[title for title, each in zip(titles, ranking, strict=True) for _ in each.fold_scores],
        mode="markers",
        marker={"color": ACCENT, "size": 7, "line": EDGE},
        name="each fold",
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(**PERCENT, range=[0, 1.02])
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + 34 * len(ranking))
    return figure


def fold_plot(trials: Sequence[Trial], best: int, hidden: Sequence[Sequence[str]]) -> Figure:
    """Scores of all candidates in each fold, those of the one that was taken on top."""
    winner = next(t for t in trials if t.number == best)
    scores = np.array([t.fold_scores for t in trials])
    folds = np.arange(scores.shape[1])
    spread = np.linspace(-0.3, 0.3, len(trials))  # equal scores stay visible
    figure = new_figure("classes hidden in the fold", "their rows sorted right")
    figure.add(
        "scatter",
        x=(folds[None, :] + spread[:, None]).ravel(),
        y=scores.ravel(),
        mode="markers",
        marker={"color": MUTED, "size": 5, "opacity": 0.55},
        name="every candidate",
        customdata=np.repeat([t.number for t in trials], len(folds)),
        hovertemplate="candidate %{customdata}: %{y:.1%}<extra></extra>",
    )
    figure.add(
        "scatter",
        x=folds,
        y=winner.fold_scores,
        mode="markers+text",
        marker={"color": BEST, "symbol": "diamond", "size": 13, "line": EDGE},
        text=[f"{score:.0%}" for score in winner.fold_scores],
        textposition="top center",
        textfont={"color": BEST},
        cliponaxis=False,
        name="taken",
        customdata=np.stack([winner.fold_k, [len(names) for names in hidden]], axis=1),
        hovertemplate="%{y:.1%}, %{customdata[0]:.3g} clusters for %{customdata[1]} hidden classes"
        "<extra></extra>",
    )
    figure.update_yaxes(**PERCENT, range=[max(float(scores.min()) - 0.06, -0.02), 1.12])
    figure.update_xaxes(
        tickvals=folds,
        ticktext=[_stacked(names) for names in hidden],
        ticklabeloverflow="allow",  # or the last fold may lose its names
        range=[-0.5, len(folds) - 0.5],
    )
    return figure


def search_plot(trials: Sequence[Trial], best: int) -> Figure:
    """Score of every candidate in order of trial, with the best so far of those that finished."""
    finished = [t for t in trials if t.stopped is None]
    winner = next(t for t in trials if t.number == best)
    figure = new_figure("candidate, in order of trial", "hidden rows sorted right")
    figure.add(
        "scatter",
        x=[t.number for t in finished],
        y=np.maximum.accumulate([t.score for t in finished]),
        mode="lines",
        line={"shape": "hv", "color": FAINT, "width": 2},
        name="best so far",
        hoverinfo="skip",
    )
    for name, shown, symbol in (
        ("candidate", finished, "circle"),
        ("stopped early", [t for t in trials if t.stopped is not None], "circle-open"),
    ):
        figure.add(
            "scatter",
            x=[t.number for t in shown],
            y=[t.score for t in shown],
            mode="markers",
            marker={
                "color": [MUTED if t.diverged else ACCENT for t in shown],
                "symbol": ["x" if t.diverged else symbol for t in shown],
                "size": 8,
            },
            name=name,
            visible=bool(shown),
            customdata=[_hparams_text(t) for t in shown],
            hovertemplate="candidate %{x}: %{y:.1%}<br>%{customdata}<extra></extra>",
        )
    figure.add(
        "scatter",
        x=[winner.number],
        y=[winner.score],
        mode="markers",
        marker={"color": BEST, "symbol": "star", "size": 17, "line": EDGE},
        name="taken",
        customdata=[_hparams_text(winner)],
        hovertemplate="taken, candidate %{x}: %{y:.1%}<br>%{customdata}<extra></extra>",
    )
    figure.update_yaxes(**PERCENT)
    figure.update_xaxes(dtick=-(-len(trials) // 10))  # about ten ticks, all whole numbers
    return figure


def hparam_plot(trials: Sequence[Trial], best: int) -> Figure | None:
    """Score against each hyperparameter that varied; none where none did."""
    values = {name: np.array([t.hparams[name] for t in trials]) for name in trials[0].hparams}
    values = {name: v for name, v in values.items() if np.ptp(v) > 0}
    if not values:
        return None
    n_columns = min(2, len(values))
    n_rows = -(-len(values) // n_columns)
    panels = {"rows": n_rows, "columns": n_columns, "pattern": "independent", "ygap": 0.34}
    figure = Figure(layout() | {"showlegend": False, "height": 60 + 210 * n_rows, "grid": panels})
    colour = [BEST if t.number == best else ACCENT for t in trials]
    for i, (name, x) in enumerate(values.items()):
        # The first in a row has the scale of all.
        axis, first = (str(j + 1) if j else "" for j in (i, i - i % n_columns))
        figure.add(
            "scatter",
            x=x,
            y=[t.score for t in trials],
            mode="markers",
            marker={
                "color": colour,
                "size": [12 if t.number == best else 7 for t in trials],
                "symbol": [_symbol(t, best) for t in trials],
                "opacity": 0.85,
            },
            customdata=[t.number for t in trials],
            hovertemplate="candidate %{customdata}<br>%{x:.3g}: %{y:.1%}<extra></extra>",
            xaxis=f"x{axis}",
            yaxis=f"y{axis}",
        )
        # Most values near the lower end: they were drawn on a logarithmic scale.
        is_log = x.min() > 0 and np.median(x) - x.min() < 0.2 * np.ptp(x)
        ticks = {"type": "log", "dtick": 1, "tickformat": "~g"} if is_log else {"nticks": 6}
        scale = {"title": {"text": "score"}} if axis == first else {"matches": f"y{first}"}
        title = {"text": display_name(name)}
        figure.layout[f"xaxis{axis}"] = {**AXIS, "title": title, **ticks}
        figure.layout[f"yaxis{axis}"] = {
            **AXIS,
            **PERCENT,
            "showticklabels": axis == first,
            **scale,
        }
    return figure


def loss_plot(loss: np.ndarray) -> Figure:
    """Training loss of the refit that gave the answer."""
    figure = new_figure("epoch", "mean training loss")
    figure.add(
        "scatter",
        x=np.arange(1, len(loss) + 1),
        y=np.asarray(loss),
        mode="lines" if len(loss) > 1 else "markers",
        line={"color": ACCENT, "width": 2},
        hovertemplate="epoch %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_layout(height=320, showlegend=False)
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


def _symbol(trial: Trial, best: int) -> str:
    if trial.number == best:
        return "star"
    return "circle" if trial.stopped is None else "circle-open"


def _hparams_text(trial: Trial) -> str:
    lines = [f"{display_name(name)} = {value:.4g}" for name, value in trial.hparams.items()]
    if trial.stopped is not None:
        lines.append(f"stopped after epoch {trial.stopped}")
    if trial.diverged:
        lines.append(f"{trial.diverged} diverged")
    return "<br>".join(lines)


def _stacked(names: Sequence[str], most: int = 4) -> str:
    """Names under each other, the last line counting those left out."""
    shown = [display_name(name, 14) for name in names[:most]]
    if len(names) > most:
        shown[-1] = f"and {len(names) - most + 1} more"
    return "<br>".join(shown)
