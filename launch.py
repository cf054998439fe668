"""Finds the novel classes of a table: flags and one call.

python launch.py                                  # the table that scikit-learn embeds
python launch.py --config=configs/pendigits.py --workdir=runs/pendigits
python launch.py --table=customers.csv --label=segment --workdir=runs/customers
python launch.py --mode=assign --workdir=runs/customers --table=new_rows.csv
python launch.py --mode=compare --workdir=runs/customers --against=runs/last_month
python launch.py --mode=benchmark --config=configs/benchmark.py
"""

import dataclasses
import logging
import sys
from pathlib import Path

import jax
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from ncd_jax import config as run_config
from ncd_jax.benchmark.plan import parse_benchmark
from ncd_jax.benchmark.runner import run_benchmark
from ncd_jax.data.datasets import load_dataset
from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.experiment import assign_rows, run
from ncd_jax.report.comparison import compare_runs, write_comparison
from ncd_jax.report.console import make_reporter, summary
from ncd_jax.startup import one_device_per_core
from ncd_jax.store.workdir import Workdir

_KEPT = "what is finished is kept, the same command goes on"
_DEFAULT_CONFIG = Path(__file__).parent / "configs" / "default.py"

_CONFIG = config_flags.DEFINE_config_file("config", None, "File with the configuration.")
_MODE = flags.DEFINE_enum(
    "mode",
    "discover",
    ["discover", "assign", "compare", "benchmark"],
    "Find novel classes, apply those of a run, compare two runs, or methods on benchmark tables.",
)
_TABLE = flags.DEFINE_string("table", None, "File with a table of your own: CSV, Parquet, ...")
_LABEL = flags.DEFINE_string("label", None, "Its column with class names; empty = unlabelled.")
_UNLABELLED = flags.DEFINE_string("unlabelled", None, "A label that means unlabelled as well.")
_COLUMNS = flags.DEFINE_list("columns", None, "Columns to use [those that say something].")
_DROP = flags.DEFINE_list("drop", None, "Columns to leave out.")
_CATEGORIES = flags.DEFINE_list("categories", None, "Columns of numbers that are codes.")
_AGAINST = flags.DEFINE_string("against", None, "Folder of the run to compare --workdir with.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Folder of the run [runs/NAME_OF_THE_TABLE].")
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder where benchmark tables are cached.")


def main(argv: list[str]) -> None:
    """Does what the mode says and prints where the result lies."""
    if len(argv) > 1:
        raise UserError(f"{argv[1]!r} is not a flag; flags are written --name=value")
    modes = {"discover": discover, "assign": assign, "compare": compare, "benchmark": benchmark}
    modes[_MODE.value]()


def discover() -> None:
    """Finds the novel classes of a table."""
    config = run_config.parse(_CONFIG.value)
    if _TABLE.value and _LABEL.value:
        config = dataclasses.replace(config, dataset="")
        table = read_table(
            Path(_TABLE.value),
            _LABEL.value,
            unlabelled=_UNLABELLED.value,
            columns=_COLUMNS.value,
            drop=_DROP.value or (),
            categories=_CATEGORIES.value or (),
        )
        truth = None
    elif _TABLE.value or _LABEL.value:
        raise UserError("--table and --label belong together; give both")
    else:
        table, truth = load_dataset(config.dataset, _data_dir(), _say_downloaded)
    workdir = Path(_WORKDIR.value or f"runs/{table.name}")
    metrics = run(config, table, truth, workdir, make_reporter())
    summary(metrics, workdir / "report.html")


def assign() -> None:
    """Gives rows that a run has not seen one of its classes, known or novel."""
    if not (_TABLE.value and _WORKDIR.value):
        raise UserError("--mode=assign needs the new rows and a run; give --table and --workdir")
    print(assign_rows(Workdir(Path(_WORKDIR.value)), Path(_TABLE.value)))


def compare() -> None:
    """Says which rows are in another class in another run on the same table."""
    if not (_WORKDIR.value and _AGAINST.value):
        raise UserError("--mode=compare needs two runs; give --workdir and --against")
    comparison = compare_runs(Path(_WORKDIR.value), Path(_AGAINST.value))
    page = write_comparison(comparison)
    print(f"{len(comparison.moves)} rows moved: {page}")


def benchmark() -> None:
    """Compares methods on benchmark tables, and goes on where it was stopped."""
    config = parse_benchmark(_CONFIG.value)
    workdir = Path(_WORKDIR.value or "runs/benchmark")
    records = run_benchmark(config, workdir, _data_dir(), make_reporter())
    failed = sum("error" in record for record in records)
    print(f"{len(records) - failed} cells finished, {failed} failed: {workdir / 'benchmark.html'}")


def _data_dir() -> Path | None:
    return Path(_DATA_DIR.value) if _DATA_DIR.value else None


def parse_flags(argv: list[str]) -> list[str]:
    """Parses the command line; whatever is wrong with it becomes one line."""
    # A default of the flag itself would be read, and fail, before there is anybody to catch it.
    if not any(arg.lstrip("-").split("=")[0] == "config" for arg in argv[1:]):
        argv = [argv[0], f"--config={_DEFAULT_CONFIG}", *argv[1:]]
    try:
        positional = flags.FLAGS(argv)
        if _CONFIG.value is None:
            raise UserError("get_config in the config file returns nothing; return a ConfigDict")
        _CONFIG.value.keys()  # a file that could not be read says so only when it is used
        return positional
    except UserError:
        raise
    except OSError as error:
        path = config_flags.get_config_filename(flags.FLAGS["config"])
        raise UserError(f"config file {path!r} cannot be read; check --config") from error
    except (AttributeError, KeyError) as error:
        reason = error.args[0]
        reason = reason.args[0] if isinstance(reason, KeyError) else reason
        raise UserError(f"there is no such config key: {reason}") from error
    except Exception as error:  # a config file is the user's code and may raise anything
        raise UserError(str(error)) from error


def start() -> None:
    """Sets JAX up, runs, and turns mistakes and faults into one line and an exit status."""
    # Warnings of libraries, and backends that are not installed, are nobody's concern here.
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("jax").setLevel(logging.WARNING)
    one_device_per_core()
    try:
        app.run(main, flags_parser=parse_flags)
    except UserError as error:
        sys.exit(_say(str(error), 2))
    except FloatingPointError as error:
        sys.exit(_say(f"{error}, in a new --workdir", 1))
    except OSError as error:
        sys.exit(_say(f"{error}; {_KEPT}", 1))
    except jax.errors.JaxRuntimeError as error:
        remedy = "where memory ran out, give a smaller --config.search.lanes"
        sys.exit(_say(f"{str(error).splitlines()[0]}; {remedy}; {_KEPT}", 1))
    except KeyboardInterrupt:
        sys.exit(_say(f"interrupted; {_KEPT}", 130))


def _say_downloaded(done: int, total: int | None) -> None:
    of_total = f" of {total / 1e6:.1f}" if total else ""
    print(f"\rdownloading, {done / 1e6:.1f}{of_total} MB", end="", file=sys.stderr)


def _say(message: str, status: int) -> int:
    print(f"launch.py: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    start()
