"""What the gate between known and new starts from, learned on development tables, and its worth.

python -m benchmarks.gate_prior       # needs NCD_JAX_DATA; an hour on two cores

Every table is cut into known and novel classes in three ways, and half of the known rows lose their
label. Folds of the labelled rows teach the weights; each table weighs the same. The prior of the
package is learned from all of them; every table is measured with one learned from the others, in
four settings: as it is, with nothing new, with one new class, and with no known row unlabelled. In
the first and the third the new rows are sorted too, by the judge with the prior of the package,
which all of these tables taught.
"""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import app, flags

from benchmarks.judge_tables import TABLES, read_columns
from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.known_rows import observe_folds, observe_table, views_of
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.solve import finish
from ncd_jax.discovery.tune import tune
from ncd_jax.known_or_new.decision import Observations, decide
from ncd_jax.known_or_new.gate_weights import GatePrior, learn_gate_prior, write_gate_prior
from ncd_jax.scoring import score
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.records import describe_environment
from ncd_jax.types import UNLABELLED

__all__ = ["GateSplit", "gate_splits", "measure", "measure_answer"]

MOST_KNOWN, MOST_NOVEL = 1600, 1500
FEWEST_OF_A_CLASS, FEWEST_LABELLED = 10, 4
SETTINGS = ("as_is", "nothing", "one", "ncd")

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Tables; a prior is written from all alone.")
_SPLITS = flags.DEFINE_integer("splits", 3, "Splits of each table.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/gate.json", "Where figures go.")
_SOLVE = flags.DEFINE_bool("solve", True, "Whether new rows are sorted as well.")
_PRIOR = flags.DEFINE_string(
    "prior", "ncd_jax/known_or_new/gate_prior.json", "Where the prior goes."
)


class GateSplit(NamedTuple):
    """A table, half of whose known rows have no label.

    Attributes:
        table: with the labels that are left.
        true: `i[n]`, the class of every row: a known one, or `C` and a novel one.
        n_novel: novel classes.
    """

    table: Table
    true: np.ndarray
    n_novel: int


def gate_splits(name: str, n: int = 3) -> Iterator[dict[str, GateSplit]]:
    """Splits of a development table, each in all settings."""
    x, y = read_columns(name)
    classes, sizes = np.unique(y, return_counts=True)
    classes = classes[sizes >= FEWEST_OF_A_CLASS]
    rng, m = np.random.default_rng(0), len(classes)
    for i in range(n if m >= 5 else 0):
        n_novel = int(np.round(np.linspace(2, min(m - 3, 20), n)[i]))
        n_known = max(3, min(m - n_novel, int(rng.integers(3, m - n_novel + 1))))
        order = rng.permutation(classes)
        known, novel = order[n_novel : n_novel + n_known], order[:n_novel]
        names = np.concatenate([known, novel])
        of_known = rng.permutation(np.flatnonzero(np.isin(y, known)))[:MOST_KNOWN]
        of_novel = rng.permutation(np.flatnonzero(np.isin(y, novel)))[:MOST_NOVEL]
        code = {c: i for i, c in enumerate(names.tolist())}
        rows = np.concatenate([of_known, of_novel])
        true = np.array([code[c] for c in y[rows].tolist()])
        labelled = np.arange(len(rows)) < len(of_known) // 2
        if np.bincount(true[labelled], minlength=n_known).min() < FEWEST_LABELLED:
            continue
        one = np.bincount(true)[n_known:].argmax() + n_known
        is_known = true < n_known
        kept = {
            "as_is": np.ones(len(rows), bool),
            "nothing": is_known,
            "one": is_known | (true == one),
            "ncd": labelled | ~is_known,
        }
        counts = {"as_is": n_novel, "nothing": 0, "one": 1, "ncd": n_novel}
        yield {
            setting: GateSplit(
                Table(
                    name=name,
                    x=x[rows[chosen]],
                    y=np.where(labelled, true, UNLABELLED).astype(np.int32)[chosen],
                    columns=tuple(f"column {i}" for i in range(x.shape[1])),
                    classes=tuple(f"known {c}" for c in known),
                    standardise=False,
                ),
                true[chosen],
                counts[setting],
            )
            for setting, chosen in kept.items()
        }


def look_at(splits: dict[str, GateSplit]) -> dict[str, tuple[GateSplit, Observations]]:
    """What the gate sees of a split in every setting.

    The folds are shared: they are of labelled rows, which stand in front in all settings.
    """
    folds, seen = None, {}
    for setting, split in splits.items():
        problem = prepare(RunConfig(method="rca", setting="gcd"), split.table, None)
        assert problem.candidates is not None
        hparams = views_of(problem.candidates)
        folds = folds or observe_folds(problem, split.table, hparams)
        own = [fold._replace(y=fold.y[: len(split.table.y)]) for fold in folds]
        seen[setting] = (split, observe_table(problem, split.table, hparams, own))
    return seen


