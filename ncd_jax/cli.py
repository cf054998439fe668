"""The program: flags in, one call, and mistakes as one line and an exit status.

What takes time to import is imported where it is used: `--help` and mistakes in flags, keys, files
and columns do not wait for it, and whoever stops the program before it has begun gets his line too.
"""

import atexit
import dataclasses
import gc
import io
import logging
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import ncd_jax
from ncd_jax.errors import Dismissed, UserError, printable, without_password
from ncd_jax.multihost import fail_alone, join, leads, leave
from ncd_jax.signals import Interrupted, ended_by_signals

if TYPE_CHECKING:
    from absl.flags import FlagValues

    from ncd_jax.store.workdir import Workdir

__all__ = ["main", "program"]

_KEPT = "what is finished is kept, the same command goes on"
_INTERRUPTED = f"interrupted; {_KEPT}"
_OF_PRODUCTS = ("OPENBLAS", "MKL")
"""What NumPy has for products. Products of a run are small or JAX's, and threads that wait for the
next one spin: measured a tenth to a sixth of a run's time on two cores. Read when NumPy starts."""
_GARBAGE = (50_000, 20, 20)
"""When garbage is looked for. What is imported and traced lives on: a tenth of a first run."""


def discover(given: "FlagValues") -> None:
    """Finds the novel classes of a table."""
    from ncd_jax.config import parse

    config = parse(given.config)
    table, truth = _table(given, config.dataset)
    if given.table:
        config = dataclasses.replace(config, dataset="")
    workdir = Path(given.workdir or f"runs/{table.name}")
    there_already = _run_in(workdir).is_complete
    if not given.coordinator:
        _start_jax(given)
    from ncd_jax.experiment import run
    from ncd_jax.flags import flags_kept
    from ncd_jax.report.console import make_reporter, summary

    metrics = run(config, table, truth, workdir, make_reporter(), flags_kept(given))
    summary(metrics, workdir / "report.html", there_already=there_already)
    if given.rerun:
        from ncd_jax.rerun import differences

        for line in differences(_run_in(given.rerun), _run_in(workdir)):
            print(printable(line))


def inspect(given: "FlagValues") -> None:
    """Shows how the columns of a table are read, before anything is computed."""
    if not (given.table and given.label):
        raise UserError("--mode=inspect reads a table; give --table and --label")
    from ncd_jax.report.console import print_reading

    table, _ = _table(given, "")
    print_reading(table.reading)


def assign(given: "FlagValues") -> None:
    """Gives rows that a run has not seen one of its classes, known or novel."""
    if not (given.table and given.workdir):
        raise UserError("--mode=assign needs the new rows and a run; give --table and --workdir")
    decided = ("columns", "drop", "numbers", "dates", "categories", "circular", "unlabelled")
    if said := [name for name in decided if given[name].present]:
        raise UserError(f"--mode=assign reads columns as the run did; leave --{said[0]} out")
    _start_jax(given)
    from ncd_jax.new_rows import assign_rows

    new = assign_rows(_run_in(given.workdir), Path(given.table), _read_options(given))
    print(new.text)


def ask(given: "FlagValues") -> None:
    """Asks which groups of new rows are one class, and sorts them again by the answers."""
    if not given.workdir:
        raise UserError("--mode=ask asks about a run; give --workdir")
    _start_jax(given)
    from ncd_jax.report.asking import answers_in_words, converse

    workdir = _run_in(given.workdir)
    if given.answers:
        from ncd_jax.experiment import apply_answers

        print(answers_in_words(apply_answers(workdir, Path(given.answers))))
        return
    converse(workdir)


def rename(given: "FlagValues") -> None:
    """Gives the novel classes of a run names, in its files and whatever it is asked from now on."""
    if not (given.workdir and given.names):
        raise UserError("--mode=rename needs a run and names; give --workdir and --names")
    from ncd_jax.report.renaming import rename_classes

    names = rename_classes(_run_in(given.workdir), given.names)
    said = ", ".join(f"{novel} is {name}" for novel, name in names.items())
    print(printable(f"{given.workdir}: {said or 'novel classes go by their numbers'}"))


