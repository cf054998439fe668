"""What a finished run knows, gathered for the records and the report."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ncd_jax.clustering.n_clusters import INDEX_SIGNS
from ncd_jax.discovery.calibration import ConfidenceCurve
from ncd_jax.profiles.classes import Profiles
from ncd_jax.read.columns import TableReading
from ncd_jax.report.number import NumberStory
from ncd_jax.report.shown import Shown
from ncd_jax.store.records import Assignments
from ncd_jax.tuning.proposals import Trial

__all__ = ["Findings", "KCurve", "LatentMap", "Ranked", "RunnerUp"]

_CLOSE = 0.1
"""Share of the range of an index below which two numbers of classes are about equally good."""


@dataclass(frozen=True)
class RunnerUp:
    """The best number of novel classes beside the chosen one.

    Attributes:
        k: the number.
        index: its validity index, mean over refits.
        chosen_index: that of the chosen number.
        behind: how far it is behind the chosen number, as a share of the range of the index
            over all numbers; negative where its index is the better one.
        noise: standard deviation of the difference between the two from one refit to another,
            or of two average numbers where that is larger: few refits may agree by luck. 0 where
            the index was measured once.
        is_tied: whether the difference is within the tolerance, so that the smaller number was
            taken because it is smaller.
    """

    k: int
    index: float
    chosen_index: float
    behind: float
    noise: float
    is_tied: bool

    @property
    def is_ahead(self) -> bool:
        """Whether its index is better than that of the chosen number."""
        return self.behind < 0

    @property
    def is_within_noise(self) -> bool:
        """Whether the difference is smaller than what another training makes."""
        return abs(self.chosen_index - self.index) < self.noise

    @property
    def is_close(self) -> bool:
        """Whether it would be no surprise if it were the better one."""
        return self.behind < _CLOSE or self.is_tied or self.is_within_noise

    @property
    def is_clear(self) -> bool:
        """Whether the chosen number leads by more than chance; unknown counts as no."""
        return not self.is_close and self.noise > 0


@dataclass(frozen=True)
class KCurve:
    """The validity index over the number of novel classes, on the novel rows.

    Attributes:
        name: of the index in `ncd_jax.clustering.n_clusters.INDEX_SIGNS`.
        ks: `i[m]`, numbers tried.
        index: `f[m]`, mean over refits; NaN where the index is not defined.
        spread: `f[m]`, standard deviation over refits, NaN at the same places.
        chosen: the number that was used.
        tolerance: share of the best index that a smaller number was allowed to be worse by.
    """

    name: str
    ks: np.ndarray
    index: np.ndarray
    spread: np.ndarray
    chosen: int
    tolerance: float = 0.0

    @property
    def title(self) -> str:
        """The name as people write it."""
        return self.name.replace("_", "-").title()

    @property
    def sign(self) -> int:
        """1 where larger is better, -1 where smaller is."""
        return INDEX_SIGNS[self.name]

    @property
    def runner_up(self) -> RunnerUp | None:
        """The best number beside the chosen one; none where either has no index."""
        defined = np.isfinite(self.index)
        value = dict(zip(self.ks[defined], self.sign * self.index[defined], strict=True))
        variance = dict(zip(self.ks[defined], self.spread[defined] ** 2, strict=True))
        others = [k for k in value if k != self.chosen]
        if self.chosen not in value or not others:
            return None
        second = max(others, key=value.__getitem__)
        best, worst = max(value.values()), min(value.values())
        behind = value[self.chosen] - value[second]
        mean_variance = np.mean(list(variance.values()))
        return RunnerUp(
            k=int(second),
            index=float(self.sign * value[second]),
            chosen_index=float(self.sign * value[self.chosen]),
            behind=float(behind / (best - worst)) if best > worst else 0.0,
            noise=math.sqrt(max(variance[self.chosen] + variance[second], 2 * mean_variance)),
            is_tied=bool(abs(behind) <= self.tolerance * abs(best)),
        )


@dataclass(frozen=True)
class LatentMap:
    """A two-dimensional picture of the latent space, for at most a few thousand rows.

    Attributes:
        xy: `f[p, 2]`.
        row: `i[p]`, row number in the table.
        label: the known class or `novel_i` of each point.
        is_novel: `bool[p]`, whether the row is in a novel class.
        truth: true class of each point where it is known, else none. For eyes only.
    """

    xy: np.ndarray
    row: np.ndarray
    label: tuple[str, ...]
    is_novel: np.ndarray
    truth: tuple[str, ...] | None


@dataclass(frozen=True)
class Ranked:
    """A method and what its best candidate scored where known classes were hidden.

    Attributes:
        method: its name in the registry.
        title: its name for people.
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


@dataclass(frozen=True)
class Findings:
    """Everything the records and the report are made from.

    Attributes:
        config: the resolved configuration as written to `config.json`.
        metrics: the content of `metrics.json`.
        classes: names of the known classes.
        n_columns: columns of the table.
        hidden: names of the classes that each fold hid.
        trials: every candidate, in order of number.
        best: number of the trial that won.
        scored: trials on the folds of `hidden`: the same, or the winner alone where
            candidates were scored on the known classes.
        ranking: the methods that were compared, the best first; one where none was.
        rows: `i[u]`, row numbers of the unlabelled rows.
        labels: `i[u]`, index of the novel class of each, 0 is the largest class; -1 where it was
            given to a known class.
        names: the class of each.
        confidence: `f[u]`, between 0 and 1.
        runners_up: the second likeliest class of each; empty text where there is one class only.
        runner_up_confidence: `f[u]`, how likely these are.
        copied: columns of these rows that are copied to the answer; none where there are none.
        confidence_curve: accuracy on hidden classes by confidence; none where no class was hidden.
        profiles: what the novel classes are.
        k_curve: none where no validity index chose the number of novel classes.
        number: how sure the judge is of the number; none where an index chose it.
        latent_map: the picture.
        shown: rows with their values, for the page.
        loss: `f[epochs]`, training loss of the refit that gave the answer; empty where nothing is
            trained.
        reading: how the table was understood; none of a benchmark table.
    """

    config: dict[str, Any]
    metrics: dict[str, Any]
    classes: tuple[str, ...]
    n_columns: int
    hidden: tuple[tuple[str, ...], ...]
    trials: tuple[Trial, ...]
    best: int
    scored: tuple[Trial, ...]
    ranking: tuple[Ranked, ...]
    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    confidence: np.ndarray
    runners_up: tuple[str, ...]
    runner_up_confidence: np.ndarray
    copied: pd.DataFrame | None
    confidence_curve: ConfidenceCurve | None
    profiles: Profiles
    k_curve: KCurve | None
    number: NumberStory | None
    latent_map: LatentMap
    shown: Shown
    loss: np.ndarray
    reading: TableReading | None = None

    @property
    def assignments(self) -> Assignments:
        """The class of every unlabelled row, as it is recorded."""
        return Assignments(
            self.rows,
            self.names,
            self.confidence,
            self.runners_up,
            self.runner_up_confidence,
            self.copied,
        )

    @property
    def scored_best(self) -> int:
        """Number of the winner among `scored`."""
        return self.best if self.scored == self.trials else self.scored[0].number
