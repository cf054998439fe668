"""Files of a run that is asked about, and answers of who knows the classes."""

import csv

import numpy as np


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
