"""Whether class-relation distillation helps on tables, and whether its clusters collapse.

python -m benchmarks.distillation            # tables as in `launch.py --mode=benchmark`

The number of novel classes is given. Hyperparameters but `alpha` are in the middle of their ranges,
so nothing is tuned and seeds are shared: runs differ in the weight of distillation, and in whether
clusters are to be of equal size, alone. Novel labels score the clusters of the novel training rows.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import app, flags

from ncd_jax.config import RunConfig, TrainConfig
from ncd_jax.data.datasets import load_dataset
from ncd_jax.discovery.answers import choose
from ncd_jax.discovery.hyperparameters import middle
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.discovery.scoring import score
from ncd_jax.methods import METHODS
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.records import describe_environment
from ncd_jax.types import UNLABELLED

_DATASETS = flags.DEFINE_list(
    "datasets", ["optdigits", "mfeat", "cnae9", "pendigits", "letter"], "Benchmark tables."
)
_ALPHAS = flags.DEFINE_list("alphas", ["0", "0.1", "1"], "Weights of distillation.")
_SEEDS = flags.DEFINE_integer("seeds", 3, "Trainings of each.")
_EPOCHS = flags.DEFINE_integer("epochs", 100, "Epochs of each training.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/distillation.json", "Where figures go.")


def main(_: list[str]) -> None:
    """Measures every table, variant and weight, and writes the figures after each table."""
    one_device_per_core()
    rows: list[dict[str, Any]] = []
    for dataset in _DATASETS.value:
        for variant in METHODS["cr_kd"].variants:
            rows += _measure(dataset, variant)
        report = {
            "environment": describe_environment(),
            "seeds": _SEEDS.value,
            "epochs": _EPOCHS.value,
            "rows": rows,
        }
        Path(_OUT.value).write_text(json.dumps(report, indent=1) + "\n")


def alone(refits: Refits, i: int) -> Refits:
    """One training that answers alone."""
    return jax.tree.map(lambda leaf: leaf[i : i + 1], refits)


def _measure(dataset: str, variant: str) -> list[dict[str, Any]]:
    table, truth = load_dataset(dataset, None)
    assert truth is not None
    k = len(truth.classes)
    config = RunConfig(
        dataset=dataset,
        method="cr_kd",
        variant=variant,
        train=TrainConfig(epochs=_EPOCHS.value, refits=_SEEDS.value),
    )
    problem = prepare(config, table, k)
    novel = np.flatnonzero(table.y == UNLABELLED)
    sizes = np.bincount(truth.y[novel], minlength=k) / len(novel)
    rows = []
    for alpha in map(float, _ALPHAS.value):
        start = time.perf_counter()
        refits = refit_all(problem, [middle(problem.space) | {"alpha": alpha}] * _SEEDS.value)
        # Every training answers alone.
        alone = [
            jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], refits)
            for i in np.flatnonzero(refits.finite)
        ]
        labels = [choose(problem, each).labels for each in alone]
        acc = [100 * score(found, truth.y[novel])["acc"] for found in labels]
        shares = [np.bincount(found, minlength=k).max() / len(novel) for found in labels]
        row = {
            "dataset": dataset,
            "variant": variant,
            "alpha": alpha,
            "acc": [round(value, 1) for value in acc],
            "mean_acc": round(float(np.mean(acc)), 1),
            "clusters": [len(np.unique(found)) for found in labels],
            "k_true": k,
            "largest_cluster": round(100 * float(np.mean(shares)), 1),
            "largest_class": round(100 * float(sizes.max()), 1),
            "diverged": int((~np.asarray(refits.finite)).sum()),
            "seconds": round(time.perf_counter() - start, 1),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


if __name__ == "__main__":
    app.run(main)
