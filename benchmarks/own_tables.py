"""Tables of one's own: classes taken out of real mixed tables, and found again or not.

python -m benchmarks.own_tables --folder=DATA/mixed

The folder holds CSV files with words and missing cells; pendigits and cnae9 are the training rows
of the benchmark tables of that name. Of the classes with at least 20 rows, sorted by size, every
second one loses its label; rarer classes are left out. The tool is run as a user would, with its
defaults but for the settings below, which save time; next to it one-hot encoding and k-means, its
number of clusters by silhouette. The labels that were taken are used for the scores only.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from absl import app, flags
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.datasets import DATASETS, load_dataset
from ncd_jax.data.own_table import read_table
from ncd_jax.discovery.evaluate import is_right
from ncd_jax.experiment import run
from ncd_jax.scoring import score
from ncd_jax.startup import one_device_per_core
from ncd_jax.types import UNLABELLED

_FOLDER = flags.DEFINE_string("folder", None, "Where the CSV files are.", required=True)
_TABLES = flags.DEFINE_list("tables", None, "Names of files without ending [all].")
_METHOD = flags.DEFINE_string("method", RunConfig.method, "Method.")
_INDEX = flags.DEFINE_string("index", KConfig.index, "What counts the novel classes.")
_RUNS = flags.DEFINE_string("runs", "runs/own_tables", "Folder of the runs, which are resumed.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/own_tables.json", "File of the figures.")

# The label of penguins is made of two columns, as three species are too few to hide some.
TABLES: dict[str, dict[str, Any]] = {
    "eucalyptus": {"label": ["Utility"], "drop": []},
    "soybean": {"label": ["class"], "drop": []},
    "penguins": {"label": ["species", "sex"], "drop": []},
    "nsl_kdd_20percent": {
        "label": ["attack"],
        "drop": ["difficulty"],
        "settings": {"candidates": 4, "folds": 3, "epochs": 50},
    },
    "pendigits": {"settings": {"candidates": 8, "folds": 5, "epochs": 200}},
    "cnae9": {"settings": {"candidates": 4, "folds": 3, "epochs": 100}},
}
_FEWEST_ROWS = 20


def main(_: list[str]) -> None:
    """Runs every table and writes the figures."""
    one_device_per_core()
    rows = []
    for name in _TABLES.value or TABLES:
        rows.append(_measure(name, Path(_FOLDER.value) / f"{name}.csv"))
        print(json.dumps(rows[-1]), flush=True)
        Path(_OUT.value).write_text(json.dumps(rows, indent=1) + "\n")


def _measure(name: str, path: Path) -> dict[str, Any]:
    frame, truth = _benchmark_table(name) if name in DATASETS else _file(path, TABLES[name])
    config = _config(**TABLES[name].get("settings", {}))
    sizes = truth.value_counts()
    used = sorted(sizes.index[sizes >= _FEWEST_ROWS], key=lambda c: (-sizes[c], c))
    novel = used[1::2]
    keep = truth.isin(used)
    frame, truth = frame[keep].reset_index(drop=True), truth[keep].reset_index(drop=True)
    is_novel = truth.isin(novel).to_numpy()
    codes = truth[is_novel].map({c: i for i, c in enumerate(novel)}).to_numpy()

    start = time.perf_counter()
    table = read_table(frame.assign(label=truth.where(~is_novel)), "label")
    workdir = Path(_RUNS.value) / name
    metrics = run(config, table, None, workdir)
    found = pd.read_csv(workdir / "assignments.csv")
    labels = found["label"].str.removeprefix("novel_").astype(int).to_numpy()
    right = is_right(labels, codes)
    sure = found["confidence"].to_numpy() >= found["confidence"].median()
    plain, k = _one_hot_kmeans(frame[is_novel])
    return {
        "table": name,
        "rows": len(frame),
        "columns": frame.shape[1],
        "encoded_columns": len(table.columns),
        "notes": list(table.notes),
        "candidates": config.search.candidates,
        "folds": config.search.folds,
        "epochs": config.train.epochs,
        "known": len(used) - len(novel),
        "novel": len(novel),
        "k_found": metrics["n_novel_estimated"],
        "hidden_class_score": round(100 * metrics["hidden_class_score"], 1),
        "mean_confidence": round(100 * float(found["confidence"].mean()), 1),
        **{key: round(100 * value, 1) for key, value in score(labels, codes).items()},
        "acc_of_surer_half": round(100 * float(right[sure].mean()), 1),
        "acc_of_other_half": round(100 * float(right[~sure].mean()), 1) if (~sure).any() else None,
        "one_hot_kmeans": {
            "k": k,
            **{key: round(100 * value, 1) for key, value in score(plain, codes).items()},
        },
        "seconds": round(time.perf_counter() - start),
    }


def _file(path: Path, facts: dict[str, Any]) -> tuple[pd.DataFrame, pd.Series]:
    """The rows of a CSV file that have a label, and the label."""
    frame = pd.read_csv(path)
    parts = frame[facts["label"]].dropna()
    frame = frame.loc[parts.index].drop(columns=[*facts["label"], *facts["drop"]])
    return frame, parts.astype(str).agg(" ".join, axis=1)


def _benchmark_table(name: str) -> tuple[pd.DataFrame, pd.Series]:
    """The training rows of a benchmark table with all labels."""
    table, truth = load_dataset(name, None)
    names = np.array([*table.classes, *truth.classes])
    codes = np.where(table.y == UNLABELLED, len(table.classes) + truth.y, table.y)
    frame = pd.DataFrame(table.x, columns=list(table.columns))
    return frame, pd.Series(names[codes])


def _config(
    candidates: int = SearchConfig.candidates,
    folds: int = SearchConfig.folds,
    epochs: int = TrainConfig.epochs,
) -> RunConfig:
    return RunConfig(
        dataset="",
        method=_METHOD.value,
        k=KConfig(index=_INDEX.value),
        search=SearchConfig(candidates=candidates, folds=folds),
        train=TrainConfig(epochs=epochs),
    )


def _one_hot_kmeans(frame: pd.DataFrame) -> tuple[np.ndarray, int]:
    """Dummies, medians, standard scores; the number of clusters by silhouette."""
    x = pd.get_dummies(frame, dummy_na=True, dtype=float)
    z = StandardScaler().fit_transform(x.fillna(x.median()).fillna(0.0))
    rows = np.random.default_rng(0).permutation(len(z))[:2000]
    ks = range(2, 21)
    values = [
        silhouette_score(z[rows], KMeans(k, n_init=3, random_state=0).fit_predict(z[rows]))
        for k in ks
    ]
    k = ks[int(np.argmax(values))]
    return KMeans(k, n_init=10, random_state=0).fit_predict(z), k


if __name__ == "__main__":
    app.run(main)
