"""What a run has learned, as data that is applied to rows never seen."""

import functools
from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.kmeans import nearest, squared_distances
from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer, choose
from ncd_jax.discovery.calibration import AS_IT_IS, Calibration, calibrate
from ncd_jax.discovery.problem import Problem, make_method
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.methods import Spec
from ncd_jax.methods.parts import class_means
from ncd_jax.types import UNLABELLED, Array, Method, NCDData, PyTree

__all__ = [
    "Applied",
    "Model",
    "apply",
    "apply_model",
    "assign",
    "fitted_model",
    "margin",
    "on_host",
    "refit_and_choose",
]

_CHUNK = 512
"""Rows that a model is applied to together: one compiled program serves tables of any length, and a
row gets the same answer whatever stands beside it."""

A = TypeVar("A")


class Model(NamedTuple):
    """A fitted method with a place for every class in its latent space.

    Attributes:
        method: name in `METHODS`.
        spec: its static facts.
        hparams: its hyperparameters by name, for people.
        state: its state, less what only training needs: `opt` is none.
        encoder: from columns of any kind to numbers; none where they are numbers.
        scaler: from these to what the method takes.
        columns: names of the columns, in order, as numbers.
        classes: names of all classes, known ones first.
        centroids: `f32[C + K, L]`, those of the `C` known classes, then one for each of the `K`
            cluster slots of the method; rows that no class has are zero.
        slots: `i[len(classes)]`, the row of `centroids` that is each class's own.
        calibration: from margins to confidence.
    """

    method: str
    spec: Spec
    hparams: dict[str, float]
    state: PyTree
    encoder: Encoder | None
    scaler: Standardiser
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    centroids: np.ndarray
    slots: np.ndarray
    calibration: Calibration


class Applied(NamedTuple, Generic[A]):
    """What a model says about `n` rows.

    Attributes:
        z: `f32[n, L]`, the rows in the method's representation.
        squared: `f32[n, m]`, squared distances to the centroids: from `apply` to all `C + K`,
            infinite where no class has one, from `apply_model` to that of each class.
        labels: `i32[n]`: from `apply` the row of the centroids, from `apply_model` the index
            into the model's classes.
        margin: `f32[n]`, how clearly each row belongs to the nearest centroid.
    """

    z: A
    squared: A
    labels: A
    margin: A


def apply(
    method: Method,
    state: PyTree,
    centroids: Array,
    active: Array,
    x: Array,
    *,
    n_known: int,
) -> Applied[Array]:
    """From scaled rows to classes: a known one, or one of the novel ones.

    Whether it is known, and which, says the nearest centroid in the representation; which of
    the novel classes, the method.

    Args:
        method: the method.
        state: its state.
        centroids: `f32[C + K, L]`, those of the known classes first.
        active: `bool[C + K]`, which of them are in use.
        x: `f32[n, d]`, as the model's scaler gives them.
        n_known: static, `C`.
    """
    z = method.represent(state, x)
    squared = jnp.where(active, squared_distances(z, centroids), jnp.inf)
    labels = nearest(z, centroids, active)
    novel = n_known + method.assign(state, z, centroids[n_known:], active[n_known:])
    return Applied(z, squared, jnp.where(labels < n_known, labels, novel), margin(squared))


_APPLY = jax.jit(apply, static_argnames=("method", "n_known"))


def apply_model(model: Model, x: np.ndarray) -> Applied[np.ndarray]:
    """Applies a model to rows `f[n, d]`, columns as in `Table.x`, as arrays of the host."""
    method, centroids = make_method(model.method, model.spec), model.centroids
    class_of_row = np.full(len(centroids), -1)
    class_of_row[model.slots] = np.arange(len(model.slots))
    learned = (model.state, centroids, class_of_row >= 0)
    parts = []
    for start in range(0, max(len(x), 1), _CHUNK):
        rows = model.scaler.apply(x[start : start + _CHUNK])
        padded = np.zeros((_CHUNK, x.shape[1]), np.float32)
        padded[: len(rows)] = rows
        applied = _APPLY(method, *learned, padded, n_known=model.spec.n_known)
        parts.append([np.asarray(part)[: len(rows)] for part in applied])
    z, squared, labels, margins = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Applied(z, squared[:, model.slots], class_of_row[labels], margins)


