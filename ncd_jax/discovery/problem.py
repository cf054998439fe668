"""A table and a configuration, checked and made ready: the device side of a run, without any file.

`prepare` makes the problem, `procedure` solves it; `experiment.run` wraps both in records, and
benchmarks call them directly.
"""

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from ncd_jax.clustering.n_clusters import KM_ACC
from ncd_jax.config import RunConfig
from ncd_jax.data.folds import Folds, known_fold, make_folds
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, MethodInfo, Spec
from ncd_jax.tuning.cross_validation import Protocol
from ncd_jax.types import UNLABELLED, Array, Interval, Method, NCDData, PyTree

__all__ = [
    "Problem",
    "fold_method",
    "fold_protocol",
    "k_tolerance",
    "make_hparams",
    "make_method",
    "middle",
    "prepare",
    "prepare_untuned",
    "purpose_key",
]

_FOLD_RESTARTS = 5
_NOTHING = np.zeros((0, 0), np.int32)
_NO_FOLDS = Folds(*(_NOTHING,) * len(Folds._fields))


class Problem(NamedTuple):
    """What every phase of a run is given.

    Attributes:
        config: the configuration; its method is a name of the registry.
        scaler: from raw columns to `data.x`.
        data: all training rows with the known labels.
        hidden_folds: folds that hide known classes, as host arrays.
        tuning_folds: what candidates are scored on: the same, or one fold that asks for all
            known classes where the method is tuned on them.
        info: the method as the registry knows it.
        spec: static facts of the method.
        method: pure functions for this table's shapes.
        space: ranges of the hyperparameters that are tuned.
        n_novel: the number of novel classes where it is given, else none.
        novel_rows: `i32[u]`, the unlabelled rows.
    """

    config: RunConfig
    scaler: Standardiser
    data: NCDData
    hidden_folds: Folds[np.ndarray]
    tuning_folds: Folds[np.ndarray]
    info: MethodInfo
    spec: Spec
    method: Method
    space: dict[str, Interval]
    n_novel: int | None
    novel_rows: Array


def prepare(config: RunConfig, table: Table, n_novel: int | None) -> Problem:
    """Standardises, draws folds and builds the method.

    Args:
        config: the configuration.
        table: the table.
        n_novel: the number of novel classes where the run may know it.

    Raises:
        UserError: the table has no unlabelled row, fewer than three known classes, or one
            that is named like a novel class; a fixed hyperparameter or the variant does not
            exist, or is out of range.
    """
    if not (table.y == UNLABELLED).any():
        raise UserError(f"{table.name} has no unlabelled row; there is nothing to discover")
    hidden = tuning = make_folds(table.y, config.search.folds, config.seed, config.search.held_out)
    if METHODS[config.method].tuned_on_known:
        tuning = known_fold(table.y, config.seed, config.search.held_out)
    slots = max(n_novel or config.k.max, _most_hidden(hidden))
    return _problem(config, table, n_novel, hidden, tuning, slots)


def prepare_untuned(config: RunConfig, table: Table) -> Problem:
    """The problem without folds, which hides nothing: of any number of known classes.

    Hyperparameters that are not given are in the middle of their range.

    Raises:
        UserError: as `prepare`, but an unlabelled row and three known classes are not needed.
    """
    free = _free_space(config, table.x.shape[1])
    config = dataclasses.replace(config, hparams=middle(free) | config.hparams)
    most = (config.k.n_novel or config.k.max) if (table.y == UNLABELLED).any() else 1
    # Without novel rows, methods that look for groups are given the known classes.
    slots = max(most, len(table.classes), 2)
    return _problem(config, table, config.k.n_novel, _NO_FOLDS, _NO_FOLDS, slots)


