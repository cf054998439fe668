"""How much worse than the best index a smaller number may be: measured on hidden classes.

python -m benchmarks.tolerance               # tables as in `launch.py --mode=benchmark`

RCA is tuned as ever and answers for every fold of hidden known classes, once for each tolerance:
the refits and their index are the same, the number of classes that is taken differs. No novel
label is seen.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from ncd_jax.config import KConfig, RunConfig, SearchConfig
from ncd_jax.data.datasets import load_dataset
from ncd_jax.discovery.answers import choose
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.discovery.refits import refit_all
from ncd_jax.discovery.scoring import score
from ncd_jax.discovery.tune import tune
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.records import describe_environment

_DATASETS = flags.DEFINE_list(
    "datasets", ["optdigits", "mfeat", "cnae9", "pendigits", "letter"], "Benchmark tables."
)
_TOLERANCES = flags.DEFINE_list("tolerances", ["0", "0.02", "0.05", "0.1", "0.15"], "To compare.")
_FOLDS = flags.DEFINE_integer("folds", 12, "Folds of hidden classes a table.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/tolerance.json", "Where figures go.")


def main(_: list[str]) -> None:
    """Measures every table, and writes the figures after each."""
    one_device_per_core()
    rows: list[dict[str, Any]] = []
    for dataset in _DATASETS.value:
        rows += _measure(dataset)
        report = {"environment": describe_environment(), "folds": _FOLDS.value, "rows": rows}
        Path(_OUT.value).write_text(json.dumps(report, indent=1) + "\n")


def _measure(dataset: str) -> list[dict[str, Any]]:
    table, _ = load_dataset(dataset, None)
    search = SearchConfig(candidates=8, folds=_FOLDS.value)
    config = RunConfig(method="rca", search=search, k=KConfig(index="silhouette"))
    problem = prepare(dataclasses.replace(config, dataset=dataset), table, None)
    hparams = [trial.hparams for trial in tune(problem).best]
    found: dict[float, list[tuple[float, int]]] = {float(t): [] for t in _TOLERANCES.value}
    for f in range(len(problem.hidden_folds.y)):
        _answer_fold(problem, f, hparams, found)
    rows = []
    for tolerance, answers in found.items():
        acc, error = np.array(answers).T
        row = {
            "dataset": dataset,
            "tolerance": tolerance,
            "mean_acc": round(100 * float(acc.mean()), 1),
            "mean_error_of_k": round(float(error.mean()), 2),
            "mean_absolute_error_of_k": round(float(np.abs(error).mean()), 2),
            "folds": len(acc),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def _answer_fold(
    problem: Problem,
    f: int,
    hparams: list[dict[str, float]],
    found: dict[float, list[tuple[float, int]]],
) -> None:
    """Adds the accuracy on the fold's hidden rows, and how many classes too many were found."""
    folds = problem.hidden_folds
    n_hidden, y = int(folds.hidden[f].sum()), folds.hidden_y[f][folds.hidden_mask[f]]
    fold = problem.of_fold(f)
    refits = refit_all(fold, hparams)
    for tolerance, answers in found.items():
        info = dataclasses.replace(problem.info, k_tolerance=tolerance)
        answer = choose(fold._replace(info=info), refits)
        answers.append((score(answer.labels, y)["acc"], answer.k - n_hidden))


if __name__ == "__main__":
    app.run(main)
