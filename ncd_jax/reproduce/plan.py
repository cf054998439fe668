"""What a benchmark measures: its configuration, and the cells that follow from it."""

import csv
import dataclasses
import functools
import math
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import ml_collections

from ncd_jax.config import RunConfig, default_config, parse, split_names
from ncd_jax.data.datasets import DATASETS
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS
from ncd_jax.reproduce.baselines import BASELINES, GCD_BASELINES

__all__ = [
    "BenchmarkConfig",
    "Cell",
    "benchmark_config",
    "cell_config",
    "parse_benchmark",
    "plan",
    "published",
    "titles",
]

_SETTINGS = ("unknown", "known")
_SOURCES = ("tuned", "published")


@dataclass(frozen=True)
class BenchmarkConfig:
    """A benchmark, checked.

    Attributes:
        datasets: names of benchmark tables.
        methods: names in the registry or in `BASELINES`; `method/variant` where a variant
            other than the first is meant.
        k: whether the number of novel classes is `known`, `unknown`, or one after the other.
        hyperparameters: `tuned` here without novel labels, or `published`: those that the
            authors of PBN tuned, for the methods and tables they tuned.
        seeds: answers from different seeds in every cell.
        run: the configuration that all cells share.
        budgets: what is different for cells of a dataset or method, by its name: groups of
            `run` with the keys that change. A method's counts where both have one.
    """

    datasets: tuple[str, ...]
    methods: tuple[str, ...]
    k: tuple[str, ...]
    hyperparameters: str
    seeds: int
    run: RunConfig = field(default_factory=RunConfig)
    budgets: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """One method on one table in one setting; the unit that is resumed.

    Attributes:
        dataset: name of the table.
        method: name of the method, with its variant behind a `/` where it is not the first.
        k_known: whether the number of novel classes is given.
        hyperparameters: where they come from: `tuned` or `published`.
    """

    dataset: str
    method: str
    k_known: bool
    hyperparameters: str

    @property
    def file(self) -> str:
        """Where its result lies in the benchmark's folder."""
        setting = _SETTINGS[self.k_known]
        method = self.method.replace("/", "+")
        return f"cells/{self.dataset}-{method}-k_{setting}-{self.hyperparameters}.json"


def benchmark_config() -> ml_collections.ConfigDict:
    """The default configuration of a run, and what a benchmark adds to it."""
    config = default_config()
    del config.dataset, config.method, config.variant
    # Cells keep their searches in the benchmark's folder.
    del config.search.storage, config.search.grace
    # The paper's way of counting; `judge` is ours, and is asked for by name.
    config.k.index = "silhouette"
    config.setting = "ncd"
    config.datasets = ""
    config.methods = ""
    config.k_settings = ",".join(_SETTINGS)
    config.hyperparameters = "tuned"
    config.seeds = 10
    config.budgets = ml_collections.ConfigDict()
    return config


def parse_benchmark(config: ml_collections.ConfigDict) -> BenchmarkConfig:
    """Checks a ConfigDict and freezes it.

    Raises:
        UserError: an unknown key or name, or a value out of range.
    """
    raw = config.to_dict()
    own = ("datasets", "methods", "k_settings", "hyperparameters", "seeds", "budgets")
    if not raw.keys() >= set(own):
        raise UserError("this is no configuration of a benchmark; give --config=benchmark")
    source, seeds, budgets = (raw.pop(key) for key in ("hyperparameters", "seeds", "budgets"))
    if source not in _SOURCES:
        raise UserError(
            f"config.hyperparameters={source!r} is unknown; choose {' or '.join(_SOURCES)}"
        )
    if not 1 <= seeds <= 1000:
        raise UserError(f"config.seeds={seeds} must lie in 1..1000")
    for name in budgets:
        split_names(name, (*DATASETS, *METHODS), "budgets")
    default = (*METHODS, *BASELINES)
    methods = (*default, *(name for name in titles() if "/" in name), *GCD_BASELINES)
    result = BenchmarkConfig(
        datasets=split_names(raw.pop("datasets"), tuple(DATASETS), "datasets"),
        methods=split_names(raw.pop("methods"), methods, "methods", default),
        k=split_names(raw.pop("k_settings"), _SETTINGS, "k_settings"),
        hyperparameters=source,
        seeds=seeds,
        run=parse(ml_collections.ConfigDict(raw)),
        budgets=budgets,
    )
    _check_setting(result)
    for budget in budgets.values():  # each is checked as a whole
        if not all(isinstance(keys, dict) for keys in budget.values()):
            raise UserError("config.budgets are groups of keys, such as {'train': {'epochs': 100}}")
        changed = {group: raw.get(group, {}) | keys for group, keys in budget.items()}
        parse(ml_collections.ConfigDict(raw | changed))
    return result


