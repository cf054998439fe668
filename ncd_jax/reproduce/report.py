"""What a benchmark leaves in its folder: every score as CSV, tables in Markdown, a report."""

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jinja2
import pandas as pd

from ncd_jax.report.plot_style import Figure
from ncd_jax.report.templating import environment, plotly_script
from ncd_jax.reproduce.baselines import BASELINES
from ncd_jax.reproduce.plots import accuracy_plot, found_k_plot, rank_plot, seconds_plot
from ncd_jax.reproduce.tables import (
    AUTO,
    NO_VALUE,
    Estimates,
    Record,
    Results,
    ScoreTable,
    Setting,
    collect,
    estimates,
    grid,
    index_errors,
)
from ncd_jax.store.workdir import Workdir

__all__ = ["render_benchmark", "render_markdown", "write_benchmark"]

_COLUMNS = (
    *("dataset", "method", "k_known", "hyperparameters", "seed", "evaluation", "acc", "nmi", "ari"),
    *("n_novel_estimated", "known_accuracy", "seconds"),
)
_Titles = Callable[[str], str]
_LONGEST_ERROR = 300
_CAVEATS = (
    "In each cell, folds were drawn and hyperparameters tuned once. Seeds differ in what comes"
    " after: the refits and the clustering. What another search would change is in no deviation.",
    "Three defaults were chosen after novel scores on these tables had been seen: that NCD SC"
    " scales the rows of its embedding, that TabularNCD takes its pairs by class_share, and that"
    " there are five refits. What they add was not tested on tables unseen till then.",
)
_BASELINES = (
    "Methods whose names begin with scikit-learn are not of this package: they are what one would"
    " otherwise take. The one called Baseline is of this package: a classifier of the known"
    " classes, with k-means in its latent space."
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


def render_markdown(
    records: Sequence[Record], titles: Mapping[str, str], results: Results | None = None
) -> str:
    """All tables of a benchmark in Markdown, of the kind that GitHub shows.

    Arguments are those of `render_benchmark`.
    """
    results = results or collect(records, titles)
    hidden, seconds = {}, {}
    for setting in results.settings:
        cells = setting.of(results.cells)
        scores, spent = grid(cells, "hidden_class_score"), grid(cells, "seconds")
        seconds[setting] = spent.assign(sum=spent.sum(axis=1)).map(_seconds_text)
        if setting.hyperparameters == "tuned" and not scores.empty:
            hidden[setting] = (100 * scores).map(_decimal)
    text = _template("results.md.j2").render(
        **_shared(records, results),
        called=lambda method: _escaped(titles.get(method, method)),
        scores=_score_lines,
        hidden=hidden,
        numbers=list(_numbers(results)),
        seconds=seconds,
    )
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"


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
    main = max((t for t in results.tables if t.metric == "acc"), key=_importance, default=None)
    # The same where k was known, or not known.
    compared = [table for table in results.tables if main and _what(table) == _what(main)]
    found = estimates(results, main.setting.hyperparameters) if main else None
    figures = _figures(results, compared, main, found, titles) if main and found else {}
    return _template("benchmark.html.j2").render(
        **_shared(records, results),
        called=lambda method: titles.get(method, method),
        main=main,
        truth=found.truth if found else {},
        errors=found.error if found else {},
        found=found.text if found else None,
        auto=AUTO,
        compared=_datasets(compared),
        k_settings=[table.setting.k_known for table in compared],
        methods=results.cells.method.unique(),
        datasets=results.cells.dataset.unique(),
        n_seeds=results.rows.seed.nunique(),
        figures={name: figure.plain() for name, figure in figures.items()},
        plotly_js=plotly_script(),
    )


def _shared(records: Sequence[Record], results: Results) -> dict[str, Any]:
    """What page and text both speak of."""
    failed = [record for record in records if "rows" not in record]
    has_baselines = set(results.cells.method) & set(BASELINES)
    ran_in = Counter(tuple(_flat(record.get("environment", {})).items()) for record in records)
    return {
        "results": results,
        "tables": results.tables,
        "n_finished": len(results.cells),
        "caveats": [*_CAVEATS, *([_BASELINES] if has_baselines else [])],
        "failed": [
            (r, Setting(r["cell"]["hyperparameters"], r["cell"]["k_known"])) for r in failed
        ],
        "environments": [(dict(pairs), n) for pairs, n in ran_in.items() if pairs],
    }


@functools.cache
def _template(name: str) -> jinja2.Template:
    templates = environment("ncd_jax.reproduce").overlay(autoescape=name.endswith(".html.j2"))
    own = {"decimal": _decimal, "error": _error_text, "describe": _describe}
    templates.filters = templates.filters | own
    templates.filters |= {"escaped": _escaped, "in_markdown": _in_markdown}
    return templates.get_template(name)


def _importance(table: ScoreTable) -> tuple[Any, ...]:
    """The table to read first: k unknown, tuned, and with the most in it."""
    setting = table.setting
    return not setting.k_known, setting.hyperparameters == "tuned", table.mean.count().sum()


def _what(table: ScoreTable) -> tuple[str, str, str]:
    return table.setting.hyperparameters, table.evaluation, table.metric


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


def _score_lines(table: ScoreTable) -> pd.DataFrame:
    """The summary as text, what is best in bold; accuracies with their deviation."""
    texts = table.summary.map(_decimal)
    if table.metric == "acc":
        spread = table.std.map(lambda std: "" if math.isnan(std) else f" ± {_decimal(std)}")
        texts[list(spread)] += spread
    return texts.where(~table.is_best, "**" + texts + "**")


def _numbers(results: Results) -> Iterator[tuple[str, pd.DataFrame, list[str], pd.DataFrame]]:
    """Where hyperparameters come from, the numbers of classes, and how far off each index is.

    That is over the datasets before it.
    """
    for setting in results.settings:
        found = estimates(results, setting.hyperparameters)
        if setting.k_known or found.lines.empty:
            continue
        errors = found.error.map(lambda error: _decimal(error, 2))
        lines = found.text.assign(**{"mean absolute error": errors})
        truth = pd.DataFrame(found.truth, ["truth"]).astype(str)
        by_index = index_errors(results, setting.hyperparameters)
        means = by_index.mean(axis=1).unstack(sort=False).map(lambda error: _decimal(error, 2))
        yield setting.hyperparameters, pd.concat([truth, lines]).fillna(""), [*by_index], means


def _escaped(text: Any) -> str:
    """Text that Markdown shows as it is written; underscores inside words do no harm."""
    text = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*\[\]|~#]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def _in_markdown(
    text: pd.DataFrame, corner: str, index: _Titles = _escaped, columns: _Titles = _escaped
) -> str:
    """A frame of text, and what escapes the names of its lines and columns."""
    header = [corner, *map(columns, text.columns)], [":--", *["--:"] * text.shape[1]]
    lines = ([index(name), *line] for name, line in zip(text.index, text.to_numpy(), strict=True))
    return "\n".join(f"| {' | '.join(line)} |" for line in (*header, *lines))


def _decimal(value: float, digits: int = 1) -> str:
    """The value with so many digits behind the point."""
    return NO_VALUE if math.isnan(value) else f"{value:.{digits}f}"


def _describe(setting: Setting, evaluation: str = "") -> str:
    """A setting in words."""
    known = "known" if setting.k_known else "unknown"
    text = f"{setting.hyperparameters.capitalize()} hyperparameters, k {known}"
    return f"{text}, {evaluation}" if evaluation else text


def _seconds_text(seconds: float) -> str:
    """Whole seconds from ten on."""
    return f"{seconds:,.0f}" if seconds >= 10 else _decimal(seconds)


def _error_text(record: Record) -> str:
    """Why a cell failed, in one line; all of it is in the cell's file."""
    text = " ".join(str(record.get("error", "no result")).split())
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def _flat(mapping: Mapping[str, object]) -> dict[str, str]:
    """Names and values of nested mappings, as text."""
    pairs: dict[str, str] = {}
    for name, value in mapping.items():
        pairs |= _flat(value) if isinstance(value, Mapping) else {name: str(value)}
    return pairs
