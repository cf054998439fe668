"""How a benchmark reads: its settings, figures and errors in words, its tables in Markdown."""

import itertools
import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ncd_jax.reproduce.baselines import BASELINES
from ncd_jax.reproduce.tables import (
    NO_VALUE,
    Record,
    Results,
    ScoreTable,
    Setting,
    collect,
    estimates,
    grid,
    index_errors,
)

__all__ = [
    "caveats",
    "decimal",
    "describe",
    "environments",
    "error_text",
    "render_markdown",
]

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
_NAMES = {"acc": "Accuracy (ACC)", "nmi": "NMI", "ari": "ARI"}


def render_markdown(
    records: Sequence[Record], titles: Mapping[str, str], results: Results | None = None
) -> str:
    """All tables of a benchmark.

    Args:
        records: one for each cell.
        titles: names of the methods for people.
        results: what `collect` makes of them, where it is there.

    Returns:
        A Markdown document; tables are of the kind that GitHub shows.
    """

    def title(method: str) -> str:
        return _escape(titles.get(method, method))

    results = results or collect(records, titles)
    n_done = len(results.cells)
    blocks = [
        "# Benchmark of novel class discovery",
        f"{n_done} cells are finished, {len(records) - n_done} failed. "
        "A cell is one method on one dataset in one setting.",
    ]
    if n_done:
        more = caveats(results.cells.method)
        blocks += [_READING, *(textwrap.fill(_escape(text), 99) for text in more)]
    for setting in results.settings:
        of_it = [table for table in results.tables if table.setting == setting]
        for _, tables in itertools.groupby(of_it, lambda table: table.evaluation):
            blocks += _score_blocks(list(tables), title)
        blocks += _hidden_class_blocks(results, setting, title)
    for setting in results.settings:
        if not setting.k_known:
            blocks += _k_blocks(results, setting.hyperparameters, title)
    blocks += _failed_blocks(records, title)
    blocks += _seconds_blocks(results, title)
    blocks += _environment_blocks(records)
    return "\n\n".join(blocks) + "\n"


_READING = """\
Scores are in percent, 100 is perfect: mean over seeds ± standard deviation (which divides by the
number of seeds). The best of each column is bold. The average is over datasets, each with the
same weight; the rank is the mean over datasets of the rank by mean score, 1 is best. Both are
given, and ranks are taken, only for methods that have every dataset of the table; `-` says that
something is missing.

*Inductive*: classes are found among the novel training rows, and novel test rows are assigned to
them one by one. *Transductive*: the scored rows are grouped together; they are the novel test
rows, or the novel rows themselves where the table has no test split.

*All*, *old*, *new*: where half of the known rows have no label either, the share right of all
unlabelled rows, of those of known and of those of novel classes, under one matching for all.

`auto` takes on each dataset the method with the best hidden-class score, which no novel label
enters; it has the scores of that method, and its place in the ranks. Methods with fewer folds
than others are not asked: their scores are of fewer hidden classes."""


def _score_blocks(tables: Sequence[ScoreTable], title: _Titles) -> list[str]:
    """The scores of one setting and evaluation."""
    blocks = []
    for table in tables:
        lines = _table("method", _score_lines(table), title, _escape)
        blocks += [f"### {_NAMES[table.metric]}", lines]
    notes, table = [], tables[-1]
    if table.chosen:
        chosen = (f"{_escape(d)}: {title(m)}" for d, m in table.chosen.items())
        notes.append(f"`auto` chose, by dataset: {'; '.join(chosen)}.")
    missing = map(title, table.mean.index[table.mean.isna().any(axis=1)])
    if text := ", ".join(missing):
        notes.append(f"Without average and rank, for a dataset is missing: {text}.")
    return [f"## {describe(table.setting, table.evaluation)}", *blocks[:2], *notes, *blocks[2:]]


def _score_lines(table: ScoreTable) -> pd.DataFrame:
    summary, n_spread = table.summary, table.std.shape[1] * (table.metric == "acc")
    lines = []
    for means, stds, best in zip(
        summary.to_numpy(), table.std.to_numpy(), table.is_best.to_numpy(), strict=True
    ):
        texts = [*map(decimal, means)]
        for i in range(n_spread):
            texts[i] += "" if math.isnan(stds[i]) else f" ± {decimal(stds[i])}"
        lines.append([f"**{text}**" if b else text for text, b in zip(texts, best, strict=True)])
    return pd.DataFrame(lines, summary.index, summary.columns)


def _hidden_class_blocks(results: Results, setting: Setting, title: _Titles) -> list[str]:
    scores = grid(setting.of(results.cells), "hidden_class_score")
    if scores.empty or setting.hyperparameters != "tuned":
        return []
    return [
        "### Hidden-class score",
        "What `auto` goes by: share of the rows of hidden known classes sorted right.",
        _table("method", (100 * scores).map(decimal), title, _escape),
    ]


