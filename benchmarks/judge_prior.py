"""What the judge starts from, learned on development tables, and how good it is on each of them.

python -m benchmarks.judge_prior       # needs NCD_JAX_DATA; half an hour on two cores

Every table is cut into known and novel classes in twelve ways, three of them with one novel class
and three with few novel rows.
Pairs of micro clusters of hidden classes, and of the novel ones, teach the weights; the novel rows
teach how sure a number and a row's class are, every table judged by what pairs of the others have
taught. Each table weighs the same. The prior of the package is learned from all of them; every
table is measured with one learned from the others. The reliability diagram of `docs/judge.md` is
drawn from these.
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
from scipy.optimize import minimize

from benchmarks.judge_tables import (
    TABLES,
    Split,
    make_split,
    read_columns,
    splits_into_many,
    splits_into_one,
    with_few_rows,
)
from benchmarks.reliability import reliability, reliability_figure
from ncd_jax.clustering.matching import count_pairs
from ncd_jax.config import JUDGE, KConfig, RunConfig
from ncd_jax.discovery.by_judge import answer
from ncd_jax.discovery.evaluate import is_right
from ncd_jax.discovery.fit import cut, refit_all
from ncd_jax.discovery.model import position_of
from ncd_jax.discovery.partition import Fitted, Folded, Found, see_folds
from ncd_jax.discovery.problem import Problem, prepare
from ncd_jax.judge.confidence import (
    CONFIDENCE_FEATURES,
    Partition,
    confidence,
    confidence_features,
    nested,
    own_weights,
)
from ncd_jax.judge.features import NAMES
from ncd_jax.judge.number import NUMBER_FEATURES, number_probability
from ncd_jax.judge.prior import Prior
from ncd_jax.judge.scene import side_by_side
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
ROWS_OF_AN_ANSWER = 200
PAIR_STRENGTH, NUMBER_STRENGTH, SURE_STRENGTH = 0.01, 1e-3, 1e-3

_TABLES = flags.DEFINE_list("tables", list(TABLES), "Tables; a prior is written from all alone.")
_OUT = flags.DEFINE_string("out", "benchmarks/results/judge.json", "Where figures go.")
_FIGURE = flags.DEFINE_string(
    "figure", "docs/reliability.svg", "Where the reliability diagram goes."
)
_PRIOR = flags.DEFINE_string("prior", "ncd_jax/judge/prior.json", "Where the prior goes.")


class Sight(NamedTuple):
    """A split as the judge sees it, with all that is true of it.

    Attributes:
        split: the table and its novel classes.
        folded: its folds as fitted, less their states.
        fitted: the fit on all known classes, less its states.
    """

    split: Split
    folded: Folded
    fitted: Fitted

    @property
    def problem(self) -> Problem:
        """Of the table."""
        return self.fitted.problem


class Answered(NamedTuple):
    """An answer of the judge, and what is true of it.

    Attributes:
        partition: the answer; its numbers are not said yet, see `with_numbers`.
        linkage: `f[M - 1]`, mean evidence of each merge.
        found: `i[n]`, the class that is said of every row.
        right: `bool[n]`.
        true: the number of classes.
    """

    partition: Partition
    linkage: np.ndarray
    found: np.ndarray
    right: np.ndarray
    true: int


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
    folded = see_folds(problem, problem.candidates)
    refits = refit_all(problem, problem.candidates)
    nobody = np.zeros(len(split.table.classes), bool)
    fitted = Fitted(problem, refits, cut(problem, refits), nobody)
    return Sight(
        split, folded._replace(fits=[_light(each) for each in folded.fits]), _light(fitted)
    )


def _light(fitted: Fitted) -> Fitted:
    """What the judge looks at, in the memory of the host: states of many tables fill it."""
    z, nothing = np.asarray(fitted.refits.z).astype(np.float16), np.zeros(0)
    light: Any = {"state": nothing, "loss": nothing, "known": nothing, "z": z}
    light["finite"] = np.asarray(fitted.refits.finite)
    scenes = [jax.tree.map(np.asarray, scene) for scene in fitted.scenes]
    return fitted._replace(refits=fitted.refits._replace(**light), scenes=scenes)


def _whole(fitted: Fitted) -> Fitted:
    """The same in single precision again."""
    z: Any = np.asarray(fitted.refits.z).astype(np.float32)
    return fitted._replace(refits=fitted.refits._replace(z=z))


def _answered(fitted: Fitted, found: Found, classes: np.ndarray) -> Answered:
    side = side_by_side(np.asarray(fitted.refits.z))[fitted.problem.target_mask]
    micro, position = map(np.asarray, position_of(found.places, side, found.labels))
    judged = found.details
    partition = judged.partition._replace(micro=micro, position=position)
    linkage = judged.judgement.linkage[: judged.judgement.n_micro - 1]
    right = is_right(found.labels, classes)
    return Answered(partition, linkage, found.labels, right, int(classes.max()) + 1)


def learn_pairs(tables: Sequence[Sequence[Sight]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and scale of every feature, and the weights of one class, `f64[F + 1]`."""
    rng, finals = np.random.default_rng(0), []
    data: list[list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = []
    for sights in tables:
        of_table = []
        for sight in sights:
            scenes = [
                _pairs(fold, _shares(fold, _hidden_classes(fold))) for fold in sight.folded.fits
            ]
            finals.append(_pairs(sight.fitted, _shares(sight.fitted, _novel_classes(sight))))
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


def answers_of(sight: Sight, pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> list[Answered]:
    """What the judge says of the novel rows and then of every fold, by what pairs have taught."""
    prior = standard_prior(pairs)
    fits = [_whole(each) for each in sight.folded.fits]
    *of_folds, novel = answer(prior, sight.folded._replace(fits=fits), [_whole(sight.fitted)])
    answered = [_answered(sight.fitted, novel, _novel_classes(sight))]
    for fold, found in zip(sight.folded.fits, of_folds, strict=True):
        answered.append(_answered(fold, found, _hidden_classes(fold)))
    return answered


def learn_sureness(
    tables: Sequence[Sequence[list[Answered]]], pairs: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Prior:
    """The whole prior: how sure a number and a class are.

    Args:
        tables: answers for every split of each table, best by what pairs of others have taught:
            nobody is as sure of a table that he has not seen.
        pairs: what goes into the prior.
    """
    novel = [(split[0], 1 / len(splits)) for splits in tables for split in splits]
    number = _learn_number([each for each, _ in novel], np.array([share for _, share in novel]))
    rng = np.random.default_rng(0)
    x, y, w, most = [], [], [], []
    for splits in tables:
        for split in splits:
            # The novel rows teach as much as all folds together.
            shares = [1.0] + [1 / (len(split) - 1)] * (len(split) - 1)
            for each, share in zip(split, shares, strict=True):
                partition = with_numbers(each, number)
                chosen = rng.permutation(len(each.right))[:ROWS_OF_AN_ANSWER]
                x.append(confidence_features(partition)[chosen])
                most.append(nested(partition)[partition.micro][chosen])
                y.append(each.right[chosen].astype(float))
                w.append(np.full(len(chosen), share / len(chosen) / len(splits)))
    sure = _plain(x, y, w, SURE_STRENGTH, np.concatenate(most))
    return standard_prior(pairs)._replace(
        number=jnp.asarray(number, jnp.float32), confidence=jnp.asarray(sure, jnp.float32)
    )


def with_numbers(answered: Answered, weights: np.ndarray) -> Partition:
    """The partition with the probability of every number, by weights `f[4]`."""
    k = int(answered.partition.groups.max()) + 1
    return answered.partition._replace(numbers=number_probability(answered.linkage, k, weights))


def _learn_number(answers: Sequence[Answered], weight: np.ndarray) -> np.ndarray:
    """Weights `f64[4]` under which the true numbers are likeliest.

    Not those that tell best whether there are at most 1, 2, ... classes: where these questions
    weigh the more the nearer they are to the true number, one class is said too often.
    """
    weight = weight / weight.sum()

    def surprise(weights: np.ndarray) -> float:
        total = NUMBER_STRENGTH / 2 * float(weights @ weights)
        for each, share in zip(answers, weight, strict=True):
            likely = with_numbers(each, weights).numbers
            total -= share * float(np.log(likely[min(each.true, len(likely)) - 1]))
        return total

    start = np.array([1.0, 0.0, 1.0, 0.0])
    return np.asarray(minimize(surprise, start, method="Nelder-Mead").x)


def standard_prior(pairs: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Prior:
    """A prior that knows of pairs alone."""
    arrays = (*pairs, np.zeros(len(NUMBER_FEATURES) + 1), np.zeros(len(CONFIDENCE_FEATURES) + 1))
    return Prior(*(jnp.asarray(each, jnp.float32) for each in arrays))


def _counts(sight: Sight) -> float:
    """How much a split teaches of pairs, against one with several novel classes."""
    return ONE_COUNTS if sight.split.novel.max() == 0 else 1.0


def _hidden_classes(fold: Fitted) -> np.ndarray:
    """The class of every row of a fold, counted among its hidden ones."""
    assert fold.problem.true_targets is not None
    return (np.cumsum(fold.hidden) - 1)[fold.problem.true_targets[fold.problem.target_mask]]


def _novel_classes(sight: Sight) -> np.ndarray:
    """The class of every novel row that was judged."""
    judged = np.asarray(sight.problem.target_rows)[sight.problem.target_mask]
    classes = np.full(len(sight.split.table.y), -1)
    classes[sight.split.table.y == UNLABELLED] = sight.split.novel
    return classes[judged]


def _shares(fitted: Fitted, classes: np.ndarray) -> np.ndarray:
    """Share of every class in each micro cluster."""
    scene = fitted.scenes[0]
    micro = np.asarray(scene.labels)[fitted.problem.target_mask]
    rows = count_pairs(micro, classes, len(scene.sizes), int(classes.max()) + 1)
    return rows / np.maximum(rows.sum(axis=1, keepdims=True), 1)


def _pairs(fitted: Fitted, share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features `f64[P, F]` of all pairs, mean of all views, and their chance to be one class."""
    scene = fitted.scenes[0]
    m = int((np.asarray(scene.sizes) > 0).sum())
    i, j = np.triu_indices(m, 1)
    features = np.asarray(scene.features, np.float64).mean(axis=0)[i, j]
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
    x: list[np.ndarray],
    y: list[np.ndarray],
    w: list[np.ndarray],
    strength: float,
    most: np.ndarray,
) -> np.ndarray:
    """Weights of `own_weights`, learned on standardised features, for plain ones."""
    features, target, weight = (np.concatenate(each) for each in (x, y, w))
    weight = weight / weight.sum()
    mean = np.average(features, axis=0, weights=weight)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weight)) + 1e-9
    start = np.zeros(features.shape[1] + 1)
    found = own_weights((features - mean) / scale, target, weight, start, strength, most)
    return np.append(found[:-1] / scale, found[-1] - (found[:-1] * mean / scale).sum())


def sureness(answered: Answered, prior: Prior) -> np.ndarray:
    """The confidence `f64[n]` of every row of an answer."""
    partition = with_numbers(answered, np.asarray(prior.number, np.float64))
    most = nested(partition)[partition.micro]
    weights = np.asarray(prior.confidence, np.float64)
    return confidence(confidence_features(partition), weights, most)


def measure(split: Split, answered: Answered, prior: Prior) -> dict[str, Any]:
    """How good the answer is, and how sure it says it is."""
    sure, found, right = sureness(answered, prior), answered.found, answered.right
    numbers = with_numbers(answered, np.asarray(prior.number, np.float64)).numbers
    likely = np.argsort(-numbers)
    in_90 = likely[: int(np.searchsorted(np.cumsum(numbers[likely]), 0.9)) + 1] + 1
    return {
        "known": len(split.table.classes),
        "few": split.few,
        "novel": answered.true,
        "found": len(np.unique(found)),
        "acc": round(100 * float(right.mean()), 2),
        "largest": round(100 * float(np.bincount(found).max() / len(found)), 2),
        "confidence": round(100 * float(sure.mean()), 2),
        "brier": round(float(((sure - right) ** 2).mean()), 4),
        "p_one": round(100 * float(numbers[0]), 2),
        "log_likelihood": round(float(np.log(numbers[min(answered.true, len(numbers)) - 1])), 3),
        "number_in_90": bool(np.isin(answered.true, in_90)),
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
        "brier": _mean(row["brier"] for row in [*many, *one]),
        "p_one": _mean(row["p_one"] for row in [*many, *one]),
        "log_likelihood": _mean(row["log_likelihood"] for row in [*many, *one]),
        "number_in_90": _mean(100 * row["number_in_90"] for row in [*many, *one]),
        "few_acc": _mean(row["acc"] for row in few),
        "few_error_of_k": _mean(abs(row["found"] - row["novel"]) for row in few),
        "one_said": _mean(100 * (row["found"] == 1) for row in one),
        "one_largest": _mean(row["largest"] for row in one),
    }


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(float(np.mean(listed)), 3) if listed else None


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
    others = {
        name: learn_pairs([each for other, each in sights.items() if other != name])
        for name in sights
    }
    answered = {
        name: [answers_of(sight, others[name]) for sight in own] for name, own in sights.items()
    }
    tables, report, rows = {}, {}, []
    for name, own in sights.items():
        taught = [each for other, each in answered.items() if other != name]
        prior = learn_sureness(taught, others[name])
        novel = [(sight.split, split[0]) for sight, split in zip(own, answered[name], strict=True)]
        report[name] = [measure(split, each, prior) for split, each in novel]
        rows.append([(sureness(each, prior), each.right) for s, each in novel if not s.few])
        tables[name] = summary(report[name])
        print(name, json.dumps(tables[name]), flush=True)
    every = [t for t in tables.values() if t["acc"] is not None]
    mean = {key: _mean(t[key] for t in every if t[key] is not None) for key in every[0]}
    print("mean", json.dumps(mean))
    found = reliability(rows)
    Path(_FIGURE.value).write_text(reliability_figure(found))
    content = {
        "environment": describe_environment(),
        "mean": mean,
        "reliability": {
            name: [None if np.isnan(value) else round(float(value), 4) for value in values]
            for name, values in found._asdict().items()
        },
        "tables": tables,
        "splits": report,
    }
    Path(_OUT.value).write_text(json.dumps(content, indent=1) + "\n")
    if set(_TABLES.value) == set(TABLES):
        _write(learn_sureness(list(answered.values()), learn_pairs(list(sights.values()))))


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