def compare(given: "FlagValues") -> None:
    """Says which rows are in another class in another run on the same table."""
    if not (given.workdir and given.against):
        raise UserError("--mode=compare needs two runs; give --workdir and --against")
    from ncd_jax.report.comparison import compare_runs, write_comparison

    comparison = compare_runs(Path(given.workdir), Path(given.against))
    page = write_comparison(comparison)
    for key, in_a, in_b in comparison.changes:
        print(printable(f"{key}: {in_a} in {given.workdir}, {in_b} in {given.against}"))
    print(printable(f"{len(comparison.moves)} rows moved: {page}"))


def benchmark(given: "FlagValues") -> None:
    """Compares methods on benchmark tables, and goes on where it was stopped."""
    _start_jax(given)
    from ncd_jax.report.console import make_reporter
    from ncd_jax.reproduce.plan import parse_benchmark
    from ncd_jax.reproduce.runner import run_benchmark

    config = parse_benchmark(given.config)
    workdir = Path(given.workdir or "runs/benchmark")
    records = run_benchmark(config, workdir, _data_dir(given), make_reporter())
    failed = sum("error" in record for record in records)
    print(f"{len(records) - failed} cells finished, {failed} failed: {workdir / 'benchmark.html'}")


def app(given: "FlagValues") -> None:
    """Opens a page in the browser to do all of this in; --workdir is the folder of its runs."""
    try:
        from ncd_jax.app.serving import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ncd_jax"):
            raise
        raise UserError(f"--mode=app needs {error.name}; say: pip install 'ncd_jax[app]'") from None
    serve(Path(given.workdir or "runs"), given.port, given.browser)


_MODES = {
    mode.__name__: mode
    for mode in (discover, inspect, assign, ask, rename, compare, benchmark, app)
}


def program() -> NoReturn:
    """The command: does what the command line says, and ends the process.

    Python would take apart all that it has loaded, for half a second after everything is written;
    the system frees it at once.
    """
    status = main()
    # What somebody waits for, or what cannot be written any more, Python ends in its own way.
    if all(t.daemon or t is threading.main_thread() for t in threading.enumerate()):
        with suppress(OSError, ValueError):
            atexit._run_exitfuncs()
            for stream in filter(None, (sys.stdout, sys.stderr)):
                stream.flush()
            os._exit(status)
    sys.exit(status)


def main(argv: Sequence[str] | None = None) -> int:
    """Does what the command line says.

    Args:
        argv: the name of the program and its arguments; those of this process by default.

    Returns:
        The exit status: 0, 2 for a mistake of the user's, 1 for what failed, 130 or 143 where
        it was interrupted. Only the last three leave a line on stderr.
    """
    argv = sys.argv if argv is None else argv
    name = _program(argv)
    for library in _OF_PRODUCTS:
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    gc.set_threshold(*_GARBAGE)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a console without the sign is no reason to fail
            stream.reconfigure(errors="backslashreplace")
    if {"-h", "-help", "--help"} & set(argv):
        from ncd_jax.flags import load_plugins
        from ncd_jax.usage import usage

        with suppress(UserError):  # help is there even where a plugin is broken
            load_plugins(argv[1:])
        texts = {name: (mode.__doc__ or "").strip() for name, mode in _MODES.items()}
        _print_all(usage(name, texts))
        return 0
    if "--version" in argv:
        print(ncd_jax.__version__)
        return 0
    try:
        status, message, in_step = _outcome(argv)
    except Exception:  # a fault of the program; who waits for this process shall not
        fail_alone()
        raise
    if message:
        line = printable(without_password(" ".join(message.split())))
        print(f"{name}: {line}", file=sys.stderr)
    leave(status, in_step)
    return status


def _outcome(argv: Sequence[str]) -> tuple[int, str, bool]:
    """Runs; returns the exit status, what to say, and whether other processes can be told."""
    try:
        _run(argv)
    except Dismissed as end:
        return end.status, "", True
    except UserError as error:
        return 2, str(error), leads()
    except FloatingPointError as error:
        return 1, f"{error}, in a new --workdir", leads()
    except MemoryError as error:
        return 1, f"memory ran out ({error}); give a smaller table; {_KEPT}", False
    except OSError as error:
        return 1, f"{error}; {_KEPT}", leads()
    except RuntimeError as error:
        import jax  # where an error may be one of its own it is there

        if not isinstance(error, jax.errors.JaxRuntimeError):
            raise
        remedy = (
            "where memory ran out, free some, or give a smaller --config.train.batch_size in a new"
            " --workdir"
        )
        if jax.distributed.is_initialized():
            remedy = "where a connection was closed, another process has ended and says why"
        return 1, f"{str(error).splitlines()[0]}; {remedy}; {_KEPT}", False
    except Interrupted as error:
        return error.status, _INTERRUPTED, False
    except KeyboardInterrupt:
        return 130, _INTERRUPTED, False
    return 0, "", True


