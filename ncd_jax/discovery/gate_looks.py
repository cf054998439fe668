"""What the gate sees of a table: folds of its known rows, and its unlabelled rows."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.neighbors import NearestNeighbors

from ncd_jax.data.folds import pad_rows
from ncd_jax.data.gate_folds import make_gate_folds
from ncd_jax.data.table import Table
from ncd_jax.discovery.hyperparameters import make_hparams
from ncd_jax.discovery.padding import filled_chunks, padded_size, sample
from ncd_jax.discovery.problem import Problem, most_hidden, purpose_key
from ncd_jax.known_or_new.gate_weights import Sight
from ncd_jax.known_or_new.row_features import RowScene, see_rows
from ncd_jax.tuning.train import train
from ncd_jax.types import UNLABELLED, Array, Goal, Method, NCDData, PyTree

__all__ = ["Looks", "look", "look_at_folds", "look_at_table"]

MOST_ROWS = 2048
"""Rows of a scene, half of them unlabelled: others do as their nearest ones."""
NEAREST = 3
_CHUNK = 4096


class Looks(NamedTuple):
    """What the gate sees of a table.

    Attributes:
        folds: of known rows, with what is true of them.
        sight: a sample of the unlabelled rows among labelled ones.
        sampled: `i[s]`, positions of the sample among the unlabelled rows.
        like: `i[u, 3]`, for every unlabelled row the ones of the sample that it does as.
    """

    folds: list[Sight]
    sight: Sight
    sampled: np.ndarray
    like: np.ndarray


def look(problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]) -> Looks:
    """Fits the folds and the table, all in one program, and describes their unlabelled rows.

    Args:
        problem: what is solved.
        table: its table.
        hparams: of each view.

    Raises:
        FloatingPointError: every training on all labels diverged.
    """
    return look_at_table(problem, table, hparams, look_at_folds(problem, table, hparams))


def look_at_folds(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> list[Sight]:
    """The folds alone. One in which a training diverged is left out."""
    drawn, room = _drawn(problem, table)
    rows = drawn.of_folds
    folds = make_gate_folds(table.y, problem.config.search.folds, problem.config.seed)
    sights = []
    for y, kind in zip(folds.y, folds.kinds, strict=True):
        found = _fit(problem, hparams, room, y, rows)
        if found is not None and (y[rows] == UNLABELLED).any():
            sights.append(_sight(found[0], y, rows, kind, table.y))
    return sights


def look_at_table(
    problem: Problem,
    table: Table,
    hparams: Sequence[Mapping[str, float]],
    folds: list[Sight],
) -> Looks:
    """The table, beside folds that were looked at; see `look`."""
    drawn, room = _drawn(problem, table)
    rows = np.concatenate([drawn.labelled, drawn.unlabelled])
    found = _fit(problem, hparams, room, table.y, rows)
    if found is None:
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    scene, states = found
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    sampled = np.searchsorted(unlabelled, drawn.unlabelled)
    like = _nearest(problem, table, states, unlabelled, sampled)
    return Looks(folds, _sight(scene, table.y, rows, "table", None), sampled, like)


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
) -> tuple[RowScene, PyTree] | None:
    """A scene of rows of the table with labels `i32[n]`; none where a training diverged."""
    config, data = problem.config, problem.data
    padded = np.full(len(data.y), UNLABELLED, np.int32)
    padded[: len(y)] = y
    stacked = {name: np.array([each[name] for each in hparams]) for name in hparams[0]}
    k = problem.n_novel or most_hidden(problem.hidden_folds)
    scene, states, finite = _SEE(
        problem.method,
        jax.random.split(purpose_key(config, "gate"), len(hparams)),
        data._replace(y=jnp.asarray(padded)),
        Goal(problem.target_rows, jnp.asarray(problem.target_mask), jnp.int32(k)),
        make_hparams(config.method, stacked),
        jnp.asarray(pad_rows(rows.astype(np.int32), room)),
        jnp.arange(room) < len(rows),
        epochs=config.train.epochs,
        batch_size=config.train.batch_size,
        n_known=problem.spec.n_known,
    )
    return (scene, states) if finite else None


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


_SEE = jax.jit(_see, static_argnames=("method", "epochs", "batch_size", "n_known"))


def _sight(
    scene: RowScene, y: np.ndarray, rows: np.ndarray, kind: str, truth: np.ndarray | None
) -> Sight:
    """The unlabelled rows of a scene; of a hidden class where no row keeps its label."""
    unlabelled = np.flatnonzero(y[rows] == UNLABELLED)
    of_rows = np.zeros(0, int)
    if truth is not None:
        seen = np.unique(y[y != UNLABELLED])
        of_rows = truth[rows[unlabelled]]
        of_rows = np.where(np.isin(of_rows, seen), of_rows, UNLABELLED)
    return Sight(
        rows=np.asarray(scene.rows, np.float64)[unlabelled],
        classes=np.asarray(scene.classes, np.float64)[unlabelled],
        near=np.asarray(scene.near)[: len(rows)],
        near_unlabelled=np.asarray(scene.near_unlabelled)[: len(rows)],
        unlabelled=unlabelled,
        kind=kind,
        truth=of_rows,
    )


def _nearest(
    problem: Problem, table: Table, states: PyTree, unlabelled: np.ndarray, sampled: np.ndarray
) -> np.ndarray:
    """For every unlabelled row those of the sample it does as, `i[u, 3]`: of the sample, itself."""
    if len(sampled) == len(unlabelled):
        return np.tile(sampled[:, None], NEAREST)
    x = problem.scaler.apply(table.x[unlabelled])
    parts = [
        np.asarray(_first_view(problem.method, states, rows))[:n]
        for rows, n in filled_chunks(x, _CHUNK)
    ]
    z = np.concatenate(parts)
    n_nearest = min(NEAREST, len(sampled))
    tree = NearestNeighbors(n_neighbors=n_nearest, algorithm="brute").fit(z[sampled])
    like = sampled[np.resize(tree.kneighbors(z, return_distance=False), (len(z), NEAREST))]
    like[sampled] = sampled[:, None]
    return like


@functools.partial(jax.jit, static_argnames="method")
def _first_view(method: Method, states: PyTree, x: Array) -> Array:
    return method.represent(jax.tree.map(lambda leaf: leaf[0], states), x)
