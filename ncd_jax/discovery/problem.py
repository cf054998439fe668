"""A table and a configuration, checked and made ready: the device side of a run.

Arrays are filled up to a few lengths, so that folds, new rows and other tables share programs.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from ncd_jax.config import JUDGE, RunConfig
from ncd_jax.data.folds import (
    Folds,
    known_fold,
    make_folds,
    make_judged_folds,
    pad_rows,
    sample_hidden,
)
from ncd_jax.data.preprocess import Standardiser, fingerprints
from ncd_jax.data.table import Table, is_novel_name
from ncd_jax.errors import UserError
from ncd_jax.judge.scene import MAX_MICRO
from ncd_jax.methods import METHODS, MethodInfo, Spec
from ncd_jax.types import UNLABELLED, Array, Goal, Interval, Method, NCDData, PyTree

__all__ = [
    "PARTS",
    "Problem",
    "filled",
    "free_space",
    "judged",
    "make_hparams",
    "make_method",
    "median_class_size",
    "middle",
    "most_hidden",
    "ordered",
    "padded_size",
    "prepare",
    "prepare_untuned",
    "sample",
]

FEWEST_CLASSES = 6
"""Classes that the rows in question are taken to hold: few of them are cut the finer."""
FEWEST_IN_A_FOLD = 60
"""Rows of hidden classes that a fold asks for, however few rows are novel."""

PARTS = 1.5
"""Micro clusters for each class, at least, where the number of classes is given."""

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
        known_rows: `i32[q]`, labelled rows, a sample where there are many; see `fill_up`.
        candidates: hyperparameters that are tried; none where they are searched for.
        max_micro: micro clusters that rows are cut into at most.
        true_targets: `i32[m]`, in a fold the known class of each of its target rows; else none.
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
    max_micro: int
    true_targets: np.ndarray | None = None

    @property
    def is_judged(self) -> bool:
        """Whether the judge makes the partition; see `judged`."""
        return judged(self.config)

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
        of_known = median_class_size(y) * drawn
        # Where nothing is new there is nothing that folds would have to be like.
        return min(of_known, self.n_asked / FEWEST_CLASSES) if self.n_asked else of_known

    def goal(self, k: int) -> Goal:
        """The rows in question, to be told apart as `k` classes, on the device."""
        return Goal(self.target_rows, *jax.device_put((self.target_mask, np.int32(k))))

    def asking_for(self, rows: np.ndarray, y: np.ndarray | None = None) -> "Problem":
        """The problem in which only some of the unlabelled rows are to be told apart.

        Args:
            rows: `i[v]`, these.
            y: `i32[n]`, the labels that are left, in a fold; all by default. Without a fold, folds
                ask for as many rows from now on, so that hidden and novel rows are cut alike.
        """
        room, drawn = len(self.target_rows), rows
        most = min(self.config.k.max_rows, room) if judged(self.config) else room
        if len(rows) > most:
            drawn = sample(np.random.default_rng(self.config.seed), rows, most)
        problem = self._replace(
            target_rows=jax.device_put(pad_rows(drawn.astype(np.int32), room)),
            target_mask=np.arange(room) < len(drawn),
            drawn=len(drawn) / max(len(rows), 1),
            n_asked=len(rows),
        )
        if y is not None:
            padded = np.full(len(self.data.y), UNLABELLED, np.int32)
            padded[: len(y)] = y
            return problem._replace(data=self.data._replace(y=jax.device_put(padded)))
        if judged(self.config):
            folds = _judged_folds(self.config, np.asarray(self.data.y), len(rows))
            length, n = self.hidden_folds.hidden_rows.shape[1], len(self.data.y)
            problem = problem._replace(hidden_folds=pad_folds(folds, length, n))
        return problem

    def of_fold(self, f: int) -> "Problem":
        """The problem in which the hidden classes of fold `f` are the novel ones.

        Where the number of novel classes is given, that of the hidden ones is.
        """
        folds, labelled = self.hidden_folds, np.asarray(self.data.y) != UNLABELLED
        n_hidden = int(labelled.sum() - (folds.y[f] != UNLABELLED).sum())
        return self._replace(
            data=self.data._replace(y=jax.device_put(folds.y[f])),
            target_rows=jax.device_put(folds.hidden_rows[f]),
            target_mask=folds.hidden_mask[f],
            drawn=float(folds.hidden_mask[f].sum() / n_hidden),
            n_novel=None if self.n_novel is None else int(folds.hidden[f].sum()),
            true_targets=np.flatnonzero(folds.hidden[f])[folds.hidden_y[f]],
        )


def prepare(config: RunConfig, table: Table, n_novel: int | None) -> Problem:
    """Standardises, draws folds and builds the method.

    Args:
        config: the configuration.
        table: the table.
        n_novel: the number of novel classes where the run may know it.

    Raises:
        UserError: the table has hardly an unlabelled or labelled row, too few known classes, or one
            that is named like a novel class; a fixed hyperparameter or the variant does not exist,
            or is out of range.
    """
    _check_size(table)
    search, info = config.search, METHODS[config.method]
    if judged(config):
        hidden = _judged_folds(config, table.y, int((table.y == UNLABELLED).sum()))
    else:
        hidden = make_folds(table.y, search.folds, config.seed)
    tuning = known_fold(table.y) if info.tuned_on_known else hidden
    # Judged, rows are in no slot of the method: told the number or not, programs are the same.
    most = config.k.max if judged(config) else n_novel or config.k.max
    return _problem(config, table, n_novel, hidden, tuning, max(most, most_hidden(hidden)))


def _check_size(table: Table) -> None:
    """Whether there is something to discover, and something to learn from.

    Raises:
        UserError: there is not.
    """
    sizes = np.bincount(table.y + 1, minlength=2)
    n_asked, n_labelled, largest = int(sizes[0]), int(sizes[1:].sum()), int(sizes[1:].max())
    if not n_asked:
        raise UserError(f"{table.name} has no unlabelled row; there is nothing to discover")
    if n_asked == 1:
        raise UserError(
            f"{table.name} has one unlabelled row, and one row is no class; add others, or give it"
            " to a class of a finished run by --mode=assign"
        )
    if not n_labelled:
        raise UserError(f"{table.name} has no labelled row, and nothing to learn from; label some")
    if largest == 1:
        raise UserError(
            f"{table.name} has a single row of each known class, and nothing says how rows of one"
            " class differ; label more of them"
        )


def _judged_folds(config: RunConfig, y: np.ndarray, n_asked: int) -> Folds[np.ndarray]:
    """Folds that ask for as many rows as there are novel ones: the judge learns from the like."""
    most = min(max(n_asked, FEWEST_IN_A_FOLD), config.k.max_rows)
    return sample_hidden(make_judged_folds(y, config.search.folds, config.seed), most, config.seed)


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
        if is_novel_name(name):
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
    # `jnp.asarray` would need room for a second copy, and a program for every shape.
    x = jax.device_put(x)
    y = np.full(length, UNLABELLED, np.int32)
    y[:n] = table.y
    novel = all_novel = np.flatnonzero(table.y == UNLABELLED).astype(np.int32)
    known = np.flatnonzero(table.y != UNLABELLED).astype(np.int32)
    rng = np.random.default_rng(config.seed)
    if judged(config):
        novel = sample(rng, novel, config.k.max_rows)
    known = sample(rng, known, config.k.max_rows)
    room = shared_room(len(novel), hidden.hidden_rows.shape[1])
    if judged(config):
        room = (max(room), max(room))  # a few thousand at most
    return Problem(
        config=config,
        scaler=scaler,
        data=NCDData(
            x, jax.device_put(y), jax.device_put(np.arange(length) < n) if info.masked else None
        ),
        hidden_folds=pad_folds(hidden, room[1], length),
        tuning_folds=pad_folds(
            tuning, max(room[1], padded_size(tuning.hidden_rows.shape[1])), length
        ),
        info=info,
        spec=spec,
        method=make_method(config.method, spec),
        space=space,
        n_novel=n_novel,
        target_rows=jax.device_put(pad_rows(novel, room[0])),
        target_mask=np.arange(room[0]) < len(novel),
        drawn=len(novel) / max(len(all_novel), 1),
        n_asked=len(all_novel),
        known_rows=jax.device_put(fill_up(known, length, n)),
        candidates=_candidates(config, space, hidden),
        max_micro=max(MAX_MICRO, -(-int(PARTS * (n_novel or 0)) // 8) * 8),
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


def ordered(table: Table) -> tuple[Table, np.ndarray]:
    """The table in an order that hangs on what its rows are, and not on where they stood.

    Samples, folds and starts are drawn by place, so that the same rows in another order would be
    answered a little differently.

    Returns:
        The table, without what only people look at, and `i[n]`, where each of its rows stood.
    """
    scaled = Standardiser.fit(table).apply(table.x)
    # A sum: the order of the columns plays no part either.
    keys = np.sum([fingerprints(column[:, None]) for column in scaled.T], axis=0, dtype=np.uint64)
    order = np.lexsort((table.y, keys))
    inner = dataclasses.replace(
        table,
        x=table.x[order],
        y=table.y[order],
        rows=table.row_numbers[order],
        frame=None,
        copied=None,
        group=None if table.group is None else table.group[order],
    )
    return inner, order


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


def free_space(config: RunConfig, n_features: int) -> dict[str, Interval]:
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
    values: dict[str, float] = {}
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
    arrays = {n: np.asarray(v, np.int32 if kinds[n] else np.float32) for n, v in values.items()}
    return METHODS[method].hparams(**jax.device_put(arrays))


def padded_size(n: int) -> int:
    """The next of a few sizes: tables of like sizes share programs.

    Powers of two for small numbers, above them eight sizes from one to the next.
    """
    if n <= 1024:
        return max(64, 1 << (n - 1).bit_length()) if n else 0
    step = 2 ** (n.bit_length() - 4)
    return -(-n // step) * step


def class_slots(n_classes: int) -> int:
    """Room for known classes: tables with like numbers of them share programs."""
    return -(-n_classes // 8) * 8


def shared_room(n_novel: int, n_hidden: int) -> tuple[int, int]:
    """Lengths of the lists of novel rows and of a fold's hidden ones.

    Programs are compiled for lengths. Where the two differ by less than a factor of two they
    share one.
    """
    room = padded_size(n_novel), padded_size(n_hidden)
    return (max(room), max(room)) if 2 * min(room) >= max(room) else room


def pad_folds(folds: Folds[np.ndarray], length: int, n_rows: int) -> Folds[np.ndarray]:
    """Folds with row lists of a length, and labels of so many rows."""
    rows, mask, y = (
        pad_rows(each, length) for each in (folds.hidden_rows, folds.hidden_mask, folds.hidden_y)
    )
    missing = n_rows - folds.y.shape[1]
    labels = np.pad(folds.y, ((0, 0), (0, missing)), constant_values=UNLABELLED)
    return folds._replace(y=labels, hidden_rows=rows, hidden_mask=mask, hidden_y=y)


def fill_up(known: np.ndarray, length: int, n: int) -> np.ndarray:
    """A list of labelled rows, filled up with a row that is none where the table has one."""
    if length == n:
        return known
    room = min(padded_size(len(known)), length)
    return np.concatenate([known, np.full(room - len(known), n, known.dtype)])


def filled(rows: np.ndarray, length: int) -> tuple[np.ndarray, int]:
    """Rows `f[n, d]` with zeros behind them up to a length, `f32[length, d]`, and `n`."""
    every = np.zeros((length, rows.shape[1]), np.float32)
    every[: len(rows)] = rows
    return every, len(rows)


def sample(rng: np.random.Generator, rows: np.ndarray, most: int) -> np.ndarray:
    """At most that many of the rows, in their order."""
    return rows if len(rows) <= most else np.sort(rng.permutation(rows)[:most])
