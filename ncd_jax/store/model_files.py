"""A model in the folder of a run: arrays and a description, without pickle, checked when read."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.discovery.around import Reference
from ncd_jax.discovery.model import (
    Model,
    Places,
    Remembered,
    apply,
    arrays_of,
    nothing_told,
)
from ncd_jax.discovery.problem import make_method
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.store.records import package_versions
from ncd_jax.store.workdir import Workdir, stored_arrays

__all__ = [
    "load_model",
    "names_of",
    "read_model",
    "save_model",
    "save_names",
    "write_model",
]

_FORMAT_VERSION = 5
_NAMES, _DESCRIPTION, _ARRAYS = "names.json", "model/model.json", "model/arrays.npz"
_MAY_LACK = ("reference/usual", "scaler/low", "scaler/high")
"""Arrays in which a number that is not finite says that there is none."""
_APPLY = jax.jit(apply, static_argnames=["method", "judged"])  # models of one form are traced once


def save_model(workdir: Workdir, model: Model, names: Mapping[str, str] | None = None) -> None:
    """Writes the model into the folder `model/` of a run.

    Args:
        workdir: of the run.
        model: the model.
        names: that people gave its novel classes, from `novel_i` to name, where they did.
    """
    state = {name: leaf for name, leaf in model.state._asdict().items() if name != "opt"}
    arrays = {
        "state": state,
        "means": model.means,
        "rows": model.rows,
        "scaler": model.scaler.to_arrays(),
        "places": model.places._asdict(),
        "reference": model.reference._asdict(),
    }
    if model.remembered is not None:
        arrays["remembered"] = model.remembered._asdict()
    facts: dict[str, Any] = {
        "method": model.method,
        "spec": dataclasses.asdict(model.spec),
        "hparams": model.hparams,
        "view": model.view,
        "judged": model.judged,
        "encoder": model.encoder and model.encoder.to_json(),
        "columns": model.columns,
        "classes": model.classes,
    }
    if names is None:
        write_model(workdir, arrays, facts)
        return
    with workdir.together() as group:
        write_model(group, arrays, facts | {"names": dict(names)})
        group.write_json(_NAMES, names)


def load_model(workdir: Workdir) -> Model:
    """Reads the model of a run; its classes go by the names that people gave them.

    Raises:
        UserError: there is none, it is damaged, or another release wrote it.
    """
    arrays, facts = read_model(workdir)
    if isinstance(method := facts.get("method", 0), str) and method not in METHODS:
        raise UserError(
            f"the model in {workdir.path('model')} is of a method {method!r} that is not here;"
            " give --plugin=FILE with the file that has it, as the run was given"
        )
    try:
        names = names_of(workdir) if workdir.has(_NAMES) else facts.get("names", {})
        model = Model(
            method=facts["method"],
            spec=Spec(**facts["spec"] | {"blocks": tuple(map(tuple, facts["spec"]["blocks"]))}),
            hparams=facts["hparams"],
            state=METHODS[facts["method"]].state(**arrays.get("state", {}), opt=None),
            view=facts["view"],
            judged=facts["judged"],
            encoder=facts["encoder"] and Encoder.from_json(facts["encoder"]),
            scaler=Standardiser.from_arrays(arrays["scaler"]),
            columns=tuple(facts["columns"]),
            classes=tuple(names.get(name, name) for name in facts["classes"]),
            means=arrays["means"],
            rows=arrays["rows"],
            places=Places(**arrays["places"]),
            reference=Reference(**arrays["reference"]),
            remembered=Remembered(**arrays["remembered"]) if "remembered" in arrays else None,
        )
        _check(model)
    except UserError:
        raise
    except Exception as error:  # somebody else's data may be wrong in any way
        raise _damaged(workdir) from error
    return model


def _check(model: Model) -> None:
    """Whether the parts of a model belong together.

    Raises:
        ValueError, TypeError: they do not.
    """
    n_columns, n_known = len(model.scaler.mean), model.spec.n_known
    places, reference, old = model.places, model.reference, model.remembered
    n_new, n_means = len(places.groups), len(model.means)
    together = {
        "classes": len(model.classes) == len(model.rows) == len(set(model.classes)) > 0
        and all(model.classes),  # no row is answered with nothing
        "names": all(isinstance(name, str) for name in (*model.classes, *model.columns)),
        "columns": len(model.columns) == n_columns == model.spec.n_features,
        "encoder": model.encoder is None or model.encoder.names == model.columns,
        "means": n_means == n_known + n_new,
        "rows": _are_indices(model.rows, n_means),
        "owners": _are_indices(places.owners, n_new, lowest=-1),
        "groups": _are_indices(places.groups, n_new, lowest=-1),
        "reference.y": _are_indices(reference.y, n_known, lowest=-2),
        "scaler": bool(np.all(model.scaler.scale > 0))
        and bool(np.all(model.scaler.low < np.inf) and np.all(model.scaler.high > -np.inf)),
        "view": isinstance(model.view, int) and isinstance(model.judged, bool),
        "remembered": old is None
        or (
            _are_indices(old.labels, len(model.classes))
            and bool(np.all((old.confidence >= 0) & (old.confidence <= 1)))
        ),
    }
    wrong = [name for name, is_right in together.items() if not is_right]
    for name, (array, shapes) in _shapes(model).items():
        if np.shape(array) not in shapes:
            wrong.append(name)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} do not belong to the rest")
    rows = jax.ShapeDtypeStruct((2, n_columns), np.float32)
    method = make_method(model.method, model.spec)
    told, arrays = nothing_told(2), arrays_of(model)
    applied = _APPLY.eval_shape(method, model.judged, arrays, rows, told)
    if applied.z.ndim != 2 or applied.squared.shape != (2, len(model.means)):
        raise ValueError("the state is of another shape")
    if reference.z.shape[1:] != applied.z.shape[1:]:
        raise ValueError("reference.z is of another representation")


def _shapes(model: Model) -> dict[str, tuple[Any, tuple[tuple[int, ...], ...]]]:
    """Every array but those of the state, and the shapes that it may have."""
    places, reference, scaler = model.places, model.reference, model.scaler
    width, n_columns = model.means.shape[-1], len(scaler.mean)
    n_cells, n_micro, n_rows = len(places.cells), len(places.micro), len(reference.z)
    of_rows, of_micro = (n_rows,), (n_micro,)
    found: dict[str, tuple[Any, tuple[tuple[int, ...], ...]]] = {
        "means": (model.means, ((len(model.means), width),)),
        "cells": (places.cells, ((n_cells, width),)),
        "owners": (places.owners, ((n_cells,),)),
        "micro": (places.micro, ((n_micro, width),)),
        "groups": (places.groups, (of_micro,)),
        "score": (places.score, (of_micro,)),
        "slope": (places.slope, ((),)),
        "most": (places.most, (of_micro,)),
        "x": (reference.x, ((n_rows, n_columns),)),
        "y": (reference.y, (of_rows,)),
        "limits": (reference.limits, ((2, len(model.means)),)),
        "nearer": (reference.nearer, ((2,),)),
        "votes": (reference.votes, ((4,),)),
        "log_share": (reference.log_share, ((model.spec.n_known,),)),
        "apart": (reference.apart, ((),)),
        "usual": (reference.usual, ((),)),
        "mean": (scaler.mean, ((n_columns,),)),
        "scale": (scaler.scale, ((n_columns,),)),
        "low": (scaler.low, ((), (n_columns,))),
        "high": (scaler.high, ((), (n_columns,))),
    }
    if (old := model.remembered) is not None:
        found |= {name: (array, (old.keys.shape,)) for name, array in old._asdict().items()}
        found["keys"] = (old.keys, ((old.keys.size,),))
    return found


def _are_indices(values: np.ndarray, n: int, lowest: int = 0) -> bool:
    is_whole = values.ndim == 1 and np.issubdtype(values.dtype, np.integer)
    return bool(is_whole and np.all((values >= lowest) & (values < n)))


def write_model(workdir: Workdir, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Writes a model into the folder `model/`: both files or none.

    Args:
        workdir: where to.
        arrays: nested dicts of arrays. Names may not hold `/`; empty dicts are not kept.
        metadata: anything that JSON can say.
    """
    flat = _flatten(arrays)
    with workdir.together() as group:
        description = {
            "format_version": _FORMAT_VERSION,
            "versions": package_versions(),
            "sha256": group.write_arrays(_ARRAYS, flat),
            "metadata": metadata,
        }
        group.write_json(_DESCRIPTION, description)


