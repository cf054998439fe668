"""What a report is drawn from again: rows of the table, and what answers do not change.

`model/drawn.npz` and `model/drawn.json` hold the rows in the columns that people know and in the
space in which they are shown, a random sample of very many. Nothing rewrites them.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.data.table import Table
from ncd_jax.discovery.evaluate import ConfidenceCurve
from ncd_jax.errors import UserError
from ncd_jax.read.columns import OddCell, Reading, TableReading
from ncd_jax.report.findings import Findings, Ranked
from ncd_jax.report.how_many import NumberStory
from ncd_jax.store.frames import frame_of, frame_parts
from ncd_jax.store.workdir import Workdir, stored_arrays
from ncd_jax.tuning.trials import Trial

__all__ = ["Kept", "keep", "read_kept"]

MOST_KEPT = 20_000
"""Rows of the table that a report is drawn from again."""
_ARRAYS, _FACTS = "model/drawn.npz", "model/drawn.json"


class Kept(NamedTuple):
    """What was kept of `k` of the `n` rows of a table.

    Attributes:
        frame: their columns, as people know them.
        row: `i[k]`, their numbers.
        y: `i[k]`, their known class, or `UNLABELLED`.
        z: `f32[k, L]`, as they are shown.
        drawn: `i[p]`, which of them are points of the map.
        xy: `f[p, 2]`, where these lie.
        truth: their true classes where they are known; for eyes only.
        number: what was said of the number of classes before any answer.
        unknown: metrics that nobody could measure.
        facts: all other `Findings` that answers do not change, by name.
    """

    frame: pd.DataFrame
    row: np.ndarray
    y: np.ndarray
    z: np.ndarray
    drawn: np.ndarray
    xy: np.ndarray
    truth: tuple[str, ...] | None
    number: NumberStory | None
    unknown: tuple[str, ...]
    facts: dict[str, Any]


def keep(workdir: Workdir, findings: Findings, table: Table, z: np.ndarray) -> None:
    """Writes what `read_kept` reads.

    Args:
        workdir: of the run.
        findings: of it, before any answer.
        table: its table.
        z: `f32[n, L]`, its rows as they are shown.
    """
    n, drawn = len(table.y), np.searchsorted(table.row_numbers, findings.latent_map.row)
    kept = np.arange(n)
    if n > MOST_KEPT:
        rng = np.random.default_rng(findings.config["run"]["config"]["seed"])
        kept = np.union1d(drawn, rng.choice(n, MOST_KEPT - len(drawn), replace=False))
    columns, of_columns = frame_parts(table.original().iloc[kept].reset_index(drop=True))
    arrays = columns | {
        "row": table.row_numbers[kept],
        "y": table.y[kept],
        "z": z[kept],
        "drawn": np.searchsorted(kept, drawn),
        "xy": findings.latent_map.xy,
        "loss": findings.loss,
    }
    curve, number, reading = findings.confidence_curve, findings.number, findings.reading
    facts = {
        "columns": of_columns,
        "truth": findings.latent_map.truth,
        "hidden": findings.hidden,
        "trials": [dataclasses.asdict(trial) for trial in findings.trials],
        "best": findings.best,
        "scored": [dataclasses.asdict(trial) for trial in findings.scored],
        "ranking": [dataclasses.asdict(each) for each in findings.ranking],
        "curve": curve and [values.tolist() for values in curve],
        "number": number and dataclasses.asdict(number),
        "reading": reading and dataclasses.asdict(reading),
        "unknown": [name for name, value in findings.metrics.items() if value != value],
    }
    with workdir.together() as group:
        group.write_arrays(_ARRAYS, arrays)
        group.write_json(_FACTS, facts)


def read_kept(workdir: Workdir) -> Kept:
    """Reads what a run has kept.

    Raises:
        UserError: it is missing or damaged.
    """
    said, data = workdir.read_json(_FACTS, dict), workdir.read_bytes(_ARRAYS)
    try:
        arrays = stored_arrays(data)
        _check(*(arrays[name] for name in ("row", "y", "z", "drawn", "xy")))
        curve, truth, reading = said["curve"], said["truth"], said["reading"]
        return Kept(
            frame=frame_of(arrays, said["columns"]),
            **{name: arrays[name] for name in ("row", "y", "z", "drawn", "xy")},
            truth=None if truth is None else tuple(truth),
            number=said["number"] and NumberStory(**_tuples(said["number"])),
            unknown=tuple(said["unknown"]),
            facts={
                "hidden": _tuples(said["hidden"]),
                "trials": _trials(said["trials"]),
                "best": said["best"],
                "scored": _trials(said["scored"]),
                "ranking": tuple(Ranked(**_tuples(each)) for each in said["ranking"]),
                "confidence_curve": curve and ConfidenceCurve(*map(np.array, curve)),
                "reading": reading and _reading(reading),
                "loss": arrays["loss"],
            },
        )
    except Exception as error:  # somebody else's data may be wrong in any way
        raise UserError(
            f"{workdir.path(_ARRAYS)} is damaged; run again in a new workdir"
        ) from error


def _check(
    row: np.ndarray, y: np.ndarray, z: np.ndarray, drawn: np.ndarray, xy: np.ndarray
) -> None:
    """Whether the arrays belong together.

    Raises:
        ValueError: they do not.
    """
    if not (
        all(each.dtype.kind in "iu" and each.ndim == 1 for each in (row, y, drawn))
        and all(each.dtype.kind == "f" and each.ndim == 2 for each in (z, xy))
        and len(row) == len(y) == len(z)
        and xy.shape == (len(drawn), 2)
        and ((drawn >= 0) & (drawn < len(row))).all()
    ):
        raise ValueError("arrays do not belong together")


def _tuples(value: Any) -> Any:
    """Lists as tuples."""
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _trials(said: list[dict[str, Any]]) -> tuple[Trial, ...]:
    """Candidates; a score that is not finite was null."""
    unknown = float("nan")
    return tuple(
        Trial(**_tuples(each) | {"score": unknown if each["score"] is None else each["score"]})
        for each in said
    )


def _reading(said: dict[str, Any]) -> TableReading:
    columns = tuple(
        Reading(**_tuples(each) | {"odd": tuple(OddCell(**odd) for odd in each["odd"])})
        for each in said["columns"]
    )
    return TableReading(said["facts"], columns, tuple(said["notes"]))
