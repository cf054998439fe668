"""The judge at work: it learns from folds of hidden classes, and judges them and the novel rows.

Whoever is judged has no part in what the judge has learned: for a fold it learns from micro
clusters without a row of the classes that this fold hides.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.judge.merges import MOST_EVIDENCE, Merges, best_partition, evidence, merges
from ncd_jax.judge.prior import Prior
from ncd_jax.judge.scene import Scene
from ncd_jax.judge.weights import balanced, log_odds, logistic, same_class
from ncd_jax.types import Array

__all__ = ["Lessons", "Verdicts", "judge", "judge_by_prior"]

STRENGTH = 1.0
"""Of the pull to the prior: the weights of a table's pairs add up to 1."""
TEMPERATURE = 0.04
"""Log-loss by which a view may be worse than the best before its say falls to a third."""


WORST = MOST_EVIDENCE
"""Log-loss of a view that diverged in a fold: that of a judge who is always sure, and wrong."""


class Lessons(NamedTuple):
    """Scenes of `F` folds, whose classes are known, and behind them that of the novel rows.

    `G` is `F + 1`: everybody who is judged.

    Attributes:
        features: `f32[G, V, M, M, D]`.
        pairs: `bool[G, M, M]`, pairs of micro clusters that there are.
        sizes: `i32[G, M]`.
        same: `f32[F, M, M]`, the chance that rows of a pair are of one class.
        several: `bool[F]`, whether a fold hides more than one class.
        teaches: `bool[G, F, M, M]`, which pairs teach the judge of each.
        finite: `bool[G, V]`, which views there are: a training may have diverged.
    """

    features: Array
    pairs: Array
    sizes: Array
    same: Array
    several: Array
    teaches: Array
    finite: Array


class Verdicts(NamedTuple):
    """What the judge says of each of `G`.

    Attributes:
        evidence: `f32[G, M, M]`.
        path: merges of each, leading axis `G`.
        view_weights: `f32[G, V]`, the weight of each view; they add up to 1.
        weights: `f32[G, D + 1]`, what was learned.
        loss: `f32[F, V]`, log-loss of the prior alone on every fold's pairs.
        alone: `i32[F, V, M]`, the partition of every fold by the prior alone, in each view.
    """

    evidence: Array
    path: Merges
    view_weights: Array
    weights: Array
    loss: Array
    alone: Array


def judge(lessons: Lessons, prior: Prior) -> Verdicts:
    """Learns for everybody who is judged, and judges.

    A view weighs the more the better the prior alone tells the pairs of the folds apart in it.
    """
    features = prior.standardise(lessons.features)
    by_prior = _clipped_by_prior(features, prior)
    n_folds = len(lessons.same)

    loss = jax.vmap(_log_loss)(
        by_prior[:n_folds], lessons.same, lessons.pairs[:n_folds], lessons.several
    )
    loss = jnp.where(lessons.finite[:n_folds], loss, WORST)
    # Folds that hide one class show only one kind of pair, and count half.
    counts = jnp.where(lessons.several, 1.0, 0.5)

    def one(inputs: tuple[Array, ...]) -> tuple[Array, Merges, Array, Array]:
        own, pairs, sizes, teaches, finite = inputs
        heard = counts * jnp.any(teaches, axis=(1, 2))
        mean_loss = heard @ loss / jnp.maximum(jnp.sum(heard), 1e-9)
        view_weights = jax.nn.softmax(jnp.where(finite, -mean_loss / TEMPERATURE, -jnp.inf))
        taught = jnp.einsum("v,fvijd->fijd", view_weights, features[:n_folds])
        weight, target = balanced(lessons.same, teaches)
        weights = logistic(
            taught.reshape(-1, taught.shape[-1]),
            target.reshape(-1),
            weight.reshape(-1),
            prior.weights,
            STRENGTH,
        )
        seen = jnp.einsum("v,vijd->ijd", view_weights, own)
        found = evidence(log_odds(seen, weights), pairs)
        return found, merges(found, sizes), view_weights, weights

    inputs = (features, lessons.pairs, lessons.sizes, lessons.teaches, lessons.finite)
    found, path, view_weights, weights = jax.lax.map(one, inputs)

    in_views = jax.vmap(jax.vmap(_partition, (0, None, None)))
    alone = in_views(by_prior[:n_folds], lessons.pairs[:n_folds], lessons.sizes[:n_folds])
    return Verdicts(found, path, view_weights, weights, loss, alone)


def judge_by_prior(scene: Scene, y: Array, n_classes: int, prior: Prior) -> tuple[Array, Array]:
    """What the prior alone says of the hidden rows of a fold, in one view.

    Args:
        scene: with one view.
        y: `i32[m]`, the class of every row, counted among the fold's hidden ones.
        n_classes: static, most classes that a fold hides.
        prior: of other tables.

    Returns:
        The group `i32[m]` of every row, below `M`, and the log-loss of the pairs.
    """
    filled = scene.sizes > 0
    pairs = filled[:, None] & filled[None] & ~jnp.eye(len(filled), dtype=bool)
    by_prior = _clipped_by_prior(prior.standardise(scene.features[0]), prior)
    member = (scene.labels[:, None] == jnp.arange(len(filled))[None]).astype(jnp.float32)
    same, several = same_class(member, y, n_classes), jnp.max(y) > 0
    loss = _log_loss(by_prior[None], same, pairs, several)[0]
    groups = jnp.maximum(_partition(by_prior, pairs, scene.sizes), 0)
    return groups[jnp.maximum(scene.labels, 0)], loss


def _clipped_by_prior(features: Array, prior: Prior) -> Array:
    """Log-odds of the prior alone, from standardised features, no surer than evidence may be."""
    return jnp.clip(log_odds(features, prior.weights), -MOST_EVIDENCE, MOST_EVIDENCE)


def _log_loss(log_odds: Array, same: Array, pairs: Array, several: Array) -> Array:
    """Log-loss `f32[V]` of one fold's pairs.

    Both answers weigh as much where both can occur; where one class is hidden, all pairs do.
    """
    weight, target = balanced(same, pairs)
    weight = jnp.where(several, weight, pairs.astype(weight.dtype))
    weight = weight / jnp.maximum(jnp.sum(weight), 1e-9)
    target = jnp.where(several, target, same)
    surprise = jax.nn.softplus(log_odds) - target[None] * log_odds
    return jnp.sum(weight[None] * surprise, axis=(-2, -1))


def _partition(log_odds: Array, pairs: Array, sizes: Array) -> Array:
    return best_partition(merges(evidence(log_odds, pairs), sizes))
