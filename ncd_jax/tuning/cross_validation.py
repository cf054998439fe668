"""Cross-validation by hidden classes: folds x candidates x seeds as one compiled program.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 4.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ncd_jax.clustering.matching import clustering_accuracy
from ncd_jax.clustering.n_clusters import KSearch, estimate_k
from ncd_jax.data.folds import Folds
from ncd_jax.judge.prior import read_prior
from ncd_jax.judge.scene import MAX_MICRO, Rows, make_scene
from ncd_jax.judge.verdict import WORST, judge_by_prior
from ncd_jax.tuning.devices import devices_for, in_shares
from ncd_jax.tuning.train import Task, train
from ncd_jax.types import Array, Goal, Method, NCDData, PyTree, RunResult

__all__ = [
    "Protocol",
    "SweepData",
    "by_candidate",
    "cross_validate",
    "measure",
    "of_pair",
    "one_run",
    "run_pairs",
    "task_of",
]


class SweepData(NamedTuple):
    """What all candidates of a sweep share.

    Attributes:
        keys: random keys `[S]`, one a seed.
        x: `f32[n, d]`.
        folds: all of them; they share the rows `x`, only labels and masks differ.
        ks: `i32[F]`, the number of clusters in each fold where it is given; any numbers otherwise.
        class_sizes: `f32[F]`, rows of a fold that a class as large as a known one would have.
        known_rows: `i32[q]`, labelled rows to measure by. Both are for the judge alone; else none.
    """

    keys: Array
    x: Array
    folds: Folds[Array]
    ks: Array
    class_sizes: Any = None
    known_rows: Any = None


@dataclass(frozen=True)
class Protocol:
    """The static facts of a cross-validation run.

    Attributes:
        epochs: of a training.
        batch_size: likewise.
        n_hidden: most classes hidden in a fold.
        lanes: most runs side by side; bounds memory.
        k_search: how the number of clusters is looked for in the representation; none where it
            is given with each fold, and where the judge is asked.
        judged: whether the judge makes the partition, by its prior alone.
        rungs: how often candidates are looked at; the worse half goes no further than that. See
            `ncd_jax.tuning.halving`; here all go on to their end.
    """

    epochs: int
    batch_size: int
    n_hidden: int
    lanes: int
    k_search: KSearch | None
    judged: bool = False
    rungs: int = 1


def one_run(method: Method, sweep: SweepData, hparams: PyTree, protocol: Protocol) -> RunResult:
    """Trains on one fold from one seed, finds its hidden classes, and scores what was found.

    A run whose loss or latents are not finite has diverged: it scores 0, less than any
    clustering can, and its NaNs go no further. The sweep is of one key, one fold, one number.
    """
    state, info = train(**task_of(method, sweep, hparams, protocol)._asdict())
    return measure(method, sweep, state, info["loss"], protocol)


def task_of(method: Method, sweep: SweepData, hparams: PyTree, protocol: Protocol) -> Task:
    """The training of `one_run`."""
    key = jax.random.split(sweep.keys, 3)[0]
    data, goal = _given(sweep)
    return Task(key, method, data, goal, hparams, protocol.epochs, protocol.batch_size)


def _given(sweep: SweepData) -> tuple[NCDData, Goal]:
    """What a method is given, for a sweep of one fold and one number."""
    fold = sweep.folds
    return NCDData(sweep.x, fold.y), Goal(fold.hidden_rows, fold.hidden_mask, sweep.ks)


def measure(
    method: Method, sweep: SweepData, state: PyTree, loss: Array, protocol: Protocol
) -> RunResult:
    """Finds the hidden classes of one fold in a state, and scores what was found: see `one_run`.

    The state may be from the middle of a training: losses `f32[epochs]` to come are zeros.
    """
    key, x, fold, k, class_size, known_rows = sweep
    _, key_index, key_cluster = jax.random.split(jax.random.clone(key), 3)  # one was to train
    z = method.represent(state, x[fold.hidden_rows])
    finite = jnp.all(jnp.isfinite(loss)) & jnp.all(jnp.isfinite(z))
    z = jnp.where(finite, z, 0.0)

    def represent(x: Array) -> Array:
        z = method.represent(state, x)
        return jnp.where(jnp.isfinite(z), z, 0.0)

    if protocol.judged:
        known = represent(x[known_rows])[None]
        rows = Rows(
            z[None], x[fold.hidden_rows], fold.hidden_mask, known, fold.y[known_rows], class_size
        )
        scene = make_scene(key_cluster, rows, n_known=fold.hidden.shape[-1])
        labels, log_loss = judge_by_prior(scene, fold.hidden_y, protocol.n_hidden, read_prior())
        log_loss = jnp.where(finite, log_loss, WORST)
        k, n_labels = jnp.max(jnp.where(fold.hidden_mask, labels, 0)) + 1, MAX_MICRO
    else:
        if protocol.k_search is not None:
            k = estimate_k(key_index, represent, *_given(sweep), z, protocol.k_search).k
        labels = method.cluster(key_cluster, state, z, k, fold.hidden_mask).labels
        log_loss, n_labels = jnp.full((), jnp.nan), method.max_clusters
    n_slots = max(n_labels, protocol.n_hidden)
    accuracy = clustering_accuracy(labels, fold.hidden_y, n_slots=n_slots, mask=fold.hidden_mask)
    return RunResult(jnp.where(finite, accuracy, 0.0), k, ~finite, loss, log_loss)


def cross_validate(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol, n_candidates: int
) -> RunResult:
    """Runs every candidate on every fold from every seed.

    All candidates and folds share the seeds, and with them initial weights, data order and
    noise, so that their differences are their own. Pairs of a candidate and a fold are spread
    over all devices, and at most `protocol.lanes` of them run side by side on each.

    Args:
        method: the method.
        data: what the candidates share.
        hparams: stacked on a leading axis `[A]`.
        protocol: static facts.
        n_candidates: static length `A`, which a method without hyperparameters cannot tell.

    Returns:
        Results with leading axes `[A, F, S]`.
    """
    pairs = run_pairs(method, data, hparams, protocol, n_candidates)
    return by_candidate(pairs, n_candidates, len(data.ks))


def by_candidate(pairs: RunResult, n_candidates: int, n_folds: int) -> RunResult:
    """Results `[A, F, S]` from those of pairs, of which there may be more, `[A * F + ..., S]`."""
    n = n_candidates * n_folds
    return jax.tree.map(lambda a: a[:n].reshape(n_candidates, n_folds, *a.shape[1:]), pairs)


def of_pair(data: SweepData, hparams: PyTree, pair: Array, key: Array) -> tuple[SweepData, PyTree]:
    """The sweep of one key and one fold, and a candidate; a pair `i32[2]` is candidate, fold."""
    shared = data.folds, data.ks, data.class_sizes
    fold, k, size = jax.tree.map(lambda leaf: leaf[pair[1]], shared)
    key = jax.random.clone(key)  # all pairs share it, on purpose
    run = SweepData(key, data.x, fold, k, size, data.known_rows)
    return run, jax.tree.map(lambda leaf: leaf[pair[0]], hparams)


def run_pairs(
    method: Method, data: SweepData, hparams: PyTree, protocol: Protocol, n_candidates: int
) -> RunResult:
    """`cross_validate`, with the results where they were computed: sharded over the devices.

    Returns:
        Results `[A * F + ..., S]`, those of the last pair repeated until every device has as many.
    """
    n_folds = len(data.ks)
    pairs = jnp.indices((n_candidates, n_folds)).reshape(2, -1).T

    def share(pairs: Array) -> RunResult:
        n_rounds = -(-len(pairs) // protocol.lanes)
        side_by_side = -(-len(pairs) // n_rounds)

        def one_seed(key: Array) -> RunResult:
            def run(pair: Array) -> RunResult:
                return one_run(method, *of_pair(data, hparams, pair, key), protocol)

            return jax.lax.map(run, pairs, batch_size=side_by_side)

        # One seed after the other. As a vmap axis, even of length one, it would give every
        # lane a data order of its own, to be gathered and multiplied lane by lane: on two CPU
        # cores that takes 1.9 times as long.
        by_seed = jax.lax.map(one_seed, data.keys)
        return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), by_seed)

    return in_shares(share, pairs, devices_for(len(pairs)))
