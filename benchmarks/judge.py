"""The judge against a plain NumPy program that does the same: folds, pairs, weights, merges.

python -m benchmarks.judge --reference=FOLDER/judge.py     # results/judge_speed.json, two minutes

Both are given standardised columns, fit RCA with four shrinkages in every fold of hidden classes
and on the table, cut the rows in question into micro clusters that the four views share, describe
all pairs in each view, learn from the folds, and merge. The plain program takes one pair after the
other; that its numbers are ours is held by the tests. Ours is a second run in one process: compile
time stands apart.
"""

import functools
import importlib.util
import time
from pathlib import Path
from types import ModuleType

import numpy as np
from absl import app, flags

from benchmarks.timing import compare, write_results
from ncd_jax.config import RunConfig, SearchConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.by_judge import judge_all
from ncd_jax.discovery.fit import cut, refit_all
from ncd_jax.discovery.partition import Fitted, see_folds
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.judge.prior import read_prior
from ncd_jax.startup import one_device_per_core
from ncd_jax.types import UNLABELLED

_SMALL = flags.DEFINE_bool("small", False, "One turn.")
_REFERENCE = flags.DEFINE_string("reference", None, "The plain program; ours alone without it.")
_ROWS = flags.DEFINE_integer("rows", 1500, "Novel rows, and known ones.")
_COLUMNS = flags.DEFINE_integer("columns", 16, "Columns.")
_TURNS = flags.DEFINE_integer("turns", 3, "Runs of either.")

N_KNOWN, N_NOVEL, FOLDS_OF_A_KIND = 10, 5, 4
PRIOR_STRENGTH = 1.0


def main(_: list[str]) -> None:
    """Measures both and writes the figures."""
    one_device_per_core()
    config = RunConfig(setting="ncd", search=SearchConfig(folds=FOLDS_OF_A_KIND))
    problem = prepare(config, _table(), None)
    start = time.perf_counter()
    k = _ours(problem)
    first = time.perf_counter() - start
    turns = 1 if _SMALL.value else _TURNS.value
    plain = _load(Path(_REFERENCE.value)) if _REFERENCE.value else None
    peer = functools.partial(_plain, plain, problem) if plain else lambda: 0
    measured = compare(lambda: _ours(problem), peer, turns)
    row = {
        "rows": _ROWS.value,
        "columns": _COLUMNS.value,
        "folds": len(problem.hidden_folds.y),
        "views": len(problem.candidates or []),
        "ours_seconds": round(measured.ours, 3),
        "compile_seconds": round(first - measured.ours, 1),
        "classes": k,
        "true_classes": N_NOVEL,
    }
    if plain:
        row["plain_seconds"] = round(measured.peer, 2)
        row["ratio"] = round(measured.ratio, 1)
        row["plain_classes"] = peer()
    write_results("judge_speed", [row])


def _table() -> Table:
    rng = np.random.default_rng(0)
    n_classes = N_KNOWN + N_NOVEL
    means = 1.5 * rng.normal(size=(n_classes, _COLUMNS.value))
    known = rng.integers(N_KNOWN, size=_ROWS.value)
    novel = rng.integers(N_KNOWN, n_classes, size=_ROWS.value)
    of_rows = np.concatenate([known, novel])
    x = means[of_rows] + rng.normal(size=(len(of_rows), _COLUMNS.value))
    y = np.where(of_rows < N_KNOWN, of_rows, UNLABELLED).astype(np.int32)
    columns = tuple(f"c{i}" for i in range(_COLUMNS.value))
    return Table("made up", x, y, columns, tuple(f"class {i}" for i in range(N_KNOWN)))


def _ours(problem: Problem) -> int:
    assert problem.candidates is not None
    folds = see_folds(problem, problem.candidates)
    refits = refit_all(problem, problem.candidates)
    nobody = np.zeros(N_KNOWN, bool)
    judgement = judge_all(folds, [Fitted(problem, refits, cut(problem, refits), nobody)])[-1][0]
    return int(judgement.groups(None).max()) + 1


def _plain(plain: ModuleType, problem: Problem) -> int:
    """The same steps with the plain program's functions."""
    assert problem.candidates is not None
    prior = read_prior()
    # Two features more than the plain program has say how many rows a pair has.
    seen = len(plain.NAMES)
    mean, scale = np.asarray(prior.mean)[:seen], np.asarray(prior.scale)[:seen]
    start = np.append(np.asarray(prior.weights)[:seen], prior.weights[-1])
    n = int(np.sum(problem.data.mask)) if problem.data.mask is not None else len(problem.data.y)
    x, y = np.asarray(problem.data.x)[:n].astype(float), np.asarray(problem.data.y)[:n]
    shrinkages = [float(values["shrinkage"]) for values in problem.candidates]
    taught, same = [], []
    for fold_y in problem.hidden_folds.y[:, :n]:
        hidden = (y != UNLABELLED) & (fold_y == UNLABELLED)
        features, pairs, _, micro = _scene(plain, x, fold_y, hidden, shrinkages)
        taught.append((features - mean) / scale)
        same.append(plain.same_class(micro, y[hidden], pairs))
    weight, target = plain.balanced(np.concatenate(same))
    learned = plain.logistic(np.vstack(taught), target, weight, start, PRIOR_STRENGTH)
    features, pairs, sizes, _ = _scene(plain, x, y, y == UNLABELLED, shrinkages)
    log_odds = (features - mean) / scale @ learned[:-1] + learned[-1]
    evidence = plain.evidence(pairs, log_odds, len(sizes))
    path = plain.merges(evidence, sizes)
    every = np.arange(len(sizes))
    return len(np.unique(max(path, key=lambda labels: plain.score(every, labels, evidence))))


def _scene(
    plain: ModuleType, x: np.ndarray, y: np.ndarray, asked: np.ndarray, shrinkages: list[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean features of all pairs over the views, the pairs, sizes, and the rows' micro clusters."""
    views = [plain.rca(x, y, shrinkage) for shrinkage in shrinkages]
    micro = plain.micro_clusters(np.hstack(views)[asked])
    described = [plain.pair_features(z[asked], x[asked], micro, plain.ruler(z, y)) for z in views]
    features = np.mean([features for features, _, _ in described], axis=0)
    return features, described[0][1], described[0][2], micro


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_judge", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    app.run(main)
