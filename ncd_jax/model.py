"""What a run has learned, as data: stored without pickle, applied to rows never seen."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.kmeans import nearest
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.problem import make_hparams
from ncd_jax.results.records import read_model, write_model
from ncd_jax.results.workdir import Workdir
from ncd_jax.tuning.discovery import confidence
from ncd_jax.types import Array, PyTree

__all__ = ["Model", "assign", "class_means", "load", "save"]


class Model(NamedTuple):
    """A fitted method with a place for every class in its latent space.

    Attributes:
        method: name in `METHODS`.
        spec: its static facts.
        hparams: its hyperparameters by name.
        state: its state; `opt` may be none.
        scaler: from raw columns to what the method takes.
        columns: names of the columns, in order.
        classes: names of all classes, known ones first.
        centroids: `f32[len(classes), L]`.
    """

    method: str
    spec: Spec
    hparams: dict[str, float]
    state: PyTree
    scaler: Standardiser
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    centroids: Array


def assign(model: Model, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gives every row the class whose centroid is nearest in the latent space.

    Args:
        model: the model.
        x: `f[n, d]`, raw columns.

    Returns:
        Index into `model.classes`, `i[n]`, and the confidence `f32[n]`; see
        `tuning.discovery.confidence`.
    """
    method = METHODS[model.method].make(model.spec)
    represent = jax.jit(method.represent)
    hparams = make_hparams(model.method, model.hparams)
    z = represent(model.state, jnp.asarray(model.scaler.apply(x)), hparams)
    labels = nearest(z, model.centroids, jnp.ones(len(model.classes), bool))
    return np.asarray(labels), np.asarray(confidence(z, model.centroids))


def class_means(z: Array, y: Array, n_classes: int) -> Array:
    """Mean latent `f32[C, L]` of the rows of each known class; unlabelled rows do not count."""
    member = jax.nn.one_hot(y, n_classes)
    return member.T @ z / jnp.maximum(jnp.sum(member, axis=0)[:, None], 1.0)


def save(workdir: Workdir, model: Model) -> None:
    """Writes the model into the folder `model/` of a run."""
    state = {name: leaf for name, leaf in model.state._asdict().items() if name != "opt"}
    arrays = {"state": state, "centroids": model.centroids, "scaler": model.scaler.to_arrays()}
    facts: dict[str, Any] = {
        "method": model.method,
        "spec": dataclasses.asdict(model.spec),
        "hparams": model.hparams,
        "columns": model.columns,
        "classes": model.classes,
    }
    write_model(workdir, arrays, facts)


def load(workdir: Workdir) -> Model:
    """Reads the model of a run.

    Raises:
        UserError: there is none, it is damaged, or a newer release wrote it.
    """
    arrays, facts = read_model(workdir)
    try:
        return Model(
            method=facts["method"],
            spec=Spec(**facts["spec"]),
            hparams=facts["hparams"],
            state=METHODS[facts["method"]].state(**arrays["state"], opt=None),
            scaler=Standardiser.from_arrays(arrays["scaler"]),
            columns=tuple(facts["columns"]),
            classes=tuple(facts["classes"]),
            centroids=jnp.asarray(arrays["centroids"]),
        )
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{workdir.path('model')} is damaged; run again in a new workdir"
        ) from error
