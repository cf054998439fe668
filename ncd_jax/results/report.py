"""The report: one HTML file that explains itself and asks the network for nothing."""

import json
import math
from typing import Any

import jinja2
import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ncd_jax.results.findings import Findings
from ncd_jax.results.novel_plots import k_plot, map_plot, size_plot
from ncd_jax.results.search_plots import fold_plot, hparam_plot, loss_plot, search_plot

__all__ = ["render_report"]

_TOP_TRIALS = 10
_MEANINGS = {
    "lr": "learning rate",
    "w": "balance between telling known classes apart and rebuilding the row",
    "dropout": "share of units that are switched off in training",
    "latent_dim": "columns of the latent space",
}
_CITATIONS = {
    "pbn": "C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical "
    "Approach to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, "
    "2024. arXiv 2311.05440.",
}


def render_report(findings: Findings) -> str:
    """Renders the report.

    The template escapes every text, `display_name` the names that go into figures, and
    `tojson` the figures on their way into a script element.

    Args:
        findings: of a finished run.

    Returns:
        A whole HTML document with Plotly's script, all figures and styles inside.
    """
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("ncd_jax.results"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "percent": _percent,
        "decimals": _decimals,
        "significant": "{:.4g}".format,
        "count": "{:,}".format,
        "plural": _plural,
    }
    figures = _figures(findings)
    return templates.get_template("report.html.j2").render(
        findings=findings,
        metrics=findings.metrics,
        best=next(t for t in findings.trials if t.number == findings.best),
        top=sorted(findings.trials, key=lambda t: (-t.score, t.number))[:_TOP_TRIALS],
        novel_classes=_novel_classes(findings),
        meanings=_MEANINGS,
        citation=_CITATIONS.get(findings.metrics["method"]),
        run=json.dumps(findings.config["run"], indent=2, ensure_ascii=False),
        figures={name: json.loads(figure.to_json()) for name, figure in figures.items()},
        plotly_js=get_plotlyjs(),
    )


def _figures(findings: Findings) -> dict[str, go.Figure]:
    """The figures that this run has something to show in, by name."""
    trials, best = findings.trials, findings.best
    figures = {
        "sizes": size_plot(findings.metrics["novel_sizes"]),
        "map": map_plot(findings.latent_map),
        "k": k_plot(findings.k_curve) if findings.k_curve else None,
        "search": search_plot(trials, best) if len(trials) > 1 else None,
        "folds": fold_plot(trials, best, findings.hidden),
        "hparams": hparam_plot(trials, best),
        "loss": loss_plot(findings.loss),
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _novel_classes(findings: Findings) -> list[dict[str, Any]]:
    """One table line for each novel class."""
    return [
        {
            "name": f"novel_{i}",
            "size": size,
            "share": size / max(len(findings.rows), 1),
            "confidence": np.mean(findings.confidence[findings.labels == i]) if size else None,
        }
        for i, size in enumerate(findings.metrics["novel_sizes"])
    ]


def _percent(value: float | None) -> str:
    return "-" if _missing(value) else f"{value:.1%}"


def _decimals(value: float | None) -> str:
    return "-" if _missing(value) else f"{value:.2f}"


def _missing(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _plural(n: int, word: str, words: str) -> str:
    return f"{n:,} {word if n == 1 else words}"
