"""A run: the procedure on one table, wrapped in records that survive a kill."""

import dataclasses
import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import numpy as np
import pandas as pd

import ncd_jax
from ncd_jax.config import RunConfig
from ncd_jax.data.table import Table, Truth
from ncd_jax.discovery.problem import Problem, ordered
from ncd_jax.discovery.solution import Solution, as_they_stood
from ncd_jax.discovery.solve import follow, prepare_methods, solve_problems
from ncd_jax.errors import UserError
from ncd_jax.precision import in_single_precision
from ncd_jax.progress import Reporter, Stopwatch
from ncd_jax.report.headline import headline
from ncd_jax.scoring import score, score_test_split, true_names
from ncd_jax.store.answers import Answers, read_answers
from ncd_jax.store.asked_files import fingerprint, read_cells, save_asked
from ncd_jax.store.asking import Asking, Outcome
from ncd_jax.store.model_files import save_model
from ncd_jax.store.records import describe_run, read_metrics, write_records
from ncd_jax.store.workdir import Workdir, digest_of
from ncd_jax.tuning.processes import is_leader, share
from ncd_jax.tuning.storage import Storage, own_journal
from ncd_jax.types import UNLABELLED

if TYPE_CHECKING:
    from ncd_jax.report.findings import Findings

__all__ = ["apply_answers", "run"]

_LATER = (
    *("scipy.optimize", "scipy.spatial.distance", "sklearn.neighbors"),
    *("ncd_jax.report.outcome", "ncd_jax.report.page", "ncd_jax.report.redraw"),
)
"""What is needed from the gate on: two seconds of imports, while the device computes."""


@in_single_precision
def run(
    config: RunConfig,
    table: Table,
    truth: Truth | None,
    path: Path,
    reporter: Reporter | None = None,
    flags: Sequence[str] = (),
) -> dict[str, Any]:
    """Tunes, refits, discovers and reports; continues what an earlier process began.

    Args:
        config: the configuration.
        table: the table.
        truth: the novel labels of a benchmark table, for scoring only.
        path: the working directory of this run and no other.
        reporter: told of the phases; silent by default.
        flags: what the command line says of the table, kept for `--rerun`.

    Returns:
        The content of `metrics.json`.

    Raises:
        UserError: the table, the working directory or the storage cannot be used.
        FloatingPointError: every training diverged.
        Dismissed: where there are several processes, in all but the first: that one has ended.
    """
    reporter, seconds = reporter or Reporter(), Stopwatch()
    if truth is not None and config.setting == "auto":  # benchmark tables are the paper's
        config = dataclasses.replace(config, setting="ncd")
    n_novel = _given_number(config, truth)
    with seconds("prepare"):
        inner, order = ordered(table)
        problems = prepare_methods(config, inner, n_novel)
    recorded = describe_run(config, table)
    digest = digest_of({"release": ncd_jax.__version__, **recorded["run"]})
    _check_there_is_a_search(config, problems)
    if not is_leader():
        _follow(problems, digest)
    shared = _shared_storage(config, reporter)
    workdir = Workdir.open(path, recorded["run"], recorded["environment"] | {"flags": flags})
    if workdir.is_complete:
        return read_metrics(workdir)
    share(digest)

    for note in table.notes:
        reporter.say(note)
    if table.reading is not None:
        workdir.write_json("columns.json", table.reading.to_json())

    def storage(method: str) -> Storage:
        if shared:
            return dataclasses.replace(shared, study=f"ncd_jax {method} {digest}")
        path = workdir.path(f"search_{method}.journal")
        return own_journal(path, f"ncd_jax {digest}", reporter.say)

    with ThreadPoolExecutor(1) as beside:
        beside.submit(_make_ready)
        solution = solve_problems(problems, inner, reporter, storage)
    solution = as_they_stood(solution, table.y, order)
    for phase, spent in solution.seconds.items():
        seconds.add(phase, spent)
    metrics = _measured(solution, table, truth)
    reporter.say(f"found: {headline(metrics)}")  # nobody waits for pictures to know that
    with seconds("report"), reporter.phase("report", "draws the map and writes the files"):
        from ncd_jax.report.outcome import find
        from ncd_jax.report.page import render_report

        findings = find(solution, table, true_names(table, truth), recorded, metrics)
        findings = _save(workdir, solution, table, findings)
        metrics["seconds"] = seconds.total()
        workdir.write_text("report.html", render_report(findings))
    metrics["seconds"] = seconds.total()
    write_records(workdir, findings.trials, findings.assignments, metrics)
    return metrics


