"""What is seen of a table to tell known from new: folds of its known rows, and unlabelled rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.data.folds import make_gate_folds, pad_rows
from ncd_jax.data.preprocess import fingerprints, first_of_equals
from ncd_jax.data.selection import direction_of_missing
from ncd_jax.data.table import Table
from ncd_jax.discovery.fit import in_parallel, purpose_keys, represent
from ncd_jax.discovery.problem import (
    Problem,
    make_hparams,
    most_hidden,
    padded_size,
    sample,
)
from ncd_jax.kept_programs import kept_jit
from ncd_jax.known_or_new.decision import FoldRows, Gated, Observations, decide
from ncd_jax.known_or_new.far_rows import far_rows
from ncd_jax.known_or_new.gate_weights import Observed, read_gate_prior
from ncd_jax.known_or_new.row_features import RowScene, see_rows
from ncd_jax.tuning.train import train
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = ["observe", "observe_folds", "observe_table", "pass_gate", "views_of"]

MOST_ROWS = 2048
"""Rows of a scene, half of them unlabelled: others do as their nearest ones."""
NEAREST = 3
_MOST_LABELLED = 1024
"""Labelled rows that others are far from."""


def pass_gate(problem: Problem, table: Table, best: Sequence[Trial] = ()) -> Gated:
    """Asks of every unlabelled row whether it is of a known class; equal rows get one answer.

    Args:
        problem: what is solved.
        table: its table.
        best: candidates whose views it is asked in, where they were searched for.

    Raises:
        FloatingPointError: every training diverged.
    """
    hparams = [trial.hparams for trial in best]
    if problem.candidates is not None:
        hparams = views_of(problem.candidates)
    seen = observe(problem, table, hparams)
    gated = decide(seen, read_gate_prior(), problem.config.setting, problem.n_novel)
    # Of a sample that has some of them, they are at different distances from others.
    keys = fingerprints(problem.scaler.apply(table.x[table.y == UNLABELLED]))
    return gated.of_rows(first_of_equals(keys, np.ones(len(keys), bool)))


def views_of(candidates: list[dict[str, float]]) -> list[dict[str, float]]:
    """Those of a grid in which rows are observed: every second one says as much as all."""
    return candidates[1::2] or candidates


def observe(problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]) -> Observations:
    """Fits the folds and the table, all in one program, and describes their unlabelled rows.

    Where labels may be missing along a direction of the columns, rows are seen without it as well:
    there, rows of a known class are alike, whichever side of it somebody has labelled.

    Args:
        problem: what is solved.
        table: its table.
        hparams: of each view.

    Raises:
        FloatingPointError: every training on all labels diverged.
    """
    seen = observe_table(problem, table, hparams, observe_folds(problem, table, hparams))
    if (other := _without_direction(problem, table)) is None:
        return seen
    beside = _see_table(other, table, hparams, observe_folds(other, table, hparams))
    return seen.beside(beside) if len(beside.folds) == len(seen.folds) else seen


def _without_direction(problem: Problem, table: Table) -> Problem | None:
    """The problem without the direction along which labels are missing; none where none is."""
    x = np.asarray(problem.data.x)
    direction = direction_of_missing(x[: len(table.y)], table.y)
    if direction is None:
        return None
    return problem._replace(data=problem.data._replace(x=jax.device_put(direction.without(x))))


def observe_folds(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> list[FoldRows]:
    """The folds alone. One in which a training diverged is left out."""
    drawn, room = _drawn(problem, table)
    rows = drawn.of_folds
    n_folds, seed = problem.config.search.folds, problem.config.seed
    folds = make_gate_folds(table.y, n_folds, seed, group=table.group)

    def observed(fold: tuple[np.ndarray, str]) -> FoldRows | None:
        y, kind = fold
        scene, _, finite = _fit(problem, hparams, room, y, rows)
        if not (finite and (y[rows] == UNLABELLED).any()):
            return None
        return _fold_rows(scene, y, rows, kind, table.y)

    seen = in_parallel(observed, zip(folds.y, folds.kinds, strict=True))
    return [fold for fold in seen if fold is not None]


def observe_table(
    problem: Problem,
    table: Table,
    hparams: Sequence[Mapping[str, float]],
    folds: list[FoldRows],
) -> Observations:
    """The table, beside folds that were observed; see `observe`."""
    seen, (drawn, _) = _see_table(problem, table, hparams, folds), _drawn(problem, table)
    some = sample(np.random.default_rng(0), drawn.labelled, _MOST_LABELLED)
    x = np.asarray(problem.data.x)
    far = far_rows(x[np.flatnonzero(table.y == UNLABELLED)], x[some])
    return seen._replace(far=far)


def _see_table(
    problem: Problem,
    table: Table,
    hparams: Sequence[Mapping[str, float]],
    folds: list[FoldRows],
) -> Observations:
    """The same in the views alone: nobody has looked which rows are far."""
    drawn, room = _drawn(problem, table)
    rows = np.concatenate([drawn.labelled, drawn.unlabelled])
    scene, states, finite = _fit(problem, hparams, room, table.y, rows)
    if not finite:
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    sampled = np.searchsorted(unlabelled, drawn.unlabelled)
    like = _nearest(problem, table, states, unlabelled, sampled)
    of_table = _observed(scene, table.y, rows, "table", None)
    return Observations(folds, of_table, sampled, like)


class _Drawn(NamedTuple):
    """Rows of the table, in order: all labelled ones that folds take, and those of the table."""

    of_folds: np.ndarray
    labelled: np.ndarray
    unlabelled: np.ndarray


def _drawn(problem: Problem, table: Table) -> tuple[_Drawn, int]:
    """The samples, and room for either scene."""
    rng = np.random.default_rng(problem.config.seed)
    is_labelled = table.y != UNLABELLED
    labelled, unlabelled = np.flatnonzero(is_labelled), np.flatnonzero(~is_labelled)
    half = MOST_ROWS // 2
    drawn = _Drawn(
        sample(rng, labelled, MOST_ROWS),
        sample(rng, labelled, max(half, MOST_ROWS - len(unlabelled))),
        sample(rng, unlabelled, max(half, MOST_ROWS - len(labelled))),
    )
    n_rows = max(len(drawn.of_folds), len(drawn.labelled) + len(drawn.unlabelled))
    return drawn, padded_size(n_rows)


def _fit(
    problem: Problem,
    hparams: Sequence[Mapping[str, float]],
    room: int,
    y: np.ndarray,
    rows: np.ndarray,
) -> tuple[RowScene, PyTree, Array]:
    """A scene of rows of the table with labels `i32[n]`, and whether no training diverged."""
    config, data = problem.config, problem.data
    padded = np.full(len(data.y), UNLABELLED, np.int32)
    padded[: len(y)] = y
    stacked = {name: np.array([each[name] for each in hparams]) for name in hparams[0]}
    k = problem.n_novel or most_hidden(problem.hidden_folds)
    return _SEE(
        problem.method,
        purpose_keys(config, "gate", len(hparams)),
        data._replace(y=jax.device_put(padded)),
        problem.goal(k),
        make_hparams(config.method, stacked),
        pad_rows(rows.astype(np.int32), room),
        np.arange(room) < len(rows),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        n_known=problem.spec.n_known,
    )


def _see(
    method: Method,
    keys: Array,
    data: NCDData,
    goal: Goal,
    hparams: PyTree,
    rows: Array,
    mask: Array,
    *,
    epochs: int,
    batch_size: int,
    n_known: int,
) -> tuple[RowScene, PyTree, Array]:
    def one(key: Array, hparams: PyTree) -> tuple[PyTree, Array]:
        state, _ = train(key, method, data, goal, hparams, epochs=epochs, batch_size=batch_size)
        return state, method.represent(state, data.x[rows])

    states, views = jax.vmap(one)(keys, hparams)
    finite = jnp.all(jnp.isfinite(views))
    x, y = data.x[rows], jnp.where(mask, data.y[rows], UNLABELLED)
    return see_rows(views, x, y, mask, n_known=n_known), states, finite


_SEE = kept_jit(_see, static_argnames=["method", "epochs", "batch_size", "n_known"], quickly=True)


def _fold_rows(
    scene: RowScene, y: np.ndarray, rows: np.ndarray, kind: str, truth: np.ndarray
) -> FoldRows:
    """The unlabelled rows of a fold; a class is hidden where no row keeps its label."""
    seen = np.unique(y[y != UNLABELLED])
    hidden = ~np.isin(np.arange(truth.max() + 1), seen)
    unlabelled = rows[y[rows] == UNLABELLED]
    true = truth[unlabelled]
    observed = _observed(scene, y, rows, kind, np.where(hidden[true], UNLABELLED, true))
    return FoldRows(observed, y, unlabelled, true, hidden)


def _observed(
    scene: RowScene, y: np.ndarray, rows: np.ndarray, kind: str, truth: np.ndarray | None
) -> Observed:
    unlabelled = np.flatnonzero(y[rows] == UNLABELLED)
    return Observed(
        rows=np.asarray(scene.rows, np.float64)[unlabelled],
        classes=np.asarray(scene.classes, np.float64)[unlabelled],
        near=np.asarray(scene.near)[: len(rows)],
        near_unlabelled=np.asarray(scene.near_unlabelled)[: len(rows)],
        unlabelled=unlabelled,
        kind=kind,
        truth=np.zeros(0, int) if truth is None else truth,
    )


def _nearest(
    problem: Problem, table: Table, states: PyTree, unlabelled: np.ndarray, sampled: np.ndarray
) -> np.ndarray:
    """For every unlabelled row those of the sample it does as, `i[u, 3]`: of the sample, itself."""
    if len(sampled) == len(unlabelled):
        return np.tile(sampled[:, None], NEAREST)
    from sklearn.neighbors import NearestNeighbors  # see `far_rows`

    x = problem.scaler.apply(table.x[unlabelled])
    z = represent(problem.method, states, 0, x)
    n_nearest = min(NEAREST, len(sampled))
    tree = NearestNeighbors(n_neighbors=n_nearest, algorithm="brute").fit(z[sampled])
    like = sampled[np.resize(tree.kneighbors(z, return_distance=False), (len(z), NEAREST))]
    like[sampled] = sampled[:, None]
    return like
