"""What a model does with encoded rows: a pure function, and the same for tables of any length."""

import functools
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from ncd_jax.clustering.kmeans import nearest, squared_distances
from ncd_jax.methods import METHODS, Spec
from ncd_jax.model import Model
from ncd_jax.problem import make_hparams
from ncd_jax.tuning.discovery import assign_novel
from ncd_jax.types import Array, Method, PyTree

__all__ = ["Applied", "apply", "fit_temperature", "look", "on_host"]

_CHUNK = 512
"""Rows that are looked at together: one compiled program serves tables of any length, and a
row gets the same answer whatever stands beside it."""


A = TypeVar("A")


class Applied(NamedTuple, Generic[A]):
    """What a model says about `n` rows.

    Attributes:
        z: `f32[n, L]`, the rows in the method's representation.
        squared: `f32[n, C + k]`, squared distances to the centroids.
        labels: `i32[n]`, index into the model's classes.
    """

    z: A
    squared: A
    labels: A


def apply(
    method: Method,
    state: PyTree,
    hparams: PyTree,
    centroids: Array,
    slots: np.ndarray,
    x: Array,
    *,
    n_slots: int,
) -> Applied[Array]:
    """From encoded rows to classes, as `model.assign` has it.

    Args:
        method: the method.
        state: its state.
        hparams: its hyperparameters.
        centroids: `f32[C + k, L]`, those of the known classes first.
        slots: `i[k]`, the slot that each novel class has in the method.
        x: `f32[n, d]`, as the model's scaler gives them.
        n_slots: slots of the method.
    """
    z = method.represent(state, x, hparams)
    labels = nearest(z, centroids, jnp.ones(len(centroids), bool))
    n_known = len(centroids) - len(slots)
    novel = assign_novel(method, state, z, centroids[n_known:], slots, n_slots)
    labels = jnp.where(labels < n_known, labels, n_known + novel)
    return Applied(z, squared_distances(z, centroids), labels)


def look(model: Model, x: np.ndarray) -> Applied[np.ndarray]:
    """Applies a model to rows as `Encoder.apply` gives them, as arrays of the host."""
    program = _program(model.method, model.spec)
    hparams = make_hparams(model.method, model.hparams)
    x, parts = model.scaler.apply(x), []
    for start in range(0, len(x), _CHUNK):
        rows = x[start : start + _CHUNK]
        padded = np.zeros((_CHUNK, x.shape[1]), np.float32)
        padded[: len(rows)] = rows
        seen = program(model.state, hparams, model.centroids, model.slots, padded)
        parts.append([np.asarray(part)[: len(rows)] for part in seen])
    return Applied(*(np.concatenate(part) for part in zip(*parts, strict=True)))


@functools.lru_cache(maxsize=64)
def _program(name: str, spec: Spec) -> Callable[..., Applied[Array]]:
    """Compiled once for all models of one shape."""
    method = METHODS[name].make(spec)
    return jax.jit(functools.partial(apply, method, n_slots=spec.max_clusters))


def on_host(model: Model) -> Model:
    """The model in NumPy arrays, less what only training needs: it can be copied and sent."""
    arrays: dict[str, Any] = {
        "state": model.state._replace(opt=None),
        "centroids": model.centroids,
        "slots": model.slots,
    }
    return model._replace(**jax.tree.map(np.asarray, arrays))


def fit_temperature(squared: np.ndarray, y: np.ndarray, n_columns: int) -> float:
    """The temperature of `softmax(-squared / temperature)` under which labels are likeliest.

    It lies between those of two models of a class with the variance that is measured: columns
    that are independent of each other, and columns that all say the same.

    Args:
        squared: `f[n, C + k]`, squared distances of labelled rows to the centroids.
        y: `i[n]`, their class.
        n_columns: of the representation.
    """
    squared = squared.astype(np.float64)
    own = squared[np.arange(len(y)), y].mean()
    if own <= 0:
        own = max(float(squared.mean()), 1e-12)

    def surprise(log_temperature: float) -> float:
        shares = log_softmax(-squared / np.exp(log_temperature), axis=1)
        return float(-shares[np.arange(len(y)), y].mean())

    bounds = (np.log(2 * own / n_columns), np.log(2 * own))
    if n_columns == 1:
        return float(2 * own)
    return float(np.exp(minimize_scalar(surprise, bounds=bounds, method="bounded").x))
