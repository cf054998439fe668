"""A run once more from its `config.json`, and what differs: versions, device, table, answer."""

import json
from typing import Any

from ncd_jax.flags import OF_THE_TABLE
from ncd_jax.store.workdir import Workdir, changes

__all__ = ["differences", "flags_of_run"]

_CONFIG = "config.json"


def flags_of_run(there: Workdir) -> list[str]:
    """The command line of a run, but for its working directory and its plugins, which are code.

    Raises:
        UserError: there is no run, or one on no table.
    """
    config, of_table = there.read_json(_CONFIG, dict), tuple(f"--{name}=" for name in OF_THE_TABLE)
    with there.reading(_CONFIG, "is of no run on a table; give --rerun=WORKDIR of one"):
        kept = config["environment"].get("flags", [])
        is_of_a_table = "dataset" in config["run"]["config"] and config["run"]["table"].keys()
        if not is_of_a_table or not all(flag.startswith(of_table) for flag in kept):
            raise ValueError("these are other flags")
    return [f"--config={there.path(_CONFIG)}", "--config.search.storage=", *kept]


def differences(there: Workdir, here: Workdir) -> list[str]:
    """A line for everything in which a finished run here differs from the one that it repeats."""
    old, new = (each.read_json(_CONFIG, dict) for each in (there, here))
    for config in (old, new):
        config["environment"].pop("flags", None)
    lines = [
        f"{key.partition('.')[2]}: {a} there, {b} here"
        for key, *values in changes(old, new)
        for a, b in [map(_in_json, values)]
        if a != b and not key.endswith("storage")
    ]
    if not there.is_complete:
        return [*lines, f"the run in {there.root} is not finished; nothing to compare with"]
    if there.has("answers.csv") or there.has("labels.csv"):
        lines.append(f"answers: a person has answered in {there.root}, nobody here")
    if old["run"]["table"].get("sha256") != new["run"]["table"].get("sha256"):
        return lines
    from ncd_jax.report.comparison import compare_runs  # it takes JAX

    moved = len(compare_runs(there.root, here.root).moves)
    return [*lines, f"{moved} rows moved" if moved else "every row is in the same class"]


def _in_json(value: Any) -> str:
    return json.dumps(None if value is ... else value, ensure_ascii=False)