def assign(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives every row a class, see `apply`, and says how surely.

    Args:
        model: the model.
        x: `f[n, d]`, columns as in `Table.x`.

    Returns:
        Index into `model.classes`, `i[n]`, and the confidence `f64[n]`: the share of rows with
        such a margin that were sorted right where known classes were hidden.
    """
    applied = apply_model(model, x)
    return applied.labels, calibrate(model.calibration, applied.margin)


def refit_and_choose(
    problem: Problem, table: Table, hparams: Sequence[Mapping[str, float]]
) -> tuple[Refits, Answer, Model]:
    """Trains on all known classes, takes the answer, and makes it a model.

    Args:
        problem: what is solved.
        table: its table.
        hparams: hyperparameters of each refit.

    Raises:
        FloatingPointError: every refit diverged.
    """
    refits = refit_all(problem, hparams)
    answer = choose(problem, refits)
    own, state = hparams[answer.refit], refits.state_of(answer.refit)
    return refits, answer, fitted_model(problem, table, own, state, answer)


def fitted_model(
    problem: Problem,
    table: Table,
    hparams: Mapping[str, float],
    state: PyTree,
    answer: Answer,
) -> Model:
    """The model of an answer: novel centroids as found, known ones the means of their rows.

    A known class without a labelled row, as in a fold that hides it, has no centroid and no name.

    Args:
        problem: what was solved.
        table: its table.
        hparams: hyperparameters of the refit that gave the answer.
        state: its state.
        answer: the answer.
    """
    n_known = problem.spec.n_known
    y = np.asarray(problem.data.y)
    present = np.unique(y[y != UNLABELLED])
    means = np.asarray(_class_means(problem.method, state, problem.data, n_known=n_known))
    centroids = np.zeros((n_known + problem.spec.max_clusters, means.shape[1]), np.float32)
    centroids[:n_known] = means
    centroids[n_known + answer.slots] = answer.centroids
    return Model(
        method=problem.config.method,
        spec=problem.spec,
        hparams=dict(hparams),
        state=state._replace(opt=None),
        encoder=table.encoder,
        scaler=problem.scaler,
        columns=table.columns,
        classes=(
            *(table.classes[c] for c in present),
            *(f"novel_{i}" for i in range(answer.k)),
        ),
        centroids=centroids,
        slots=np.concatenate([present, n_known + answer.slots]),
        calibration=AS_IT_IS,
    )


@functools.partial(jax.jit, static_argnames=("method", "n_known"))
def _class_means(method: Method, state: PyTree, data: NCDData, *, n_known: int) -> Array:
    return class_means(method.represent(state, data.x), data.y, n_known)


def on_host(model: Model) -> Model:
    """The model in NumPy arrays: it can be copied and sent."""
    return model._replace(state=jax.tree.map(np.asarray, model.state))


def margin(squared: Array) -> Array:
    """How clearly each row belongs to the nearest of its centroids, `f32[n]` between 0 and 1.

    One minus the ratio of the distances to the nearest and the second nearest centroid: 0
    on the border between two clusters, 1 on a centroid or where there is one cluster only.

    Args:
        squared: `f32[n, m]`, squared distances; infinite for centroids that are not in use.
    """
    if squared.shape[1] == 1:
        return jnp.ones(len(squared))
    two_nearest = -jax.lax.top_k(-squared, 2)[0]
    ratio = jnp.where(two_nearest[:, 1] > 0, two_nearest[:, 0] / two_nearest[:, 1], 1.0)
    return 1.0 - jnp.sqrt(ratio)
