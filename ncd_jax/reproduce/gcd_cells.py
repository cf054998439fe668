"""A cell of the benchmark where unlabelled rows are of known classes too."""

import dataclasses
from typing import Any

import numpy as np

from ncd_jax.data.folds import hold_out
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.scoring import score_all
from ncd_jax.discovery.solve import prepare_methods, solve_problems
from ncd_jax.reproduce.gcd_baselines import GCD_BASELINES, GCDRows
from ncd_jax.reproduce.plan import BenchmarkConfig, Cell, cell_config
from ncd_jax.types import UNLABELLED

__all__ = ["half_unlabelled", "run_gcd_cell"]

UNLABELLED_SHARE = 0.5


def run_gcd_cell(config: BenchmarkConfig, cell: Cell, table: Table, truth: Truth) -> dict[str, Any]:
    """Measures one cell; from every seed other labels are taken away.

    Args:
        config: the benchmark.
        cell: which one.
        table: its table; a test split has no part in it.
        truth: the novel labels, for the scores and, where k is known, its number.

    Returns:
        `rows`: one for each seed and for `all`, `old` and `new` classes, with `acc` in percent.
    """
    n_novel = len(truth.classes) if cell.k_known else None
    n_known, rows = len(table.classes), []
    for seed in range(config.seeds):
        given, true = half_unlabelled(table, truth, seed)
        if cell.method in GCD_BASELINES:
            x = Standardiser.fit(given).apply(given.x).astype(np.float64)
            problem = GCDRows(x, given.y, n_novel, config.run.k.max, seed)
            labels = GCD_BASELINES[cell.method].fit(problem)
        else:
            run = dataclasses.replace(cell_config(config, cell), seed=config.run.seed + seed)
            solution = solve_problems(prepare_methods(run, given, n_novel), given)
            labels = solution.labels(n_known)
        found = len(np.unique(labels[labels >= n_known]))
        scores = score_all(labels, true, n_known)
        rows += [
            {
                "seed": seed,
                "n_novel_estimated": found,
                "evaluation": name,
                "acc": round(100 * value, 3),
                "nmi": None,
                "ari": None,
                "known_accuracy": None,
            }
            for name, value in scores.items()
        ]
    return {"hparams": {}, "rows": rows}


def half_unlabelled(table: Table, truth: Truth, seed: int) -> tuple[Table, np.ndarray]:
    """The table without half of the labels of each class, and the class of its unlabelled rows.

    Returns:
        The table, and `i[u]`: a known class, or `C` and a novel one.
    """
    held = hold_out(table.y, UNLABELLED_SHARE, seed)
    y = np.where(held, UNLABELLED, table.y).astype(np.int32)
    true = np.where(table.y == UNLABELLED, len(table.classes) + truth.y, table.y)
    given = dataclasses.replace(table, y=y, x_test=None, y_test=None)
    return given, true[y == UNLABELLED]
