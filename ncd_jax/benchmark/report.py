"""What a benchmark leaves in its folder: every score as CSV, tables in Markdown, a report."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from ncd_jax.benchmark.counts import KTable, k_table
from ncd_jax.benchmark.markdown import render_markdown
from ncd_jax.benchmark.plots import accuracy_plot, found_k_plot, rank_plot, seconds_plot
from ncd_jax.benchmark.tables import (
    AUTO,
    EVALUATIONS,
    METRICS,
    Record,
    ScoreTable,
    Setting,
    finished,
    method_order,
    score_table,
    settings,
    value_table,
)
from ncd_jax.benchmark.text import (
    counts_text,
    decimal,
    describe,
    environments,
    error_text,
)
from ncd_jax.report.templating import environment
from ncd_jax.store.workdir import Workdir

__all__ = ["render_benchmark", "write_benchmark"]

_COLUMNS = (
    "dataset",
    "method",
    "k_known",
    "hyperparameters",
    "seed",
    "evaluation",
    "acc",
    "nmi",
    "ari",
    "n_novel_estimated",
    "known_accuracy",
    "seconds",
)


def write_benchmark(workdir: Workdir, records: Sequence[Record], titles: Mapping[str, str]) -> None:
    """Writes `results.csv`, `results.md` and `benchmark.html`, each whole or not at all.

    Args:
        workdir: folder of the benchmark.
        records: one for each cell. `cell` says which; a finished one has `rows`, a failed
            one `error`.
        titles: names of the methods for people, in the order of tables; others come last
            under the name they have.
    """
    rows = [[row[name] for name in _COLUMNS] for r in finished(records) for row in r["rows"]]
    workdir.write_csv("results.csv", _COLUMNS, rows)
    workdir.write_text("results.md", render_markdown(records, titles))
    workdir.write_text("benchmark.html", render_benchmark(records, titles))


def render_benchmark(records: Sequence[Record], titles: Mapping[str, str]) -> str:
    """Renders the report of a benchmark.

    The template escapes every text, `display_name` the names that go into figures, and
    `tojson` the figures on their way into a script element.

    Args:
        records: one for each cell.
        titles: names of the methods for people.

    Returns:
        A whole HTML document with Plotly's script, all figures and styles inside.
    """
    templates = environment("ncd_jax.benchmark")
    templates.filters |= {
        "title": lambda method: titles.get(method, method),
        "decimal": decimal,
        "counts": counts_text,
        "error": error_text,
        "describe": describe,
    }
    order = method_order(records, titles)
    tables = _score_tables(records, order)
    main = _main_table(tables)
    estimates = _estimates(records, main, order)
    compared = _compared(tables, main) if main else []
    figures = _figures(records, compared, main, estimates, titles, order) if main else {}
    done = finished(records)
    failed = [record for record in records if "rows" not in record]
    return templates.get_template("benchmark.html.j2").render(
        tables=tables,
        main=main,
        estimates=estimates,
        auto=AUTO,
        compared=_datasets(compared),
        k_settings=[table.setting.k_known for table in compared],
        methods=[m for m in order if any(m == r["cell"]["method"] for r in done)],
        datasets=list(dict.fromkeys(r["cell"]["dataset"] for r in done)),
        n_seeds=max((len({row["seed"] for row in r["rows"]}) for r in done), default=0),
        n_finished=len(done),
        failed=[(r, Setting(r["cell"]["hyperparameters"], r["cell"]["k_known"])) for r in failed],
        environments=environments(records),
        figures={name: json.loads(figure.to_json()) for name, figure in figures.items()},
        plotly_js=get_plotlyjs(),
    )


def _score_tables(records: Sequence[Record], order: Sequence[str]) -> list[ScoreTable]:
    """All tables with something in them."""
    tables = [
        score_table(records, setting, evaluation, metric, order)
        for setting in settings(records)
        for evaluation in EVALUATIONS
        for metric in METRICS
    ]
    return [table for table in tables if table.datasets]


def _main_table(tables: Sequence[ScoreTable]) -> ScoreTable | None:
    """The one to read first: k unknown, tuned, and with the most in it; the first of equals."""

    def importance(table: ScoreTable) -> tuple[Any, ...]:
        filled = sum(map(len, table.scores.values()))
        return not table.setting.k_known, table.setting.hyperparameters == "tuned", filled

    return max((t for t in tables if t.metric == "acc"), key=importance, default=None)


def _estimates(
    records: Sequence[Record], main: ScoreTable | None, order: Sequence[str]
) -> KTable | None:
    if main is None:
        return None
    table = k_table(records, main.setting.hyperparameters, order)
    return table if table.truth else None


def _compared(tables: Sequence[ScoreTable], main: ScoreTable) -> list[ScoreTable]:
    """The main table and the one that differs from it in whether k was known, if it is there."""
    return [
        table
        for table in tables
        if table.setting.hyperparameters == main.setting.hyperparameters
        and (table.evaluation, table.metric) == (main.evaluation, main.metric)
    ]


def _datasets(tables: Sequence[ScoreTable]) -> list[str]:
    return list(dict.fromkeys(dataset for table in tables for dataset in table.datasets))


def _figures(
    records: Sequence[Record],
    compared: Sequence[ScoreTable],
    main: ScoreTable,
    estimates: KTable | None,
    titles: Mapping[str, str],
    order: Sequence[str],
) -> dict[str, go.Figure]:
    """The figures by name; those of a dataset have its number on the page behind it."""
    methods = list(dict.fromkeys([*main.by_rank(), *order]))
    figures = {"ranks": rank_plot(compared, methods, titles)}
    for i, dataset in enumerate(_datasets(compared)):
        figures[f"accuracy-{i}"] = accuracy_plot(compared, dataset, methods, titles)
    if estimates:
        for i, dataset in enumerate(estimates.truth):
            figures[f"k-{i}"] = found_k_plot(estimates, dataset, methods, titles)
    seconds = value_table(records, main.setting, "seconds", order)
    if seconds:
        figures["seconds"] = seconds_plot(seconds, methods, titles)
    return figures