def _check_setting(config: BenchmarkConfig) -> None:
    if config.run.setting == "auto":
        raise UserError("a benchmark says its setting; give --config.setting=ncd or gcd")
    others = BASELINES if config.run.setting == "gcd" else GCD_BASELINES
    for name in config.methods:
        if name in others:
            raise UserError(f"config.methods: {name!r} is not for setting={config.run.setting}")


def plan(config: BenchmarkConfig) -> list[Cell]:
    """The cells of a benchmark, table by table.

    With published hyperparameters: the methods that have some for the table, and those that
    need none.
    """
    cells = [
        Cell(dataset, method, setting == "known", config.hyperparameters)
        for dataset in config.datasets
        for method in config.methods
        for setting in config.k
    ]
    if config.hyperparameters == "tuned":
        return cells
    return [cell for cell in cells if _has_published(cell)]


def cell_config(config: BenchmarkConfig, cell: Cell) -> RunConfig:
    """The configuration of one cell, hyperparameters included where they are published.

    One that the benchmark fixes counts for the methods that have it, before a published one.
    """
    method, _, variant = cell.method.partition("/")
    hparams: dict[str, float] = {}
    if cell.hyperparameters == "published":
        hparams = published(method, cell.dataset, k_known=cell.k_known)
    if method in METHODS:
        space = METHODS[method].space(1)
        hparams |= {key: value for key, value in config.run.hparams.items() if key in space}
    run = dataclasses.replace(
        config.run, dataset=cell.dataset, method=method, variant=variant, hparams=hparams
    )
    for name in (cell.dataset, method):
        groups = config.budgets.get(name, {})
        changed = {
            group: dataclasses.replace(getattr(run, group), **keys)
            for group, keys in groups.items()
        }
        run = dataclasses.replace(run, **changed)
    return run


def published(method: str, dataset: str, *, k_known: bool) -> dict[str, float]:
    """What the authors of PBN tuned, by name in our definitions; empty where there is nothing.

    Source: the repository of Troisemaine et al., 2024, arXiv 2311.05440, file of tuned values.

    Theirs of `min_dist` leaves out a 2 in the affinity, so it is the square of ours. The
    number of novel classes that they estimated is left out: it is estimated here.
    """
    setting = "k_known" if k_known else "k_unknown"
    values = {
        row["hyperparameter"]: float(row["value"])
        for row in _published_rows()
        if (row["method"], row["dataset"], row["setting"]) == (method, dataset, setting)
    }
    values.pop("n_novel", None)
    if "min_dist" in values:
        values["min_dist"] = math.sqrt(values["min_dist"])
    return values


def titles() -> dict[str, str]:
    """Names for people of all that a benchmark can measure, in the order of tables."""
    named = {name: info.title for name, info in METHODS.items()}
    for name, info in METHODS.items():
        named |= {f"{name}/{each}": f"{info.title}, {each}" for each in info.variants if each}
    for baselines in (BASELINES, GCD_BASELINES):
        named |= {name: baseline.title for name, baseline in baselines.items()}
    return named


def _has_published(cell: Cell) -> bool:
    method = cell.method.partition("/")[0]
    if method in (*BASELINES, *GCD_BASELINES) or not METHODS[method].space(1):
        return True
    return bool(published(method, cell.dataset, k_known=cell.k_known))


@functools.cache
def _published_rows() -> list[dict[str, str]]:
    text = resources.files("ncd_jax.reproduce").joinpath("published.csv").read_text()
    return list(csv.DictReader(text.splitlines()))
