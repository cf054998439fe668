"""The hyperparameters that the authors of PBN tuned, one set for each table and setting.

Source: the repository of Troisemaine et al., 2024, arXiv 2311.05440, file of tuned values.
"""

import csv
import functools
import math
from importlib import resources

__all__ = ["published"]


def published(method: str, dataset: str, *, k_known: bool) -> dict[str, float]:
    """Hyperparameters by name in our definitions; empty where there are none.

    Theirs of `min_dist` leaves out a 2 in the affinity, so it is the square of ours. The
    number of novel classes that they estimated is left out: it is estimated here.
    """
    setting = "k_known" if k_known else "k_unknown"
    values = {
        row["hyperparameter"]: float(row["value"])
        for row in _rows()
        if (row["method"], row["dataset"], row["setting"]) == (method, dataset, setting)
    }
    values.pop("n_novel", None)
    if "min_dist" in values:
        values["min_dist"] = math.sqrt(values["min_dist"])
    return values


@functools.cache
def _rows() -> list[dict[str, str]]:
    text = resources.files("ncd_jax.reproduce").joinpath("published.csv").read_text()
    return list(csv.DictReader(text.splitlines()))
