"""A table and a configuration, checked and made ready: the device side of a run."""

import dataclasses
import re
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.config import JUDGE, RunConfig
from ncd_jax.data.folds import (
    Folds,
    known_fold,
    make_folds,
    make_judged_folds,
    pad_rows,
    sample_hidden,
)
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.discovery.hyperparameters import free_space, make_method, middle
from ncd_jax.discovery.padding import (
    class_slots,
    fill_up,
    pad_folds,
    padded_size,
    sample,
    shared_room,
)
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, MethodInfo, Spec
from ncd_jax.types import UNLABELLED, Array, Interval, Method, NCDData

__all__ = [
    "Problem",
    "judged",
    "median_class_size",
    "most_hidden",
    "prepare",
    "prepare_untuned",
    "purpose_key",
]

FEWEST_CLASSES = 6
"""Classes that the rows in question are taken to hold: few of them are cut the finer."""
FEWEST_IN_A_FOLD = 60
"""Rows of hidden classes that a fold asks for, however few rows are novel."""

_NOTHING = np.zeros((0, 0), np.int32)
_NO_FOLDS = Folds(*(_NOTHING,) * len(Folds._fields))


class Problem(NamedTuple):
    """What every phase of a run is given.

    Attributes:
        config: the configuration; its method is a name of the registry.
        scaler: from raw columns to `data.x`.
        data: all training rows with the known labels.
        hidden_folds: folds that hide known classes, as host arrays, padded.
        tuning_folds: what candidates are scored on: the same, or one fold that asks for all
            known classes where the method is tuned on them.
        info: the method as the registry knows it.
        spec: static facts of the method.
        method: pure functions for this table's shapes.
        space: ranges of the hyperparameters that are tuned.
        n_novel: the number of novel classes where it is given, else none.
        target_rows: `i32[m]`, the rows to be told apart: the unlabelled ones, padded with row 0.
        target_mask: `bool[m]`, on the host: which of them count. The judge is asked about a sample.
        drawn: share of the rows that are to be told apart which `target_rows` are.
        n_asked: rows of no known class that the table asks about, all of them.
        known_rows: `i32[q]`, labelled rows, a sample where there are many.
        candidates: hyperparameters that are tried; none where they are searched for.
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
    target_rows: Array
    target_mask: np.ndarray
    drawn: float
    n_asked: int
    known_rows: Array
    candidates: list[dict[str, float]] | None

    @property
    def n_targets(self) -> int:
        """Rows to be told apart."""
        return int(self.target_mask.sum())

    @property
    def class_size(self) -> float:
        """Target rows that a class is expected to have."""
        return self.expected_class_size(np.asarray(self.data.y), self.drawn)

    def expected_class_size(self, y: np.ndarray, drawn: float) -> float:
        """Rows that a class would have if it were as large as a known one.

        At most a sixth of the rows that the table asks about, in folds too: micro clusters of half
        a class are then a dozen at least, and those of hidden rows are as large.

        Args:
            y: `i32[n]`, the labels that are left.
            drawn: share of the rows in question that were drawn.
        """
        return min(median_class_size(y) * drawn, self.n_asked / FEWEST_CLASSES)

    def asking_for(self, rows: np.ndarray) -> "Problem":
        """The problem in which only some of the unlabelled rows, `i[v]`, are to be told apart."""
        room, drawn = len(self.target_rows), rows
        if judged(self.config):
            rng = np.random.default_rng(self.config.seed)
            drawn = sample(rng, rows, min(self.config.k.max_rows, room))
        return self._replace(
            target_rows=jnp.asarray(pad_rows(drawn.astype(np.int32), room)),
            target_mask=np.arange(room) < len(drawn),
            drawn=len(drawn) / max(len(rows), 1),
            n_asked=len(rows),
        )

    def of_fold(self, f: int) -> "Problem":
        """The problem in which the hidden classes of fold `f` are the novel ones.

        Where the number of novel classes is given, that of the hidden ones is.
        """
        folds, labelled = self.hidden_folds, np.asarray(self.data.y) != UNLABELLED
        n_hidden = int(labelled.sum() - (folds.y[f] != UNLABELLED).sum())
        return self._replace(
            data=self.data._replace(y=jnp.asarray(folds.y[f])),
            target_rows=jnp.asarray(folds.hidden_rows[f]),
            target_mask=folds.hidden_mask[f],
            drawn=float(folds.hidden_mask[f].sum() / n_hidden),
            n_novel=None if self.n_novel is None else int(folds.hidden[f].sum()),
        )


def prepare(config: RunConfig, table: Table, n_novel: int | None) -> Problem:
    """Standardises, draws folds and builds the method.

    Args:
        config: the configuration.
        table: the table.
        n_novel: the number of novel classes where the run may know it.

    Raises:
        UserError: the table has no unlabelled row, too few known classes, or one that is named
            like a novel class; a fixed hyperparameter or the variant does not
            exist, or is out of range.
    """
    if not (table.y == UNLABELLED).any():
        raise UserError(f"{table.name} has no unlabelled row; there is nothing to discover")
    if not table.classes:
        raise UserError(f"{table.name} has no labelled row, and nothing to learn from; label some")
    search, info = config.search, METHODS[config.method]
    if judged(config):
        hidden = make_judged_folds(table.y, search.folds, config.seed)
        # As many rows as there are novel ones: the judge is to learn from scenes like theirs.
        most = max(int((table.y == UNLABELLED).sum()), FEWEST_IN_A_FOLD)
        hidden = sample_hidden(hidden, min(most, config.k.max_rows), config.seed)
    else:
        hidden = make_folds(table.y, search.folds, config.seed)
    tuning = known_fold(table.y) if info.tuned_on_known else hidden
    slots = max(n_novel or config.k.max, most_hidden(hidden))
    return _problem(config, table, n_novel, hidden, tuning, slots)


def prepare_untuned(config: RunConfig, table: Table) -> Problem:
    """The problem without folds, which hides nothing: of any number of known classes.

    Hyperparameters that are not given are in the middle of their range.

    Raises:
        UserError: as `prepare`, but an unlabelled row and three known classes are not needed.
    """
    free = free_space(config, table.x.shape[1])
    config = dataclasses.replace(config, hparams=middle(free) | config.hparams)
    if judged(config):  # without a fold to learn from, an index counts
        config = dataclasses.replace(config, k=dataclasses.replace(config.k, index="silhouette"))
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
    space = free_space(config, n_features)
    if config.variant and config.variant not in info.variants:
        choices = " or ".join(filter(None, info.variants)) or "none"
        raise UserError(f"{config.method} has no variant {config.variant!r}; choices: {choices}")
    width: float = n_features
    if info.width:
        fixed = config.hparams.get(info.width)
        width = space[info.width].high if fixed is None else fixed
    spec = Spec(
        n_features=n_features,
        n_known=class_slots(len(table.classes)) if info.masked else len(table.classes),
        latent_width=int(width),
        max_clusters=slots,
        restarts=config.k.restarts,
        normalise=config.representation == "normalised",
        variant=config.variant or info.variants[0],
        blocks=table.categories,
    )
    scaler = Standardiser.fit(table)
    n = len(table.y)
    length = padded_size(n) if info.masked else n
    x = scaler.apply(table.x)
    if length > n:
        x = np.concatenate([x, np.zeros((length - n, n_features), x.dtype)])
    x = jax.device_put(x)  # `asarray` would need room for a second copy
    y = np.full(length, UNLABELLED, np.int32)
    y[:n] = table.y
    novel = all_novel = np.flatnonzero(table.y == UNLABELLED).astype(np.int32)
    known = np.flatnonzero(table.y != UNLABELLED).astype(np.int32)
    rng = np.random.default_rng(config.seed)
    if judged(config):
        novel, known = (sample(rng, rows, config.k.max_rows) for rows in (novel, known))
    room = shared_room(len(novel), hidden.hidden_rows.shape[1])
    if judged(config):
        room = (max(room), max(room))  # a few thousand at most
    return Problem(
        config=config,
        scaler=scaler,
        data=NCDData(x, jnp.asarray(y), jnp.arange(length) < n if info.masked else None),
        hidden_folds=pad_folds(hidden, room[1], length),
        tuning_folds=pad_folds(
            tuning, max(room[1], padded_size(tuning.hidden_rows.shape[1])), length
        ),
        info=info,
        spec=spec,
        method=make_method(config.method, spec),
        space=space,
        n_novel=n_novel,
        target_rows=jnp.asarray(pad_rows(novel, room[0])),
        target_mask=np.arange(room[0]) < len(novel),
        drawn=len(novel) / max(len(all_novel), 1),
        n_asked=len(all_novel),
        known_rows=jnp.asarray(fill_up(known, length, n)),
        candidates=_candidates(config, space, hidden),
    )


def _candidates(
    config: RunConfig, space: Mapping[str, Interval], hidden: Folds[np.ndarray]
) -> list[dict[str, float]] | None:
    """The hyperparameters to try, where they are few or nothing could choose among more."""
    grid = METHODS[config.method].grid
    if judged(config) and grid is not None:
        tried = [{**values, **config.hparams} for values in grid]
        return [values for i, values in enumerate(tried) if values not in tried[:i]]
    return None if len(hidden.y) else [middle(space) | config.hparams]


def judged(config: RunConfig) -> bool:
    """Whether the same-class judge makes the partition, and with it the number of classes.

    Methods that must know the number before they are fitted make their own.
    """
    return config.k.index == JUDGE and not METHODS[config.method].needs_k


def median_class_size(y: np.ndarray) -> float:
    """Median number of rows of the known classes that have any, from labels `i32[n]`."""
    sizes = np.bincount(y[y != UNLABELLED])
    return float(np.median(sizes[sizes > 0]))


def most_hidden(folds: Folds[np.ndarray]) -> int:
    """The largest number of classes that one of the folds hides."""
    return int(folds.hidden.sum(axis=1).max(initial=1))


def purpose_key(config: RunConfig, purpose: str) -> Array:
    """The random key of one purpose, all from the one seed."""
    purposes = ("search", "refit", "discover", "columns", "indices", "gate")
    return jax.random.fold_in(jax.random.key(config.seed), purposes.index(purpose))
