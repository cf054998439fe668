"""Figures of the tuning: candidates, folds, hyperparameters, loss."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from ncd_jax.report.findings import Ranked
from ncd_jax.report.plot_style import (
    ACCENT,
    AXIS,
    BEST,
    EDGE,
    FAINT,
    MUTED,
    PERCENT,
    display_name,
    layout,
    new_figure,
)
from ncd_jax.tuning.proposals import Trial

__all__ = ["fold_plot", "hparam_plot", "loss_plot", "ranking_plot", "search_plot"]


def search_plot(trials: Sequence[Trial], best: int) -> go.Figure:
    """Score of every candidate in order of trial, with the best so far of those that finished."""
    finished = [t for t in trials if t.stopped is None]
    winner = next(t for t in trials if t.number == best)
    figure = new_figure("candidate, in order of trial", "hidden-class score")
    figure.add_scatter(
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
        figure.add_scatter(
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
    figure.add_scatter(
        x=[winner.number],
        y=[winner.score],
        mode="markers",
        marker={"color": BEST, "symbol": "star", "size": 17, "line": EDGE},
        name="best",
        customdata=[_hparams_text(winner)],
        hovertemplate="best, candidate %{x}: %{y:.1%}<br>%{customdata}<extra></extra>",
    )
    figure.update_yaxes(PERCENT)
    figure.update_xaxes(dtick=-(-len(trials) // 10))  # about ten ticks, all whole numbers
    return figure


def ranking_plot(ranking: Sequence[Ranked]) -> go.Figure:
    """Hidden-class score of every method, the best on top, with each of its folds."""
    titles = [display_name(each.title) for each in ranking]
    figure = new_figure("hidden-class score", "")
    figure.add_bar(
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
    figure.add_scatter(
        x=[score for each in ranking for score in each.fold_scores],
        y=[title for title, each in zip(titles, ranking, strict=True) for _ in each.fold_scores],
        mode="markers",
        marker={"color": ACCENT, "size": 7, "line": EDGE},
        name="each fold",
        hovertemplate="%{y}: %{x:.1%}<extra></extra>",
    )
    figure.update_xaxes(PERCENT, range=[0, 1.02])
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(height=110 + 34 * len(ranking))
    return figure


def fold_plot(trials: Sequence[Trial], best: int, hidden: Sequence[Sequence[str]]) -> go.Figure:
    """Scores of all candidates in each fold, those of the best one on top."""
    winner = next(t for t in trials if t.number == best)
    scores = np.array([t.fold_scores for t in trials])
    folds = np.arange(scores.shape[1])
    # Spread out on the left of the fold's tick: equal scores stay visible, and the winner,
    # on the tick, has its right side free for its score.
    spread = np.linspace(-0.36, -0.08, len(trials))
    figure = new_figure("classes hidden in the fold", "hidden-class score")
    figure.add_scatter(
        x=(folds[None, :] + spread[:, None]).ravel(),
        y=scores.ravel(),
        mode="markers",
        marker={"color": MUTED, "size": 5, "opacity": 0.55},
        name="every candidate",
        customdata=np.repeat([t.number for t in trials], len(folds)),
        hovertemplate="candidate %{customdata}: %{y:.1%}<extra></extra>",
    )
    figure.add_scatter(
        x=folds,
        y=winner.fold_scores,
        mode="markers+text",
        marker={"color": BEST, "symbol": "diamond", "size": 13, "line": EDGE},
        text=[f"{score:.0%}" for score in winner.fold_scores],
        textposition="middle right",
        textfont={"color": BEST},
        cliponaxis=False,
        name="best candidate",
        customdata=np.stack([winner.fold_k, [len(names) for names in hidden]], axis=1),
        hovertemplate="%{y:.1%}, %{customdata[0]:.3g} clusters for %{customdata[1]} hidden classes"
        "<extra></extra>",
    )
    figure.update_yaxes(PERCENT)
    figure.update_xaxes(
        tickvals=folds,
        ticktext=[_stacked(names) for names in hidden],
        ticklabeloverflow="allow",  # or the last fold may lose its names
        range=[-0.5, len(folds) - 0.5],
    )
    return figure


def hparam_plot(trials: Sequence[Trial], best: int) -> go.Figure | None:
    """Score against each hyperparameter that varied; none where none did."""
    values = {name: np.array([t.hparams[name] for t in trials]) for name in trials[0].hparams}
    values = {name: v for name, v in values.items() if np.ptp(v) > 0}
    if not values:
        return None
    n_columns = min(2, len(values))
    n_rows = -(-len(values) // n_columns)
    figure = make_subplots(n_rows, n_columns, shared_yaxes=True, vertical_spacing=0.34 / n_rows)
    figure.update_layout(layout(), showlegend=False, height=60 + 210 * n_rows, hovermode="closest")
    colour = [BEST if t.number == best else ACCENT for t in trials]
    for i, (name, x) in enumerate(values.items()):
        at = {"row": i // n_columns + 1, "col": i % n_columns + 1}
        figure.add_scatter(
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
            **at,
        )
        # Most values near the lower end: they were drawn on a logarithmic scale.
        is_log = x.min() > 0 and np.median(x) - x.min() < 0.2 * np.ptp(x)
        ticks = {"type": "log", "dtick": 1, "tickformat": "~g"} if is_log else {"nticks": 6}
        figure.update_xaxes(AXIS, title=display_name(name), **ticks, **at)
    figure.update_yaxes(AXIS, **PERCENT)
    figure.update_yaxes(title="score", col=1)
    return figure


def loss_plot(loss: np.ndarray) -> go.Figure:
    """Training loss of the refit that gave the answer."""
    figure = new_figure("epoch", "mean training loss")
    figure.add_scatter(
        x=np.arange(1, len(loss) + 1),
        y=np.asarray(loss),
        mode="lines" if len(loss) > 1 else "markers",
        line={"color": ACCENT, "width": 2},
        hovertemplate="epoch %{x}: %{y:.4g}<extra></extra>",
    )
    figure.update_layout(height=320, showlegend=False)
    return figure


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
