"""What a run found out, before anything is scored, written or drawn.

Beside the answer it is what a person can be asked about, so that nothing is fitted again. Of a
large table the judge sees a sample: questions are about that, and every other new row does as the
row of the sample that is nearest among those of its class.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ncd_jax.data.preprocess import fingerprints, first_of_equals
from ncd_jax.data.table import Table
from ncd_jax.discovery.by_judge import Judged, Judgement
from ncd_jax.discovery.evaluate import Evaluation, all_new
from ncd_jax.discovery.fit import Refits
from ncd_jax.discovery.model import (
    Applied,
    Model,
    Remembered,
    Told,
    apply_model,
    latents,
    shares,
)
from ncd_jax.discovery.partition import Found
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.tune import Tuned
from ncd_jax.judge.scene import side_by_side
from ncd_jax.judge.vote import voters
from ncd_jax.known_or_new.decision import Gated
from ncd_jax.types import UNLABELLED

__all__ = ["OF_ROWS", "Answer", "Asked", "Solution", "answered", "as_they_stood", "second_of"]

UNLIKE = 0.25
"""Rows less familiar than this are twice as far off as rows of their class."""
OF_ROWS = ("like", "at", "p_known", "familiar", "labels", "confidence")
"""Fields with one entry for each unlabelled row; of the runner-up too."""
_CHUNK = 4096


class Answer(NamedTuple):
    """The partition of the `v` new rows that a run stands by.

    Attributes:
        refit: index of the refit in which it is shown.
        k: number of new classes.
        labels: `i[v]`, new class of every row; 0 is the largest.
        stability: mean adjusted Rand index between the partitions that it was chosen from: of all
            refits, or of all cuts; none where it is the only one.
    """

    refit: int
    k: int
    labels: np.ndarray
    stability: float | None


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


class Solution(NamedTuple):
    """All that a run found out.

    Attributes:
        tuned: every method that was compared.
        winner: the one that gave the answer.
        refits: its trainings on all known classes.
        answer: the partition of the new rows: all unlabelled ones but those that are known.
        gate: which unlabelled rows are of known classes; none where nobody looked.
        evaluation: answers for hidden classes; none where no class could be hidden.
        known_accuracy: share of held-out known rows that `predict` gives their class.
        model: for rows of any kind; it remembers those of the run.
        z: `f32[n, L]`, all rows in the view that is shown.
        found: `i[u]`, the class of every unlabelled row, an index into those of the model.
        confidence: `f64[u]`, how sure that is.
        runner_up: `i[u]`, the second likeliest class; -1 where there is none.
        runner_up_confidence: `f64[u]`.
        n_unlike: unlabelled rows given to a known class though they are more than twice as far from
            its rows as these are from one another.
        judged: what the judge saw and said; none where an index counted, or nothing is new.
        asked: what a person can be asked about; none where `judged` is none.
        seconds: wall time by phase.
    """

    tuned: list[Tuned]
    winner: Tuned
    refits: Refits
    answer: Answer
    gate: Gated | None
    evaluation: Evaluation | None
    known_accuracy: float
    model: Model
    z: np.ndarray
    found: np.ndarray
    confidence: np.ndarray
    runner_up: np.ndarray
    runner_up_confidence: np.ndarray
    n_unlike: int
    judged: Judged | None
    asked: Asked | None
    seconds: dict[str, float]

    @property
    def setting(self) -> str:
        """The setting as it was taken: `gcd` where unlabelled rows may be of known classes."""
        return "ncd" if self.gate is None or not self.gate.is_open else "gcd"

    @property
    def is_new(self) -> np.ndarray:
        """`bool[u]`, the unlabelled rows of no known class."""
        return self.found >= self.model.n_known

    def labels(self, n_known: int) -> np.ndarray:
        """The class of every unlabelled row, `i[u]`: a known one, or `n_known` and a novel one.

        Args:
            n_known: number of known classes.
        """
        assert n_known == self.model.n_known
        return self.found


def as_they_stood(solution: Solution, y: np.ndarray, order: np.ndarray) -> Solution:
    """The solution of a table that was put in order, with its rows as they stood before.

    Args:
        solution: of the table in order.
        y: `i32[n]`, the labels as they stood.
        order: `i[n]`, see `problem.ordered`.
    """
    unlabelled = y == UNLABELLED
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    # From the unlabelled rows as they stand now to where they stood.
    of_rows = (np.cumsum(unlabelled[order]) - 1)[place[unlabelled]]
    fields = ("found", "confidence", "runner_up", "runner_up_confidence")
    moved: dict[str, Any] = {name: getattr(solution, name)[of_rows] for name in fields}
    n_known, gate = solution.model.n_known, solution.gate
    labels = moved["found"][moved["found"] >= n_known] - n_known
    gate = gate and gate.of_rows(of_rows)
    answer = solution.answer._replace(labels=labels)
    asked = solution.asked and solution.asked.reordered(of_rows)
    evaluation = solution.evaluation
    moved |= {"z": solution.z[place], "answer": answer, "gate": gate, "asked": asked}
    moved["evaluation"] = evaluation and evaluation._replace(rows=order[evaluation.rows])
    return solution._replace(**moved)


def answered(
    table: Table,
    tuned: Sequence[Tuned],
    winner: Tuned,
    fit: tuple[Model, Refits, Found],
    gate: Gated | None,
) -> Solution:
    """Gives every unlabelled row its class, the largest new class first, and remembers it.

    Args:
        table: the table.
        tuned: every method that was compared.
        winner: the one that answers.
        fit: its model, with the refits and the partition that it was made of.
        gate: which unlabelled rows are of known classes; none where nobody looked.
    """
    model, refits, found = fit
    n_known, unlabelled = model.n_known, table.y == UNLABELLED
    applied = apply_model(model, table.x[unlabelled], _told(int(unlabelled.sum()), gate))
    z = np.empty((len(table.y), applied.z.shape[1]), np.float32)
    z[unlabelled], z[~unlabelled] = applied.z, latents(model, table.x[~unlabelled])
    keys = fingerprints(model.scaler.apply(table.x))
    first = first_of_equals(keys, unlabelled)
    place = np.cumsum(unlabelled) - 1  # among the unlabelled rows
    applied = Applied(*(each[place[first[unlabelled]]] for each in applied))
    model, order = _numbered(model, applied.labels)
    labels, sure = order[applied.labels], applied.confidence.astype(np.float64)
    squared = applied.squared[:, np.argsort(order)[: len(model.classes)]]
    share = shares(squared, applied.p_known, labels, sure, n_known, applied.familiar)
    runner_up, runner_up_sure = second_of(share, labels, sure)
    new = labels >= n_known
    remembered = _remembered(keys, first, table.y, (labels, sure, applied.p_known))
    judged = found.details if new.any() else None
    asked = judged and _asked_of(
        table,
        winner.problem,
        (refits, found.view, judged),
        applied,
        (labels, sure, runner_up, runner_up_sure),
        gate,
        np.searchsorted(remembered.keys, keys[unlabelled]),
    )
    return Solution(
        tuned=list(tuned),
        winner=winner,
        refits=refits,
        answer=Answer(
            refit=found.view,
            k=len(model.classes) - n_known,
            labels=labels[new] - n_known,
            stability=found.stability,
        ),
        gate=gate,
        evaluation=None,
        known_accuracy=float("nan"),
        model=model._replace(remembered=remembered),
        z=z,
        found=labels,
        confidence=sure,
        runner_up=runner_up,
        runner_up_confidence=runner_up_sure,
        n_unlike=int(np.sum(applied.familiar[~new] < UNLIKE)),
        judged=judged,
        asked=asked,
        seconds={},
    )


def _told(n: int, gate: Gated | None) -> Told:
    """What a run knows of its `n` unlabelled rows before it tells new ones apart."""
    told = all_new(n)
    if gate is not None and gate.is_open:
        said = (gate.p_known, gate.is_new, gate.likeliest, gate.p_class)
        for of_rows, of_gate in zip(told[: len(said)], said, strict=True):
            of_rows[:] = of_gate
    return told


def _numbered(model: Model, labels: np.ndarray) -> tuple[Model, np.ndarray]:
    """The model whose new classes go by size, without those of no row.

    Args:
        model: the model.
        labels: `i[u]`, of the rows.

    Returns:
        The model, and from the old index of a class to the new one, `i[len(classes)]`; those that
        are gone have the last ones.
    """
    n_known, n_slots = model.n_known, model.spec.n_known
    sizes = np.bincount(labels, minlength=len(model.classes))[n_known:]
    by_size = np.argsort(-sizes, kind="stable")
    k = int(np.count_nonzero(sizes))
    number = np.argsort(by_size)  # from the old number to the new one
    new_number = np.append(np.where(number < k, number, UNLABELLED), UNLABELLED).astype(np.int32)
    means, limits = np.array(model.means), np.array(model.reference.limits)
    means[n_slots : n_slots + len(by_size)] = model.means[n_slots + by_size]
    limits[:, n_slots : n_slots + len(by_size)] = model.reference.limits[:, n_slots + by_size]
    places = model.places._replace(
        owners=new_number[model.places.owners], groups=new_number[model.places.groups]
    )
    numbered = model._replace(
        classes=(*model.classes[:n_known], *(f"novel_{i}" for i in range(k))),
        rows=model.rows[: n_known + k],
        means=means,
        places=places,
        reference=model.reference._replace(limits=limits),
    )
    return numbered, np.concatenate([np.arange(n_known), n_known + number])


def _remembered(
    keys: np.ndarray, first: np.ndarray, y: np.ndarray, answer: Sequence[np.ndarray]
) -> Remembered:
    """Every row of the table and its answer, once for all that are equal.

    Args:
        keys: `u64[n]`, fingerprints of the rows.
        first: `i[n]`, see `first_of_equals`.
        y: `i32[n]`, labels.
        answer: class, confidence and chance to be known of the unlabelled rows.
    """
    keys, at = np.unique(keys, return_index=True)
    of_all = y.astype(np.int32), np.ones(len(y), np.float32), np.ones(len(y), np.float32)
    for of_table, of_unlabelled in zip(of_all, answer, strict=True):
        of_table[y == UNLABELLED] = of_unlabelled
    return Remembered(keys, *(of_table[first[at]] for of_table in of_all))


def second_of(
    share: np.ndarray, labels: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The second likeliest class `i[u]` of rows, -1 where there is one class only, and its chance.

    Args:
        share: `f64[u, m]`, of every class.
        labels: `i[u]`, the class of each.
        sure: `f64[u]`, its confidence; the second is no likelier.
    """
    rows, others = np.arange(len(labels)), share.copy()
    if share.shape[1] < 2:
        return np.full(len(labels), -1), np.zeros(len(labels))
    others[rows, labels] = -1.0
    second = others.argmax(axis=1)
    return second, np.minimum(others[rows, second], sure)


def _asked_of(
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
        applied: the model, to all unlabelled rows.
        answer: class, confidence, runner-up and its confidence of all unlabelled rows.
        gate: which unlabelled rows are of known classes; none where nobody looked.
        at: `i[u]`, where the model remembers each of them.
    """
    refits, view, judged = fit
    judgement, mask = judged.judgement, problem.target_mask
    m, place = judgement.n_micro, np.cumsum(table.y == UNLABELLED) - 1
    row = place[np.asarray(problem.target_rows)[mask]]
    labels = answer[0]
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
        like=_like(applied.z, labels, row, n_known),
        at=at.astype(np.int64),
        p_known=applied.p_known,
        familiar=applied.familiar,
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
