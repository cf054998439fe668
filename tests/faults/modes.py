"""Everything that the program does to a folder, on tables of a moment, and what it comes to."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from launching import call
from moments import Moments

from ncd_jax.reproduce.plan import titles
from ncd_jax.reproduce.report import render_benchmark, render_markdown

SCALES = Path(__file__).with_name("scales.py")
RUN = ("--table=table.csv", "--label=label", "--id=name", "--workdir=work")
RCA = ("--config.search.folds=2", "--config.k.n_novel=2", "--config.setting=ncd")
COLUMNS = [*"pqrstu"]
"""As many as other small tables have, whose compiled programs serve here too."""
SMALL = (
    "--config.setting=ncd",
    "--config.search.candidates=4",
    "--config.search.batch=2",
    "--config.search.folds=2",
    "--config.train.epochs=2",
    "--config.train.batch_size=64",
    "--config.train.refits=2",
    "--config.k.index=silhouette",
    "--config.k.max=4",
    "--config.k.restarts=2",
)
TOLD = ("--config.k.n_novel=2", "--config.search.k_known=true", "--config.search.rungs=1")
BENCHMARK = """
from ncd_jax.reproduce.plan import benchmark_config

def get_config():
    config = benchmark_config()
    config.datasets, config.methods, config.k_settings = "digits", "sklearn_kmeans,kmeans", "known"
    config.seeds, config.search.candidates, config.search.folds = 1, 1, 2
    return config
"""


class Mode(NamedTuple):
    """A command.

    Attributes:
        flags: of it.
        needs: what has to be there: nothing, `run` or `two runs`.
    """

    flags: tuple[str, ...]
    needs: str = ""


MODES = {
    "run, rca": Mode((*RUN, *RCA)),
    "run, pbn": Mode((*RUN, *SMALL, "--config.method=pbn")),
    "run, trained": Mode((*RUN, *SMALL, *TOLD, f"--plugin={SCALES}", "--config.method=scales")),
    "run, other": Mode((*RUN, *RCA, "--config.seed=1")),
    "run, auto": Mode((*RUN, *SMALL, "--config.method=auto", "--config.methods=rca,kmeans")),
    "assign": Mode(("--mode=assign", "--table=later.csv", "--workdir=work"), "run"),
    "rename": Mode(
        ("--mode=rename", "--names=novel_0=Export,novel_1=Trial", "--workdir=work"), "run"
    ),
    "ask": Mode(("--mode=ask", "--answers=said.csv", "--workdir=work"), "run"),
    "compare": Mode(("--mode=compare", "--workdir=work", "--against=other"), "two runs"),
    "benchmark": Mode(("--mode=benchmark", "--config=bench.py", "--workdir=work")),
}


def write_inputs(folder: Path) -> None:
    """Tables of seven classes, the last three of them new, and a benchmark."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(7), 30))
    x = (5 * rng.normal(size=(7, len(COLUMNS))))[classes] + rng.normal(size=(210, len(COLUMNS)))
    frame = pd.DataFrame(x.round(4), columns=COLUMNS)
    frame["name"] = [f"row {i}" for i in range(210)]
    frame["label"] = [f"class {c}" if c < 4 else "" for c in classes]
    frame.to_csv(folder / "table.csv", index=False)
    frame.iloc[::3].to_csv(folder / "later.csv", index=False)
    (folder / "bench.py").write_text(BENCHMARK)


def write_answers(folder: Path) -> None:
    """Answers to the first three questions of the run."""
    with (folder / "work/questions.csv").open(newline="") as file:
        names = [line["question"] for line in csv.DictReader(file)][:3]
    said = dict(zip(names, ("no", "yes", "mixed"), strict=False))
    text = "".join(f"{name},{answer}\n" for name, answer in said.items())
    (folder / "said.csv").write_text(f"question,answer\n{text}")


def recorded(mode: Mode, folder: Path) -> Moments:
    """The moments of a command, which ends well."""
    moments = Moments(folder / "work")
    with moments.recorded():
        ended = call(*mode.flags, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return moments


def outcome(folder: Path) -> dict[str, object]:
    """All that lies in a folder but what may differ between two starts of one run: times."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name == ".lock" or ".journal" in path.name:
            continue
        found[name] = _READ.get(path.name, _READ.get(path.suffix, Path.read_bytes))(path)
    if (folder / "cells").is_dir():  # tables of times; what is in them is in the cells
        records = [json.loads(file.read_bytes()) for file in sorted(folder.glob("cells/*.json"))]
        rendered = {
            "benchmark.html": render_benchmark(records, titles()),
            "results.md": render_markdown(records, titles()),
        }
        found |= {n: (folder / n).read_text() == text for n, text in rendered.items()}
    return found


def _without_times(value: object) -> object:
    if isinstance(value, dict):
        times = ("seconds", "compilations")
        return {k: _without_times(v) for k, v in value.items() if k not in times}
    return [_without_times(each) for each in value] if isinstance(value, list) else value


def _json(path: Path) -> object:
    found = json.loads(path.read_bytes())
    # Where it ran, and from which folder, is no part of what it is.
    return found["run"] if path.name == "config.json" else _without_times(found)


def _page(path: Path) -> str:
    times = r"<tr><td>[a-z]+</td><td>[\d.]+</td></tr>\n|\d+ programs? w\w+ compiled"
    return re.sub(times, "", path.read_text())


def _scores(path: Path) -> list[str]:
    return [line.rpartition(",")[0] for line in path.read_text().splitlines()]


_READ: dict[str, Callable[[Path], object]] = {
    ".json": _json,
    "report.html": _page,
    "results.csv": _scores,
}
