"""Whether the candidate that wins is as good where the worse half stops early, and what it saves.

python -m benchmarks.rungs                          # PBN on ten splits; a quarter of an hour
python -m benchmarks.rungs --tables=led7 --rungs=4  # one table; stopping after an eighth as well

Splits of development tables into known and novel classes as in `benchmarks.judge_tables`. The same
candidates are searched twice, all trained to their end, and with rungs. The winner's score is that
of hidden known classes, after all its epochs; no novel label is looked at.
"""

import time
from typing import Any

import jax
import numpy as np
from absl import app, flags

from benchmarks.judge_tables import make_split, read_columns, splits_into_many
from benchmarks.timing import write_results
from ncd_jax.config import RunConfig, SearchConfig
from ncd_jax.data.table import Table
from ncd_jax.discovery.problem import prepare
from ncd_jax.discovery.tune import tune
from ncd_jax.startup import one_device_per_core
from ncd_jax.tuning.trials import Trial

_TABLES = flags.DEFINE_list("tables", ["pendigits", "letter", "yeast", "led7", "glass"], "Which.")
_RUNGS = flags.DEFINE_integer("rungs", 3, "How often candidates are looked at.")
_METHOD = flags.DEFINE_string("method", "pbn", "Method.")
_SPLITS = (0, 3)


def main(_: list[str]) -> None:
    """Searches every split twice."""
    one_device_per_core()
    rows = [row for name in _TABLES.value for row in _splits(name)]
    behind = np.array([row["score"] - row["score_rungs"] for row in rows])
    write_results(
        "rungs",
        rows,
        method=_METHOD.value,
        rungs=_RUNGS.value,
        same_winner=sum(row["winner"] == row["winner_rungs"] for row in rows),
        score_behind=round(float(behind.mean()), 4),
        score_behind_error=round(float(behind.std(ddof=1) / len(behind) ** 0.5), 4),
    )


def _splits(name: str) -> list[dict[str, Any]]:
    columns = read_columns(name)
    splits = dict(enumerate(splits_into_many(columns[1])))
    made = ((i, make_split(name, columns, *splits[i], i)) for i in _SPLITS if i in splits)
    return [_compare(split.table, i) for i, split in made if split is not None]


def _compare(table: Table, i: int) -> dict[str, Any]:
    (whole, seconds), (halved, seconds_rungs) = (_winner(table, n) for n in (1, _RUNGS.value))
    row = {
        "table": table.name,
        "split": i,
        "winner": whole.number,
        "winner_rungs": halved.number,
        "score": round(whole.score, 3),
        "score_rungs": round(halved.score, 3),
        "log_loss": round(whole.log_loss or 0.0, 4),
        "log_loss_rungs": round(halved.log_loss or 0.0, 4),
        "seconds": round(seconds, 1),
        "seconds_rungs": round(seconds_rungs, 1),
    }
    print(row, flush=True)
    jax.clear_caches()
    return row


def _winner(table: Table, rungs: int) -> tuple[Trial, float]:
    """The best candidate, and the seconds that the search took without its compilation."""
    config = RunConfig(
        method=_METHOD.value,
        setting="ncd",
        search=SearchConfig(rungs=rungs, sampler="quasi_random"),
    )
    problem = prepare(config, table, None)
    start = time.perf_counter()
    tuned = tune(problem)
    return tuned.best[0], time.perf_counter() - start - tuned.found.compile_seconds


if __name__ == "__main__":
    app.run(main)
