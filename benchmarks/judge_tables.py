"""Development tables of the judge: fifteen tables, cut into known and novel classes in many ways.

They lie in the cache of benchmark tables: those of `ncd_jax.data.datasets` as that module loads
them, three under `mixed/` and the others under `dev/`.
"""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.data.table import Table
from ncd_jax.errors import UserError

__all__ = [
    "TABLES",
    "Split",
    "make_split",
    "read_columns",
    "splits_into_many",
    "splits_into_one",
    "with_few_rows",
]

TABLES = (
    "mfeat",
    "optdigits",
    "pendigits",
    "letter",
    "cnae9",
    "har",
    "nsl_kdd",
    "soybean",
    "yeast",
    "led7",
    "ecoli",
    "glass",
    "audiology",
    "spectrometer",
    "pbmc",
)
FEWEST_ROWS = 10
"""Rows of a class that takes part."""
MOST_ROWS = 1500
"""Rows of known classes, and of novel ones, in a split."""
_MIXED = {"nsl_kdd": ("nsl_kdd_20percent.csv", "attack"), "soybean": ("soybean.csv", "class")}


class Split(NamedTuple):
    """A table in which some classes are novel.

    Attributes:
        table: with the labels of the known classes.
        novel: `i[u]`, the true class of every unlabelled row. For scores, and for priors of other
            tables.
        few: whether most of the novel rows were left out.
    """

    table: Table
    novel: np.ndarray
    few: bool = False


def read_columns(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns `f64[n, d]` and classes `[n]` of a development table.

    Word counts (cnae9) are centred only. Words are one column each, scaled so that two different
    words are as far apart as two numbers one standard deviation apart.

    Raises:
        UserError: the table is not in the cache.
    """
    folder = Path(os.environ.get("NCD_JAX_DATA", ""))
    if not (folder / "dev").is_dir():
        raise UserError("the development tables are not there; set NCD_JAX_DATA to their folder")
    if name in ("optdigits", "pendigits"):
        parts = [
            np.loadtxt(folder / name / f"{name}.{end}", delimiter=",") for end in ("tra", "tes")
        ]
        numbers = np.vstack(parts)
        return _standardised(numbers[:, :-1]), numbers[:, -1].astype(int)
    if name == "letter":
        frame = pd.read_csv(folder / name / "letter-recognition.data", header=None)
        return _standardised(frame.iloc[:, 1:].to_numpy(float)), frame[0].to_numpy()
    if name == "mfeat":
        return _standardised(np.loadtxt(folder / name / "mfeat-fac")), np.repeat(np.arange(10), 200)
    if name == "cnae9":
        numbers = np.loadtxt(folder / name / "CNAE-9.data", delimiter=",")
        counts = numbers[:, 1:]
        used = counts[:, counts.std(axis=0) > 0]
        return used - used.mean(axis=0), numbers[:, 0].astype(int)
    if name == "har":
        sample = folder / name / "har_sample735"
        return _standardised(np.load(f"{sample}_X_minmax.npy")), np.load(f"{sample}_y.npy")
    if name == "pbmc":
        stored = np.load(folder / "dev" / "pbmc.npz")
        return _standardised(stored["x"].astype(float)), stored["y"]
    file, label = _MIXED.get(name, (f"{name}.csv", "class"))
    frame = pd.read_csv(folder / ("mixed" if name in _MIXED else "dev") / file)
    classes = frame.pop(label).astype(str).to_numpy()
    return _of_frame(frame.drop(columns="difficulty", errors="ignore")), classes


def _of_frame(frame: pd.DataFrame) -> np.ndarray:
    numbers = frame.select_dtypes("number")
    words = frame.drop(columns=numbers.columns)
    words = words[[c for c in words if words[c].nunique() <= 50]].fillna("missing")
    numbers = numbers.fillna(numbers.median()).dropna(axis=1)
    parts = [_standardised(numbers.to_numpy(float), keep=True)]
    if words.shape[1]:
        one_hot = 0.71 * pd.get_dummies(words).to_numpy(float)
        parts.append(one_hot - one_hot.mean(axis=0))
    x = np.hstack(parts)
    return x[:, x.std(axis=0) > 0]


def _standardised(x: np.ndarray, *, keep: bool = False) -> np.ndarray:
    spread = x.std(axis=0)
    if not keep:
        x, spread = x[:, spread > 0], spread[spread > 0]
    return (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)


def splits_into_many(y: np.ndarray, n: int = 6) -> Iterator[tuple[list, list]]:
    """Known and novel classes, two up to twenty novel ones."""
    classes = _large_enough(y)
    rng, m = np.random.default_rng(0), len(classes)
    for i in range(n if m >= 5 else 0):
        n_novel = int(np.round(np.linspace(2, min(m - 3, 20), n)[i]))
        n_known = max(3, min(m - n_novel, int(rng.integers(3, m - n_novel + 1))))
        order = rng.permutation(classes)
        yield sorted(order[n_novel : n_novel + n_known]), sorted(order[:n_novel])


def splits_into_one(y: np.ndarray, n: int = 3) -> Iterator[tuple[list, list]]:
    """Known classes, three or more, and one novel class."""
    classes, rng = _large_enough(y), np.random.default_rng(7)
    for _ in range(n if len(classes) >= 5 else 0):
        n_known = int(rng.integers(3, len(classes)))
        order = rng.permutation(classes)
        yield sorted(order[1 : 1 + n_known]), sorted(order[:1])


def make_split(
    name: str, columns: tuple[np.ndarray, np.ndarray], known: list, novel: list, seed: int
) -> Split | None:
    """The table of a split, its known rows first; none where a known class has too few rows."""
    x, y = columns
    rng = np.random.default_rng(seed)
    of_known, of_novel = (
        rng.permutation(np.flatnonzero(np.isin(y, classes)))[:MOST_ROWS]
        for classes in (known, novel)
    )
    codes = np.searchsorted(known, y[of_known]).astype(np.int32)
    if np.bincount(codes, minlength=len(known)).min() < 3:
        return None
    table = Table(
        name=name,
        x=x[np.concatenate([of_known, of_novel])],
        y=np.concatenate([codes, np.full(len(of_novel), -1, np.int32)]),
        columns=tuple(f"column {i}" for i in range(x.shape[1])),
        classes=tuple(f"known {c}" for c in known),
        standardise=False,
    )
    return Split(table, np.unique(y[of_novel], return_inverse=True)[1])


def with_few_rows(split: Split, each: int = 30) -> Split:
    """The same with so many rows of a novel class, on average: where few labels are missing."""
    n_novel = int(split.novel.max()) + 1
    rng = np.random.default_rng(len(split.novel))
    kept = np.sort(rng.permutation(len(split.novel))[: each * n_novel])
    is_known = split.table.y >= 0
    rows = np.concatenate([np.flatnonzero(is_known), np.flatnonzero(~is_known)[kept]])
    table = dataclasses.replace(split.table, x=split.table.x[rows], y=split.table.y[rows])
    return Split(table, np.unique(split.novel[kept], return_inverse=True)[1], few=True)


def _large_enough(y: np.ndarray) -> np.ndarray:
    classes, sizes = np.unique(y, return_counts=True)
    return classes[sizes >= FEWEST_ROWS]
