"""What the judge starts from, learned on development tables, and how good it is on each of them.

python -m benchmarks.judge_prior       # needs NCD_JAX_DATA; half an hour on two cores

Every table is cut into known and novel classes in twelve ways, three of them with one novel class
and three with few novel rows.
Pairs of micro clusters of hidden classes, and of the novel ones, teach the weights; the novel rows
teach how sure a number and a row's class are. Each table weighs the same. The prior of the package
is learned from all of them; every table is measured with one learned from the others.
"""

import dataclasses
import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags

from benchmarks.judge_tables import (
    TABLES,
    Split,
    make_split,
    read_columns,
    splits_into_many,
    splits_into_one,
    with_few_rows,
)
from ncd_jax.clustering.matching import count_pairs
from ncd_jax.config import JUDGE, KConfig, RunConfig
from ncd_jax.discovery.calibration import is_right
from ncd_jax.discovery.cells import SeenRows, seen_rows, settle
from ncd_jax.discovery.joining import join
from ncd_jax.discovery.judged import partition_of
from ncd_jax.discovery.judging import FoldScenes, Judgement, judge_scenes, see_folds
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.judge.confidence import (
    CONFIDENCE_FEATURES,
    STRENGTH,
    Partition,
    confidence,
    confidence_features,
    own_weights,
)
from ncd_jax.judge.features import NAMES
from ncd_jax.judge.number import NUMBER_FEATURES, number_features
from ncd_jax.judge.prior import Prior
from ncd_jax.judge.weights import RAREST
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.records import describe_environment
from ncd_jax.types import UNLABELLED

__all__ = ["Sight", "learn_pairs", "learn_sureness", "look_at", "splits_of", "standard_prior"]

PAIRS_OF_A_FOLD = 200
"""Most pairs that a fold teaches, so that large folds do not drown the others."""
ONE_COUNTS = 2.0
"""Weight of a split with one novel class. What splits with few rows teach is to say more classes;
this is the counterweight."""
PAIR_STRENGTH, NUMBER_STRENGTH, SURE_STRENGTH = 0.01, 1e-4, 1e-3

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Tables; a prior is written from all alone.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/judge.json", "Where figures go.")
_PRIOR = flags.DEFINE_string("prior", "ncd_jax/judge/prior.json", "Where the prior goes.")


class Sight(NamedTuple):
    """A split as the judge sees it, with all that is true of it.

    Attributes:
        split: the table and its novel classes.
        problem: of the table.
        folds: as fitted, less their states.
        refits: on all known classes, less their states.
        rows: the novel rows.
        hidden_rows: those of every fold.
    """

    split: Split
    problem: Problem
    folds: FoldScenes
    refits: Refits
    rows: SeenRows
    hidden_rows: list[SeenRows]


def splits_of(name: str) -> Iterable[Split]:
    """All splits of a development table: into many, into many with few rows, into one."""
    columns = read_columns(name)
    for into in (splits_into_many, splits_into_one):
        for seed, (known, novel) in enumerate(into(columns[1])):
            if (split := make_split(name, columns, known, novel, seed)) is None:
                continue
            yield split
            if into is splits_into_many and seed % 2:
                yield with_few_rows(split)


def look_at(split: Split, config: RunConfig) -> Sight:
    """Fits the folds and the table, as a run does."""
    problem = prepare(config, split.table, None)
    assert problem.candidates is not None
    folds = see_folds(problem, problem.candidates)
    refits = refit_all(problem, problem.candidates)
    rows = _light_rows(seen_rows(problem, refits))
    hidden_rows = [
        _light_rows(seen_rows(problem.of_fold(f), of_fold))
        for of_fold, f in zip(folds.refits, folds.numbers, strict=True)
    ]
    light = folds._replace(refits=[_light(each) for each in folds.refits])
    return Sight(split, problem, light, _light(refits), rows, hidden_rows)


def _light_rows(rows: SeenRows) -> SeenRows:
    """The same in half the memory: there are many."""
    return rows._replace(z=rows.z.astype(np.float16), asked=rows.asked.astype(np.int16))


