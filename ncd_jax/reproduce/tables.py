"""What a benchmark found, as frames: scores, ranks, numbers of classes, and what `auto` would get.

A record is one cell of the benchmark as plain data: `cell` says what was measured, `rows`
holds its scores, one for each seed and evaluation. A record without `rows` failed.
"""

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

__all__ = [
    "AUTO",
    "EVALUATIONS",
    "METRICS",
    "NO_VALUE",
    "Estimates",
    "Record",
    "Results",
    "ScoreTable",
    "Setting",
    "collect",
    "estimates",
    "grid",
    "index_errors",
]

Record = Mapping[str, Any]

AUTO = "auto"
"""The method that the hidden-class score picks, anew for every dataset."""

NO_VALUE = "-"
"""Where something was not measured."""

METRICS = ("acc", "nmi", "ari")
EVALUATIONS = ("transductive", "inductive", "all", "old", "new")

_SOURCES = ("tuned", "published")
_CELL = ["dataset", "method", "k_known", "hyperparameters"]
_ROW = ("seed", "evaluation", *METRICS, "n_novel_estimated")


class Setting(NamedTuple):
    """What is compared only with its like.

    Attributes:
        hyperparameters: where they come from, `tuned` or `published`.
        k_known: whether the number of novel classes was given.
    """

    hyperparameters: str
    k_known: bool

    def of(self, lines: pd.DataFrame) -> pd.DataFrame:
        """The lines that were measured in it."""
        return lines[
            (lines.hyperparameters == self.hyperparameters) & (lines.k_known == self.k_known)
        ]


@dataclass(frozen=True, eq=False)
class Results:
    """The finished cells of a benchmark.

    `dataset` and `method` are categories: datasets in order of record, `auto` before methods.

    Attributes:
        cells: a line for each cell: `dataset`, `method`, `k_known`, `hyperparameters`,
            `seconds`, `n_novel_true`, `hidden_class_score` (NaN where nothing was tuned),
            `n_folds` behind it, and `k_by_index`.
        rows: a line for each seed and evaluation of a cell, with its scores in percent.
    """

    cells: pd.DataFrame
    rows: pd.DataFrame

    @property
    def settings(self) -> list[Setting]:
        """Those of the cells: tuned before published, k unknown before known."""
        pairs = self.cells[["hyperparameters", "k_known"]].drop_duplicates().to_numpy()
        found = [Setting(str(source), bool(known)) for source, known in pairs]
        return sorted(found, key=lambda s: (_SOURCES.index(s.hyperparameters), s.k_known))

    @functools.cached_property
    def tables(self) -> list["ScoreTable"]:
        """Every score that was measured, by setting, evaluation and metric."""
        found = []
        for setting in self.settings:
            chosen, rows = self.chosen(setting), self.with_auto(self.rows, setting)
            for evaluation in EVALUATIONS:
                of_it = rows[rows.evaluation == evaluation]
                for metric in METRICS:
                    if not (mean := grid(of_it, metric)).empty:
                        std = grid(of_it, metric, _deviation)
                        found.append(ScoreTable(setting, evaluation, metric, mean, std, chosen))
        return found

    def chosen(self, setting: Setting) -> dict[str, str]:
        """The method with the best hidden-class score on each dataset; of equals the first.

        This is what a run with `method=auto` does. No novel label has a part in it. Only tuned
        cells of the package's own methods have such a score, so others are never chosen, and
        neither are variants (`method/variant`), among which `auto` does not look. Where budgets
        gave some methods fewer folds, those were asked for fewer hidden classes: the scores do
        not compare, and the choice is among the methods with most folds.
        """
        if setting.hyperparameters != "tuned":
            return {}
        cells = setting.of(self.cells)
        asked = cells[cells.hidden_class_score.notna() & ~cells.method.str.contains("/")]
        by_score = asked.sort_values(["n_folds", "hidden_class_score"], ascending=False)
        best = by_score.drop_duplicates("dataset").sort_values("dataset")
        return dict(zip(best.dataset, best.method, strict=True))

    def with_auto(self, lines: pd.DataFrame, setting: Setting) -> pd.DataFrame:
        """Those of a setting, and again under `auto` those that it would have chosen."""
        lines = setting.of(lines)
        is_chosen = lines.method == lines.dataset.astype(object).map(self.chosen(setting))
        both = pd.concat([lines[is_chosen].assign(method=AUTO), lines])
        return both.astype({"method": lines.method.dtype})


@dataclass(frozen=True)
class ScoreTable:
    """One score of every method on every dataset, in one setting.

    Attributes:
        setting: what the methods had.
        evaluation: `inductive` or `transductive`, or which classes: `all`, `old` or `new`.
        metric: `acc`, `nmi` or `ari`.
        mean: over seeds, in percent, by method and dataset; `auto`, where there is one, comes
            first. NaN where something is missing.
        std: the standard deviation, which divides by the number of seeds.
        chosen: the method that `auto` took on each dataset.
    """

    setting: Setting
    evaluation: str
    metric: str
    mean: pd.DataFrame
    std: pd.DataFrame
    chosen: dict[str, str]

    @functools.cached_property
    def ranks(self) -> pd.DataFrame:
        """The rank on each dataset, 1 is best and ties share; NaN for methods that lack one.

        Only methods that have all datasets are ranked, so every rank is among the same ones.
        `auto` stands in the place of the method it took and pushes nobody down.
        """
        complete = self.mean.dropna()
        ranks = complete.drop(AUTO, errors="ignore").rank(ascending=False)
        ranks = ranks.reindex(self.mean.index)
        if AUTO in complete.index:
            # A dataset without a test split has no line here, though a method was chosen on it.
            own, values = complete.loc[AUTO].to_numpy(), complete.to_numpy()
            taken = [[name in (AUTO, self.chosen[d]) for d in complete] for name in complete.index]
            better, equal = values > own, values == own
            ranks.loc[AUTO] = 1 + ((better + equal / 2) * ~np.array(taken)).sum(axis=0)
        return ranks

    @functools.cached_property
    def summary(self) -> pd.DataFrame:
        """Means with two more columns, `average` and `rank`: means over datasets.

        Each dataset has the same weight; NaN where one is missing.
        """
        average = self.mean.mean(axis=1, skipna=False)
        return self.mean.assign(average=average, rank=self.ranks.mean(axis=1, skipna=False))

    @functools.cached_property
    def is_best(self) -> pd.DataFrame:
        """Where `summary` has the best of its column; to one decimal, as values are printed."""
        printed = self.summary.round(1)
        best = printed.max()
        best["rank"] = printed["rank"].min()
        return printed == best

    @functools.cached_property
    def by_rank(self) -> list[str]:
        """All methods, `auto` first, then the best average rank; those without one are last."""
        methods = self.summary["rank"].sort_values(kind="stable").index
        return sorted(methods, key=lambda method: method != AUTO)


