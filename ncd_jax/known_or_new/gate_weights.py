"""What folds teach of known and new rows, drawn to what other tables taught.

Folds hide some known classes and half the labels of the others; some hide no class, and some no
label of the others. Of their unlabelled rows it is known who is of a labelled class, and of which.
"""

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy

from ncd_jax.judge.confidence import own_weights
from ncd_jax.known_or_new.row_features import (
    ABSENT,
    CLASS_FEATURES,
    ROW_FEATURES,
    SECOND_FEATURES,
    odds,
    second_features,
)

__all__ = ["LOOKING", "SORTING", "GatePrior", "GateWeights", "Observed", "class_chances"]
__all__ += ["gate_logits", "learn_gate", "learn_gate_prior", "read_gate_prior", "share_features"]
__all__ += ["write_gate_prior"]

SORTING = {"many": 1.0}
"""Folds that teach which rows are known, and how much each kind weighs."""
LOOKING = {"many": 3.0, "ncd": 1.0}
"""The same for whether there are any: taught by folds without any too, the gate gives away fewer
rows of new classes, but it misses more of known ones."""
STRENGTHS = (0.1, 3.0)
"""Of the pull to other tables' weights, in the first stage and in the second."""
CLASS_STRENGTH, SHARE_STRENGTH = 0.03, 0.3
PRIOR_STRENGTH = 0.003
"""Of the pull to nothing where many tables teach: of any of these."""


class Observed(NamedTuple):
    """The `u` unlabelled rows of a scene, or of a fold with what is true of them.

    Attributes:
        rows: `f[u, 16]`, see `RowScene`.
        classes: `f[u, C, 4]`.
        near: `i[r, 30]`, of all rows.
        near_unlabelled: `i[r, 10]`.
        unlabelled: `i[u]`, which of the rows they are.
        kind: of fold: `many` classes hidden and half of the other labels, `one` class, `none`, or
            `ncd` where no other label is.
        truth: `i[u]`, the known class of each; -1 where it is hidden. Empty where nobody knows.
        teaches: `bool[u]`, rows that others may learn from; all where there is none.
    """

    rows: np.ndarray
    classes: np.ndarray
    near: np.ndarray
    near_unlabelled: np.ndarray
    unlabelled: np.ndarray
    kind: str
    truth: np.ndarray
    teaches: np.ndarray | None = None

    @property
    def counts(self) -> np.ndarray:
        """`f[u]`, 1 for rows that teach."""
        return np.ones(len(self.truth)) if self.teaches is None else self.teaches.astype(float)

    def beside(self, other: "Observed") -> "Observed":
        """The mean of these features and of others of the same rows; neighbours stay."""
        rows, classes = (self.rows + other.rows) / 2, (self.classes + other.classes) / 2
        return self._replace(rows=rows, classes=classes)


class GatePrior(NamedTuple):
    """What other tables taught.

    Attributes:
        sorting: which rows are known; learned on `SORTING`.
        looking: whether there are any; learned on `LOOKING`.
    """

    sorting: "GateWeights"
    looking: "GateWeights"


class GateWeights(NamedTuple):
    """What was learned; of standardised features, the intercept last.

    Attributes:
        mean: `f[16]`, of the features of a row.
        scale: `f[16]`.
        first: `f[17]`, weights of the first stage.
        second_mean: `f[6]`.
        second_scale: `f[6]`.
        second: `f[7]`, of the second stage.
        classes: `f[4]`, of the features of a class, the same for all classes.
        nothing: `f[2]`, whether a table holds nothing new; see `share_features`.
        some: `f[3]`, whether it holds rows of known classes.
    """

    mean: np.ndarray
    scale: np.ndarray
    first: np.ndarray
    second_mean: np.ndarray
    second_scale: np.ndarray
    second: np.ndarray
    classes: np.ndarray
    nothing: np.ndarray
    some: np.ndarray


def gate_logits(observed: Observed, weights: GateWeights) -> np.ndarray:
    """Log-odds `f64[u]` that each row is of a known class."""
    first = _first(observed, weights)
    surroundings = _surroundings(observed, first)
    return _logits((surroundings - weights.second_mean) / weights.second_scale, weights.second)