def _k_blocks(results: Results, source: str, title: _Titles) -> list[str]:
    found = estimates(results, source)
    if found.lines.empty:
        return []
    errors = found.error.map(lambda error: decimal(error, 2))
    lines = found.text.assign(**{"mean absolute error": errors})
    truth = pd.DataFrame(found.truth, ["truth"]).astype(str)
    blocks = [
        f"## Estimated number of novel classes, {source} hyperparameters",
        "`5 (6x), 6 (4x)`: six seeds gave 5, four gave 6. The error is the mean over datasets of "
        "the mean absolute error over seeds.",
        _table("method", pd.concat([truth, lines]).fillna(""), title, _escape),
    ]
    by_index = index_errors(results, source)
    if not by_index.empty:
        means = by_index.mean(axis=1).unstack(sort=False)
        blocks += [
            "### By validity index",
            "Mean absolute error of the number that each index prefers in the space where the "
            f"method clusters, over {', '.join(map(_escape, by_index))}. The space of k-means is "
            "the columns themselves.",
            _table("index", means.map(lambda error: decimal(error, 2)), _escape, title),
        ]
    return blocks


def _failed_blocks(records: Sequence[Record], title: _Titles) -> list[str]:
    lines = []
    for record in records:
        if "rows" not in record:
            cell = record["cell"]
            setting = describe(Setting(cell["hyperparameters"], cell["k_known"]))
            where = f"{_escape(cell['dataset'])}, {title(cell['method'])} ({setting.lower()})"
            lines.append(f"- {where}: {_escape(error_text(record))}")
    return ["## Failed", "\n".join(lines)] if lines else []


def _seconds_blocks(results: Results, title: _Titles) -> list[str]:
    blocks = []
    for setting in results.settings:
        seconds = grid(setting.of(results.cells), "seconds")
        lines = seconds.assign(sum=seconds.sum(axis=1)).map(_seconds_text)
        blocks += [f"{describe(setting)}:", _table("method", lines, title, _escape)]
    if not blocks:
        return []
    explained = "Seconds of a cell: compilation, search and the answers of all seeds."
    return ["## Seconds", explained, *blocks]


def _environment_blocks(records: Sequence[Record]) -> list[str]:
    blocks = []
    for pairs, n in environments(records):
        text = "; ".join(f"{_escape(name)} {_escape(value)}" for name, value in pairs.items())
        blocks.append(f"- {n} {'cell' if n == 1 else 'cells'}: {text}")
    return ["## Environment", "\n".join(blocks)] if blocks else []


def _table(corner: str, text: pd.DataFrame, index: _Titles, columns: _Titles) -> str:
    """A frame of text, and what escapes the names of its lines and columns."""
    header = [corner, *map(columns, text.columns)], [":--", *["--:"] * text.shape[1]]
    lines = ([index(name), *line] for name, line in zip(text.index, text.to_numpy(), strict=True))
    return "\n".join(f"| {' | '.join(line)} |" for line in (*header, *lines))


def _escape(text: Any) -> str:
    """Text that Markdown shows as it is written; underscores inside words do no harm."""
    text = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*\[\]|~#]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def caveats(methods: Iterable[str]) -> list[str]:
    """What a reader of scores of these methods should know, a paragraph each."""
    return [*_CAVEATS, *([_BASELINES] if set(methods) & set(BASELINES) else [])]


def decimal(value: float, digits: int = 1) -> str:
    """The value with so many digits behind the point."""
    return NO_VALUE if math.isnan(value) else f"{value:.{digits}f}"


def describe(setting: Setting, evaluation: str = "") -> str:
    """A setting in words."""
    known = "known" if setting.k_known else "unknown"
    text = f"{setting.hyperparameters.capitalize()} hyperparameters, k {known}"
    return f"{text}, {evaluation}" if evaluation else text


def _seconds_text(seconds: float) -> str:
    """Whole seconds from ten on."""
    return f"{seconds:,.0f}" if seconds >= 10 else decimal(seconds)


def error_text(record: Record) -> str:
    """Why a cell failed, in one line; all of it is in the cell's file."""
    text = " ".join(str(record.get("error", "no result")).split())
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def environments(records: Iterable[Record]) -> list[tuple[dict[str, str], int]]:
    """The environments that cells ran in, versions included, and how many ran in each."""
    found = Counter(tuple(_flat(record.get("environment", {})).items()) for record in records)
    return [(dict(pairs), n) for pairs, n in found.items() if pairs]


def _flat(mapping: Mapping[str, object]) -> dict[str, str]:
    """Names and values of nested mappings, as text."""
    pairs: dict[str, str] = {}
    for name, value in mapping.items():
        pairs |= _flat(value) if isinstance(value, Mapping) else {name: str(value)}
    return pairs