def collect(records: Iterable[Record], titles: Iterable[str]) -> Results:
    """Gathers the finished cells of a benchmark; of methods those without a title come last."""
    done = [record for record in records if "rows" in record]
    more = ["n_novel_true", "seconds", "hidden_class_score", "n_folds", "k_by_index"]
    cells = [
        {
            **record["cell"],
            **{name: record.get(name) for name in more},
            "n_folds": len(record.get("fold_scores") or ()),
            "k_by_index": record.get("k_by_index", {}),
        }
        for record in done
    ]
    rows = [
        {**record["cell"], **{name: row[name] for name in _ROW}}
        for record in done
        for row in record["rows"]
    ]
    frames = pd.DataFrame(cells, columns=_CELL + more), pd.DataFrame(rows, columns=[*_CELL, *_ROW])
    order = list(dict.fromkeys([AUTO, *titles, *frames[0].method]))
    types = {
        "dataset": pd.CategoricalDtype(frames[0].dataset.unique()),
        "method": pd.CategoricalDtype(order),
    }
    return Results(
        frames[0].astype(types | {"hidden_class_score": float}).sort_values(["dataset", "method"]),
        frames[1].astype(types | dict.fromkeys(METRICS, float)),
    )


def grid(
    lines: pd.DataFrame, value: str, how: Callable[[Any], pd.Series] = lambda each: each.mean()
) -> pd.DataFrame:
    """A column of lines by method and dataset, where it has a value; `how`: of grouped lines."""
    there = lines.dropna(subset=value).groupby(["method", "dataset"], observed=True)[value]
    table = how(there).unstack()
    return pd.DataFrame(table.to_numpy(), list(table.index), list(table.columns))


def _deviation(each: Any) -> pd.Series:
    return each.std(ddof=0)


@dataclass(frozen=True)
class Estimates:
    """Estimated numbers of novel classes where they were not given.

    Attributes:
        lines: one for each seed: `dataset`, `method`, `n_novel_estimated`, `n_novel_true`;
            those of `auto`, where there is one, come first.
    """

    lines: pd.DataFrame

    @property
    def truth(self) -> dict[str, int]:
        """The true number by dataset."""
        known = self.lines.drop_duplicates("dataset").sort_values("dataset")
        return dict(zip(known.dataset, known.n_novel_true, strict=True))

    @property
    def text(self) -> pd.DataFrame:
        """`5 (6x), 6 (4x)`, most frequent first, or `5` of all seeds, by method and dataset."""
        counts = grid(self.lines, "n_novel_estimated", lambda each: each.agg(_counts_text))
        return counts.fillna(NO_VALUE)

    @property
    def error(self) -> pd.Series:
        """Mean absolute error by method, over seeds, then over datasets.

        NaN for methods that lack a dataset.
        """
        off = (self.lines.n_novel_estimated - self.lines.n_novel_true).abs()
        return grid(self.lines.assign(off=off), "off").mean(axis=1, skipna=False)


def estimates(results: Results, hyperparameters: str) -> Estimates:
    """Collects the numbers of novel classes of the cells that had to estimate it."""
    setting = Setting(hyperparameters, False)
    # Both evaluations of a seed have the same estimate.
    rows = setting.of(results.rows).drop_duplicates(["dataset", "method", "seed"])
    cells = setting.of(results.cells)[["dataset", "method", "n_novel_true"]]
    lines = rows.merge(cells, on=["dataset", "method"])
    return Estimates(results.with_auto(lines, setting))


def index_errors(results: Results, hyperparameters: str) -> pd.DataFrame:
    """How far off each validity index is, in the space of each method.

    Returns:
        Mean absolute error of the estimated number by index, dataset and method, on the datasets
        that all indices and methods have; empty where there is none.
    """
    cells = Setting(hyperparameters, False).of(results.cells)
    lines = pd.DataFrame(
        [
            (index, cell.method, cell.dataset, abs(k - cell.n_novel_true))
            for cell in cells.itertuples()
            for index, ks in cell.k_by_index.items()
            for k in ks
            if k is not None
        ],
        columns=["index", "method", "dataset", "error"],
    )
    errors = lines.pivot_table("error", ["index", "method"], "dataset", sort=False)
    return errors.dropna(axis=1)


def _counts_text(ks: pd.Series) -> str:
    counts = Counter(np.sort(ks).tolist()).most_common()
    return ", ".join(f"{k} ({n}x)" for k, n in counts) if len(counts) > 1 else str(counts[0][0])