def _run(argv: Sequence[str]) -> None:
    with ended_by_signals(f"{_program(argv)}: {_INTERRUPTED}"):
        given = _given(argv)
        if given.mode != "ask":
            if given.coordinator:  # whatever else is wrong, others wait for what this one says
                _start_jax(given)
            join(given.coordinator, given.processes, given.process)
            _MODES[given.mode](given)
    # Who is asked answers with a key too, and what was answered is to be written.
    if given.mode == "ask":
        ask(given)


def _given(argv: Sequence[str]) -> "FlagValues":
    """The flags, and whether they say something that can be done."""
    from absl import logging as absl_logging

    from ncd_jax.flags import read_flags

    # Warnings of libraries, and backends that are not installed, are nobody's concern here.
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("jax").setLevel(logging.WARNING)
    given = read_flags(argv)
    if given.rerun:
        given = _as_before(argv, given)
    if given.mode not in _MODES:
        raise UserError(f"--mode={given.mode} is unknown; choose {' or '.join(_MODES)}")
    if given.coordinator and given.mode != "discover":
        raise UserError(f"--mode={given.mode} is for one process; leave --coordinator out")
    return given


def _as_before(argv: Sequence[str], given: "FlagValues") -> "FlagValues":
    """The flags of the run that is to be repeated, and behind them those of the command line."""
    if given.mode != "discover":
        raise UserError(f"--rerun repeats a run and --mode={given.mode} makes none; leave one out")
    if not given.workdir or Path(given.workdir).resolve() == Path(given.rerun).resolve():
        raise UserError("--rerun repeats a run in another folder; give a new --workdir")
    from ncd_jax.flags import read_flags
    from ncd_jax.rerun import flags_of_run

    given = read_flags([argv[0], *flags_of_run(_run_in(given.rerun)), *argv[1:]])
    if not (given.table or given.config.dataset):
        raise UserError(
            f"{given.rerun} does not say which table it was on; give --table and --label as then"
        )
    return given


def _start_jax(given: "FlagValues") -> None:
    # Before JAX is loaded. XLA's warnings and alarms, of compilations that are slow, say, tell
    # nobody what to do; what fails is raised too.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from ncd_jax.startup import keep_compiled_programs, one_device_per_core

    one_device_per_core()
    try:
        keep_compiled_programs(given.compilation_cache)
    except (OSError, RuntimeError) as error:
        print(f"compiled programs are not kept for later: {error}", file=sys.stderr)


def _program(argv: Sequence[str]) -> str:
    """What the program is called."""
    name = Path(argv[0]).name
    return "ncd-jax" if name == "__main__.py" else name


def _table(given: "FlagValues", dataset: str) -> tuple[Any, Any]:
    """The user's own table, or else a benchmark table and the truth to score it with."""
    if not (given.table or given.label):
        from ncd_jax.data.datasets import load_dataset

        return load_dataset(dataset, _data_dir(given), _say_downloaded)
    if not (given.table and given.label):
        raise UserError("--table and --label belong together; give both")
    import pyarrow

    from ncd_jax.data.own_table import read_table

    options = _read_options(given)
    table = read_table(Path(given.table), given.label, unlabelled=given.unlabelled, options=options)
    # It keeps twice the size of a file for the next one, and there is none.
    pyarrow.default_memory_pool().release_unused()
    return table, None


def _read_options(given: "FlagValues") -> Any:
    """How the table is to be read."""
    from ncd_jax.read.options import ReadOptions

    said = {name: given[name].value for name in ReadOptions.__dataclass_fields__}
    return ReadOptions(**{name: value for name, value in said.items() if value is not None})


def _run_in(folder: str | Path) -> "Workdir":
    from ncd_jax.store.workdir import Workdir

    return Workdir(Path(folder))


def _print_all(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head` has read enough, and Python would try again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data_dir(given: "FlagValues") -> Path | None:
    return Path(given.data_dir) if given.data_dir else None


def _say_downloaded(done: int, total: int | None) -> None:
    of_total = f" of {total / 1e6:.1f}" if total else ""
    print(f"\rdownloading, {done / 1e6:.1f}{of_total} MB", end="", file=sys.stderr)
