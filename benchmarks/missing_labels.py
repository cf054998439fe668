"""Whether it is seen that labels are no random sample, and what the gate makes of such tables.

python -m benchmarks.missing_labels              # needs NCD_JAX_DATA; six minutes on two cores
python -m benchmarks.missing_labels --gate       # the gate too; an hour

Every development table is cut into known and novel classes in six ways. Then labels go missing:

* `random`: half of those of known classes; `ncd`: none of them; `nothing`: half, with no new class;
* `date`: by a column of its own, labels being the likelier the earlier it is;
* `side`: by a mixed direction of the columns, within each class;
* `plate`: half of all rows are of a plate that is shifted, where nobody labelled any; its column
  is there. `unnamed`: the same without the column.

A strength is by how many log-odds a label is the likelier per standard deviation.
"""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd
from absl import app, flags

from benchmarks.judge_tables import TABLES, read_columns
from ncd_jax.config import RunConfig
from ncd_jax.data.encode import Encoder
from ncd_jax.data.labelled_rows import how_labelled
from ncd_jax.data.table import Table
from ncd_jax.discovery.known_rows import observe, views_of
from ncd_jax.discovery.problem import prepare
from ncd_jax.known_or_new.decision import decide
from ncd_jax.known_or_new.gate_weights import read_gate_prior
from ncd_jax.read.columns import Column
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.records import describe_environment
from ncd_jax.types import UNLABELLED

__all__ = ["Missing", "class_splits", "table_of", "take_labels", "warned"]

MOST_ROWS = 1000
"""Rows of known classes, and of novel ones, in a split."""
FEWEST_OF_A_CLASS, FEWEST_LABELLED = 10, 3
SHIFT = 0.7
"""Standard deviations by which a plate is shifted in every column, on average."""
KINDS = (
    "random",
    "ncd",
    "nothing",
    "date_1",
    "date_2",
    "date_4",
    "side_1",
    "side_2",
    "side_4",
    "plate",
    "unnamed",
)

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Tables.")
_KINDS = flags.DEFINE_list("kinds", list(KINDS), "How labels go missing.")
_SPLITS = flags.DEFINE_integer("splits", 6, "Splits of each table.")
_GATE = flags.DEFINE_bool("gate", False, "Whether the gate is measured as well.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/missing_labels.json", "Where figures go.")


class Missing(NamedTuple):
    """A table some of whose labels are missing.

    Attributes:
        x: `f64[n, d]`, its columns.
        y: `i[n]`, the labels that are left.
        true: `i[n]`, the class of every row: a known one, or `C` and a novel one.
        date: `f64[n]`, by which labels are missing; none where they are not.
        plate: `[n]`, the plate of every row; none where there are no plates, or nobody says so.
    """

    x: np.ndarray
    y: np.ndarray
    true: np.ndarray
    date: np.ndarray | None = None
    plate: np.ndarray | None = None


def class_splits(name: str, n: int = 6) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Columns, classes of every row, known ones first, and how many are known."""
    x, y = read_columns(name)
    classes, sizes = np.unique(y, return_counts=True)
    classes = classes[sizes >= FEWEST_OF_A_CLASS]
    rng, m = np.random.default_rng(0), len(classes)
    for i in range(n if m >= 5 else 0):
        n_novel = int(np.round(np.linspace(2, min(m - 3, 20), n)[i]))
        n_known = max(3, min(m - n_novel, int(rng.integers(3, m - n_novel + 1))))
        order = rng.permutation(classes)
        known, novel = order[n_novel : n_novel + n_known], order[:n_novel]
        of_known, of_novel = (
            rng.permutation(np.flatnonzero(np.isin(y, these)))[:MOST_ROWS]
            for these in (known, novel)
        )
        rows = rng.permutation(np.concatenate([of_known, of_novel]))
        code = {c: j for j, c in enumerate([*known.tolist(), *novel.tolist()])}
        yield x[rows], np.array([code[c] for c in y[rows].tolist()]), n_known


def take_labels(x: np.ndarray, true: np.ndarray, n_known: int, kind: str, seed: int) -> Missing:
    """Takes labels away in one of the ways above."""
    rng, n, is_known = np.random.default_rng(seed), len(true), true < n_known
    name, _, strength = kind.partition("_")
    date, plate, score = None, None, np.zeros(n)
    if name == "nothing":
        x, true, n = x[is_known], true[is_known], int(is_known.sum())
        score, is_known = np.zeros(n), np.ones(n, bool)
    elif name == "date":
        date = score = rng.standard_normal(n)
    elif name == "side":
        score = _within(x @ rng.standard_normal(x.shape[1]), true)
    labelled = rng.random(n) < 1 / (1 + np.exp(float(strength or 0) * score))
    if name == "ncd":
        labelled[:] = True
    elif name in ("plate", "unnamed"):
        second = rng.random(n) < 0.5
        x = x + np.outer(second, SHIFT * rng.standard_normal(x.shape[1]) * x.std(axis=0))
        labelled = ~second & (rng.random(n) < 0.67)
        plate = np.where(second, "B", "A") if name == "plate" else None
    for c in range(n_known):  # every known class is known by some rows
        rows = np.flatnonzero(true == c)
        if labelled[rows].sum() < FEWEST_LABELLED:
            labelled[rows[np.argsort(score[rows])[:FEWEST_LABELLED]]] = True
    return Missing(x, np.where(is_known & labelled, true, UNLABELLED), true, date, plate)


def _within(score: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Standardised within every class."""
    frame = pd.DataFrame({"score": score, "class": true}).groupby("class")["score"]
    centred = score - frame.transform("mean").to_numpy()
    return centred / (frame.transform("std").fillna(0).to_numpy() + 1e-9)


