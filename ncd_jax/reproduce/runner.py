"""Runs the cells of a benchmark, one after the other; what is finished is never repeated."""

import dataclasses
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax

from ncd_jax.data.datasets import load_dataset
from ncd_jax.data.table import Table, Truth
from ncd_jax.errors import UserError
from ncd_jax.report.console import Reporter
from ncd_jax.reproduce.cells import run_cell
from ncd_jax.reproduce.plan import BenchmarkConfig, Cell, plan, titles
from ncd_jax.reproduce.report import write_benchmark
from ncd_jax.store.records import describe_environment
from ncd_jax.store.workdir import Workdir

__all__ = ["run_benchmark"]


def run_benchmark(
    config: BenchmarkConfig, path: Path, data_dir: Path | None, reporter: Reporter | None = None
) -> list[dict[str, Any]]:
    """Measures every cell that is not finished yet, and writes tables and report.

    A cell that fails is recorded with its error and tried again the next time; the others
    go on.

    Args:
        config: the benchmark.
        path: its folder.
        data_dir: where benchmark tables are cached; see `load_dataset`.
        reporter: told of the cells; silent by default.

    Returns:
        The records of all cells in the folder, those of earlier calls included.

    Raises:
        UserError: the folder holds something else.
    """
    reporter = reporter or Reporter()
    identity = {
        "benchmark": dataclasses.asdict(config.run),
        "seeds": config.seeds,
        "budgets": config.budgets,
    }
    workdir = Workdir.open(path, identity, describe_environment())
    cells = plan(config)
    load = functools.lru_cache(maxsize=1)(lambda name: _load(name, data_dir))
    with reporter.phase("benchmark", f"{len(cells)} cells", len(cells)) as phase:
        for cell in cells:
            phase.note(f"{cell.dataset}, {cell.method}, k {'known' if cell.k_known else 'unknown'}")
            if "rows" not in _record(workdir, cell.file):
                workdir.write_json(cell.file, _measured(config, cell, workdir, load))
                write_benchmark(workdir, _records(workdir), titles())
                # Each cell has programs of its own; kept, they would pile up.
                jax.clear_caches()
            phase.advance()
    records = _records(workdir)
    write_benchmark(workdir, records, titles())
    return records


def _measured(config: BenchmarkConfig, cell: Cell, workdir: Workdir, load: Any) -> dict[str, Any]:
    """The record of a cell: its result, or its error."""
    described = {"cell": dataclasses.asdict(cell), "environment": describe_environment()}
    try:
        table, truth = load(cell.dataset)
        journal = workdir.path(cell.file).with_suffix(".journal")
        journal.parent.mkdir(parents=True, exist_ok=True)
        return {**described, **run_cell(config, cell, table, truth, journal)}
    except (UserError, FloatingPointError, ValueError, jax.errors.JaxRuntimeError) as error:
        return {**described, "error": f"{type(error).__name__}: {error}"}


def _load(name: str, data_dir: Path | None) -> tuple[Table, Truth]:
    table, truth = load_dataset(name, data_dir)
    if truth is None:
        raise UserError(f"{name} has no truth to score against")
    return table, truth


def _record(workdir: Workdir, name: str) -> dict[str, Any]:
    """What a file says of a cell; nothing where it is not there."""
    if not workdir.has(name):
        return {}
    record: dict[str, Any] = workdir.read_json(name, dict)
    is_measured = isinstance(record.get("rows"), list) or isinstance(record.get("error"), str)
    if not (is_measured and isinstance(record.get("cell"), dict)):
        raise UserError(f"{workdir.path(name)} is of something else; delete it")
    return record


def _records(workdir: Workdir) -> list[dict[str, Any]]:
    files: Iterable[Path] = sorted(workdir.path("cells").glob("*.json"))
    return [_record(workdir, f"cells/{file.name}") for file in files]
