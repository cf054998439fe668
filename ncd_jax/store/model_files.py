"""A model in the folder of a run: arrays and a description, without pickle."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser
from ncd_jax.discovery.calibration import Calibration
from ncd_jax.discovery.familiarity import Reference
from ncd_jax.discovery.model import Model
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS, Spec
from ncd_jax.store.records import read_model, write_model
from ncd_jax.store.workdir import Workdir

__all__ = ["load_model", "load_temperature", "names_of", "save_model", "save_names"]

_NAMES = "names.json"
_PLACES = ("means", "rows", "centroids", "owners")


def save_model(workdir: Workdir, model: Model, temperature: float) -> None:
    """Writes the model into the folder `model/` of a run.

    Args:
        workdir: of the run.
        model: the model.
        temperature: of the softmax over its class means, for the second likeliest class.
    """
    state = {name: leaf for name, leaf in model.state._asdict().items() if name != "opt"}
    arrays = {"state": state}
    arrays |= {name: getattr(model, name) for name in _PLACES}
    arrays["scaler"] = model.scaler.to_arrays()
    arrays["calibration"] = model.calibration._asdict()
    if model.reference is not None:
        arrays["reference"] = model.reference._asdict()
    facts: dict[str, Any] = {
        "method": model.method,
        "spec": dataclasses.asdict(model.spec),
        "hparams": model.hparams,
        "encoder": model.encoder and model.encoder.to_json(),
        "columns": model.columns,
        "classes": model.classes,
        "temperature": temperature,
    }
    write_model(workdir, arrays, facts)


def load_model(workdir: Workdir) -> Model:
    """Reads the model of a run; its classes go by the names that people gave them.

    Raises:
        UserError: there is none, it is damaged, or a newer release wrote it.
    """
    arrays, facts = read_model(workdir)
    if (method := facts.get("method", "rca")) not in METHODS:
        raise UserError(
            f"the model in {workdir.path('model')} is of a method {method!r} that is not here;"
            " give --plugin=FILE with the file that has it, as the run was given"
        )
    try:
        return Model(
            method=facts["method"],
            spec=Spec(**facts["spec"] | {"blocks": tuple(map(tuple, facts["spec"]["blocks"]))}),
            hparams=facts["hparams"],
            state=METHODS[facts["method"]].state(**arrays.get("state", {}), opt=None),
            encoder=facts["encoder"] and Encoder.from_json(facts["encoder"]),
            scaler=Standardiser.from_arrays(arrays["scaler"]),
            columns=tuple(facts["columns"]),
            classes=tuple(facts.get("names", {}).get(name, name) for name in facts["classes"]),
            **{name: arrays[name] for name in _PLACES},
            calibration=Calibration(**arrays["calibration"]),
            reference=Reference(**arrays["reference"]) if "reference" in arrays else None,
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise _damaged(workdir) from error


def load_temperature(workdir: Workdir) -> float:
    """Reads the temperature that was saved with a model.

    Raises:
        UserError: as `load_model`.
    """
    _, facts = read_model(workdir)
    try:
        return float(facts["temperature"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(workdir) from error


def names_of(workdir: Workdir) -> dict[str, str]:
    """From `novel_i` to the name that people gave it, of the classes of a run that have one.

    Raises:
        UserError: `names.json` is damaged.
    """
    if not workdir.path(_NAMES).is_file():
        return {}
    names = workdir.read_json(_NAMES)
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise UserError(f"{workdir.path(_NAMES)} is damaged; delete it and rename again")
    return names


def save_names(workdir: Workdir, names: Mapping[str, str]) -> None:
    """Writes these names, and puts them into the model, which may be sent alone."""
    description = workdir.read_json("model/model.json")
    description["metadata"]["names"] = dict(names)
    workdir.write_json("model/model.json", description)
    workdir.write_json(_NAMES, names)


def _damaged(workdir: Workdir) -> UserError:
    return UserError(f"{workdir.path('model')} is damaged; run again in a new workdir")
