"""How many novel classes the methods of a benchmark found where nobody told them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from ncd_jax.reproduce.tables import Results, Setting, grid
from ncd_jax.reproduce.text import NO_VALUE

__all__ = ["Estimates", "estimates", "index_errors"]


@dataclass(frozen=True)
class Estimates:
    """Estimated numbers of novel classes where they were not given.

    Attributes:
        hyperparameters: `tuned` or `published`.
        lines: one for each seed: `dataset`, `method`, `n_novel_estimated`, `n_novel_true`;
            those of `auto`, where there is one, come first.
    """

    hyperparameters: str
    lines: pd.DataFrame

    @property
    def truth(self) -> dict[str, int]:
        """The true number by dataset."""
        known = self.lines.drop_duplicates("dataset").sort_values("dataset")
        return dict(zip(known.dataset, known.n_novel_true, strict=True))

    @property
    def text(self) -> pd.DataFrame:
        """`5 (6x), 6 (4x)`, most frequent first, or `5` of all seeds, by method and dataset."""
        return grid(self.lines, "n_novel_estimated", _counts_text).fillna(NO_VALUE)

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
    return Estimates(hyperparameters, results.with_auto(lines, setting))


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


def _counts_text(ks: Iterable[int]) -> str:
    counts = Counter(sorted(ks)).most_common()
    return ", ".join(f"{k} ({n}x)" for k, n in counts) if len(counts) > 1 else str(counts[0][0])
