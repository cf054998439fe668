"""Rows a second that a fitted model gives a class.

python -m benchmarks.assign                 # 1000 to 1,000,000 rows
python -m benchmarks.assign --small         # up to 10,000

Three spans: the model alone, from encoded rows to classes and margins; with how sure that is, which
asks for the neighbours of every row among 2000; and from a data frame to names, as `predict` does.
The model is that of the estimator, fitted without tuning: its speed does not hang on that.
"""

from typing import Any

import numpy as np
import pandas as pd
from absl import app, flags

from benchmarks.kmeans_work import overlapping_groups
from benchmarks.timing import Cost, Floor, measure_floor, timed, write_results
from ncd_jax.discovery.model import Model, apply_model, assign
from ncd_jax.estimator import NovelClassDiscovery

_SMALL = flags.DEFINE_bool("small", False, "Up to 10,000 rows.")

D, CLASSES, KNOWN, FITTED = 16, 10, 6, 3000
SIZES = (1_000, 10_000, 100_000, 1_000_000)
METHODS = {"rca": {}, "pbn": {"latent_dim": 16}}


def main(_: list[str]) -> None:
    """Fits a model of each method, and applies it to tables of rising length."""
    floor = measure_floor()
    rows = [row for method in METHODS for row in _measure(floor, method)]
    write_results("assign_small" if _SMALL.value else "assign", rows, columns=D, fitted_on=FITTED)


def _measure(floor: Floor, method: str) -> list[dict[str, Any]]:
    frame, classes = _frame(FITTED)
    y = np.where(classes < KNOWN, classes, -1)
    estimator = NovelClassDiscovery(
        method=method, n_candidates=0, n_novel=CLASSES - KNOWN, hparams=METHODS[method]
    )
    estimator.fit(frame, y)
    model = estimator._model
    assert model.encoder is not None
    rows = []
    for n in SIZES[: 2 if _SMALL.value else len(SIZES)]:
        frame, _ = _frame(n)
        x = model.encoder.apply(frame)
        seconds = {
            "alone": _median(lambda x=x: apply_model(model, x)),
            "with_confidence": _median(lambda x=x: assign(model, x)),
            "from_frame": _median(lambda frame=frame: estimator.predict(frame)),
        }
        rates = {f"{name}_rows_per_second": round(n / each) for name, each in seconds.items()}
        far = round(seconds["alone"] / floor.seconds(_cost(model, n)), 1)
        rows.append({"method": method, "n": n, **rates, "alone_times_floor": far})
    return rows


def _frame(n: int) -> tuple[pd.DataFrame, np.ndarray]:
    x, classes = overlapping_groups(n, D, CLASSES)
    return pd.DataFrame(x, columns=[f"c{i}" for i in range(D)]), classes


def _median(run: Any) -> float:
    run()
    return float(np.median([timed(run)[1] for _ in range(3)]))


def _cost(model: Model, n: int) -> Cost:
    """The rows are read, and distances to every mean written, once; every weight meets each row."""
    weights = sum(np.size(leaf) for leaf in model.state) if model.method == "rca" else 2 * D * D
    width = model.means.shape[1]
    flops = 2.0 * n * (weights + len(model.means) * width)
    return Cost(flops, 4.0 * n * (D + width + len(model.means) + 2))


if __name__ == "__main__":
    app.run(main)