def _partition(judgement: Judgement, rows: SeenRows, prior: Prior) -> tuple[Partition, np.ndarray]:
    """The answer for some rows, and the group of each."""
    rows = rows._replace(z=rows.z.astype(np.float32))
    cells = settle(rows, judgement, None)
    joined = join(rows, cells)
    return partition_of(judgement, cells, joined, prior, None), cells.owners[joined.cell]


def _light(refits: Refits) -> Refits:
    """What the judge looks at, in the memory of the host: states of many tables fill it."""
    scene = jax.tree.map(np.asarray, refits.seen)
    nothing: Any = np.zeros(0)
    finite: Any = np.asarray(refits.finite)
    return Refits(nothing, nothing, nothing, None, scene, finite)


def learn_pairs(tables: Sequence[Sequence[Sight]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and scale of every feature, and the weights of one class, `f64[F + 1]`."""
    rng, finals = np.random.default_rng(0), []
    data: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = []
    for sights in tables:
        of_table = []
        for sight in sights:
            scenes = [
                _pairs(refits, share)
                for refits, share in zip(sight.folds.refits, sight.folds.shares, strict=True)
            ]
            finals.append(_pairs(sight.refits, _novel_shares(sight)))
            drawn = [_draw(rng, pairs, PAIRS_OF_A_FOLD) for pairs in scenes]
            # The novel rows teach half as much as all folds together.
            novel = _draw(rng, finals[-1], 4 * PAIRS_OF_A_FOLD)
            total = PAIRS_OF_A_FOLD * len(scenes) / 2
            weights = [np.ones(len(same)) for _, same in drawn]
            weights.append(np.full(len(novel[1]), total / max(len(novel[1]), 1)))
            features, same = (np.concatenate(each) for each in zip(*drawn, novel, strict=True))
            weight, target = _balanced(same, np.concatenate(weights))
            of_table.append((features, target, weight * _counts(sight) / sum(map(_counts, sights))))
        data.append(of_table)
    all_finals = np.concatenate([features for features, _ in finals])
    mean, scale = all_finals.mean(axis=0), all_finals.std(axis=0) + 1e-9
    features, target, weight = (
        np.concatenate(each)
        for each in zip(*(part for parts in data for part in parts), strict=True)
    )
    start = np.zeros(len(mean) + 1)
    standard = (features - mean) / scale
    return mean, scale, own_weights(standard, target, weight / weight.sum(), start, PAIR_STRENGTH)


def learn_sureness(
    tables: Sequence[Sequence[Sight]], pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Prior:
    """The whole prior: how sure a number and a class are, judged with what pairs taught."""
    start = standard_prior(pairs)
    judged = [[_judge(sight, start) for sight in sights] for sights in tables]
    x, y, w = [], [], []
    for sights, judgements in zip(tables, judged, strict=True):
        for sight, (judgement, _) in zip(sights, judgements, strict=True):
            true, m = int(sight.split.novel.max()) + 1, judgement.n_micro
            linkage, k = judgement.linkage[: m - 1], int(judgement.groups()[:m].max()) + 1
            features = number_features(linkage, k)
            numbers = np.arange(1, len(features) + 1)
            x.append(features)
            y.append((true <= numbers).astype(float))
            w.append(1 / (1 + np.abs(numbers - true)) / len(sights))
    number = _plain(x, y, w, NUMBER_STRENGTH)
    prior = start._replace(number=jnp.asarray(number, jnp.float32))
    x, y, w = [], [], []
    rng = np.random.default_rng(0)
    for sights, judgements in zip(tables, judged, strict=True):
        for sight, (judgement, of_folds) in zip(sights, judgements, strict=True):
            answers = [(judgement, sight.rows, _novel_classes(sight), 1.0)]
            every = zip(of_folds, sight.hidden_rows, sight.folds.numbers, strict=True)
            for one, rows, f in every:
                answers.append((one, rows, _hidden_classes(sight, f), 1 / len(of_folds)))
            for one, rows, classes, share in answers:
                partition, found = _partition(one, rows, prior)
                right = is_right(found, classes)
                chosen = rng.permutation(len(right))[:200]
                x.append(confidence_features(partition)[chosen])
                y.append(right[chosen].astype(float))
                w.append(np.full(len(chosen), share / len(chosen) / len(sights)))
    return prior._replace(confidence=jnp.asarray(_plain(x, y, w, SURE_STRENGTH), jnp.float32))


def standard_prior(pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Prior:
    """A prior that knows of pairs alone."""
    arrays = (*pairs, np.zeros(len(NUMBER_FEATURES) + 1), np.zeros(len(CONFIDENCE_FEATURES) + 1))
    return Prior(*(jnp.asarray(each, jnp.float32) for each in arrays))


def _counts(sight: Sight) -> float:
    """How much a split teaches of pairs, against one with several novel classes."""
    return ONE_COUNTS if sight.split.novel.max() == 0 else 1.0


def _judge(sight: Sight, prior: Prior) -> tuple[Judgement, list[Judgement]]:
    *of_folds, novel = judge_scenes(sight.folds, [sight.refits], prior)
    return novel, of_folds


def _hidden_classes(sight: Sight, f: int) -> np.ndarray:
    folds = sight.problem.hidden_folds
    return folds.hidden_y[f][folds.hidden_mask[f]]


def _novel_classes(sight: Sight) -> np.ndarray:
    """The class of every novel row that was judged."""
    judged = np.asarray(sight.problem.target_rows)[sight.problem.target_mask]
    classes = np.full(len(sight.split.table.y), -1)
    classes[sight.split.table.y == UNLABELLED] = sight.split.novel
    return classes[judged]


def _novel_shares(sight: Sight) -> np.ndarray:
    """Share of every novel class in each micro cluster."""
    n_classes = int(sight.split.novel.max()) + 1
    n_micro = len(sight.refits.seen.sizes)
    rows = count_pairs(sight.rows.micro, _novel_classes(sight), n_micro, n_classes)
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)


def _pairs(refits: Refits, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features `f64[P, F]` of all pairs, mean of all views, and their chance to be one class."""
    m = int((np.asarray(refits.seen.sizes) > 0).sum())
    i, j = np.triu_indices(m, 1)
    features = np.asarray(refits.seen.features, np.float64).mean(axis=0)[i, j]
    return features, (share @ share.T)[i, j]


def _draw(
    rng: np.random.Generator, pairs: tuple[np.ndarray, np.ndarray], most: int
) -> tuple[np.ndarray, np.ndarray]:
    chosen = rng.permutation(len(pairs[1]))[:most]
    return pairs[0][chosen], pairs[1][chosen]


def _balanced(same: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `ncd_jax.judge.weights.balanced`, for pairs that do not weigh alike."""
    one, two = (weight * same).sum(), (weight * (1 - same)).sum()
    least = RAREST * (one + two)
    for_one, for_two = 0.5 / max(one, least), 0.5 / max(two, least)
    both = same * for_one + (1 - same) * for_two
    return both * weight, same * for_one / both


def _plain(
    x: list[np.ndarray], y: list[np.ndarray], w: list[np.ndarray], strength: float
) -> np.ndarray:
    """Weights of a logistic regression, learned on standardised features, for plain ones."""
    features, target, weight = (np.concatenate(each) for each in (x, y, w))
    weight = weight / weight.sum()
    mean = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weight)) + 1e-9
    start = np.zeros(features.shape[1] + 1)
    found = own_weights((features - mean) / scale, target, weight, start, strength)
    return np.append(found[:-1] / scale, found[-1] - (found[:-1] * mean / scale).sum())


def measure(sight: Sight, prior: Prior) -> dict[str, Any]:
    """How good the answer is, and how sure it says it is."""
    judgement, of_folds = _judge(sight, prior)
    partition, found = _partition(judgement, sight.rows, prior)
    right = is_right(found, _novel_classes(sight))
    features, rights, weights = [], [], []
    every = zip(of_folds, sight.hidden_rows, sight.folds.numbers, strict=True)
    for one, rows, f in every:
        hidden, said = _partition(one, rows, prior)
        features.append(confidence_features(hidden))
        rights.append(is_right(said, _hidden_classes(sight, f)))
        weights.append(np.full(len(rights[-1]), 1 / len(rights[-1]) / len(of_folds)))
    x, y, w = (np.concatenate(each) for each in (features, rights, weights))
    drawn = own_weights(x, y, w, np.asarray(prior.confidence), STRENGTH)
    true, sure = int(sight.split.novel.max()) + 1, confidence(confidence_features(partition), drawn)
    likely = np.argsort(-partition.numbers)
    in_90 = likely[: int(np.searchsorted(np.cumsum(partition.numbers[likely]), 0.9)) + 1] + 1
    return {
        "known": len(sight.split.table.classes),
        "few": sight.split.few,
        "novel": true,
        "found": len(np.unique(found)),
        "acc": round(100 * float(right.mean()), 2),
        "largest": round(100 * float(np.bincount(found).max() / len(found)), 2),
        "confidence": round(100 * float(sure.mean()), 2),
        "number_in_90": bool(np.isin(true, in_90)),
        "numbers_in_90": len(in_90),
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the splits of a table: with several novel classes, with one, with few rows."""
    many = [row for row in rows if row["novel"] > 1 and not row["few"]]
    one = [row for row in rows if row["novel"] == 1]
    few = [row for row in rows if row["few"]]
    return {
        "acc": _mean(row["acc"] for row in many),
        "error_of_k": _mean(abs(row["found"] - row["novel"]) for row in many),
        "confidence_off": _mean(abs(row["confidence"] - row["acc"]) for row in [*many, *one]),
        "number_in_90": _mean(100 * row["number_in_90"] for row in [*many, *one]),
        "few_acc": _mean(row["acc"] for row in few),
        "few_error_of_k": _mean(abs(row["found"] - row["novel"]) for row in few),
        "one_said": _mean(100 * (row["found"] == 1) for row in one),
        "one_largest": _mean(row["largest"] for row in one),
    }


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(float(np.mean(listed)), 2) if listed else None


def main(_: list[str]) -> None:
    """Looks at all tables, learns, measures each by what the others taught, and writes both."""
    one_device_per_core()
    config = dataclasses.replace(RunConfig(method="rca"), k=KConfig(index=JUDGE))
    sights = {}
    for name in _TABLES.value:
        start = time.perf_counter()
        sights[name] = [look_at(split, config) for split in splits_of(name)]
        print(
            f"{name}: {len(sights[name])} splits, {time.perf_counter() - start:.0f} s", flush=True
        )
        jax.clear_caches()  # thousands of programs meet the limit of memory maps
    tables, report = {}, {}
    for name, own in sights.items():
        others = [each for other, each in sights.items() if other != name]
        prior = learn_sureness(others, learn_pairs(others))
        report[name] = [measure(sight, prior) for sight in own]
        tables[name] = summary(report[name])
        print(name, json.dumps(tables[name]), flush=True)
    every = [t for t in tables.values() if t["acc"] is not None]
    mean = {key: _mean(t[key] for t in every if t[key] is not None) for key in every[0]}
    print("mean", json.dumps(mean))
    environment = describe_environment()
    content = {"environment": environment, "mean": mean, "tables": tables, "splits": report}
    Path(_OUT.value).write_text(json.dumps(content, indent=1) + "\n")
    if set(_TABLES.value) == set(TABLES):
        every_table = list(sights.values())
        _write(learn_sureness(every_table, learn_pairs(every_table)))


def _write(prior: Prior) -> None:
    numbers = [[float(f"{value:.5g}") for value in np.asarray(each)] for each in prior]
    content = {
        "made_by": "python -m benchmarks.judge_prior",
        "tables": list(TABLES),
        "pairs": {
            "features": list(NAMES),
            "mean": numbers[0],
            "scale": numbers[1],
            "weights": numbers[2],
        },
        "number": {"features": list(NUMBER_FEATURES), "weights": numbers[3]},
        "confidence": {"features": list(CONFIDENCE_FEATURES), "weights": numbers[4]},
    }
    Path(_PRIOR.value).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    app.run(main)
