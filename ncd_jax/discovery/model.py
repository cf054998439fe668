"""What a run has learned, as data that is applied to rows never seen."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import class_means, squared_distances
from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table
from ncd_jax.discovery.answers import Answer, choose
from ncd_jax.discovery.calibration import AS_IT_IS, Calibration, calibrate
from ncd_jax.discovery.familiarity import Reference, familiarity
from ncd_jax.discovery.hyperparameters import make_method
from ncd_jax.discovery.padding import filled_chunks
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.methods import Spec
from ncd_jax.types import UNLABELLED, Array, Method, NCDData, PyTree

__all__ = [
    "Applied",
    "Model",
    "Places",
    "apply",
    "apply_model",
    "assign",
    "familiar_rows",
    "fitted_model",
    "margin",
    "on_host",
    "places",
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
        means: `f32[C + K, L]`, the middle of the `C` known classes, then that of the novel ones;
            zero where there is none.
        rows: `i[len(classes)]`, the row of `means` that is each class's own.
        centroids: `f32[K, L]`, what novel rows are assigned to.
        owners: `i[K]`, the novel class of each; -1 where it is not in use.
        calibration: from margins to confidence.
        reference: what new rows are held against; none where nobody will ask how sure a class is.
    """

    method: str
    spec: Spec
    hparams: dict[str, float]
    state: PyTree
    encoder: Encoder | None
    scaler: Standardiser
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    means: np.ndarray
    rows: np.ndarray
    centroids: np.ndarray
    owners: np.ndarray
    calibration: Calibration
    reference: Reference | None = None


class Applied(NamedTuple, Generic[A]):
    """What a model says about `n` rows.

    Attributes:
        z: `f32[n, L]`, the rows in the method's representation.
        squared: `f32[n, m]`, squared distances to the means: from `apply` to all `C + K`,
            infinite where there is no class, from `apply_model` to that of each class.
        labels: `i32[n]`: from `apply` the row of the means, from `apply_model` the index into the
            model's classes.
        margin: `f32[n]`, how clearly each row belongs to the nearest mean.
    """

    z: A
    squared: A
    labels: A
    margin: A


class Places(NamedTuple):
    """Where the classes of a model lie, as arrays of fixed shape, of host or device.

    Attributes:
        means: `f32[C + K, L]`.
        is_class: `bool[C + K]`, which of them there are.
        centroids: `f32[K, L]`.
        owners: `i32[K]`.
    """

    means: Any
    is_class: Any
    centroids: Any
    owners: Any


def places(model: Model) -> Places:
    """Where the classes of a model lie."""
    is_class = np.zeros(len(model.means), bool)
    is_class[model.rows] = True
    return Places(model.means, is_class, model.centroids, model.owners.astype(np.int32))


def apply(method: Method, state: PyTree, where: Places, x: Array) -> Applied[Array]:
    """From scaled rows to classes: a known one, or one of the novel ones.

    Whether it is known, and which, says the nearest mean in the representation; which of the
    novel classes, the method.

    Args:
        method: the method.
        state: its state.
        where: the classes.
        x: `f32[n, d]`, as the model's scaler gives them.
    """
    n_known = len(where.means) - len(where.centroids)
    z = method.represent(state, x)
    squared = jnp.where(where.is_class, squared_distances(z, where.means), jnp.inf)
    labels = jnp.argmin(squared, axis=1)
    slot = method.assign(state, z, where.centroids, where.owners >= 0)
    novel = n_known + jnp.asarray(where.owners)[slot]
    return Applied(z, squared, jnp.where(labels < n_known, labels, novel), margin(squared))


_APPLY = jax.jit(apply, static_argnames="method")


def apply_model(model: Model, x: np.ndarray) -> Applied[np.ndarray]:
    """Applies a model to rows `f[n, d]`, columns as in `Table.x`, as arrays of the host."""
    method = make_method(model.method, model.spec)
    state, where = jax.device_put((model.state, places(model)))
    # Nobody waits for a chunk: the next one is made ready meanwhile.
    parts = [
        _APPLY(method, state, where, rows)
        for rows, _ in filled_chunks(model.scaler.apply(x), _CHUNK)
    ]
    z, squared, labels, margins = (
        np.concatenate([np.asarray(part) for part in of_rows])[: len(x)]
        for of_rows in zip(*parts, strict=True)
    )
    class_of_row = np.zeros(len(model.means), int)
    class_of_row[model.rows] = np.arange(len(model.rows))
    return Applied(z, squared[:, model.rows], class_of_row[labels], margins)


def assign(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gives every row a class, see `apply`, and says how surely.

    Args:
        model: the model.
        x: `f[n, d]`, columns as in `Table.x`.

    Returns:
        Index into `model.classes`, `i[n]`; the confidence `f64[n]`: the share of rows with such a
        margin that were sorted right where known classes were hidden, times the familiarity; and
        that, `f64[n]`, below 1 for rows that are like no class.
    """
    applied = apply_model(model, x)
    familiar = familiar_rows(model, x, applied)
    return applied.labels, calibrate(model.calibration, applied.margin) * familiar, familiar


def familiar_rows(model: Model, x: np.ndarray, applied: Applied[np.ndarray]) -> np.ndarray:
    """How like the rows of its class each row is, `f64[n]`; see `familiarity`.

    Args:
        model: the model.
        x: `f[n, d]`, columns as in `Table.x`.
        applied: what it says of them.
    """
    familiar = np.ones(len(x))
    if model.reference is not None:
        scaled = model.scaler.apply(x)
        familiar = familiarity(model.reference, scaled, applied.z, applied.labels)
    if model.encoder is not None:
        familiar[model.encoder.is_blank(x)] = 0.0
    return familiar


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
    n_known, n_slots = problem.spec.n_known, len(answer.centroids)
    y = np.asarray(problem.data.y)
    present = np.unique(y[y != UNLABELLED])
    of_known = _class_means(problem.method, state, problem.data, n_known=n_known)
    means = np.zeros((n_known + n_slots, of_known.shape[1]), np.float32)
    means[:n_known] = of_known
    means[n_known : n_known + answer.k] = answer.means
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
        means=means,
        rows=np.concatenate([present, n_known + np.arange(answer.k)]).astype(int),
        centroids=answer.centroids.astype(np.float32),
        owners=answer.owners,
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
