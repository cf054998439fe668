"""Whole runs that a simulated person is asked about: all rows right, and how sure it says it is.

python -m benchmarks.ask_runs    # results/ask_runs.json; needs NCD_JAX_DATA, ten minutes of a core

Splits of development tables as in `benchmarks.missing_labels`, each by a run with the defaults:
once no unlabelled row is of a known class (`ncd`), once half of the rows of known classes have lost
their label (`random`). And benchmark tables with the paper's known classes, none of which lacks a
label (`paper`). A person who is always right answers one question after the other, and the rows are
sorted again. Every unlabelled row counts: one of a known class is right if it got that one, others
if their new class stands for theirs.
"""

import time
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pandas as pd
from absl import app, flags

from benchmarks.missing_labels import class_splits, table_of, take_labels
from benchmarks.person import Person
from benchmarks.timing import write_results
from ncd_jax.ask.choose import next_questions
from ncd_jax.ask.resort import resort, sight_of, state_of
from ncd_jax.clustering.matching import count_pairs, match_clusters
from ncd_jax.config import RunConfig
from ncd_jax.data.datasets import load_dataset
from ncd_jax.data.table import Table
from ncd_jax.discovery.solution import Solution
from ncd_jax.discovery.solve import solve
from ncd_jax.progress import Reporter
from ncd_jax.startup import one_device_per_core
from ncd_jax.types import UNLABELLED

AFTER = (0, 3, 10, 20)
SMALL = ["glass", "yeast", "led7"]
PAPER = ["mfeat", "optdigits", "pendigits", "letter"]

_TABLES = flags.DEFINE_list("asked", SMALL, "Tables that are asked about.")
_PAPER = flags.DEFINE_list("paper", PAPER, "Benchmark tables that are asked about.")
_EACH = flags.DEFINE_integer("each", 2, "Splits of each of them.")


def main(_: list[str]) -> None:
    """Measures all and writes the figures."""
    one_device_per_core()
    rows: list[dict[str, Any]] = []
    for name in _TABLES.value:
        for i, (x, true, n_known) in enumerate(class_splits(name, _EACH.value)):
            for kind in ("ncd", "random"):
                missing = take_labels(x, true, n_known, kind, zlib.crc32(f"{name} {i}".encode()))
                setting = "ncd" if kind == "ncd" else "gcd"
                figures = _measure(table_of(missing, name), missing.true, setting)
                rows.append({"table": name, "split": i, "labels": kind, **figures})
                print(rows[-1], flush=True)
            jax.clear_caches()
    for name in _PAPER.value:
        table, truth = load_dataset(name)
        true = np.where(table.y == UNLABELLED, truth.y + len(table.classes), table.y)
        rows.append({"table": name, "split": 0, "labels": "paper", **_measure(table, true, "ncd")})
        print(rows[-1], flush=True)
        jax.clear_caches()
    write_results("ask_runs", rows + list(_means(rows)))


def _means(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Over all splits, and how far confidence is from accuracy on average."""
    for labels, every in pd.DataFrame(rows).groupby("labels", sort=False):
        means = every.drop(columns=["table", "split", "labels"]).mean().round(2).to_dict()
        off = {n: (every[f"sure_{n}"] - every[f"acc_{n}"]).abs().mean() for n in AFTER}
        means |= {f"off_{n}": round(float(each), 2) for n, each in off.items()}
        yield {"table": f"mean of {len(every)}", "labels": labels, **means}


def _measure(table: Table, true: np.ndarray, setting: str) -> dict[str, float]:
    """Rows right and mean confidence, in percent, after some answers; seconds for a question.

    `beyond` are rows that the run took for known ones and are not of that class: nobody is asked
    about these.
    """
    solution = solve(RunConfig(setting=setting), table, Reporter())
    return _ask(solution, true[table.y == UNLABELLED])


def _ask(solution: Solution, true: np.ndarray) -> dict[str, float]:
    asked, base = solution.asked, solution.model
    taken = solution.found < base.n_known
    wrongly = taken & (solution.found != true)
    figures: dict[str, float] = {"beyond": round(100 * float(np.mean(wrongly)), 2)}
    if asked is None:  # nothing is new: the answer stays
        for n in AFTER:
            figures |= {f"acc_{n}": _right(solution.found, true, base.n_known)}
            figures |= {f"sure_{n}": round(100 * float(np.mean(solution.confidence)), 2)}
        return figures | {"seconds": 0.0}
    sight = sight_of(asked)
    person = Person(true[asked.row], np.random.default_rng(0))
    answers: dict[str, str] = {}
    longest = 0.0
    for n in range(AFTER[-1] + 1):
        if n in AFTER:
            found = resort(base, asked, sight, answers)
            figures[f"acc_{n}"] = _right(found.labels, true, base.n_known)
            figures[f"sure_{n}"] = round(100 * float(np.mean(found.confidence)), 2)
        start = time.process_time()
        questions = next_questions(sight, state_of(base, asked, sight, answers), 1)
        longest = max(longest, time.process_time() - start)
        if questions:
            answers[questions[0].name] = person.answer(questions[0])
    return figures | {"seconds": round(longest, 3)}


def _right(labels: np.ndarray, true: np.ndarray, n_known: int) -> float:
    """Rows that are right, in percent."""
    right = int((labels == true)[labels < n_known].sum())
    new = (labels >= n_known) & (true >= n_known)
    if new.any():
        a, b = labels[new] - n_known, true[new] - n_known
        pairs = count_pairs(a, b, int(a.max()) + 1, int(b.max()) + 1)
        match = match_clusters(pairs)
        right += int(pairs[match >= 0, match[match >= 0]].sum())
    return round(100 * right / len(true), 2)


if __name__ == "__main__":
    app.run(main)
