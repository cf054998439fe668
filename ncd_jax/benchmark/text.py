"""How a benchmark's settings, figures and errors read, the same in every form of report."""

from collections.abc import Iterable, Mapping

from ncd_jax.benchmark.counts import Counts
from ncd_jax.benchmark.tables import Record, Setting

__all__ = [
    "NO_VALUE",
    "counts_text",
    "decimal",
    "describe",
    "environments",
    "error_text",
    "seconds_text",
]

NO_VALUE = "-"

_LONGEST_ERROR = 300


def decimal(value: float | None, digits: int = 1) -> str:
    """The value with so many digits behind the point."""
    return NO_VALUE if value is None else f"{value:.{digits}f}"


def describe(setting: Setting, evaluation: str = "") -> str:
    """A setting in words."""
    known = "known" if setting.k_known else "unknown"
    text = f"{setting.hyperparameters.capitalize()} hyperparameters, k {known}"
    return f"{text}, {evaluation}" if evaluation else text


def counts_text(counts: Counts | None) -> str:
    """`5 (6x), 6 (4x)`, the most frequent first; the number alone where all seeds agree."""
    if counts is None:
        return NO_VALUE
    if len(counts.found) == 1:
        return str(next(iter(counts.found)))
    frequent = sorted(counts.found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{k} ({n}x)" for k, n in frequent)


def seconds_text(seconds: float | None) -> str:
    """Whole seconds from ten on."""
    if seconds is None:
        return NO_VALUE
    return f"{seconds:,.0f}" if seconds >= 10 else f"{seconds:.1f}"


def error_text(record: Record) -> str:
    """Why a cell failed, in one line; all of it is in the cell's file."""
    text = " ".join(str(record.get("error", "no result")).split())
    return text if len(text) <= _LONGEST_ERROR else text[: _LONGEST_ERROR - 1] + "…"


def environments(records: Iterable[Record]) -> list[tuple[dict[str, str], int]]:
    """The environments that cells ran in, versions included, and how many ran in each."""
    found: dict[tuple[tuple[str, str], ...], int] = {}
    for record in records:
        key = tuple(_flat(record.get("environment", {})).items())
        found[key] = found.get(key, 0) + 1
    return [(dict(key), n) for key, n in found.items() if key]


def _flat(mapping: Mapping[str, object]) -> dict[str, str]:
    """Names and values of nested mappings, as text."""
    pairs: dict[str, str] = {}
    for name, value in mapping.items():
        pairs |= _flat(value) if isinstance(value, Mapping) else {name: str(value)}
    return pairs
