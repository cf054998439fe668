"""Fits: a method on all known classes, from several seeds or for several candidates side by side.

What each makes of the rows in question is a view of them. An index counts clusters in every view;
the judge looks at all views together, at small groups of rows that are cut from them.

All that is drawn comes from one seed, by a key for each purpose: no two draw the same numbers.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, NamedTuple, TypeVar, get_args

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.n_clusters import KM_ACC, KSearch, estimate_k
from ncd_jax.config import JUDGE, RunConfig
from ncd_jax.data.folds import Folds
from ncd_jax.discovery.problem import (
    PARTS,
    Problem,
    filled,
    judged,
    make_hparams,
    most_hidden,
)
from ncd_jax.judge.scene import Rows, Scene, make_scene
from ncd_jax.kept_programs import kept_jit
from ncd_jax.precision import in_single_precision
from ncd_jax.read.threads import usable_cores
from ncd_jax.tuning.devices import spread_over_devices
from ncd_jax.tuning.train import train
from ncd_jax.types import Array, Goal, KEstimate, Method, NCDData, PyTree

__all__ = [
    "Asked",
    "Purpose",
    "Refits",
    "Training",
    "cut",
    "cut_rows",
    "in_parallel",
    "k_search",
    "purpose_key",
    "purpose_keys",
    "refit",
    "refit_all",
    "represent",
]

A = TypeVar("A")
B = TypeVar("B")
_CHUNK = 4096
"""Rows that are represented together, so that one program serves tables of any length."""

Purpose = Literal["search", "refit", "discover", "columns", "indices", "gate", "cut"]


def purpose_key(config: RunConfig, purpose: Purpose) -> Array:
    """The random key of one purpose, all from the one seed."""
    return _key_of(config.seed, purpose)


def purpose_keys(config: RunConfig, purpose: Purpose, n: int) -> Array:
    """So many random keys `[n]` of one purpose."""
    return _keys_of(config.seed, purpose, n)


# Kept: each fold asks for the same ones, and would wait until the device has done what was asked
# of it before.
@functools.lru_cache(64)
def _key_of(seed: int, purpose: Purpose) -> Array:
    return _of_no_device(_KEY(np.uint32(seed), _number(purpose)))


@functools.lru_cache(64)
def _keys_of(seed: int, purpose: Purpose, n: int) -> Array:
    return _of_no_device(_KEYS(np.uint32(seed), _number(purpose), n=n))


def _of_no_device(keys: Array) -> Array:
    """What a kept program returns is bound to one device, and a search needs its keys on all."""
    data = jax.device_put(np.asarray(jax.random.key_data(keys)))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(keys))


def _number(purpose: Purpose) -> np.int32:
    return np.int32(get_args(Purpose).index(purpose))


def _key(seed: Array, number: Array) -> Array:
    return jax.random.fold_in(jax.random.key(seed), number)


def _keys(seed: Array, number: Array, *, n: int) -> Array:
    return jax.random.split(_key(seed, number), n)


_KEY, _KEYS = kept_jit(_key), kept_jit(_keys, static_argnames=["n"])
"""A program each: operation by operation they are five, which take longer to lower than to run."""


def in_parallel(work: Callable[[A], B], items: Iterable[A], *, threads: bool = True) -> list[B]:
    """What comes of each, several at a time: JAX runs what one thread asks for in turn.

    Args:
        work: what is done with one.
        items: folds, or chunks of rows.
        threads: whether they may be worked on at a time, which programs of several devices may not.
    """
    items = list(items)
    alone = 1 if threads else len(items)  # the first one compiles what the others run
    done = [work(item) for item in items[:alone]]
    with ThreadPoolExecutor(usable_cores()) as pool:
        return [*done, *pool.map(in_single_precision(work), items[alone:])]


class Refits(NamedTuple):
    """Trainings on all known classes, stacked on a leading axis `[S]` of seeds or candidates.

    Attributes:
        state: of the method.
        loss: `f32[S, epochs]`.
        z: `f32[S, m, L]`, latents of the target rows.
        known: `f32[S, q, L]`, latents of a sample of labelled rows.
        estimate: number of novel classes in each, or none where it is not looked for.
        finite: `bool[S]`, which did not diverge; the latents of the others are zero.
    """

    state: PyTree
    loss: Array
    z: Array
    known: Array
    estimate: KEstimate | None
    finite: Array

    def states(self, which: slice) -> PyTree:
        """The states of some refits, stacked, on the host, less what only training needs.

        To index what is spread over devices is a program in which they wait for each other.
        """
        return jax.tree.map(lambda leaf: np.asarray(leaf)[which], self.state._replace(opt=None))


class Training(NamedTuple):
    """The static facts of a refit.

    Attributes:
        method: the method.
        epochs: passes over all rows.
        batch_size: most rows in a step.
        k_search: how an index looks for the number in the representation; none where none does.
    """

    method: Method
    epochs: int
    batch_size: int
    k_search: KSearch | None


def refit(
    training: Training, keys: Array, data: NCDData, goal: Goal, hparams: PyTree, known_rows: Array
) -> Refits:
    """Trains from every seed on all known classes and looks for the number of novel ones.

    Args:
        training: static facts.
        keys: random keys `[S]`.
        data: all rows with all known labels.
        goal: the target rows.
        hparams: of each training, stacked on a leading axis `[S]`.
        known_rows: `i32[q]`, labelled rows.
    """
    method = training.method
    # Without training there is nothing to repeat: equal hyperparameters make equal states.
    shared_key = None if method.stages else jax.random.split(keys[0])[0]

    def one(key: Array, hparams: PyTree) -> Refits:
        key_train, key_k = jax.random.split(key)
        if shared_key is not None:
            key_train = shared_key
        state, info = train(
            key_train,
            method,
            data,
            goal,
            hparams,
            epochs=training.epochs,
            batch_size=training.batch_size,
        )

        def represent(x: Array) -> Array:
            z = method.represent(state, x)
            return jnp.where(jnp.isfinite(z), z, 0.0)

        z = method.represent(state, data.x[goal.rows])
        finite = jnp.all(jnp.isfinite(info["loss"])) & jnp.all(jnp.isfinite(z))
        z, found = jnp.where(finite, z, 0.0), None
        if training.k_search is not None:
            found = estimate_k(key_k, represent, data, goal, z, training.k_search)
        return Refits(state, info["loss"], z, represent(data.x[known_rows]), found, finite)

    def side_by_side(items: tuple[Array, PyTree]) -> Refits:
        return jax.vmap(one)(*items)

    # What is fitted at once is not worth spreading: what follows would be done on every device.
    if method.stages:
        return spread_over_devices(side_by_side, (keys, hparams))
    return side_by_side((keys, hparams))


_TRAIN_ALL = jax.jit(refit, static_argnames="training")
_FIT_ALL = kept_jit(refit, static_argnames=["training"])
"""For methods without training, whose program is of one device."""


def refit_all(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> Refits:
    """Trains on all known classes, with each of `hparams` once, in one program.

    Args:
        problem: what is solved.
        hparams: hyperparameters of each training.

    Raises:
        FloatingPointError: every refit diverged.
    """
    config, how = problem.config, k_search(problem)
    k, in_columns = problem.n_novel or config.k.max, None
    if how is not None and problem.info.needs_k:
        key = purpose_key(config, "columns")
        in_columns = _estimate_in_columns(key, problem.data, problem.goal(0), how)
        k, how = int(in_columns.k), None

    stacked = {name: np.array([each[name] for each in hparams]) for name in hparams[0]}
    refits = (_TRAIN_ALL if problem.method.stages else _FIT_ALL)(
        Training(
            problem.method,
            config.train.epochs,
            config.train.batch_size,
            None if judged(config) else how,
        ),
        purpose_keys(config, "refit", len(hparams)),
        problem.data,
        problem.goal(min(k, len(problem.target_rows))),
        make_hparams(config.method, stacked),
        problem.known_rows,
    )
    if not np.asarray(refits.finite).any():
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    if in_columns is not None:
        # All refits were made for the one number; said in each, so that all records are alike.
        said = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(hparams), *a.shape)), in_columns)
        refits = refits._replace(estimate=KEstimate(*said))
    return refits


@functools.partial(jax.jit, static_argnames="how")
def _estimate_in_columns(key: Array, data: NCDData, goal: Goal, how: KSearch) -> KEstimate:
    return estimate_k(key, lambda x: x, data, goal, data.x[goal.rows], how)


def represent(method: Method, states: PyTree, view: int, x: np.ndarray) -> np.ndarray:
    """Rows in one view, `f32[n, L]`, on the host.

    Args:
        method: the method.
        states: of it, stacked.
        view: which of them.
        x: `f32[n, d]`, scaled rows, as many as there may be.
    """

    def of_chunk(start: int) -> np.ndarray:
        rows, n = filled(x[start : start + _CHUNK], _CHUNK)
        return np.asarray(_REPRESENT(method, states, np.int32(view), rows))[:n]

    return np.concatenate(in_parallel(of_chunk, range(0, max(len(x), 1), _CHUNK)))


def _represent(method: Method, states: PyTree, view: Array, x: Array) -> Array:
    return method.represent(jax.tree.map(lambda leaf: leaf[view], states), x)


_REPRESENT = kept_jit(_represent, static_argnames=["method"])


def cut(problem: Problem, refits: Refits, n_cuts: int = 1) -> list[Scene]:
    """The target rows as the judge sees them, cut into micro clusters, once or several times over.

    Cuts differ by where k-means starts, and by nothing else.

    Args:
        problem: what is solved.
        refits: of it.
        n_cuts: how often.
    """
    key = purpose_key(problem.config, "cut")
    # On one device, wherever they were trained: the cut is one program.
    z, known = (jax.device_put(np.asarray(each)) for each in (refits.z, refits.known))
    asked = Asked(
        problem.target_rows,
        problem.target_mask,
        problem.known_rows,
        np.float32(problem.class_size),
        np.int32(PARTS * (problem.n_novel or 0)),
    )
    shape = {"n_known": problem.spec.n_known, "max_micro": problem.max_micro}
    return [_CUT(key, np.int32(i), problem.data, z, known, asked, **shape) for i in range(n_cuts)]


class Asked(NamedTuple):
    """Which rows are cut.

    Attributes:
        targets: `i32[m]`.
        mask: `bool[m]`, which of them count.
        known: `i32[q]`, labelled rows that they are measured against.
        class_size: see `judge.scene.Rows`.
        least: see there.
    """

    targets: Any
    mask: Any
    known: Any
    class_size: Any
    least: Any


def cut_rows(
    key: Array,
    number: Array,
    data: NCDData,
    z: Array,
    known: Array,
    asked: Asked,
    *,
    n_known: int,
    max_micro: int,
) -> Scene:
    """`make_scene` for rows by their numbers, with latents `f32[V, m, L]` and `f32[V, q, L]`.

    Every number of a cut makes another one.
    """
    key = jax.random.fold_in(key, number)
    x, y = data.x[asked.targets], data.y[asked.known]
    rows = Rows(z, x, asked.mask, known, y, asked.class_size, asked.least)
    return make_scene(key, rows, n_known=n_known, max_micro=max_micro)


_CUT = kept_jit(cut_rows, static_argnames=["n_known", "max_micro"], quickly=True)


def k_search(problem: Problem, folds: Folds[np.ndarray] | None = None) -> KSearch | None:
    """How the number of classes is looked for; none where it is given.

    Args:
        problem: what is solved.
        folds: among the rows of these; among the novel rows where there are none.
    """
    if problem.n_novel is not None:
        return None
    k, info = problem.config.k, problem.info
    # Where the judge cannot be asked, an index that needs no label is.
    index = "silhouette" if k.index == JUDGE else k.index
    most, restarts, max_rows = k.max, k.restarts, k.max_rows
    if folds is not None:
        restarts, max_rows = k.fold_restarts, k.fold_max_rows
        # All known classes at once are more than a fold hides; leave room to find too many.
        most = max(most, 2 * most_hidden(folds)) if info.tuned_on_known else most
    return KSearch(
        max_clusters=most,
        n_known=problem.spec.n_known,
        index=index,
        restarts=restarts,
        max_rows=max_rows,
        # The values of `km_acc` are often equal, and then the smallest number wins anyway.
        tolerance=0.0 if index == KM_ACC else info.k_tolerance,
    )
