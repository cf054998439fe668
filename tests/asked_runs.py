"""Files of a run that is asked about, and answers of who knows the classes."""

import csv

import numpy as np
import pytest

from ncd_jax import experiment
from ncd_jax.config import KConfig, RunConfig, SearchConfig
from ncd_jax.data.own_table import read_table
from ncd_jax.read.options import ReadOptions
from ncd_jax.report import latent_map


def three_are_new():
    """Rows of seven classes, and the class of each; the last three of them are to be new."""
    rng = np.random.default_rng(1)
    classes = rng.permutation(np.repeat(np.arange(7), [25] * 4 + [40, 30, 45]))
    return (6 * rng.normal(size=(7, 6)) / 2**0.5)[classes] + rng.normal(size=(215, 6)), classes


def told_of_two(file, path):
    """A run as the command line makes it, told of two novel classes where there are three."""
    config = RunConfig(
        method="rca", setting="ncd", search=SearchConfig(folds=2), k=KConfig(n_novel=2)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(latent_map, "_embed", lambda points: points[:, :2])
        table = read_table(file, "label", options=ReadOptions(id="name"))
        experiment.run(config, table, None, path)


def lines(workdir, name):
    with workdir.path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def contents(workdir, names):
    return {name: workdir.path(name).read_bytes() for name in names if workdir.has(name)}


def write(path, header, rows):
    text = "".join(f"{a},{b}\n" for a, b in [header, *rows])
    path.write_text(text)
    return path


def true_answers(workdir, classes, n=1):
    """The first questions, answered by who knows the classes."""

    def most(rows):
        return np.bincount(classes[[int(row) for row in rows.split()]]).argmax()

    return [
        (q["question"], "yes" if most(q["rows_a"]) == most(q["rows_b"]) else "no")
        for q in lines(workdir, "questions.csv")[:n]
    ]