def learn(tables: list[list[dict[str, tuple[GateSplit, Observations]]]]) -> GatePrior:
    """Weights of many tables, each weighing the same."""
    folds = [
        (fold.observed, 1 / len(splits) / len(tables) / len(seen["as_is"][1].folds))
        for splits in tables
        for seen in splits
        for fold in seen["as_is"][1].folds
    ]
    return learn_gate_prior(folds)


def measure(split: GateSplit, observed: Observations, prior: GatePrior) -> dict[str, Any]:
    """How right the gate is, where it is open and where it decides that itself."""
    n_known = len(split.table.classes)
    true = split.true[split.table.y == UNLABELLED]
    is_known = true < n_known
    gated, auto = decide(observed, prior, "gcd"), decide(observed, prior, "auto")
    called = ~gated.is_new
    sure = np.where(called, gated.p_known, 1 - gated.p_known)
    right = called == is_known
    return {
        "known_or_novel": _percent(right),
        "known_in_class": _percent((gated.known == true)[is_known]),
        "known_called_new": _percent(~called[is_known]),
        "novel_called_known": _percent(called[~is_known]),
        "called_new": _percent(~called),
        "off": round(100 * float(np.abs(sure - right).mean()), 2),
        "sureness_off": round(100 * float(abs(sure.mean() - right.mean())), 2),
        "auto_open": auto.is_open,
        "auto_in_doubt": auto.in_doubt,
        "auto_known_or_novel": _percent(~auto.is_new == is_known),
        "auto_known_in_class": _percent((auto.known == true)[is_known]),
        "auto_novel_called_known": _percent(~auto.is_new[~is_known]),
    }


def measure_answer(split: GateSplit, observed: Observations, prior: GatePrior) -> dict[str, Any]:
    """How right the classes of the novel rows are; rows called known are wrong."""
    config, table = RunConfig(method="rca", setting="gcd"), split.table
    tuned = tune(prepare(config, table, None))
    solution = finish([tuned], tuned, table, decide(observed, prior, "gcd"))
    true, n_known = split.true[table.y == UNLABELLED], len(table.classes)
    labels, novel = solution.labels(n_known), true >= n_known
    scores = score(labels[novel] - n_known, true[novel] - n_known)
    right = np.where(novel, labels >= n_known, labels == true)
    return {
        "novel_acc": round(100 * scores["acc"], 2),
        "error_of_k": abs(solution.answer.k - split.n_novel),
        "named_as_one": 100.0 * (solution.answer.k == 1),
        "mean_confidence": round(100 * float(solution.confidence.mean()), 2),
        "at_most_right": _percent(right),
    }


def _percent(rows: np.ndarray) -> float | None:
    return round(100 * float(rows.mean()), 2) if len(rows) else None


def _mean(rows: list[dict[str, Any]]) -> dict[str, float]:
    names = rows[0].keys()
    kept = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    return {name: round(float(np.mean(values)), 2) for name, values in kept.items() if values}


def main(_: list[str]) -> None:
    """Observes all tables, learns, measures each by what the others taught, and writes both."""
    one_device_per_core()
    seen = {}
    for name in _TABLES.value:
        start = time.perf_counter()
        seen[name] = [look_at(splits) for splits in gate_splits(name, _SPLITS.value)]
        spent = time.perf_counter() - start
        print(f"{name}: {len(seen[name])} splits, {spent:.0f} s", flush=True)
        jax.clear_caches()  # thousands of programs meet the limit of memory maps
    seen = {name: each for name, each in seen.items() if each}
    results: dict[str, dict[str, Any]] = {}
    for name, own in seen.items():
        prior = learn([each for other, each in seen.items() if other != name])
        results[name] = {
            setting: _mean([measure(*views[setting], prior) for views in own])
            for setting in SETTINGS
        }
        for setting in ("as_is", "one") if _SOLVE.value else ():
            answers = [measure_answer(*views[setting], prior) for views in own]
            results[name][setting] |= _mean(answers)
        jax.clear_caches()
        print(name, json.dumps(results[name]["as_is"]), flush=True)
    mean = {setting: _mean([each[setting] for each in results.values()]) for setting in SETTINGS}
    print("mean", json.dumps(mean, indent=1))
    content = {"environment": describe_environment(), "mean": mean, "tables": results}
    Path(_OUT.value).write_text(json.dumps(content, indent=1) + "\n")
    if set(_TABLES.value) == set(TABLES):
        made_by = "python -m benchmarks.gate_prior"
        write_gate_prior(Path(_PRIOR.value), learn(list(seen.values())), made_by, sorted(seen))


if __name__ == "__main__":
    app.run(main)
