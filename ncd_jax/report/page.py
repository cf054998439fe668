"""The report: one HTML file that explains itself and asks the network for nothing."""

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ncd_jax.methods import METHODS
from ncd_jax.report.confidence_plots import confidence_plot
from ncd_jax.report.embedded import packed_figures, packed_plotly, packed_rows
from ncd_jax.report.findings import Findings
from ncd_jax.report.headline import headline
from ncd_jax.report.novel_plots import k_plot, map_plot, size_plot
from ncd_jax.report.number import number_plot
from ncd_jax.report.profile_plots import profile_plot
from ncd_jax.report.search_plots import (
    fold_plot,
    hparam_plot,
    loss_plot,
    ranking_plot,
    search_plot,
)
from ncd_jax.report.templating import environment
from ncd_jax.tuning.proposals import Trial

__all__ = ["render_report"]

_TOP_TRIALS = 10


def render_report(findings: Findings, *, files: bool = True) -> str:
    """Renders the report.

    The template escapes every text, `display_name` the names that go into figures, and `pack`
    what is on its way into a script element.

    Args:
        findings: of a finished run.
        files: whether the page lies beside the files of a run; it stands alone where not.

    Returns:
        A whole HTML document with Plotly's script, all figures and styles inside.
    """
    figures = _figures(findings)
    info = METHODS[findings.metrics["method"]]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            findings=findings,
            metrics=findings.metrics,
            best=next(t for t in findings.trials if t.number == findings.best),
            top=_top(findings),
            n_stopped=sum(t.stopped is not None for t in findings.trials),
            profiles=findings.profiles,
            novel_classes=_novel_classes(findings),
            headline=headline(findings.metrics),
            title=info.title,
            meanings={name: interval.meaning for name, interval in info.space(1).items()},
            citation=info.citation,
            run=json.dumps(findings.config["run"], indent=2, ensure_ascii=False),
            figures=figures,
            packed_figures=packed_figures(figures),
            files=files,
            plotly=packed_plotly(),
            rows=packed_rows(findings),
        )
    )


def _top(findings: Findings) -> list[Trial]:
    """The best candidates of those that were trained to the end."""
    finished = (t for t in findings.trials if t.stopped is None)
    return sorted(finished, key=lambda t: (-t.score, t.number))[:_TOP_TRIALS]


def _figures(findings: Findings) -> dict[str, go.Figure]:
    """The figures that this run has something to show in, by name."""
    sizes = findings.metrics["novel_sizes"]
    trials, best, curve = findings.trials, findings.best, findings.confidence_curve
    figures = {
        "sizes": size_plot(sizes) if sizes else None,
        "map": map_plot(findings.latent_map),
        "k": k_plot(findings.k_curve) if findings.k_curve else None,
        "profiles": profile_plot(findings.profiles.grid),
        "confidence": curve and confidence_plot(curve),
        "number": findings.number and number_plot(findings.number),
        "ranking": ranking_plot(findings.ranking) if len(findings.ranking) > 1 else None,
        "search": search_plot(trials, best) if len(trials) > 1 else None,
        "folds": curve and fold_plot(findings.scored, findings.scored_best, findings.hidden),
        "hparams": hparam_plot(trials, best),
        "loss": loss_plot(findings.loss) if len(findings.loss) else None,
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _novel_classes(findings: Findings) -> list[dict[str, Any]]:
    """One table line for each novel class."""
    return [
        {
            "name": f"novel_{i}",
            "size": size,
            "share": size / max(int((findings.labels >= 0).sum()), 1),
            "confidence": np.mean(findings.confidence[findings.labels == i]) if size else None,
        }
        for i, size in enumerate(findings.metrics["novel_sizes"])
    ]
