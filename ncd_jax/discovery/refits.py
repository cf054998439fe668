"""Refits: the best candidates, trained on all known classes from several seeds."""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.n_clusters import KSearch, estimate_k
from ncd_jax.discovery.hyperparameters import make_hparams
from ncd_jax.discovery.problem import Problem, judged, purpose_key
from ncd_jax.discovery.protocol import k_search
from ncd_jax.judge.scene import Rows, Scene, make_scene
from ncd_jax.tuning.devices import spread_over_devices
from ncd_jax.tuning.train import train
from ncd_jax.types import Array, Goal, KEstimate, Method, NCDData, PyTree

__all__ = ["Refits", "Training", "Yardstick", "refit", "refit_all"]


class Refits(NamedTuple):
    """Trainings on all known classes, stacked on a leading axis `[S]` of seeds.

    Attributes:
        state: of the method.
        loss: `f32[S, epochs]`.
        z: `f32[S, m, L]`, latents of the target rows.
        estimate: number of novel classes in each, or none where it is not looked for.
        scene: the target rows as the judge sees them, or none where an index counts.
        finite: `bool[S]`, which did not diverge; the latents of the others are zero.
    """

    state: PyTree
    loss: Array
    z: Array
    estimate: KEstimate | None
    scene: Scene | None
    finite: Array

    @property
    def seen(self) -> Scene:
        """The scene, where the judge was asked."""
        assert self.scene is not None
        return self.scene

    def state_of(self, i: int) -> PyTree:
        """The state of refit `i`, on the host.

        To index what is spread over devices is a program in which they wait for each other.
        """
        return jax.tree.map(lambda leaf: np.asarray(leaf)[i], self.state)


class Training(NamedTuple):
    """The static facts of a refit.

    Attributes:
        method: the method.
        epochs: passes over all rows.
        batch_size: most rows in a step.
        k_search: how an index looks for the number in the representation; none where none does.
        n_known: known classes.
    """

    method: Method
    epochs: int
    batch_size: int
    k_search: KSearch | None
    n_known: int


class Yardstick(NamedTuple):
    """What the judge measures by, besides the target rows.

    Attributes:
        known_rows: `i32[q]`, labelled rows: a sample is enough.
        class_size: scalar, target rows of a class as large as a known one.
    """

    known_rows: Array
    class_size: Array


def refit(
    training: Training,
    keys: Array,
    data: NCDData,
    goal: Goal,
    hparams: PyTree,
    yardstick: Yardstick | None = None,
) -> Refits:
    """Trains from every seed on all known classes and looks for the number of novel ones.

    Args:
        training: static facts.
        keys: random keys `[S]`.
        data: all rows with all known labels.
        goal: the target rows.
        hparams: of each training, stacked on a leading axis `[S]`.
        yardstick: for the judge; none where it is not asked.
    """
    method = training.method
    # Without training there is nothing to repeat: equal hyperparameters make equal states.
    shared_key = None if method.stages else jax.random.split(keys[0])[0]

    def one(key: Array, hparams: PyTree) -> tuple[Refits, Array | None]:
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
        z = jnp.where(finite, z, 0.0)
        found = None
        if training.k_search is not None:
            found = estimate_k(key_k, represent, data, goal, z, training.k_search)
        known = None if yardstick is None else represent(data.x[yardstick.known_rows])
        return Refits(state, info["loss"], z, found, None, finite), known

    def side_by_side(items: tuple[Array, PyTree]) -> tuple[Refits, Array | None]:
        return jax.vmap(one)(*items)

    # What is fitted at once is not worth spreading: what follows would be done on every device.
    refits, known = (
        spread_over_devices(side_by_side, (keys, hparams))
        if method.stages
        else side_by_side((keys, hparams))
    )
    if yardstick is None:
        return refits
    assert known is not None
    y = data.y[yardstick.known_rows]
    rows = Rows(refits.z, data.x[goal.rows], goal.mask, known, y, yardstick.class_size)
    key = jax.random.fold_in(keys[0], len(keys))
    return refits._replace(scene=make_scene(key, rows, n_known=training.n_known))


_REFIT = jax.jit(refit, static_argnames="training")


def refit_all(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> Refits:
    """Trains on all known classes, with each of `hparams` once, in one program.

    Args:
        problem: what is solved.
        hparams: hyperparameters of each training.

    Raises:
        FloatingPointError: every refit diverged.
    """
    config, how = problem.config, k_search(problem)
    goal = Goal(problem.target_rows, jnp.asarray(problem.target_mask), jnp.int32(0))
    k, in_columns = problem.n_novel or config.k.max, None
    if how is not None and problem.info.needs_k:
        in_columns = _estimate_in_columns(purpose_key(config, "columns"), problem.data, goal, how)
        k, how = int(in_columns.k), None

    keys = jax.random.split(purpose_key(config, "refit"), len(hparams))
    stacked = {name: np.array([each[name] for each in hparams]) for name in hparams[0]}
    refits = _REFIT(
        Training(
            problem.method,
            config.train.epochs,
            config.train.batch_size,
            None if judged(config) else how,
            problem.spec.n_known,
        ),
        keys,
        problem.data,
        goal._replace(k=jnp.int32(min(k, len(problem.target_rows)))),
        make_hparams(config.method, stacked),
        Yardstick(problem.known_rows, jnp.float32(problem.class_size)) if judged(config) else None,
    )
    if not np.any(refits.finite):
        raise FloatingPointError(
            "every refit diverged; give a smaller --config.hparams.lr or another --config.seed"
        )
    if in_columns is not None:
        # All refits were made for the one number; said in each, so that all records are alike.
        said = jax.tree.map(lambda a: jnp.broadcast_to(a, (len(keys), *a.shape)), in_columns)
        refits = refits._replace(estimate=KEstimate(*said))
    return refits


@functools.partial(jax.jit, static_argnames="how")
def _estimate_in_columns(key: Array, data: NCDData, goal: Goal, how: KSearch) -> KEstimate:
    return estimate_k(key, lambda x: x, data, goal, data.x[goal.rows], how)