def warned(missing: Missing) -> tuple[str, ...]:
    """What is said of a table."""
    names = [f"c{i}" for i in range(missing.x.shape[1])]
    frame = pd.DataFrame(missing.x, columns=names)
    columns = [Column(name, "numeric") for name in names]
    if missing.date is not None:
        days = np.datetime64("2025-07-01") + (30 * missing.date).astype("timedelta64[D]")
        frame, columns = frame.assign(date=days), [*columns, Column("date", "date")]
    if missing.plate is not None:
        frame = frame.assign(plate=missing.plate)
        columns.append(Column("plate", "category"))
    encoder = Encoder.fit(frame, columns)
    return how_labelled(encoder, frame, encoder.apply(frame), missing.y).notes


def table_of(missing: Missing, name: str) -> Table:
    """The table as a run takes it, by its columns alone."""
    return Table(
        name=name,
        x=missing.x,
        y=missing.y.astype(np.int32),
        columns=tuple(f"column {i}" for i in range(missing.x.shape[1])),
        classes=tuple(f"known {c}" for c in range(int(missing.y.max()) + 1)),
        standardise=False,
    )


def gate_of(missing: Missing, name: str) -> dict[str, Any]:
    """How right the gate is, open."""
    table, n_known = table_of(missing, name), int(missing.y.max()) + 1
    problem = prepare(RunConfig(method="rca", setting="gcd"), table, None)
    assert problem.candidates is not None
    seen = observe(problem, table, views_of(problem.candidates))
    gated = decide(seen, read_gate_prior(), "gcd")
    true = missing.true[missing.y == UNLABELLED]
    is_known = true < n_known
    return {
        "known_or_novel": 100 * float(np.mean(gated.is_new != is_known)),
        "known_in_class": 100 * float(np.mean((gated.known == true)[is_known])),
    }


def main(_: list[str]) -> None:
    """Measures all tables, prints a line for each, and writes what was found."""
    if _GATE.value:
        one_device_per_core()
    found: list[dict[str, Any]] = []
    for name in _TABLES.value:
        for i, (x, true, n_known) in enumerate(class_splits(name, _SPLITS.value)):
            for kind in _KINDS.value:
                missing = take_labels(x, true, n_known, kind, zlib.crc32(f"{name} {i}".encode()))
                notes = warned(missing)
                row: dict[str, Any] = {"table": name, "split": i, "kind": kind}
                row |= {"warned": bool(notes), "notes": notes[:2]}
                if _GATE.value:
                    row |= gate_of(missing, name)
                found.append(row)
            jax.clear_caches()
        rows = [row for row in found if row["table"] == name]
        print(name, json.dumps(_mean(rows, "warned")), flush=True)
    print("mean", json.dumps(_mean(found, "warned")))
    content = {"environment": describe_environment(), "mean": _mean(found, "warned"), "rows": found}
    if _GATE.value:
        for key in ("known_or_novel", "known_in_class"):
            content[key] = _mean(found, key)
            print(key, json.dumps(content[key]))
    Path(_OUT.value).write_text(json.dumps(content, indent=1) + "\n")


def _mean(rows: list[dict[str, Any]], key: str) -> dict[str, float]:
    kinds = dict.fromkeys(row["kind"] for row in rows)
    of_kind = {k: [float(row[key]) for row in rows if row["kind"] == k] for k in kinds}
    return {kind: round(float(np.mean(values)), 3) for kind, values in of_kind.items()}


if __name__ == "__main__":
    app.run(main)
