"""A table and a configuration, made ready: the device side of a run, without any file.

`prepare`, `tune`, `refit_all` and `choose` are the procedure; `experiment.run` wraps them in
records, and benchmarks call them directly.
"""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ncd_jax.clustering.validity import INDICES
from ncd_jax.config import RunConfig
from ncd_jax.data.folds import Folds, make_folds
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.tuning.cross_validation import Protocol
from ncd_jax.tuning.discovery import KSearch, Refits, agreement, confidence, partition, refit
from ncd_jax.tuning.proposals import Proposals, Trial
from ncd_jax.tuning.search import SearchResult, search
from ncd_jax.types import UNLABELLED, Array, Interval, KMeansResult, Method, NCDData, PyTree

__all__ = ["Answer", "Problem", "choose", "make_hparams", "prepare", "refit_all", "tune"]


class Problem(NamedTuple):
    """What every phase of a run is given.

    Attributes:
        config: the configuration.
        scaler: from raw columns to `data.x`.
        data: all training rows with the known labels.
        folds: hidden-class folds, as host arrays.
        spec: static facts of the method.
        method: pure functions for this table's shapes.
        space: ranges of the hyperparameters that are tuned.
        n_novel: the number of novel classes where it is given, else none.
        novel_rows: `i32[u]`, the unlabelled rows.
    """

    config: RunConfig
    scaler: Standardiser
    data: NCDData
    folds: Folds[np.ndarray]
    spec: Spec
    method: Method
    space: dict[str, Interval]
    n_novel: int | None
    novel_rows: Array


class Answer(NamedTuple):
    """The partition of the novel rows that a run stands by.

    Attributes:
        refit: index of the refit it comes from.
        k: number of novel classes.
        labels: `i[u]`, novel class of every unlabelled row; 0 is the largest.
        centroids: `f32[k, L]`.
        confidence: `f32[u]` between 0 and 1.
        stability: mean adjusted Rand index between the partitions of all refits; none with
            one refit.
    """

    refit: int
    k: int
    labels: np.ndarray
    centroids: Array
    confidence: np.ndarray
    stability: float | None


def prepare(config: RunConfig, table: Table, n_novel: int | None) -> Problem:
    """Standardises, draws folds and builds the method.

    Args:
        config: the configuration.
        table: the table.
        n_novel: the number of novel classes where the run may know it.

    Raises:
        UserError: the table has no unlabelled row, fewer than three known classes, or one
            that is named like a novel class; a fixed hyperparameter is out of range.
    """
    novel_rows = np.flatnonzero(table.y == UNLABELLED)
    if len(novel_rows) == 0:
        raise UserError(f"{table.name} has no unlabelled row; there is nothing to discover")
    for name in table.classes:
        if re.fullmatch(r"novel_\d+", name):
            raise UserError(f"class {name!r} has a name that novel classes get; rename it")
    folds = make_folds(table.y, config.search.folds, config.seed, config.search.held_out)
    scaler = Standardiser.fit(table)
    entry = METHODS[config.method]
    n_features = table.x.shape[1]
    space = entry.space(n_features)
    latent = space["latent_dim"].high
    for name, value in config.hparams.items():
        if name not in space:
            raise UserError(f"config.hparams.{name} is not a hyperparameter of {config.method}")
        low, high = space.pop(name).valid
        if not low <= value <= high:
            raise UserError(f"config.hparams.{name}={value} must lie in {low:g}..{high:g}")
    spec = Spec(
        n_features=n_features,
        n_known=len(table.classes),
        latent_width=int(config.hparams.get("latent_dim", latent)),
        normalise=config.representation == "normalised",
    )
    return Problem(
        config=config,
        scaler=scaler,
        data=NCDData(jnp.asarray(scaler.apply(table.x)), jnp.asarray(table.y, jnp.int32)),
        folds=folds,
        spec=spec,
        method=entry.make(spec),
        space=space,
        n_novel=n_novel,
        novel_rows=jnp.asarray(novel_rows, jnp.int32),
    )


def make_hparams(method: str, values: Mapping[str, ArrayLike]) -> PyTree:
    """The hyperparameter tuple of a method from numbers, or arrays of them, by name."""
    kinds = {name: i.integer for name, i in METHODS[method].space(1).items()}
    arrays = {n: jnp.asarray(v, jnp.int32 if kinds[n] else jnp.float32) for n, v in values.items()}
    return METHODS[method].hparams(**arrays)


