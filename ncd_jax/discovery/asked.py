"""What a run leaves so that a person can be asked about its new rows, and nothing be fitted again.

Of a large table the judge sees a sample: questions are about that, and every other new row does as
the row of the sample that is nearest among those of its class.
"""

from typing import Any, NamedTuple

import numpy as np

from ncd_jax.data.table import Table
from ncd_jax.discovery.by_judge import Judged, Judgement
from ncd_jax.discovery.fit import Refits
from ncd_jax.discovery.model import Applied
from ncd_jax.discovery.problem import Problem
from ncd_jax.judge.scene import side_by_side
from ncd_jax.judge.vote import voters
from ncd_jax.known_or_new.decision import Gated
from ncd_jax.types import UNLABELLED

__all__ = ["OF_ROWS", "Asked", "asked_of"]

OF_ROWS = ("like", "at", "p_known", "familiar", "labels", "confidence")
"""Fields with one entry for each unlabelled row; of the runner-up too."""
_CHUNK = 4096


class Asked(NamedTuple):
    """The `n` new rows that a person may be asked about, and the answer before any answer.

    Attributes:
        evidence: `f64[M, M]`, the judge's log-odds that two micro clusters are one class, less
            what makes the number of classes that was given.
        shift: what that is; 0 where no number was given.
        n_novel: the number that was given, else 0.
        n_voters: neighbours of which each row asks its class.
        micro: `i32[n]`, the micro cluster of each row.
        z: `f32[n, W]`, the rows in all views side by side.
        view: columns of `z` that are the view that is shown: the first one, and the one behind.
        known: `f32[n, C]`, how likely each is of each known class; all 0 where none can be.
        row: `i64[n]`, which of the unlabelled rows each is.
        like: `i32[u]`, for every unlabelled row the one of the `n` that it does as; -1 where it is
            of a known class.
        at: `i64[u]`, where the model remembers it.
        p_known: `f32[u]`, chance to be of a known class.
        familiar: `f32[u]`, how like rows of its class it is.
        labels: `i32[u]`, its class, an index into those of the model.
        confidence: `f64[u]`, of that.
        runner_up: `i32[u]`, the second likeliest class, -1 where there is none.
        runner_up_confidence: `f64[u]`, of that.
    """

    evidence: np.ndarray
    shift: float
    n_novel: int
    n_voters: int
    micro: np.ndarray
    z: np.ndarray
    view: tuple[int, int]
    known: np.ndarray
    row: np.ndarray
    like: np.ndarray
    at: np.ndarray
    p_known: np.ndarray
    familiar: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    runner_up: np.ndarray
    runner_up_confidence: np.ndarray

    def reordered(self, of_rows: np.ndarray) -> "Asked":
        """With the unlabelled rows in another order.

        Args:
            of_rows: `i[u]`, which of them comes first, second, ...
        """
        place = np.empty(len(of_rows), np.int64)
        place[of_rows] = np.arange(len(of_rows))
        names = (*OF_ROWS, "runner_up", "runner_up_confidence")
        moved: dict[str, Any] = {name: getattr(self, name)[of_rows] for name in names}
        return self._replace(row=place[self.row], **moved)


def asked_of(
    table: Table,
    problem: Problem,
    fit: tuple[Refits, int, Judged],
    applied: Applied[np.ndarray],
    answer: tuple[np.ndarray, ...],
    gate: Gated | None,
    at: np.ndarray,
) -> Asked:
    """What can be asked about.

    Args:
        table: the table.
        problem: that was answered.
        fit: what was fitted to it, the view that is shown, what the judge said.
        applied: the model, to all rows of the table.
        answer: class, confidence, runner-up and its confidence of all unlabelled rows.
        gate: which unlabelled rows are of known classes; none where nobody looked.
        at: `i[n]`, where the model remembers each row.
    """
    refits, view, judged = fit
    judgement, mask = judged.judgement, problem.target_mask
    m, unlabelled = judgement.n_micro, table.y == UNLABELLED
    place = np.cumsum(unlabelled) - 1
    row = place[np.asarray(problem.target_rows)[mask]]
    labels, z = answer[0], applied.z[unlabelled]
    width = np.asarray(refits.z).shape[2]
    n_known = len(table.classes)
    known = np.zeros((len(row), n_known), np.float32)
    if gate is not None and gate.is_open:
        known = _chances(gate, row, n_known)
    shift = _shift(judgement, problem.n_novel)
    evidence = judgement.evidence[:m, :m] - shift
    np.fill_diagonal(evidence, 0.0)
    return Asked(
        evidence=evidence,
        shift=shift,
        n_novel=problem.n_novel or 0,
        n_voters=voters(problem.class_size),
        micro=judged.partition.micro.astype(np.int32),
        z=side_by_side(np.asarray(refits.z))[mask],
        view=(view * width, (view + 1) * width),
        known=known,
        row=row.astype(np.int64),
        like=_like(z, labels, row, n_known),
        at=at[unlabelled].astype(np.int64),
        p_known=applied.p_known[unlabelled],
        familiar=applied.familiar[unlabelled],
        labels=labels.astype(np.int32),
        confidence=answer[1],
        runner_up=answer[2].astype(np.int32),
        runner_up_confidence=answer[3],
    )


def _chances(gate: Gated, row: np.ndarray, n_known: int) -> np.ndarray:
    """How likely some unlabelled rows are of each known class, `f32[n, C]`."""
    of_class, whole = gate.p_class[row], gate.p_known[row]
    rest = (1 - of_class) / max(n_known - 1, 1)
    chance = np.repeat((whole * rest)[:, None], n_known, axis=1)
    chance[np.arange(len(row)), gate.likeliest[row]] = whole * of_class
    return chance.astype(np.float32)


def _shift(judgement: Judgement, n_novel: int | None) -> float:
    """The evidence between the last merge and the next one, where the number is given."""
    linkage = judgement.linkage[: judgement.n_micro - 1]
    if n_novel is None or not len(linkage):
        return 0.0
    n_merges = int(np.clip(judgement.n_micro - n_novel, 0, len(linkage)))
    last = linkage[n_merges - 1] if n_merges else linkage[0] + 2.0
    following = linkage[n_merges] if n_merges < len(linkage) else linkage[-1] - 2.0
    return float((last + following) / 2)


def _like(z: np.ndarray, labels: np.ndarray, row: np.ndarray, n_known: int) -> np.ndarray:
    """For every new row the nearest one of the sample `row`, of its class if there is one."""
    like = np.full(len(labels), -1, np.int32)
    for c in np.unique(labels[labels >= n_known]):
        of_class = np.flatnonzero(labels == c)
        near = np.flatnonzero(labels[row] == c)
        near = near if len(near) else np.arange(len(row))
        sample = z[row[near]]
        half = (sample**2).sum(axis=1) / 2
        for start in range(0, len(of_class), _CHUNK):
            rows = of_class[start : start + _CHUNK]
            like[rows] = near[(half[None] - z[rows] @ sample.T).argmin(axis=1)]
    like[row] = np.arange(len(row))
    return like
