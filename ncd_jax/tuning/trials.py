"""What a search finds: candidates and their scores, whoever proposed them."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["SearchResult", "Trial", "worth"]


@dataclass(frozen=True)
class Trial:
    """One hyperparameter candidate after cross-validation.

    Attributes:
        number: its place in the search, from 0.
        hparams: its hyperparameters by name.
        score: hidden-class score: accuracy on hidden classes, mean over folds and seeds.
        fold_scores: the same for each fold.
        fold_k: number of clusters used in each fold, mean over seeds.
        diverged: number of its trainings that diverged; each scored 0.
        log_loss: of the judge's prior on pairs of the folds, mean; none where it was not asked.
        stopped: the epoch after which it was not trained any further, as others did better; all
            that is said here is of then. None where it was trained to the end.
    """

    number: int
    hparams: dict[str, float]
    score: float
    fold_scores: tuple[float, ...]
    fold_k: tuple[float, ...]
    diverged: int
    log_loss: float | None = None
    stopped: int | None = None

    @property
    def worth(self) -> float:
        """What it is ranked by; see `worth`."""
        return float(worth(self.score, np.nan if self.log_loss is None else self.log_loss))


def worth(accuracy: ArrayLike, log_loss: ArrayLike) -> np.ndarray:
    """What candidates are ranked by, the more the better: means over folds and seeds.

    That is the log loss of the judge's prior, which is finer, or where that is NaN, as nobody asked
    for it, the accuracy on hidden classes.
    """
    return np.where(np.isnan(log_loss), accuracy, np.negative(log_loss))


class SearchResult(NamedTuple):
    """What a search ends with.

    Attributes:
        trials: all candidates in order of number, those of earlier processes included.
        compilations: sweeps that this process compiled: one or, where nothing was left to do, none.
        compile_seconds: the time that took.
    """

    trials: list[Trial]
    compilations: int
    compile_seconds: float
