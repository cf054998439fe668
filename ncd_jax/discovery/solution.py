"""What a run found out, before anything is scored, written or drawn."""

from typing import NamedTuple

import numpy as np

from ncd_jax.discovery.answers import Answer
from ncd_jax.discovery.cells import Cells
from ncd_jax.discovery.gating import Gated
from ncd_jax.discovery.hidden_class_evaluation import HiddenClassEvaluation
from ncd_jax.discovery.judging import Judgement
from ncd_jax.discovery.model import Model
from ncd_jax.discovery.refits import Refits
from ncd_jax.discovery.tune import Tuned
from ncd_jax.judge.confidence import Partition

__all__ = ["Judged", "Solution"]


class Judged(NamedTuple):
    """What the judge saw and said of the novel rows.

    Attributes:
        judgement: the evidence and its merges.
        cells: what rows were told apart by.
        partition: what the confidence rests on, the likelihood of every number included.
    """

    judgement: Judgement
    cells: Cells
    partition: Partition


class Solution(NamedTuple):
    """All that a run found out.

    Attributes:
        tuned: every method that was compared.
        winner: the one that gave the answer.
        refits: its trainings on all known classes.
        answer: the partition of the novel rows: all unlabelled ones but those that are known.
        gate: which unlabelled rows are of known classes; none where nobody looked.
        evaluation: answers for hidden classes; none where no class could be hidden.
        known_accuracy: share of held-out known rows that `predict` gives their class.
        model: for rows of any kind.
        z: `f32[n, L]`, all rows in the representation that the answer comes from.
        confidence: `f64[u]`, of every unlabelled row.
        judged: what the judge saw and said; none where an index counted, or nothing is new.
        seconds: wall time by phase.
    """

    tuned: list[Tuned]
    winner: Tuned
    refits: Refits
    answer: Answer
    gate: Gated | None
    evaluation: HiddenClassEvaluation | None
    known_accuracy: float
    model: Model
    z: np.ndarray
    confidence: np.ndarray
    judged: Judged | None
    seconds: dict[str, float]

    @property
    def setting(self) -> str:
        """The setting as it was taken: `gcd` where unlabelled rows may be of known classes."""
        return "ncd" if self.gate is None or not self.gate.is_open else "gcd"

    @property
    def is_new(self) -> np.ndarray:
        """`bool[u]`, the unlabelled rows of no known class."""
        if self.gate is None:
            return np.ones(len(self.confidence), bool)
        return self.gate.is_new

    def labels(self, n_known: int) -> np.ndarray:
        """The class of every unlabelled row, `i[u]`: a known one, or `n_known` and a novel one.

        Args:
            n_known: number of known classes.
        """
        new = self.is_new
        labels = np.zeros(len(new), int) if self.gate is None else self.gate.known.copy()
        labels[new] = n_known + self.answer.labels
        return labels
