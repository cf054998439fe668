"""A model in the folder of a run: arrays and a description, without pickle, checked when read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import is_novel_name
from ncd_jax.discovery.around import Reference
from ncd_jax.discovery.model import Model, Places, Remembered, apply, arrays_of, nothing_told
from ncd_jax.discovery.problem import make_method
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.store.records import package_versions
from ncd_jax.store.workdir import Workdir, check_arrays, stored_arrays

__all__ = ["load_model", "names_of", "read_model", "save_model", "save_names", "write_model"]

_FORMAT_VERSION = 5
_NAMES, _DESCRIPTION, _ARRAYS = "names.json", "model/model.json", "model/arrays.npz"
_MAY_LACK = ("reference/usual", "scaler/low", "scaler/high")
"""Arrays in which a number that is not finite says that there is none."""
_FORMS = """
means f[g,w]  rows i[k]  mean f[d]  scale f[d]  x f[r,d]  z f[r,l]  y i[r]  limits f[2,g]
nearer f[2]  votes f[4]  log_share f[c]  apart f[]  usual f[]  cells f[s,w]  owners i[s]
micro f[m,w]  groups i[m]  score f[m]  slope f[]  most f[m]
"""
"""Of all arrays but those of the state, as `check_arrays` has them."""
_REMEMBERED = " keys i[n]  labels i[n]  confidence f[n]  p_known f[n]"
_APPLY = jax.jit(apply, static_argnames=["method", "judged"])  # models of one form are traced once


def save_model(workdir: Workdir, model: Model, names: Mapping[str, str] | None = None) -> None:
    """Writes the model of a run, with the names that people gave its novel classes, if they did."""
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
    with workdir.together() as group:
        write_model(group, arrays, facts if names is None else facts | {"names": names})
        if names is not None:
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
    with workdir.reading("model"):
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
        return model


def _check(model: Model) -> None:
    """Fails where the parts of a model do not belong together."""
    places, scaler, old = model.places, model.scaler, model.remembered
    n_known, n_new = model.spec.n_known, len(places.groups)
    n_columns, n_classes = len(scaler.mean), len(model.classes)
    arrays = places._asdict() | model.reference._asdict() | scaler.to_arrays()
    arrays |= {"means": model.means, "rows": model.rows} | (old._asdict() if old else {})
    bounds = (f" {name} f[{'d' * arrays[name].ndim}]" for name in ("low", "high"))
    forms = _FORMS + "".join(bounds) + (_REMEMBERED if old else "")
    check_arrays(arrays, forms, d=n_columns, c=n_known, k=n_classes, g=n_known + n_new)
    n_means = len(model.means)
    indices = [(model.rows, 0, n_means), (places.owners, -1, n_new), (places.groups, -1, n_new)]
    indices += [(model.reference.y, -2, n_known), (old.labels if old else 0, 0, n_classes)]
    if not (
        all(np.all((low <= each) & (each < n)) for each, low, n in indices)
        and n_classes == len(set(model.classes)) > 0
        and all(model.classes)  # no row is answered with nothing
        and all(isinstance(name, str) for name in (*model.classes, *model.columns))
        and len(model.columns) == n_columns == model.spec.n_features
        and (model.encoder is None or model.encoder.names == model.columns)
        and isinstance(model.view, int)
        and isinstance(model.judged, bool)
        and np.all(scaler.scale > 0)
        and np.all(scaler.low < np.inf)
        and np.all(scaler.high > -np.inf)
        and (old is None or np.all((old.confidence >= 0) & (old.confidence <= 1)))
    ):
        raise ValueError("they do not belong together")
    rows = jax.ShapeDtypeStruct((2, n_columns), np.float32)
    method = make_method(model.method, model.spec)
    applied = _APPLY.eval_shape(method, model.judged, arrays_of(model), rows, nothing_told(2))
    if applied.z.shape != (2, model.reference.z.shape[1]) or applied.squared.shape != (2, n_means):
        raise ValueError("the state is of another shape")


def write_model(workdir: Workdir, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Writes a model into the folder `model/`, as JSON and nested arrays: both files or none.

    Names of arrays may not hold `/`; empty dicts are not kept.
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
    with workdir.reading("model"):
        version, metadata = int(description["format_version"]), dict(description["metadata"])
    if version != _FORMAT_VERSION:
        try:
            release = f"ncd_jax {description['versions']['ncd_jax']}"
        except (KeyError, TypeError):
            release = "another release"
        raise UserError(
            f"{folder} has format {version}, this release reads {_FORMAT_VERSION}; install"
            f" {release}, which wrote it, or run again in a new workdir"
        )
    with workdir.reading("model"):
        data = workdir.read_bytes(_ARRAYS) if workdir.has(_ARRAYS) else b""
        arrays = stored_arrays(data, str(description.get("sha256")))
        for name, values in arrays.items():
            if values.dtype.kind not in "biuf" or not (
                name in _MAY_LACK or np.isfinite(values).all()
            ):
                raise ValueError(f"{name} is not finite")
        return _unflatten(arrays), metadata


def names_of(workdir: Workdir) -> dict[str, str]:
    """From `novel_i` to the name that people gave it, of the classes of a run that have one.

    Raises:
        UserError: `names.json` is damaged.
    """
    if not workdir.has(_NAMES):
        return {}
    names: dict[str, str] = workdir.read_json(_NAMES, dict)
    if not all(is_novel_name(novel) and isinstance(name, str) for novel, name in names.items()):
        raise UserError(f"{workdir.path(_NAMES)} is damaged; delete it and rename again")
    return names


def save_names(workdir: Workdir, names: Mapping[str, str]) -> None:
    """Writes names by `novel_i`, and puts them into the model, which may be sent alone.

    Within a block that keeps files together.
    """
    description = workdir.read_json(_DESCRIPTION, dict)
    description["metadata"]["names"] = dict(names)
    workdir.write_json(_DESCRIPTION, description)
    workdir.write_json(_NAMES, names)


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if "/" in name:
            raise ValueError(f"array name {name!r} holds '/', which separates levels")
        is_leaf, key = not isinstance(value, Mapping), prefix + name
        flat |= {key: value} if is_leaf else _flatten(value, f"{key}/")
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
