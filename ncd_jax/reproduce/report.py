"""What a benchmark leaves in its folder: every score as CSV, tables in Markdown, a report."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from ncd_jax.report.plot_style import Figure
from ncd_jax.report.templating import environment, plotly_script
from ncd_jax.reproduce.markdown import (
    caveats,
    decimal,
    describe,
    environments,
    error_text,
    render_markdown,
)
from ncd_jax.reproduce.plots import accuracy_plot, found_k_plot, rank_plot, seconds_plot
from ncd_jax.reproduce.tables import (
    AUTO,
    Estimates,
    Record,
    Results,
    ScoreTable,
    Setting,
    collect,
    estimates,
    grid,
)
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
    rows = [[row[name] for name in _COLUMNS] for r in records for row in r.get("rows", ())]
    workdir.write_csv("results.csv", _COLUMNS, rows)
    results = collect(records, titles)
    workdir.write_text("results.md", render_markdown(records, titles, results))
    workdir.write_text("benchmark.html", render_benchmark(records, titles, results))


def render_benchmark(
    records: Sequence[Record], titles: Mapping[str, str], results: Results | None = None
) -> str:
    """Renders the report of a benchmark.

    The template escapes every text, `display_name` the names that go into figures, and
    `tojson` the figures on their way into a script element.

    Args:
        records: one for each cell.
        titles: names of the methods for people.
        results: what `collect` makes of them, where it is there.

    Returns:
        A whole HTML document with Plotly's script, all figures and styles inside.
    """
    results = results or collect(records, titles)
    tables = results.tables
    main = max((t for t in tables if t.metric == "acc"), key=_importance, default=None)
    compared = [table for table in tables if main and _is_comparable(table, main)]
    found = estimates(results, main.setting.hyperparameters) if main else None
    figures = _figures(results, compared, main, found, titles) if main and found else {}
    failed = [record for record in records if "rows" not in record]
    return _template().render(
        called=lambda method: titles.get(method, method),
        tables=tables,
        main=main,
        truth=found.truth if found else {},
        errors=found.error if found else {},
        found=found.text if found else None,
        auto=AUTO,
        compared=_datasets(compared),
        k_settings=[table.setting.k_known for table in compared],
        methods=results.cells.method.unique(),
        datasets=results.cells.dataset.unique(),
        caveats=caveats(results.cells.method),
        n_seeds=results.rows.seed.nunique(),
        n_finished=len(results.cells),
        failed=[(r, Setting(r["cell"]["hyperparameters"], r["cell"]["k_known"])) for r in failed],
        environments=environments(records),
        figures={name: figure.plain() for name, figure in figures.items()},
        plotly_js=plotly_script(),
    )


@functools.cache
def _template() -> jinja2.Template:
    templates = environment("ncd_jax.reproduce").overlay()
    own = {"decimal": decimal, "error": error_text, "describe": describe}
    templates.filters = templates.filters | own
    return templates.get_template("benchmark.html.j2")


def _importance(table: ScoreTable) -> tuple[Any, ...]:
    """The table to read first: k unknown, tuned, and with the most in it."""
    setting = table.setting
    return not setting.k_known, setting.hyperparameters == "tuned", table.mean.count().sum()


def _is_comparable(table: ScoreTable, main: ScoreTable) -> bool:
    """Whether it differs from the main table, if at all, in whether k was known."""
    return table.setting.hyperparameters == main.setting.hyperparameters and (
        (table.evaluation, table.metric) == (main.evaluation, main.metric)
    )


def _datasets(tables: Sequence[ScoreTable]) -> list[str]:
    return list(dict.fromkeys(dataset for table in tables for dataset in table.mean))


def _figures(
    results: Results,
    compared: Sequence[ScoreTable],
    main: ScoreTable,
    found: Estimates,
    titles: Mapping[str, str],
) -> dict[str, Figure]:
    """The figures by name; those of a dataset have its number on the page behind it."""
    methods = list(dict.fromkeys([*main.by_rank, *results.cells.method.cat.categories]))
    figures = {"ranks": rank_plot(compared, methods, titles)}
    for i, dataset in enumerate(_datasets(compared)):
        figures[f"accuracy-{i}"] = accuracy_plot(compared, dataset, methods, titles)
    for i, dataset in enumerate(found.truth):
        figures[f"k-{i}"] = found_k_plot(found, dataset, methods, titles)
    seconds = grid(main.setting.of(results.cells), "seconds")
    figures["seconds"] = seconds_plot(seconds, methods, titles)
    return figures
