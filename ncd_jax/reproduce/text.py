"""How a benchmark's settings, figures and errors read, the same in every form of report."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from ncd_jax.reproduce.baselines import BASELINES
from ncd_jax.reproduce.tables import Record, Setting

__all__ = [
    "NO_VALUE",
    "caveats",
    "decimal",
    "describe",
    "environments",
    "error_text",
    "seconds_text",
]

NO_VALUE = "-"

_LONGEST_ERROR = 300

_CAVEATS = (
    "In each cell, folds were drawn and hyperparameters tuned once. Seeds differ in what comes"
    " after: the refits and the clustering. What another search would change is in no deviation.",
    "Three defaults were chosen after novel scores on these tables had been seen: that NCD SC"
    " scales the rows of its embedding, that TabularNCD takes its pairs by class_share, and that"
    " there are five refits. What they add was not tested on tables unseen till then.",
)
_BASELINES = (
    "Methods whose names begin with scikit-learn are not of this package: they are what one would"
    " otherwise take. The one called Baseline is of this package: a classifier of the known"
    " classes, with k-means in its latent space."
)


def caveats(methods: Iterable[str]) -> list[str]:
    """What a reader of scores of these methods should know, a paragraph each."""
    return [*_CAVEATS, *([_BASELINES] if set(methods) & set(BASELINES) else [])]


def decimal(value: float, digits: int = 1) -> str:
    """The value with so many digits behind the point."""
    return NO_VALUE if math.isnan(value) else f"{value:.{digits}f}"


def describe(setting: Setting, evaluation: str = "") -> str:
    """A setting in words."""
    known = "known" if setting.k_known else "unknown"
    text = f"{setting.hyperparameters.capitalize()} hyperparameters, k {known}"
    return f"{text}, {evaluation}" if evaluation else text


def seconds_text(seconds: float) -> str:
    """Whole seconds from ten on."""
    return f"{seconds:,.0f}" if seconds >= 10 else decimal(seconds)


def error_text(record: Record) -> str:
    """Why a cell failed, in one line; all of it is in the cell's file."""
    text = " ".join(str(record.get("error", "no result")).split())
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def environments(records: Iterable[Record]) -> list[tuple[dict[str, str], int]]:
    """The environments that cells ran in, versions included, and how many ran in each."""
    found = Counter(tuple(_flat(record.get("environment", {})).items()) for record in records)
    return [(dict(pairs), n) for pairs, n in found.items() if pairs]


def _flat(mapping: Mapping[str, object]) -> dict[str, str]:
    """Names and values of nested mappings, as text."""
    pairs: dict[str, str] = {}
    for name, value in mapping.items():
        pairs |= _flat(value) if isinstance(value, Mapping) else {name: str(value)}
    return pairs
