"""How many novel classes the methods of a benchmark found where nobody told them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ncd_jax.benchmark.tables import (
    Record,
    Setting,
    chosen_methods,
    finished,
    is_number,
    with_auto,
)

__all__ = ["Counts", "KTable", "index_errors", "k_table"]


class Counts(NamedTuple):
    """Estimates of the number of novel classes by one method on one dataset.

    Attributes:
        truth: the true number.
        found: how many seeds gave each estimate, the smallest estimate first.
    """

    truth: int
    found: dict[int, int]

    @property
    def error(self) -> float:
        """Mean absolute error over seeds."""
        off = [n * abs(k - self.truth) for k, n in self.found.items()]
        return sum(off) / sum(self.found.values())


@dataclass(frozen=True)
class KTable:
    """Estimated numbers of novel classes where they were not given.

    Attributes:
        hyperparameters: `tuned` or `published`.
        truth: the true number by dataset.
        counts: by method and dataset; `auto`, where there is one, comes first.
    """

    hyperparameters: str
    truth: dict[str, int]
    counts: dict[str, dict[str, Counts]]

    def error(self, method: str) -> float | None:
        """Mean absolute error over datasets; none where the method lacks one."""
        line = self.counts[method]
        if len(line) < len(self.truth):
            return None
        return float(np.mean([counts.error for counts in line.values()]))


def k_table(records: Iterable[Record], hyperparameters: str, order: Sequence[str]) -> KTable:
    """Collects the estimated numbers of novel classes of the cells that had to estimate it."""
    records, setting = list(records), Setting(hyperparameters, False)
    truth: dict[str, int] = {}
    counts: dict[str, dict[str, Counts]] = {method: {} for method in order}
    for record in finished(records, setting):
        # Both evaluations of a seed have the same estimate.
        by_seed = {row["seed"]: row["n_novel_estimated"] for row in record["rows"]}
        if by_seed:
            dataset = record["cell"]["dataset"]
            truth[dataset] = record["n_novel_true"]
            found = dict(sorted(Counter(by_seed.values()).items()))
            counts[record["cell"]["method"]][dataset] = Counts(truth[dataset], found)
    return KTable(
        hyperparameters, truth, with_auto(counts, chosen_methods(records, setting, order))
    )


def index_errors(
    records: Iterable[Record], hyperparameters: str, order: Sequence[str]
) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """How far off each validity index is, in the space of each method.

    Returns:
        Mean absolute error of the estimated number by index and method, and the datasets
        that it is the mean over: those that all these methods have.
    """
    errors: dict[str, dict[str, dict[str, float]]] = {}
    for record in finished(records, Setting(hyperparameters, False)):
        cell = record["cell"]
        for index, ks in record.get("k_by_index", {}).items():
            off = [abs(k - record["n_novel_true"]) for k in ks if is_number(k)]
            if off:
                by_method = errors.setdefault(index, {})
                by_method.setdefault(cell["method"], {})[cell["dataset"]] = float(np.mean(off))
    lines = [line for by_method in errors.values() for line in by_method.values()]
    common = [d for d in (lines[0] if lines else ()) if all(d in line for line in lines)]
    if not common:
        return {}, ()
    means = {
        index: {m: float(np.mean([by[m][d] for d in common])) for m in order if m in by}
        for index, by in errors.items()
    }
    return means, tuple(common)
