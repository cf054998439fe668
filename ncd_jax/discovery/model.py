"""What a run has learned, as data that is applied to rows never seen."""

from typing import Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.kmeans import nearest, squared_distances
from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.discovery.calibration import Calibration, calibrate
from ncd_jax.discovery.problem import Problem, make_method
from ncd_jax.discovery.procedure import Answer
from ncd_jax.discovery.refits import assign_novel, margin
from ncd_jax.methods import Spec
from ncd_jax.methods.parts import class_means
from ncd_jax.types import Array, Method, PyTree

__all__ = [
    "Applied",
    "Model",
    "apply",
    "assign",
    "fitted",
    "look",
    "on_host",
]

_CHUNK = 512
"""Rows that are looked at together: one compiled program serves tables of any length, and a
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
        centroids: `f32[len(classes), L]`.
        slots: `i[k]`, the slot that each novel class has in the method.
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
    centroids: Array
    slots: np.ndarray
    calibration: Calibration


class Applied(NamedTuple, Generic[A]):
    """What a model says about `n` rows.

    Attributes:
        z: `f32[n, L]`, the rows in the method's representation.
        squared: `f32[n, C + k]`, squared distances to the centroids.
        labels: `i32[n]`, index into the model's classes.
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
    slots: np.ndarray,
    x: Array,
) -> Applied[Array]:
    """From scaled rows to classes: a known one, or one of the novel ones.

    Whether it is known, and which, says the nearest centroid in the representation; which of
    the novel classes, the method.

    Args:
        method: the method.
        state: its state.
        centroids: `f32[C + k, L]`, those of the known classes first.
        slots: `i[k]`, the slot that each novel class has in the method.
        x: `f32[n, d]`, as the model's scaler gives them.
    """
    z = method.represent(state, x)
    labels = nearest(z, centroids, jnp.ones(len(centroids), bool))
    n_known = len(centroids) - len(slots)
    novel = assign_novel(method, state, z, centroids[n_known:], slots)
    labels = jnp.where(labels < n_known, labels, n_known + novel)
    return Applied(z, squared_distances(z, centroids), labels, margin(z, centroids))


_APPLY = jax.jit(apply, static_argnames="method")


def look(model: Model, x: np.ndarray) -> Applied[np.ndarray]:
    """Applies a model to rows `f[n, d]`, columns as in `Table.x`, as arrays of the host."""
    method = make_method(model.method, model.spec)
    parts = []
    for start in range(0, max(len(x), 1), _CHUNK):
        rows = model.scaler.apply(x[start : start + _CHUNK])
        padded = np.zeros((_CHUNK, x.shape[1]), np.float32)
        padded[: len(rows)] = rows
        seen = _APPLY(method, model.state, model.centroids, model.slots, padded)
        parts.append([np.asarray(part)[: len(rows)] for part in seen])
    return Applied(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def assign(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives every row a class, see `apply`, and says how surely.

    Args:
        model: the model.
        x: `f[n, d]`, columns as in `Table.x`.

    Returns:
        Index into `model.classes`, `i[n]`, and the confidence `f64[n]`: the share of rows with
        such a margin that were sorted right where known classes were hidden.
    """
    seen = look(model, x)
    return seen.labels, calibrate(model.calibration, seen.margin)


def fitted(
    problem: Problem,
    table: Table,
    hparams: dict[str, float],
    state: PyTree,
    answer: Answer,
    calibration: Calibration,
) -> Model:
    """The model of an answer: novel centroids as found, known ones the means of their rows.

    Args:
        problem: what was solved.
        table: its table.
        hparams: hyperparameters of the refit that gave the answer.
        state: its state.
        answer: the answer.
        calibration: from the margin in the eyes of that refit to confidence.
    """
    z = jax.jit(problem.method.represent)(state, problem.data.x)
    known = class_means(z, problem.data.y, len(table.classes))
    return Model(
        method=problem.config.method,
        spec=problem.spec,
        hparams=hparams,
        state=state._replace(opt=None),
        encoder=table.encoder,
        scaler=problem.scaler,
        columns=table.columns,
        classes=(*table.classes, *(f"novel_{i}" for i in range(answer.k))),
        centroids=jnp.concatenate([known, answer.centroids]),
        slots=answer.slots,
        calibration=calibration,
    )


def on_host(model: Model) -> Model:
    """The model in NumPy arrays: it can be copied and sent."""
    state, centroids = jax.tree.map(np.asarray, (model.state, model.centroids))
    return model._replace(state=state, centroids=centroids)
