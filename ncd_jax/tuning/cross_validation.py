"""Cross-validation by hidden classes: folds x candidates x seeds as one compiled program.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 4.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from ncd_jax.clustering.metrics import clustering_scores, contingency
from ncd_jax.data.folds import Folds
from ncd_jax.tuning.devices import spread_over_devices
from ncd_jax.tuning.k_estimation import KSearch, estimate_k
from ncd_jax.tuning.train import train
from ncd_jax.types import Array, Goal, Method, NCDData, PyTree, RunResult, Scores

__all__ = ["Protocol", "cross_validate", "one_run"]


@dataclass(frozen=True)
class Protocol:
    """The static facts of a cross-validation run.

    Attributes:
        epochs: passes over all rows.
        batch_size: most rows in a step.
        n_hidden: most classes hidden in a fold.
        k_given: whether the number of clusters is given with each fold, or as many are made
            as the validity index says of the representation.
        max_clusters: largest number of clusters considered.
        index: name of the validity index.
        k_tolerance: share of its best value that a smaller number of clusters may be worse by.
        index_restarts: k-means restarts for each number considered.
        index_rows: rows the index is measured on at most.
        lanes: most runs side by side; bounds memory.
    """

    epochs: int
    batch_size: int
    n_hidden: int
    k_given: bool
    max_clusters: int
    index: str = "silhouette"
    k_tolerance: float = 0.0
    index_restarts: int = 2
    index_rows: int = 1000
    lanes: int = 40

    def k_search(self, n_known: int) -> KSearch:
        """How the number of clusters is looked for in a table with `n_known` known classes."""
        return KSearch(
            self.max_clusters,
            n_known,
            self.index,
            self.index_restarts,
            self.index_rows,
            self.k_tolerance,
        )


def one_run(
    key: Array,
    method: Method,
    x: Array,
    fold: Folds[Array],
    k: Array,
    hparams: PyTree,
    protocol: Protocol,
) -> RunResult:
    """Trains on one fold, finds its hidden classes, and scores what was found.

    The scalar `k` is the number of clusters where the protocol says that it is given.

    A run whose loss or latents are not finite has diverged: it scores 0, less than any
    clustering can, and its NaNs go no further.
    """
    key_train, key_index, key_cluster = jax.random.split(key, 3)
    data, goal = NCDData(x, fold.y), Goal(fold.hidden_rows, fold.hidden_mask, k)
    state, info = train(
        key_train,
        method,
        data,
        goal,
        hparams,
        epochs=protocol.epochs,
        batch_size=protocol.batch_size,
    )
    z = method.represent(state, x[fold.hidden_rows])
    finite = jnp.all(jnp.isfinite(info["loss"])) & jnp.all(jnp.isfinite(z))
    z = jnp.where(finite, z, 0.0)

    if not protocol.k_given:

        def see(x: Array) -> Array:
            z = method.represent(state, x)
            return jnp.where(jnp.isfinite(z), z, 0.0)

        search = protocol.k_search(fold.hidden.shape[-1])
        k = estimate_k(key_index, see, data, goal, z, search).k
    clusters = method.cluster(key_cluster, state, z, k, fold.hidden_mask)
    table = contingency(
        clusters.labels,
        fold.hidden_y,
        n_labels=method.max_clusters,
        n_classes=protocol.n_hidden,
        mask=fold.hidden_mask,
    )
    scores = clustering_scores(table)

    logits = method.known_logits(state, x[fold.held_out_rows])
    right = (jnp.argmax(logits, axis=1) == fold.held_out_y) & fold.held_out_mask
    known_accuracy = jnp.sum(right) / jnp.sum(fold.held_out_mask)

    def worst_if_diverged(value: Array) -> Array:
        return jnp.where(finite, value, 0.0)

    return RunResult(
        scores=Scores(*(worst_if_diverged(s) for s in scores)),
        k=k,
        known_accuracy=worst_if_diverged(known_accuracy),
        diverged=~finite,
        loss=info["loss"],
    )


def cross_validate(
    keys: Array,
    method: Method,
    x: Array,
    folds: Folds[Array],
    ks: Array,
    hparams: PyTree,
    protocol: Protocol,
    n_candidates: int,
) -> RunResult:
    """Runs every candidate on every fold from every seed.

    All candidates and folds share the seeds, and with them initial weights, data order and
    noise, so that their differences are their own. Pairs of a candidate and a fold are spread
    over all devices, and at most `protocol.lanes` of them run side by side on each.

    Args:
        keys: random keys `[S]`, one a seed.
        method: the method.
        x: `f32[n, d]`, shared by all.
        folds: all of them; they share the rows `x`, only labels and masks differ.
        ks: `i32[F]`, the number of clusters in each fold, where the protocol says that it is
            given; any numbers otherwise.
        hparams: stacked on a leading axis `[A]`.
        protocol: static facts.
        n_candidates: static length `A`, which a method without hyperparameters cannot tell.

    Returns:
        Results with leading axes `[A, F, S]`.
    """
    n_folds = len(folds.y)
    pairs = jnp.indices((n_candidates, n_folds)).reshape(2, -1).T

    def share(pairs: Array) -> RunResult:
        n_rounds = -(-len(pairs) // protocol.lanes)
        side_by_side = -(-len(pairs) // n_rounds)

        def one_seed(key: Array) -> RunResult:
            def run(pair: Array) -> RunResult:
                candidate = jax.tree.map(lambda leaf: leaf[pair[0]], hparams)
                fold = jax.tree.map(lambda leaf: leaf[pair[1]], folds)
                return one_run(key, method, x, fold, ks[pair[1]], candidate, protocol)

            return jax.lax.map(run, pairs, batch_size=side_by_side)

        # One seed after the other. As a vmap axis, even of length one, it would give every
        # lane a data order of its own, to be gathered and multiplied lane by lane: on two CPU
        # cores that takes 1.9 times as long.
        by_seed = jax.lax.map(one_seed, keys)
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), by_seed)

    flat = spread_over_devices(share, pairs)
    return jax.tree.map(lambda leaf: leaf.reshape(n_candidates, n_folds, *leaf.shape[1:]), flat)
