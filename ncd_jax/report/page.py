"""The report: one HTML file that explains itself and asks the network for nothing."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from ncd_jax.methods import METHODS
from ncd_jax.read.words import as_text
from ncd_jax.report import figures as draw
from ncd_jax.report.findings import Findings
from ncd_jax.report.headline import class_order, headline
from ncd_jax.report.how_many import k_plot, number_plot
from ncd_jax.report.latent_map import map_plot
from ncd_jax.report.plot_style import Figure, new_figure
from ncd_jax.report.templating import Packed, environment, pack_json, packed_plotly
from ncd_jax.tuning.trials import Trial

__all__ = ["render_report"]

_TOP_TRIALS = 10
_MOST_TO_CHECK = 20
_MOST_CLASSES = 12
_LONGEST_TEXT = 60


def render_report(findings: Findings, *, files: bool = True) -> str:
    """Renders the report.

    The template escapes every text, `display_name` the names that go into figures, and `pack`
    what is on its way into a script element. It is a whole HTML document with Plotly's script, all
    figures and styles inside; one that does not lie beside the `files` of a run stands alone.
    """
    figures = _figures(findings)
    plain = {name: figure.plain() for name, figure in figures.items()}
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
            to_check=_to_check(findings),
            headline=headline(findings.metrics),
            title=info.title,
            meanings={name: interval.meaning for name, interval in info.space(1).items()},
            citation=info.citation,
            run=json.dumps(findings.config["run"], indent=2, ensure_ascii=False),
            figures=figures,
            packed_figures=pack_json(plain),
            files=files,
            plotly=packed_plotly(),
            rows=_packed_rows(findings),
            group_classes=_classes_in_groups(findings.metrics.get("groups", [])),
        )
    )


def _top(findings: Findings) -> list[Trial]:
    """The best candidates of those that were trained to the end, and the one that was taken."""
    finished = (t for t in findings.trials if t.stopped is None)
    ranked = sorted(finished, key=lambda t: (-t.score, t.number))
    return [t for i, t in enumerate(ranked) if i < _TOP_TRIALS or t.number == findings.best]


def _figures(findings: Findings) -> dict[str, Figure]:
    """The figures that this run has something to show in, by name."""
    sizes = findings.metrics["novel_sizes"]
    trials, best, curve = findings.trials, findings.best, findings.confidence_curve
    scored, ranking = findings.scored, findings.ranking
    number = findings.number
    figures = {
        "sizes": draw.size_plot(sizes) if sizes else None,
        "map": map_plot(findings.latent_map),
        "k": k_plot(findings.k_curve) if findings.k_curve else None,
        "profiles": draw.profile_plot(findings.profiles.grid),
        "confidence": draw.confidence_plot(curve) if curve else None,
        "number": number_plot(number) if number and not number.is_given else None,
        "ranking": draw.ranking_plot(ranking) if len(ranking) > 1 else None,
        "search": draw.search_plot(trials, best) if len(trials) > 1 else None,
        "folds": draw.fold_plot(scored, findings.scored_best, findings.hidden) if curve else None,
        "hparams": draw.hparam_plot(trials, best),
        "loss": draw.loss_plot(findings.loss) if len(findings.loss) else None,
    }
    return {name: figure for name, figure in figures.items() if figure is not None}


def _classes_in_groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The classes that groups of rows hold, the largest first."""
    sizes = Counter[str]()
    for each in groups:
        for name, share in each["shares"].items():
            sizes[name] += share * each["n_rows"]
    return [name for name, _ in sizes.most_common(_MOST_CLASSES)]


def _novel_classes(findings: Findings) -> list[dict[str, Any]]:
    """One table line for each novel class."""
    names, sizes = np.array(findings.assignments.labels, object), findings.metrics["novel_sizes"]
    lines = []
    for i, size in enumerate(sizes):
        sure = findings.assignments.confidence[names == f"novel_{i}"]
        mean = float(sure.mean()) if len(sure) else None
        share = size / max(sum(sizes), 1)
        lines.append({"name": f"novel_{i}", "size": size, "share": share, "confidence": mean})
    return lines


def _to_check(findings: Findings) -> dict[str, Any]:
    """The rows whose class is least sure, with what they would be otherwise and what names them."""
    rows, labels, sure, seconds, second_sure, copied = findings.assignments
    order = np.lexsort((rows, np.nan_to_num(sure)))[:_MOST_TO_CHECK].tolist()
    titles = [] if copied is None else [str(name) for name in copied]
    cells = [] if copied is None else [_texts(copied.iloc[order, i]) for i in range(len(titles))]
    lines = [
        (rows[i], [column[place] or "" for column in cells], labels[i], sure[i], seconds[i],
         second_sure[i] if seconds[i] else None)
        for place, i in enumerate(order)
    ]  # fmt: skip
    return {"columns": titles, "lines": lines}


def _packed_rows(findings: Findings) -> Packed:
    """The rows that are listed, and columns of the points of the map, for `rows.js`."""
    rows, labels, sure, seconds, second_sure, _ = findings.assignments
    shown = findings.shown
    classes = sorted({*labels, *seconds} - {""}, key=class_order)
    index = {name: i for i, name in enumerate(classes)}
    columns = [_column(shown.listed_values.iloc[:, i]) for i in range(shown.listed_values.shape[1])]
    return pack_json(
        {
            "classes": classes,
            "columns": columns,
            "copied": len(columns) - len(shown.telling),
            "row": rows[shown.listed].tolist(),
            "label": [index[labels[i]] for i in shown.listed],
            "confidence": _rounded(sure[shown.listed]),
            "runnerUp": [index.get(seconds[i], -1) for i in shown.listed],
            "runnerUpConfidence": _rounded(second_sure[shown.listed]),
            "telling": list(shown.telling),
            "drawn": [_column(shown.drawn.iloc[:, i]) for i in range(shown.drawn.shape[1])],
            "layout": new_figure("", "").plain()["layout"],
        }
    )


def _column(cells: pd.Series) -> dict[str, Any]:
    """A column for JavaScript: its name, the kind of its axis, and its values."""
    if types.is_numeric_dtype(cells) and not types.is_bool_dtype(cells):
        numbers = cells.to_numpy(dtype=np.float64, na_value=np.nan)
        return {"name": str(cells.name), "kind": "linear", "values": _rounded(numbers, 4)}
    kind = "date" if types.is_datetime64_any_dtype(cells) else "category"
    return {"name": str(cells.name), "kind": kind, "values": _texts(cells)}


def _texts(cells: pd.Series) -> list[str | None]:
    texts = [None if gap else as_text(v) for v, gap in zip(cells, cells.isna(), strict=True)]
    return [text and text[:_LONGEST_TEXT] for text in texts]


def _rounded(numbers: np.ndarray, digits: int = 3) -> list[float | None]:
    values: list[float] = np.asarray(numbers, np.float64).tolist()
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in values]
