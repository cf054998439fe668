"""What a finished run knows, gathered for the records and the report."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ncd_jax.ask.resort import Resorted
from ncd_jax.discovery.evaluate import ConfidenceCurve
from ncd_jax.discovery.solution import Solution
from ncd_jax.profiles.classes import Profiles
from ncd_jax.read.columns import TableReading
from ncd_jax.report.how_many import KCurve, NumberStory
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.report.questions import AskingStory
from ncd_jax.store.records import Assignments
from ncd_jax.tuning.trials import Trial

__all__ = ["Findings", "Ranked", "Shown", "assignments_of", "choose_shown"]

_MOST_TELLING = 5
_MOST_DRAWN = 64
_MOST_CELLS = 12_000
"""Of all columns that are drawn: 8 of them for 1500 points."""
_MOST_LISTED = 2000


@dataclass(frozen=True)
class Findings:
    """Everything the records and the report are made from.

    Attributes:
        config: the content of `config.json`, as `metrics` is that of `metrics.json`.
        classes: names of the known classes.
        hidden: names of the classes that each fold hid.
        trials: every candidate, in order of number.
        best: number of the trial that was taken; others may have a better score by luck.
        scored: trials on the folds of `hidden`: the same, or the one taken alone where
            candidates were scored on the known classes.
        ranking: the methods that were compared, the best first; one where none was.
        assignments: the class of every unlabelled row, as it is recorded.
        confidence_curve: accuracy on hidden classes by confidence; none where no class was hidden.
        k_curve: none where no validity index chose the number of novel classes.
        number: what the judge says of the number; none where an index chose it.
        shown: rows with their values, for the page.
        loss: `f[epochs]`, training loss of the refit that gave the answer; empty where nothing is
            trained.
        reading: how the table was understood; none of a benchmark table.
        asking: what a person may be asked, and what was answered; none where nothing can be asked.
    """

    config: dict[str, Any]
    metrics: dict[str, Any]
    classes: tuple[str, ...]
    n_columns: int
    hidden: tuple[tuple[str, ...], ...]
    trials: tuple[Trial, ...]
    best: int
    scored: tuple[Trial, ...]
    ranking: tuple["Ranked", ...]
    assignments: Assignments
    confidence_curve: ConfidenceCurve | None
    profiles: Profiles
    k_curve: KCurve | None
    number: NumberStory | None
    latent_map: LatentMap
    shown: "Shown"
    loss: np.ndarray
    reading: TableReading | None = None
    asking: AskingStory | None = None

    @property
    def scored_best(self) -> int:
        """Number of the trial that was taken, among `scored`."""
        return self.best if self.scored == self.trials else self.scored[0].number


@dataclass(frozen=True)
class Ranked:
    """A method and what its best candidate scored where known classes were hidden.

    Attributes:
        method: its name in the registry; `title` is that for people.
        fold_scores: share of hidden rows sorted right, for each fold.
    """

    method: str
    title: str
    fold_scores: tuple[float, ...]

    @property
    def score(self) -> float:
        """Mean over folds."""
        return float(np.mean(self.fold_scores or np.nan))

    @property
    def spread(self) -> float:
        """Standard deviation over folds."""
        return float(np.std(self.fold_scores or np.nan))


class Shown(NamedTuple):
    """Values of rows, and where they belong.

    Attributes:
        telling: names of the columns that set the classes apart most, the best first.
        drawn: columns of the `p` points of the map, the telling ones first.
        listed: `i[l]`, which of the unlabelled rows are listed, in order.
        listed_values: the telling columns of these, behind those that are copied to the answer.
    """

    telling: tuple[str, ...]
    drawn: pd.DataFrame
    listed: np.ndarray
    listed_values: pd.DataFrame


def choose_shown(
    frame: pd.DataFrame,
    profiles: Profiles,
    points: np.ndarray,
    unlabelled: np.ndarray,
    assignments: Assignments,
) -> Shown:
    """Chooses what a page has room for.

    Where there are more unlabelled rows than it can list, all classes have their first ones in it.

    Args:
        frame: the columns of all rows, as people know them.
        profiles: what the novel classes are.
        points: `i[p]`, the rows of the map.
        unlabelled: `i[u]`, the unlabelled rows.
        assignments: their classes, and what is copied of them.
    """
    columns, names = [str(name) for name in frame], assignments.labels
    told = dict.fromkeys(column for column, _ in profiles.grid.features if column in columns)
    n_drawn = max(min(_MOST_DRAWN, _MOST_CELLS // max(len(points), 1)), 2)
    telling = [*told, *(name for name in columns if name not in told)][:n_drawn]
    places = [columns.index(name) for name in telling]
    rank = pd.Series(names).groupby(list(names)).cumcount().to_numpy() if names else np.zeros(0)
    listed = np.sort(np.argsort(rank, kind="stable")[:_MOST_LISTED])
    values = frame.iloc[unlabelled[listed], places[:_MOST_TELLING]].reset_index(drop=True)
    if assignments.copied is not None:
        copied = assignments.copied.iloc[listed].reset_index(drop=True)
        values = pd.concat([copied, values], axis=1)
    drawn = frame.iloc[points, places].reset_index(drop=True)
    return Shown(tuple(telling[:_MOST_TELLING]), drawn, listed, values)


def assignments_of(
    answer: Solution | Resorted, labels: np.ndarray, rows: np.ndarray, copied: pd.DataFrame | None
) -> Assignments:
    """The class of every unlabelled row by its name, of a run or after answers.

    `labels` `i[u]` are of all classes that the model has, `rows` `i[u]` numbers in the table.
    """
    classes = (*answer.model.classes, "")  # nothing is the runner-up of a row that has none, -1
    return Assignments(
        rows=rows,
        labels=tuple(classes[label] for label in labels.tolist()),
        confidence=answer.confidence,
        runners_up=tuple(classes[label] for label in answer.runner_up.tolist()),
        runner_up_confidence=answer.runner_up_confidence,
        copied=copied,
    )