@in_single_precision
def apply_answers(workdir: Workdir, path: Path) -> Outcome:
    """Sorts the rows of a finished run again, by the answers in a file and those given before.

    Writes `answers.csv`, `labels.csv` if there is one, `questions.csv`, `assignments.csv`,
    `metrics.json`, the report and the model, all or none. Lines of the file, `question,answer` or
    `row,label`, are added to what was said before.

    Raises:
        UserError: the run cannot be asked about, the file cannot be used, or is of another run.
    """
    from ncd_jax.report.redraw import apply

    asking, new = Asking(workdir), read_answers(path)
    old = asking.said
    return apply(asking, Answers(old.answers | new.answers, old.labels | new.labels))


def _measured(solution: Solution, table: Table, truth: Truth | None) -> dict[str, Any]:
    """What `metrics.json` says of the answer, with its score where the truth is known."""
    from ncd_jax.report.outcome import measure

    metrics = measure(solution, table)
    if table.x_test is not None:
        metrics["test"] = score_test_split(solution, table, truth)
    if truth is not None:
        metrics["n_novel_true"] = len(truth.classes)
        labels = solution.labels(len(table.classes)) - len(table.classes)
        scores = score(labels, truth.y[table.y == UNLABELLED])
        metrics |= {f"novel_{name}": value for name, value in scores.items()}
    return metrics


def _make_ready() -> None:
    """Does what the report needs and need not wait for the answer."""
    for name in _LATER:
        importlib.import_module(name)
    from ncd_jax.report.templating import environment, packed_plotly

    packed_plotly()
    templates = environment()
    for name in templates.list_templates(extensions=["j2"]):
        templates.get_template(name)


def _save(workdir: Workdir, solution: Solution, table: Table, findings: "Findings") -> "Findings":
    """Writes the model, and what asking and a report after answers need; findings with questions.

    Questions show the new rows with the columns that are copied.
    """
    from ncd_jax.report.questions import Sorted, first_story
    from ncd_jax.report.redraw import keep

    save_model(workdir, solution.model)
    asked, model = solution.asked, solution.model
    if asked is None:
        return findings
    unlabelled = np.flatnonzero(table.y == UNLABELLED)
    cells, copied = table.original(), table.copied
    if copied is not None:
        others = [name for name in copied.columns if name not in cells.columns]
        cells = pd.concat([copied[others].set_axis(cells.index), cells], axis=1)
    names = [] if copied is None else list(copied.columns)
    rows = table.row_numbers[unlabelled]
    cells = cells.iloc[unlabelled[asked.row]]
    questions = save_asked(workdir, asked, model, rows, cells, names)
    keep(workdir, findings, table, solution.z)
    now = Sorted(
        asked=asked,
        rows=rows,
        labels=solution.found,
        classes=model.classes,
        mark=fingerprint(asked, rows),
        cells=read_cells(workdir, rows[asked.row]),
        copied=names,
    )
    return dataclasses.replace(findings, asking=first_story(questions, now, model.n_known))


def _shared_storage(config: RunConfig, reporter: Reporter) -> Storage | None:
    """Where workers meet, if they do."""
    if not config.search.storage:
        return None
    # Here, as databases take a quarter of a second to import.
    from ncd_jax.tuning.shared_storage import open_shared

    return open_shared(config.search.storage, config.search.grace, reporter.say)


def _follow(problems: Sequence[Problem], digest: str) -> NoReturn:
    """What the other processes do: their share of the search, until process 0 has ended."""
    if share() != digest:
        raise UserError(
            f"process {jax.process_index()} has another table, configuration or release of"
            " ncd_jax than process 0; give all the same"
        )
    follow(problems)
    share()
    raise AssertionError("process 0 has nothing to say after the search but that it has ended")


def _check_there_is_a_search(config: RunConfig, problems: Sequence[Problem]) -> None:
    """Nobody starts a second machine for nothing."""
    if any(problem.candidates is None for problem in problems):
        return
    flag = "--config.search.storage" if config.search.storage else "--coordinator"
    if config.search.storage or jax.process_count() > 1:
        raise UserError(
            f"{config.method} with the judge searches for nothing, so there is nothing to share;"
            f" leave {flag} out, or give --config.method=pbn or another one"
        )


def _given_number(config: RunConfig, truth: Truth | None) -> int | None:
    """The number of novel classes, where the run is allowed to know it."""
    if config.k.n_novel is not None or not config.search.k_known:
        return config.k.n_novel
    if truth is None:
        raise UserError(
            "config.search.k_known=True needs the number; give --config.k.n_novel=NUMBER too"
        )
    return len(truth.classes)
