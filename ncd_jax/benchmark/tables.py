"""What a benchmark found, as numbers: scores, ranks, and what the method `auto` would get.

A record is one cell of the benchmark as plain data: `cell` says what was measured, `rows`
holds its scores, one for each seed and evaluation. A record without `rows` failed.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import rankdata

__all__ = [
    "AUTO",
    "EVALUATIONS",
    "METRICS",
    "Record",
    "Score",
    "ScoreTable",
    "Setting",
    "chosen_methods",
    "finished",
    "is_number",
    "method_order",
    "score_table",
    "settings",
    "value_table",
    "with_auto",
]

Record = Mapping[str, Any]

AUTO = "auto"
"""The method that the hidden-class score picks, anew for every dataset."""

METRICS = ("acc", "nmi", "ari")
EVALUATIONS = ("transductive", "inductive")

_SOURCES = ("tuned", "published")


class Setting(NamedTuple):
    """What is compared only with its like.

    Attributes:
        hyperparameters: where they come from, `tuned` or `published`.
        k_known: whether the number of novel classes was given.
    """

    hyperparameters: str
    k_known: bool


class Score(NamedTuple):
    """A score over seeds, in percent; `std` divides by the number of seeds."""

    mean: float
    std: float


@dataclass(frozen=True)
class ScoreTable:
    """One score of every method on every dataset, in one setting.

    Attributes:
        setting: what the methods had.
        evaluation: `inductive` or `transductive`.
        metric: `acc`, `nmi` or `ari`.
        datasets: the columns; every dataset that some method has here.
        scores: by method and dataset; `auto`, where there is one, comes first.
        chosen: the method that `auto` took on each dataset.
    """

    setting: Setting
    evaluation: str
    metric: str
    datasets: tuple[str, ...]
    scores: dict[str, dict[str, Score]]
    chosen: dict[str, str]

    def is_complete(self, method: str) -> bool:
        """Whether the method has every dataset of the table."""
        return len(self.scores[method]) == len(self.datasets)

    def average(self, method: str) -> float | None:
        """Mean over datasets, each with the same weight; none where one is missing."""
        if not self.is_complete(method):
            return None
        return float(np.mean([score.mean for score in self.scores[method].values()]))

    def ranks(self, method: str) -> dict[str, float] | None:
        """The rank on each dataset, 1 is best and ties share; none where one is missing.

        Only methods that have all datasets are ranked, so every rank is among the same ones.
        `auto` stands in the place of the method it took and pushes nobody down.
        """
        if not self.is_complete(method):
            return None
        return {dataset: self._rank(method, dataset) for dataset in self.datasets}

    def average_rank(self, method: str) -> float | None:
        """Mean of `ranks`."""
        ranks = self.ranks(method)
        return None if ranks is None else float(np.mean(list(ranks.values())))

    def is_best(self, method: str, dataset: str) -> bool:
        """Whether no method shows a higher mean on the dataset."""
        means = {m: line[dataset].mean for m, line in self.scores.items() if dataset in line}
        return _stands_out(method, means, max)

    def is_best_average(self, method: str) -> bool:
        """Whether no method shows a higher average."""
        return _stands_out(method, {m: self.average(m) for m in self.scores}, max)

    def is_best_rank(self, method: str) -> bool:
        """Whether no method shows a lower average rank."""
        return _stands_out(method, {m: self.average_rank(m) for m in self.scores}, min)

    def by_rank(self) -> list[str]:
        """All methods, `auto` first, then the best average rank; those without one are last."""
        rank = {method: self.average_rank(method) or math.inf for method in self.scores}
        return sorted(self.scores, key=lambda method: (method != AUTO, rank[method]))

    def _rank(self, method: str, dataset: str) -> float:
        out = self.chosen[dataset] if method == AUTO else AUTO
        rivals = [m for m in self.scores if m not in (method, out, AUTO) and self.is_complete(m)]
        means = [self.scores[m][dataset].mean for m in (method, *rivals)]
        return float(rankdata(-np.array(means))[0])


def finished(records: Iterable[Record], setting: Setting | None = None) -> list[Record]:
    """The records that have scores, in their order, of one setting where one is given."""
    return [r for r in records if "rows" in r and setting in (None, _setting(r))]


def settings(records: Iterable[Record]) -> list[Setting]:
    """The settings of finished cells: tuned before published, k unknown before known."""
    found = {_setting(record) for record in finished(records)}
    return sorted(found, key=lambda s: (_SOURCES.index(s.hyperparameters), s.k_known))


def method_order(records: Iterable[Record], titles: Iterable[str]) -> list[str]:
    """The methods of all cells, those of `titles` first and in its order."""
    seen = dict.fromkeys(record["cell"]["method"] for record in records)
    named = [method for method in titles if method in seen]
    return named + [method for method in seen if method not in named]


def chosen_methods(
    records: Iterable[Record], setting: Setting, order: Sequence[str]
) -> dict[str, str]:
    """The method with the best hidden-class score on each dataset; of equals the first in order.

    This is what a run with `method=auto` does. No novel label has a part in it. Only tuned
    cells of the package's own methods have such a score, so others are never chosen, and
    neither are variants (`method/variant`), among which `auto` does not look. Where budgets
    gave some methods fewer folds, those were asked for fewer hidden classes: the scores do not
    compare, and the choice is among the methods with most folds.
    """
    if setting.hyperparameters != "tuned":
        return {}
    records = list(records)
    scores = value_table(records, setting, "hidden_class_score", order)
    scores = {method: line for method, line in scores.items() if "/" not in method}
    folds = {
        (record["cell"]["method"], record["cell"]["dataset"]): len(record.get("fold_scores") or ())
        for record in finished(records, setting)
    }
    by_dataset: dict[str, dict[str, tuple[int, float]]] = {}
    for method, line in scores.items():
        for dataset, score in line.items():
            by_dataset.setdefault(dataset, {})[method] = (folds[method, dataset], score)
    return {dataset: max(column, key=column.__getitem__) for dataset, column in by_dataset.items()}


def score_table(
    records: Iterable[Record], setting: Setting, evaluation: str, metric: str, order: Sequence[str]
) -> ScoreTable:
    """Collects one score.

    Args:
        records: of the benchmark.
        setting: what the methods had.
        evaluation: `inductive` or `transductive`.
        metric: `acc`, `nmi` or `ari`.
        order: of the methods.

    Returns:
        The table; without columns where nothing was measured.
    """
    records = list(records)
    scores: dict[str, dict[str, Score]] = {method: {} for method in order}
    datasets: dict[str, None] = {}
    for record in finished(records, setting):
        values = [row[metric] for row in record["rows"] if row["evaluation"] == evaluation]
        values = [value for value in values if is_number(value)]
        if values:
            dataset = record["cell"]["dataset"]
            datasets[dataset] = None
            score = Score(float(np.mean(values)), float(np.std(values)))
            scores[record["cell"]["method"]][dataset] = score
    chosen = chosen_methods(records, setting, order)
    return ScoreTable(
        setting=setting,
        evaluation=evaluation,
        metric=metric,
        datasets=tuple(datasets),
        scores=with_auto(scores, chosen),
        chosen=chosen,
    )


def value_table(
    records: Iterable[Record], setting: Setting, key: str, order: Sequence[str]
) -> dict[str, dict[str, float]]:
    """One number of each cell, such as its `seconds`, by method and dataset."""
    table: dict[str, dict[str, float]] = {method: {} for method in order}
    for record in finished(records, setting):
        if is_number(record.get(key)):
            table[record["cell"]["method"]][record["cell"]["dataset"]] = record[key]
    return {method: line for method, line in table.items() if line}


def with_auto(lines: dict[str, dict[str, Any]], chosen: Mapping[str, str]) -> dict[str, Any]:
    """The lines that hold something, under one that takes from each what was chosen of it.

    Args:
        lines: values by method and dataset.
        chosen: the method by dataset.
    """
    auto = {d: lines[m][d] for d, m in chosen.items() if d in lines[m]}
    return {method: line for method, line in {AUTO: auto, **lines}.items() if line}


def is_number(value: Any) -> bool:
    """Whether it is there and finite; JSON has null for what is not."""
    return value is not None and math.isfinite(value)


def _stands_out(
    method: str, values: Mapping[str, float | None], best: Callable[[Iterable[float]], float]
) -> bool:
    """Whether the method's value is the best; to one decimal, as values are printed."""
    printed = {m: round(value, 1) for m, value in values.items() if value is not None}
    return method in printed and printed[method] == best(printed.values())


def _setting(record: Record) -> Setting:
    return Setting(record["cell"]["hyperparameters"], record["cell"]["k_known"])