def class_chances(observed: Observed, weights: GateWeights) -> np.ndarray:
    """How likely a row is of each known class, if it is of one, `f64[u, C]`."""
    weight, total, _ = _weights_of_classes(observed.classes, weights.classes)
    return weight / total


def share_features(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What all rows together say of `nothing` new, `f64[1]`, and of `some` known, `f64[2]`.

    Log-odds of the share that is clearly new; of the mean chance to be known, and the logarithm of
    the share that is clearly known.
    """
    clearly_new, clearly_known = (logits < -2).mean(), (logits > 2).mean()
    chance = (1 / (1 + np.exp(-logits))).mean()
    some = [odds(chance), float(np.log(np.clip(clearly_known, 0.02, 1)))]
    return np.array([odds(clearly_new)]), np.array(some)


def learn_gate(
    folds: Sequence[tuple[Observed, float]],
    kinds: Mapping[str, float],
    prior: GateWeights,
    *,
    own: bool = True,
) -> GateWeights:
    """Weights of a table from its folds, or of many tables from theirs.

    Args:
        folds: with the weight of each.
        kinds: of folds that teach about rows, `SORTING` or `LOOKING`.
        prior: where they are drawn to.
        own: whether it is one table; many are drawn less, and measure the scale of the features.
    """
    strengths = [*STRENGTHS, CLASS_STRENGTH, SHARE_STRENGTH] if own else [PRIOR_STRENGTH] * 4
    if not any(observed.kind in kinds for observed, _ in folds):
        return prior
    if not own:
        every = np.concatenate([observed.rows for observed, _ in folds])
        prior = prior._replace(mean=every.mean(axis=0), scale=every.std(axis=0) + 1e-9)
    teach = [(s, w * kinds[s.kind]) for s, w in _evenly(folds, kinds)]
    rows = [(s.rows - prior.mean) / prior.scale for s, _ in teach]
    first = _fit(rows, teach, prior.first, strengths[0])
    learned = prior._replace(first=first)
    around = [_surroundings(s, _first(s, learned)) for s, _ in teach]
    if not own:
        every = np.concatenate(around)
        learned = learned._replace(
            second_mean=every.mean(axis=0), second_scale=every.std(axis=0) + 1e-9
        )
    around = [(each - learned.second_mean) / learned.second_scale for each in around]
    learned = learned._replace(second=_fit(around, teach, prior.second, strengths[1]))
    learned = learned._replace(classes=_fit_classes(folds, prior.classes, strengths[2]))
    shares = [(s.kind, share_features(gate_logits(s, learned)), w) for s, w in folds]
    nothing = [(f[0], k == "none", w) for k, f, w in shares if k in ("none", "many", "one")]
    some = [(f[1], k != "ncd", w) for k, f, w in shares]
    return learned._replace(
        nothing=_fit_shares(nothing, prior.nothing, strengths[3]),
        some=_fit_shares(some, prior.some, strengths[3]),
    )


def learn_gate_prior(folds: Sequence[tuple[Observed, float]]) -> GatePrior:
    """What many tables teach.

    Args:
        folds: of all of them, with the weight of each.
    """
    kinds = (SORTING, LOOKING)
    return GatePrior(*(learn_gate(folds, each, _no_weights(), own=False) for each in kinds))


def _no_weights() -> GateWeights:
    """Where nothing was taught yet."""
    n, m = len(ROW_FEATURES), len(SECOND_FEATURES)
    sizes = (n, n, n + 1, m, m, m + 1, len(CLASS_FEATURES), 2, 3)
    return GateWeights(*(np.zeros(size) for size in sizes))


def read_gate_prior(path: Path | None = None) -> GatePrior:
    """Reads what other tables taught, by default what comes with the package.

    Args:
        path: a JSON file as `write_gate_prior` makes it.

    Raises:
        ValueError: if its features are not those that are computed, in their order.
    """
    source = path or resources.files("ncd_jax.known_or_new").joinpath("gate_prior.json")
    content = json.loads(source.read_text(encoding="utf-8"))
    if content["features"] != _names():
        raise ValueError(f"{source} is of other features; make it again with {content['made_by']}")
    parts = (content[name] for name in GatePrior._fields)
    return GatePrior(*(GateWeights(**{n: np.array(v) for n, v in part.items()}) for part in parts))


def write_gate_prior(path: Path, prior: GatePrior, made_by: str, tables: Sequence[str]) -> None:
    """Writes what tables taught, and which."""
    content: dict[str, object] = {
        "made_by": made_by,
        "tables": list(tables),
        "features": _names(),
    }
    for part, weights in prior._asdict().items():
        items = weights._asdict().items()
        content[part] = {name: [float(f"{v:.5g}") for v in each] for name, each in items}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _names() -> list[list[str]]:
    return [list(names) for names in (ROW_FEATURES, SECOND_FEATURES, CLASS_FEATURES)]


def _first(observed: Observed, weights: GateWeights) -> np.ndarray:
    return _logits((observed.rows - weights.mean) / weights.scale, weights.first)


def _surroundings(observed: Observed, first: np.ndarray) -> np.ndarray:
    return second_features(first, observed.unlabelled, observed.near, observed.near_unlabelled)


def _logits(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.asarray(features @ weights[:-1] + weights[-1])


def _evenly(
    folds: Sequence[tuple[Observed, float]], kinds: Mapping[str, float]
) -> list[tuple[Observed, float]]:
    """Folds of these kinds, each kind with the same weight however many it has."""
    counts = {kind: sum(s.kind == kind for s, _ in folds) for kind in kinds}
    return [(s, w / counts[s.kind]) for s, w in folds if s.kind in kinds and len(s.rows)]


def _fit(
    features: Sequence[np.ndarray],
    folds: Sequence[tuple[Observed, float]],
    prior: np.ndarray,
    strength: float,
) -> np.ndarray:
    target = np.concatenate([s.truth >= 0 for s, _ in folds]).astype(float)
    weight = np.concatenate([s.counts * w / max(s.counts.sum(), 1.0) for s, w in folds])
    weight /= max(weight.sum(), 1e-9)
    return own_weights(np.concatenate(features), target, weight, prior, strength)


def _fit_shares(
    items: Sequence[tuple[np.ndarray, bool, float]], prior: np.ndarray, strength: float
) -> np.ndarray:
    """Both answers weigh a half; where only one occurs nothing is learned."""
    if not items:
        return prior
    features, target, weight = (np.array(each, float) for each in zip(*items, strict=True))
    if target.all() or not target.any():
        return prior
    for answer in (0.0, 1.0):
        weight[target == answer] *= 0.5 / weight[target == answer].sum()
    return own_weights(features, target, weight, prior, strength)


def _fit_classes(
    folds: Sequence[tuple[Observed, float]], prior: np.ndarray, strength: float
) -> np.ndarray:
    """Weights shared by all classes: a conditional logit on rows of known classes."""
    teach = [((s.truth >= 0) & (s.counts > 0), s, w) for s, w in folds]
    known = [(s.classes[of_known], s.truth[of_known], w) for of_known, s, w in teach]
    known = [(f, t, w) for f, t, w in known if len(t) and f.shape[1] > 1]
    total = sum(w for *_, w in known)

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value = 0.5 * strength * ((weights - prior) ** 2).sum()
        gradient = strength * (weights - prior)
        for features, truth, w in known:
            rows, share = np.arange(len(truth)), w / total
            _, weight, logits = _weights_of_classes(features, weights)
            log_chance = logits - np.log(weight)
            value -= share * log_chance[rows, truth].mean()
            expected = np.einsum("rc,rcf->rf", np.exp(log_chance), features)
            gradient += share * (expected - features[rows, truth]).mean(axis=0)
        return value, gradient

    if not known:
        return prior
    return np.asarray(scipy.optimize.minimize(loss, prior, jac=True, method="L-BFGS-B").x)


def _weights_of_classes(
    features: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much speaks for each class, what that adds up to, and its logarithm, 0 of the likeliest.

    SciPy's `softmax` says the same, and needs several times as long to look at its arguments.
    """
    logits = np.where(features[:, :, 0] == ABSENT, -1e9, features @ weights)
    logits -= logits.max(axis=1, keepdims=True)
    weight = np.exp(logits)
    return weight, weight.sum(axis=1, keepdims=True), logits
