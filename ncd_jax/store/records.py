"""What a run leaves for other programs, tables and metrics, and how these are read again.

`write_records` ends with `metrics.json`, which makes a workdir complete. Call it last,
after the model and the report, and a killed run never looks finished.
"""

import dataclasses
import functools
import hashlib
import math
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata as distributions
from typing import Any

import jax
import numpy as np

from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table
from ncd_jax.errors import UserError, without_password
from ncd_jax.store.answer_lines import ANSWER_COLUMNS, Assignments, header_of, lines_of
from ncd_jax.store.workdir import Workdir
from ncd_jax.tuning.trials import Trial

__all__ = [
    "ANSWER_COLUMNS",
    "Assignments",
    "describe_environment",
    "describe_run",
    "package_versions",
    "read_assignments",
    "read_config",
    "read_metrics",
    "write_assignments",
    "write_records",
]

_COUNTS = ("n_rows", "n_unlabelled", "n_rows_known", "n_known_classes", "n_novel_estimated")
_SHARES = (
    *("mean_confidence", "hidden_class_accuracy", "known_accuracy", "known_accuracy_by_chance"),
    *("stability", "novel_acc", "novel_nmi", "novel_ari"),
)
_BY_NAME = ("seconds", "n_novel_probability", "hidden_class_accuracy_by")
_PACKAGES = ("ncd_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scikit-learn")


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


def read_config(workdir: Workdir) -> dict[str, Any]:
    """Reads `config.json` of a run; see `describe_run`.

    Raises:
        UserError: it is missing, damaged, or of something else.
    """
    config: dict[str, Any] = workdir.read_json("config.json", dict)
    with workdir.reading("config.json", "is of something else; choose another --workdir"):
        run, environment = config["run"], config["environment"]
        seed, parts = run["config"]["seed"], (run["table"], environment)
        if type(seed) is not int or seed < 0 or not all(isinstance(part, dict) for part in parts):
            raise ValueError(seed)
    return config


def read_metrics(workdir: Workdir) -> dict[str, Any]:
    """Reads `metrics.json` of a finished run.

    Raises:
        UserError: it is missing, damaged, or of something else.
    """
    metrics: dict[str, Any] = workdir.read_json("metrics.json", dict)
    wrong = "is of something else; choose another --workdir or delete it"
    with workdir.reading("metrics.json", wrong):
        _check_metrics(metrics)
    return {"warnings": [], "n_answers": 0, **metrics}


def _check_metrics(metrics: Mapping[str, Any]) -> None:
    """Fails where something that is said of a run is not of the kind that it should be."""
    sizes, known = metrics["novel_sizes"], metrics["known_sizes"]
    counts = [*(metrics[name] for name in _COUNTS), *sizes, *known.values()]
    before, by_name = metrics.get("before_answers", {}), [metrics.get(n, {}) for n in _BY_NAME]
    shares = [metrics[name] for name in _SHARES if metrics.get(name) is not None]
    if before:
        counts.append(before["n_novel_estimated"])
        shares.append(before["mean_confidence"])
    numbers = [*shares, *(number for each in by_name for number in each.values())]
    texts = [*metrics.get("warnings", []), *metrics.get("names", {}).values()]
    if not (
        all(type(count) is int and count >= 0 for count in counts)
        and all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        and all(isinstance(text, str) for text in texts)
        and metrics["n_novel_estimated"] == len(sizes)
        and "total" in metrics["seconds"]
        and set(by_name[-1]) <= {"several", "one"}
        and isinstance(sizes, list)
        and isinstance(before, dict)
    ):
        raise ValueError


def read_assignments(workdir: Workdir) -> tuple[list[str], list[list[str]]]:
    """Reads `assignments.csv`: its header, and every line as the cells were in the table.

    Raises:
        UserError: it is missing, damaged, or of something else.
    """
    if not workdir.has("assignments.csv"):
        path = workdir.path("assignments.csv")
        raise UserError(f"{path} does not exist; run again in a new workdir")
    header, lines = workdir.read_csv("assignments.csv")
    with workdir.reading("assignments.csv"):
        row, label = header.index("row"), header.index("label")
        rows = {int(line[row]) for line in lines}
        is_whole = len(rows) == len(lines) and all(line[label] for line in lines)
        if not is_whole or min(rows, default=0) < 0:
            raise ValueError("rows are missing or there twice")
    return header, lines


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
    return {name: _version(name) for name in _PACKAGES}


@functools.cache
def _version(name: str) -> str:
    """Of a package; to find it takes milliseconds, and each file that is kept says it."""
    try:
        return distributions.version(name)
    except distributions.PackageNotFoundError:
        return "not installed"


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
    folds = [f"fold_{i}" for i in range(len(trials[0].fold_scores) if trials else 0)]
    of_folds = [*folds, *(f"{fold}_k" for fold in folds)]
    header = ["number", "score", *hparams, *of_folds, "diverged", "stopped_after_epoch"]
    rows = []
    for t in trials:
        values = (t.hparams[name] for name in hparams)
        rows.append([t.number, t.score, *values, *t.fold_scores, *t.fold_k, t.diverged, t.stopped])
    workdir.write_csv("trials.csv", header, rows)


def write_assignments(workdir: Workdir, name: str, assignments: Assignments) -> None:
    """Writes a line for each row: its number, what is copied, its class and the runner-up."""
    workdir.write_bytes(name, header_of(assignments.copied) + lines_of(assignments))
