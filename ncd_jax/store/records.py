"""What a run leaves for other programs: tables, metrics, and the model as data.

`write_records` ends with `metrics.json`, which makes a workdir complete. Call it last,
after `write_model` and the report, and a killed run never looks finished.
"""

import dataclasses
import hashlib
import platform
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata as distributions
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.errors import UserError, without_password
from ncd_jax.read.words import as_text
from ncd_jax.store.workdir import Workdir
from ncd_jax.tuning.proposals import Trial

__all__ = [
    "Assignments",
    "describe_environment",
    "describe_run",
    "package_versions",
    "read_model",
    "write_assignments",
    "write_model",
    "write_records",
]

_FORMAT_VERSION = 3
_PACKAGES = ("ncd_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")


class Assignments(NamedTuple):
    """The class of each of `u` unlabelled rows.

    Attributes:
        rows: `i[u]`, row numbers in the table.
        labels: names of their classes.
        confidence: `f[u]`, between 0 and 1.
        runners_up: names of the second likeliest classes; empty text where there is none.
        runner_up_confidence: `f[u]`, how likely these are.
        copied: columns of these rows that are copied from the table; none where there are none.
    """

    rows: np.ndarray
    labels: Sequence[str]
    confidence: np.ndarray
    runners_up: Sequence[str]
    runner_up_confidence: np.ndarray
    copied: pd.DataFrame | None = None


def write_records(
    workdir: Workdir,
    trials: Sequence[Trial],
    assignments: Assignments,
    metrics: Mapping[str, Any],
) -> None:
    """Writes `trials.csv`, `assignments.csv` and, last, `metrics.json`."""
    _write_trials(workdir, trials)
    write_assignments(workdir, "assignments.csv", assignments)
    workdir.write_json("metrics.json", metrics)


def write_model(workdir: Workdir, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Writes a model into the folder `model/`.

    Args:
        workdir: where to.
        arrays: nested dicts of arrays. Names may not hold `/`; empty dicts are not kept.
        metadata: anything that JSON can say.
    """
    # Without its description a model does not exist, so an interrupted overwrite cannot
    # pair new arrays with an old description.
    workdir.path("model/model.json").unlink(missing_ok=True)
    workdir.write_arrays("model/arrays.npz", _flatten(arrays))
    description = {
        "format_version": _FORMAT_VERSION,
        "versions": package_versions(),
        "metadata": metadata,
    }
    workdir.write_json("model/model.json", description)


def read_model(workdir: Workdir) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads what `write_model` wrote.

    Returns:
        The nested dicts of arrays, and the metadata.

    Raises:
        UserError: there is no model, it is damaged, or a newer release wrote it.
    """
    folder = workdir.path("model")
    if not workdir.path("model/model.json").is_file():
        raise UserError(f"{folder} holds no model; let a run finish in this workdir first")
    description = workdir.read_json("model/model.json")
    try:
        version, metadata = int(description["format_version"]), dict(description["metadata"])
        if version != _FORMAT_VERSION:
            remedy = "upgrade ncd_jax" if version > _FORMAT_VERSION else "run again"
            raise UserError(
                f"{folder} has format {version}, this release reads {_FORMAT_VERSION}; {remedy}"
            )
        with (
            workdir.path("model/arrays.npz").open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            arrays = {name: stored[name] for name in stored.files}
    except (KeyError, TypeError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{folder} is damaged; run again in a new workdir") from error
    return _unflatten(arrays), metadata


def describe_environment() -> dict[str, Any]:
    """Versions and device, which figures depend on and a run's identity does not."""
    return {
        "versions": package_versions(),
        "python": platform.python_version(),
        "device": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "machine": platform.platform(),
    }


def describe_run(config: RunConfig, table: Table) -> dict[str, Any]:
    """The content of `config.json`: what makes a run this one, and where it is done."""
    told = dataclasses.asdict(config)
    told["search"]["storage"] = without_password(config.search.storage)
    identity = {"config": told, "table": _fingerprint(table)}
    return {"run": identity, "environment": describe_environment()}


def package_versions() -> dict[str, str]:
    """Versions of this package and of those whose numerics it rests on."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = distributions.version(name)
        except distributions.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def _fingerprint(table: Table) -> dict[str, Any]:
    """What makes this table this one: a run may only be continued on the same."""
    digest = hashlib.sha256()
    for array in (table.x, table.y, table.x_test, table.y_test):
        if array is not None:
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    digest.update("\0".join((*table.columns, "", *table.classes, str(table.standardise))).encode())
    return {"name": table.name, "sha256": digest.hexdigest()}


def _write_trials(workdir: Workdir, trials: Sequence[Trial]) -> None:
    hparams = list(trials[0].hparams) if trials else []
    folds = range(len(trials[0].fold_scores) if trials else 0)
    header = [
        "number",
        "score",
        *hparams,
        *(f"fold_{i}" for i in folds),
        *(f"fold_{i}_k" for i in folds),
        "diverged",
        "stopped_after_epoch",
    ]
    rows = (
        [
            t.number,
            t.score,
            *(t.hparams[name] for name in hparams),
            *t.fold_scores,
            *t.fold_k,
            t.diverged,
            "" if t.stopped is None else t.stopped,
        ]
        for t in trials
    )
    workdir.write_csv("trials.csv", header, rows)


def write_assignments(workdir: Workdir, name: str, assignments: Assignments) -> None:
    """Writes a line for each row: its number, what is copied, its class and the runner-up."""
    rows, labels, sure, seconds, second_sure, copied = assignments
    own = ("label", "confidence", "runner_up", "runner_up_confidence")
    taken = {"row", *own}
    header = [] if copied is None else [n + " (copied)" * (n in taken) for n in copied]
    cells = [] if copied is None else [_as_written(copied[column]) for column in copied]
    lines = (
        (
            int(rows[i]),
            *(c[i] for c in cells),
            labels[i],
            f"{float(sure[i]):.4f}",
            seconds[i],
            f"{float(second_sure[i]):.4f}" if seconds[i] else "",
        )
        for i in np.argsort(rows).tolist()
    )
    workdir.write_csv(name, ("row", *header, *own), lines)


def _as_written(cells: pd.Series) -> list[str]:
    return ["" if e else as_text(v) for v, e in zip(cells, cells.isna(), strict=True)]


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