def read_model(workdir: Workdir) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `write_model` wrote.

    Returns:
        The nested dicts of arrays, all finite but for those that may lack something, and the
        metadata.

    Raises:
        UserError: there is no model, it is damaged, or another release wrote it.
    """
    folder = workdir.path("model")
    if not workdir.has(_DESCRIPTION):
        raise UserError(f"{folder} holds no model; let a run finish in this workdir first")
    description = workdir.read_json(_DESCRIPTION)
    try:
        version, metadata = int(description["format_version"]), dict(description["metadata"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(workdir) from error
    if version != _FORMAT_VERSION:
        try:
            release = f"ncd_jax {description['versions']['ncd_jax']}"
        except (KeyError, TypeError):
            release = "another release"
        raise UserError(
            f"{folder} has format {version}, this release reads {_FORMAT_VERSION}; install"
            f" {release}, which wrote it, or run again in a new workdir"
        )
    try:
        data = workdir.read_bytes(_ARRAYS)
        arrays = stored_arrays(data, str(description.get("sha256")))
        for name, values in arrays.items():
            if values.dtype.kind not in "biuf" or not (
                name in _MAY_LACK or np.isfinite(values).all()
            ):
                raise ValueError(f"{name} is not finite")
        return _unflatten(arrays), metadata
    except Exception as error:  # somebody else's data may be wrong in any way
        raise _damaged(workdir) from error


def names_of(workdir: Workdir) -> dict[str, str]:
    """From `novel_i` to the name that people gave it, of the classes of a run that have one.

    Raises:
        UserError: `names.json` is damaged.
    """
    if not workdir.has(_NAMES):
        return {}
    names: dict[str, str] = workdir.read_json(_NAMES, dict)
    if not all(
        re.fullmatch(r"novel_\d+", novel) and isinstance(name, str) for novel, name in names.items()
    ):
        raise UserError(f"{workdir.path(_NAMES)} is damaged; delete it and rename again")
    return names


def save_names(workdir: Workdir, names: Mapping[str, str]) -> None:
    """Writes these names, and puts them into the model, which may be sent alone.

    Args:
        workdir: of a run, in a block that keeps its files together.
        names: from `novel_i` to name.
    """
    description = workdir.read_json(_DESCRIPTION, dict)
    description["metadata"]["names"] = dict(names)
    workdir.write_json(_DESCRIPTION, description)
    workdir.write_json(_NAMES, names)


def _damaged(workdir: Workdir) -> UserError:
    return UserError(f"{workdir.path('model')} is damaged; run again in a new workdir")


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if "/" in name:
            raise ValueError(f"array name {name!r} holds '/', which separates levels")
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


def _unflatten(flat: Mapping[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, name = path.split("/")
        level = tree
        for parent in parents:
            level = level.setdefault(parent, {})
        level[name] = value
    return tree