def tune(
    problem: Problem,
    storage: Path | None = None,
    on_batch: Callable[[list[Trial]], None] = lambda trials: None,
) -> SearchResult:
    """Scores candidates on hidden classes; see `search`.

    With every hyperparameter fixed there is one candidate, and tuning only measures it.
    """
    config = problem.config
    protocol = Protocol(
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        n_hidden=int(problem.folds.hidden[0].sum()),
        k_known=problem.n_novel is not None,
        max_clusters=config.k.max,
        index=config.k.index,
        lanes=config.search.lanes,
    )
    proposals = Proposals(
        problem.space, config.hparams, config.search.sampler, config.seed, storage
    )
    return search(
        jax.random.split(_key(config, "search"), config.search.seeds),
        problem.method,
        functools.partial(make_hparams, config.method),
        problem.data.x,
        problem.folds,
        proposals,
        protocol,
        candidates=config.search.candidates if problem.space else 1,
        batch=config.search.batch,
        on_batch=on_batch,
    )


def refit_all(problem: Problem, hparams: Mapping[str, float]) -> Refits:
    """Trains the winner on all known classes, `config.train.refits` times in one program.

    Raises:
        FloatingPointError: every refit diverged.
    """
    config = problem.config
    k_search = None
    if problem.n_novel is None:
        k_search = KSearch(config.k.max, config.k.index, config.k.restarts, config.k.max_rows)

    @jax.jit
    def program(keys: Array, data: NCDData, novel_rows: Array, hparams: Any) -> Refits:
        return refit(
            keys,
            problem.method,
            data,
            novel_rows,
            hparams,
            epochs=config.train.epochs,
            batch_size=config.train.batch_size,
            k_search=k_search,
        )

    keys = jax.random.split(_key(config, "refit"), config.train.refits)
    refits = program(keys, problem.data, problem.novel_rows, make_hparams(config.method, hparams))
    if not bool(jnp.any(refits.finite)):
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    return refits


def _partitions(problem: Problem, refits: Refits, k: int) -> KMeansResult:
    """Clusters the novel rows in the latents of every refit, into `k` classes each."""
    config = problem.config
    n_rows = len(problem.novel_rows)
    slots = min(max(config.k.max, k), n_rows)
    program = jax.jit(partition, static_argnames=("max_clusters", "restarts"))
    return program(
        _key(config, "discover"),
        refits.z,
        jnp.full(len(refits.z), min(k, n_rows), jnp.int32),
        max_clusters=slots,
        restarts=config.k.restarts,
    )


def choose(problem: Problem, refits: Refits) -> Answer:
    """Takes the number of classes that the refits prefer together, and the central partition.

    The validity index is averaged over the refits before its best number is taken. Of the
    refits' partitions into that number the answer is the one that agrees best with the
    others, by mean adjusted Rand index. Refits that diverged have no say, nor on a number those
    for which its index is not defined.
    """
    finite = np.asarray(refits.finite)
    if problem.n_novel is not None:
        k = problem.n_novel
    else:
        assert refits.estimate is not None
        index = np.ma.masked_invalid(refits.estimate.values)[finite].mean(axis=0)
        best_k = (INDICES[problem.config.k.index].sign * index).argmax()
        k = int(refits.estimate.ks[0][best_k])
    clusters = _partitions(problem, refits, k)

    votes = np.flatnonzero(finite)
    best, stability = int(votes[0]), None
    if len(votes) > 1:
        agree = np.array(agreement(clusters.labels[votes], clusters.centroids.shape[1]))
        np.fill_diagonal(agree, np.nan)
        best = int(votes[np.argmax(np.nanmean(agree, axis=1))])
        stability = float(np.nanmean(agree))

    found = np.asarray(clusters.labels[best])
    sizes = np.bincount(found, minlength=clusters.centroids.shape[1])
    by_size = np.argsort(-sizes, kind="stable")
    # Empty clusters occur where there are fewer distinct rows than classes wanted.
    in_use = by_size[: np.count_nonzero(sizes)]
    centroids = clusters.centroids[best][in_use]
    return Answer(
        refit=best,
        k=len(in_use),
        labels=np.argsort(by_size)[found],
        centroids=centroids,
        confidence=np.asarray(confidence(refits.z[best], centroids)),
        stability=stability,
    )


def _key(config: RunConfig, purpose: str) -> Array:
    """The random key of one purpose, all from the one seed."""
    purposes = ("search", "refit", "discover")
    return jax.random.fold_in(jax.random.key(config.seed), purposes.index(purpose))
