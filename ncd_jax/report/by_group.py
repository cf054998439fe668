"""How the answer differs between groups of rows, such as plates: whether a class is but a group."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.evaluate import Evaluation, is_right
from ncd_jax.read.names import show
from ncd_jax.types import UNLABELLED

__all__ = ["classes_in_groups", "compare_groups", "one_group_warnings"]

MOST_GROUPS, MOST_CLASSES = 20, 12
"""Groups and classes that are told of, the largest ones."""
NEARLY_ALL, MOST_EXPECTED = 0.9, 0.7
"""Share of a new class in one group, and of all unlabelled rows, from which it may be the group."""
FEWEST = 10
"""Rows of such a class."""


def compare_groups(
    table: Table, names: Sequence[str], evaluation: Evaluation | None
) -> list[dict[str, Any]]:
    """What each group holds, and how well hidden classes were found in it.

    Args:
        table: the table.
        names: of the class of every row, as it is labelled or was answered.
        evaluation: answers on folds that hid classes; none where no class was hidden.

    Returns:
        A record a group, the largest first; none where there are no groups. `shares` are those of
        classes among all its rows. `hidden_class_accuracy` goes by classes matched across all
        groups, `hidden_class_accuracy_alone` by classes matched within this one: where it is much
        higher, the group is told apart and not its classes. None where no row of it was hidden.
    """
    if table.group is None:
        return []
    classes, codes = np.unique(np.asarray(names, str), return_inverse=True)
    sizes = np.bincount(table.group, minlength=len(table.group_names))
    records = []
    for g in np.argsort(-sizes, kind="stable")[:MOST_GROUPS].tolist():
        own = table.group == g
        shares = np.bincount(codes[own], minlength=len(classes)) / max(sizes[g], 1)
        together, alone = _hidden(evaluation, own)
        records.append(
            {
                "group": table.group_names[g],
                "n_rows": int(sizes[g]),
                "n_unlabelled": int((table.y[own] == UNLABELLED).sum()),
                "shares": {
                    name: round(share, 4)
                    for name, share in zip(classes.tolist(), shares.tolist(), strict=True)
                    if share
                },
                "hidden_class_accuracy": together,
                "hidden_class_accuracy_alone": alone,
            }
        )
    return records


def _hidden(evaluation: Evaluation | None, own: np.ndarray) -> tuple[float | None, float | None]:
    """Share of the rows of hidden classes in a group that were sorted right, matched both ways."""
    if evaluation is None or not (here := own[evaluation.rows]).any():
        return None, None
    right = 0
    for fold in np.unique(evaluation.fold[here]):
        rows = here & (evaluation.fold == fold) & (evaluation.found >= 0)
        right += int(is_right(evaluation.found[rows], evaluation.y[rows]).sum())
    return float(evaluation.right[here].mean()), right / int(here.sum())


def classes_in_groups(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """The classes that groups of `compare_groups` hold, the largest first."""
    sizes = Counter[str]()
    for each in groups:
        for name, share in each["shares"].items():
            sizes[name] += share * each["n_rows"]
    return [name for name, _ in sizes.most_common(MOST_CLASSES)]


def one_group_warnings(column: str, groups: Sequence[Mapping[str, Any]], k: int) -> list[str]:
    """New classes that lie in one group nearly wholly, as a group that differs would.

    Args:
        column: where groups were read from.
        groups: of `compare_groups`.
        k: number of new classes.
    """
    said, unlabelled = [], sum(each["n_unlabelled"] for each in groups)
    for name in (f"novel_{i}" for i in range(k)):
        sizes = [each["shares"].get(name, 0.0) * each["n_rows"] for each in groups]
        most = int(np.argmax(sizes)) if sizes else 0
        if sum(sizes) < FEWEST or sizes[most] < NEARLY_ALL * sum(sizes):
            continue
        if (expected := groups[most]["n_unlabelled"] / unlabelled) <= MOST_EXPECTED:
            said.append(
                f"{sizes[most] / sum(sizes):.0%} of {name} lie in {show(groups[most]['group'])} of"
                f" {show(column)}, which holds {expected:.0%} of the unlabelled rows: it may be how"
                " that group differs, and no class"
            )
    return said