def _problem(
    config: RunConfig,
    table: Table,
    n_novel: int | None,
    hidden: Folds[np.ndarray],
    tuning: Folds[np.ndarray],
    slots: int,
) -> Problem:
    for name in table.classes:
        if re.fullmatch(r"novel_\d+", name):
            raise UserError(f"class {name!r} has a name that novel classes get; rename it")
    info, n_features = METHODS[config.method], table.x.shape[1]
    space = _free_space(config, n_features)
    if config.variant and config.variant not in info.variants:
        choices = " or ".join(filter(None, info.variants)) or "none"
        raise UserError(f"{config.method} has no variant {config.variant!r}; choices: {choices}")
    width: float = n_features
    if info.width:
        fixed = config.hparams.get(info.width)
        width = space[info.width].high if fixed is None else fixed
    spec = Spec(
        n_features=n_features,
        n_known=len(table.classes),
        latent_width=int(width),
        max_clusters=slots,
        restarts=config.k.restarts,
        normalise=config.representation == "normalised",
        variant=config.variant or info.variants[0],
        blocks=table.categories,
    )
    scaler = Standardiser.fit(table)
    x = jax.device_put(scaler.apply(table.x))  # `asarray` would need room for a second copy
    return Problem(
        config=config,
        scaler=scaler,
        data=NCDData(x, jnp.asarray(table.y, jnp.int32)),
        hidden_folds=hidden,
        tuning_folds=tuning,
        info=info,
        spec=spec,
        method=make_method(config.method, spec),
        space=space,
        n_novel=n_novel,
        novel_rows=jnp.asarray(np.flatnonzero(table.y == UNLABELLED), jnp.int32),
    )


def _free_space(config: RunConfig, n_features: int) -> dict[str, Interval]:
    """The ranges of the hyperparameters that are not fixed; those that are, are checked."""
    space = METHODS[config.method].space(n_features)
    for name, value in config.hparams.items():
        if name not in space:
            raise UserError(f"config.hparams.{name} is not a hyperparameter of {config.method}")
        low, high = space.pop(name).valid
        if not low <= value <= high:
            raise UserError(f"config.hparams.{name}={value} must lie in {low:g}..{high:g}")
    return space


def middle(space: Mapping[str, Interval]) -> dict[str, float]:
    """The middle of every range; that of the logarithms where the search is uniform on them."""
    values = {}
    for name, range_ in space.items():
        low, high = range_.low, range_.high
        value = float(np.sqrt(low * high)) if range_.log else (low + high) / 2
        values[name] = round(value) if range_.integer else value
    return values


@functools.lru_cache(maxsize=64)
def make_method(name: str, spec: Spec) -> Method:
    """The method for these shapes; the same object for equal ones, as programs are kept by it."""
    return METHODS[name].make(spec)


def make_hparams(method: str, values: Mapping[str, ArrayLike]) -> PyTree:
    """The hyperparameter tuple of a method from numbers, or arrays of them, by name."""
    kinds = {name: i.integer for name, i in METHODS[method].space(1).items()}
    arrays = {n: jnp.asarray(v, jnp.int32 if kinds[n] else jnp.float32) for n, v in values.items()}
    return METHODS[method].hparams(**arrays)


def fold_protocol(problem: Problem, folds: Folds[np.ndarray]) -> Protocol:
    """How candidates are scored on folds of a problem."""
    config = problem.config
    n_hidden = _most_hidden(folds)
    known = problem.n_novel is not None
    # All known classes at once are more than a fold hides; leave room to find too many.
    most = max(config.k.max, 2 * n_hidden) if problem.info.tuned_on_known else config.k.max
    return Protocol(
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        n_hidden=n_hidden,
        k_given=known or problem.info.needs_k,
        max_clusters=n_hidden if known else most,
        index=config.k.index,
        k_tolerance=k_tolerance(problem),
        lanes=config.search.lanes,
    )


def fold_method(problem: Problem, folds: Folds[np.ndarray]) -> Method:
    """The method of a problem as candidates are scored with it on folds.

    Many clusterings are scored, so each has fewer restarts than that of the answer. Where all
    known classes are hidden at once it may need more slots.
    """
    most = max(problem.spec.max_clusters, fold_protocol(problem, folds).max_clusters)
    spec = dataclasses.replace(problem.spec, max_clusters=most, restarts=_FOLD_RESTARTS)
    return make_method(problem.config.method, spec)


def k_tolerance(problem: Problem) -> float:
    """Share of the best index that a smaller number of classes may be worse by.

    None with `km_acc`: its values are often equal, and then the smallest number wins anyway.
    """
    return 0.0 if problem.config.k.index == KM_ACC else problem.info.k_tolerance


def _most_hidden(folds: Folds[np.ndarray]) -> int:
    return int(folds.hidden.sum(axis=1).max())


def purpose_key(config: RunConfig, purpose: str) -> Array:
    """The random key of one purpose, all from the one seed."""
    purposes = ("search", "refit", "discover", "columns", "indices")
    return jax.random.fold_in(jax.random.key(config.seed), purposes.index(purpose))
