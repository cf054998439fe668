"""The tables of a benchmark in Markdown."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from ncd_jax.benchmark.counts import index_errors, k_table
from ncd_jax.benchmark.tables import (
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
    NO_VALUE,
    counts_text,
    decimal,
    describe,
    environments,
    error_text,
    seconds_text,
)

__all__ = ["render_markdown"]

_Titles = Callable[[str], str]
_NAMES = {"acc": "Accuracy (ACC)", "nmi": "NMI", "ari": "ARI"}


def render_markdown(records: Sequence[Record], titles: Mapping[str, str]) -> str:
    """All tables of a benchmark.

    Args:
        records: one for each cell.
        titles: names of the methods for people.

    Returns:
        A Markdown document; tables are of the kind that GitHub shows.
    """

    def title(method: str) -> str:
        return _escape(titles.get(method, method))

    order = method_order(records, titles)
    n_failed = len(records) - len(finished(records))
    blocks = [
        "# Benchmark of novel class discovery",
        f"{len(records) - n_failed} cells are finished, {n_failed} failed. "
        "A cell is one method on one dataset in one setting.",
    ]
    if finished(records):
        blocks.append(_READING)
    for setting in settings(records):
        for evaluation in EVALUATIONS:
            blocks += _score_blocks(records, setting, evaluation, order, title)
        blocks += _hidden_class_blocks(records, setting, order, title)
    for source in dict.fromkeys(s.hyperparameters for s in settings(records) if not s.k_known):
        blocks += _k_blocks(records, source, order, title)
    blocks += _failed_blocks(records, title)
    blocks += _seconds_blocks(records, order, title)
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

`auto` takes on each dataset the method with the best hidden-class score, which no novel label
enters; it has the scores of that method, and its place in the ranks. Methods with fewer folds
than others are not asked: their scores are of fewer hidden classes."""


def _score_blocks(
    records: Sequence[Record],
    setting: Setting,
    evaluation: str,
    order: Sequence[str],
    title: _Titles,
) -> list[str]:
    blocks = []
    for metric in METRICS:
        table = score_table(records, setting, evaluation, metric, order)
        if table.datasets:
            blocks += [f"### {_NAMES[metric]}", _score_lines(table, title)]
    if not blocks:
        return []
    notes = []
    if table.chosen:
        chosen = (f"{_escape(d)}: {title(m)}" for d, m in table.chosen.items())
        notes.append(f"`auto` chose, by dataset: {'; '.join(chosen)}.")
    missing = [title(m) for m in table.scores if not table.is_complete(m)]
    if missing:
        notes.append(f"Without average and rank, for a dataset is missing: {', '.join(missing)}.")
    return [f"## {describe(setting, evaluation)}", *blocks[:2], *notes, *blocks[2:]]


def _score_lines(table: ScoreTable, title: _Titles) -> str:
    header = ["method", *map(_escape, table.datasets), "average", "rank"]
    lines = []
    for method, scores in table.scores.items():
        line = [title(method)]
        for dataset in table.datasets:
            text = NO_VALUE
            if score := scores.get(dataset):
                text = decimal(score.mean)
                if table.metric == "acc":
                    text += f" ± {decimal(score.std)}"
            line.append(_bold(text, table.is_best(method, dataset)))
        line.append(_bold(decimal(table.average(method)), table.is_best_average(method)))
        line.append(_bold(decimal(table.average_rank(method)), table.is_best_rank(method)))
        lines.append(line)
    return _table(header, lines)


def _bold(text: str, on: bool) -> str:
    return f"**{text}**" if on else text


def _hidden_class_blocks(
    records: Sequence[Record], setting: Setting, order: Sequence[str], title: _Titles
) -> list[str]:
    scores = value_table(records, setting, "hidden_class_score", order)
    if not scores or setting.hyperparameters != "tuned":
        return []
    datasets = _columns(scores)
    lines = [
        [title(m), *(f"{100 * line[d]:.1f}" if d in line else NO_VALUE for d in datasets)]
        for m, line in scores.items()
    ]
    return [
        "### Hidden-class score",
        "What `auto` goes by: share of the rows of hidden known classes sorted right.",
        _table(["method", *map(_escape, datasets)], lines),
    ]


def _k_blocks(
    records: Sequence[Record], source: str, order: Sequence[str], title: _Titles
) -> list[str]:
    table = k_table(records, source, order)
    if not table.truth:
        return []
    lines = [["truth", *map(str, table.truth.values()), ""]]
    for method, counts in table.counts.items():
        found = [counts_text(counts.get(dataset)) for dataset in table.truth]
        lines.append([title(method), *found, decimal(table.error(method), 2)])
    blocks = [
        f"## Estimated number of novel classes, {source} hyperparameters",
        "`5 (6x), 6 (4x)`: six seeds gave 5, four gave 6. The error is the mean over datasets of "
        "the mean absolute error over seeds.",
        _table(["method", *map(_escape, table.truth), "mean absolute error"], lines),
    ]
    errors, datasets = index_errors(records, source, order)
    if errors:
        methods = list(dict.fromkeys(m for line in errors.values() for m in line))
        blocks += [
            "### By validity index",
            "Mean absolute error of the number that each index prefers in the space where the "
            f"method clusters, over {', '.join(map(_escape, datasets))}. The space of k-means is "
            "the columns themselves.",
            _table(
                ["index", *map(title, methods)],
                [
                    [_escape(index), *(decimal(line.get(m), 2) for m in methods)]
                    for index, line in errors.items()
                ],
            ),
        ]
    return blocks


def _failed_blocks(records: Sequence[Record], title: _Titles) -> list[str]:
    failed = [record for record in records if "rows" not in record]
    if not failed:
        return []
    lines = []
    for record in failed:
        cell = record["cell"]
        setting = describe(Setting(cell["hyperparameters"], cell["k_known"]))
        where = f"{_escape(cell['dataset'])}, {title(cell['method'])} ({setting.lower()})"
        lines.append(f"- {where}: {_escape(error_text(record))}")
    return ["## Failed", "\n".join(lines)]


def _seconds_blocks(records: Sequence[Record], order: Sequence[str], title: _Titles) -> list[str]:
    blocks = []
    for setting in settings(records):
        seconds = value_table(records, setting, "seconds", order)
        datasets = _columns(seconds)
        lines = [
            [
                title(method),
                *(seconds_text(line.get(d)) for d in datasets),
                seconds_text(sum(line.values())),
            ]
            for method, line in seconds.items()
        ]
        if lines:
            blocks += [
                f"{describe(setting)}:",
                _table(["method", *map(_escape, datasets), "sum"], lines),
            ]
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


def _columns(table: Mapping[str, Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(dataset for line in table.values() for dataset in line))


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = [":--", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *lines))


def _escape(text: str) -> str:
    """Text that Markdown shows as it is written; underscores inside words do no harm."""
    text = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*\[\]|~#]|(?<!\w)_|_(?!\w))", r"\\\1", text)
