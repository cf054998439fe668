"""What somebody does to classes by hand, as labels of rows: the answers that the run takes.

A label of a row binds its micro cluster, or the part of it that is cut for it. So a row of each
part stands for all of it: classes that are merged get one name on a row of each of their parts;
one that is split keeps a name of its own on a row of each part that stays.
"""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ncd_jax.app.folder import Run
from ncd_jax.app.opened import Opened, OpenedRuns
from ncd_jax.errors import UserError
from ncd_jax.report.renaming import rename_classes
from ncd_jax.store.answers import Answers

__all__ = ["label_rows", "merge_classes", "take_back"]


def label_rows(runs: OpenedRuns, run: Run, rows: Collection[int], name: str) -> None:
    """Makes unlabelled rows a class of this name: an own one, or one that is there.

    Raises:
        UserError: a row is not unlabelled, or the name cannot be one.
    """
    opened = runs.get(run)
    now = opened.labels()
    if unknown := sorted(set(rows) - set(now)):
        raise UserError(f"row {unknown[0]} has a label of its own; choose rows without one")
    said = opened.asking.said
    labels = {**said.labels, **dict.fromkeys(rows, name)}
    for left in {now[row] for row in rows} - {name}:
        if left in opened.novel():
            stays = _one_of_each_part(opened, now, {left}, rows)
            rest = f"{left} without {name}"
            labels |= dict.fromkeys((row for row in stays if row not in labels), rest)
    if name in set(now.values()):  # the class that is there takes them in
        there = _one_of_each_part(opened, now, {name}, rows)
        labels |= dict.fromkeys((row for row in there if row not in said.labels), name)
    _tell(runs, run, labels, name)


def merge_classes(runs: OpenedRuns, run: Run, one: str, other: str) -> None:
    """Makes two classes one, under the name of the second.

    Raises:
        UserError: there are no two such classes, or none of them is new.
    """
    opened = runs.get(run)
    now, novel = opened.labels(), opened.novel()
    if one == other or one not in novel or other not in {*novel, *opened.known}:
        raise UserError("choose a new class, and another one that it goes to")
    both = {one, other} if other in novel else {one}
    said = opened.asking.said.labels
    labels = {row: other if now.get(row) in both else name for row, name in said.items()}
    labels |= dict.fromkeys(_one_of_each_part(opened, now, both, ()), other)
    _tell(runs, run, labels, other)


def take_back(
    runs: OpenedRuns, run: Run, questions: Collection[str], names: Collection[str]
) -> None:
    """Takes back answers to some questions, and what was written of rows as some classes.

    Raises:
        UserError: the folder is in use.
    """
    said = runs.get(run).asking.said
    answers = {key: answer for key, answer in said.answers.items() if key not in questions}
    labels = {row: name for row, name in said.labels.items() if name not in names}
    runs.tell(run, Answers(answers, labels))


def _one_of_each_part(
    opened: Opened, now: Mapping[int, str], classes: Collection[str], taken: Collection[int]
) -> list[int]:
    """A row of every part that is mostly of some classes, by number; `now` is from row to class.

    Rows that are taken stand for something else: parts that are mostly these are left out.
    """
    asking, away, found = opened.asking, set(taken), list[int]()
    number = asking.rows[asking.asked.row]
    for part in asking.following(asking.said)[0].leaves.rows:
        rows: Sequence[int] = number[part].tolist()
        inside = np.array([now[row] in classes for row in rows])
        free = np.array([row not in away for row in rows])
        if 2 * inside.sum() > len(rows) and 2 * free.sum() > len(rows):
            found.append(rows[int(np.argmax(inside & free))])
    return found


def _tell(runs: OpenedRuns, run: Run, labels: dict[int, str], name: str) -> None:
    """Tells labels, and calls a class by the name that was written for most of its rows."""
    runs.tell(run, Answers(runs.get(run).asking.said.answers, labels))
    opened = runs.get(run)
    novel, of_row = opened.novel(), opened.labels()
    written = [of_row[row] for row, said in labels.items() if said == name]
    most = max(set(written), key=written.count)
    if most in novel and name not in novel and name not in opened.known:
        rename_classes(run.workdir, [f"{novel[most]}={name}"])
