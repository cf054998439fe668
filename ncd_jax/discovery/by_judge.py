"""The judge on one table: folds teach it, then it says which new rows are one class.

A cut knows nothing of classes, so after the merges neighbours vote, and what the vote leaves of a
micro cluster is a cell: rows join the class of the nearest one. The rows of the table are cut
several times over, and of the partitions the central one answers.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
import scipy

from ncd_jax.clustering.matching import count_pairs
from ncd_jax.discovery.evaluate import is_right
from ncd_jax.discovery.model import Places
from ncd_jax.discovery.partition import (
    Fitted,
    Folded,
    Found,
    Partitioner,
    central,
    means_of,
    nothing_new,
    see_folds,
)
from ncd_jax.discovery.problem import Problem
from ncd_jax.judge.confidence import Partition, confidence_features, nested
from ncd_jax.judge.number import number_probability, surest, with_most
from ncd_jax.judge.prior import Prior, read_prior
from ncd_jax.judge.scene import Scene, side_by_side
from ncd_jax.judge.verdict import Lessons, judge
from ncd_jax.judge.vote import nearest_rows, neighbour_vote, voters
from ncd_jax.kept_programs import kept_jit
from ncd_jax.tuning.trials import Trial
from ncd_jax.types import UNLABELLED

__all__ = [
    "Cells",
    "Judged",
    "Judgement",
    "answer",
    "by_judge",
    "cells_after_vote",
    "cells_of",
    "judge_all",
    "trials_of",
]

TAINTED = 0.2
"""Share of a micro cluster's rows of a class from which on it would teach of that class."""
AT_ONCE = 5
"""Scenes that are judged are filled up to a multiple of this: runs share programs."""
FEWEST = 3
"""Rows of a cell; fewer are chance."""
SLOTS = 2
"""Cells for each micro cluster, at most."""
CUTS = 3
"""Partitions of which the central one answers: fewer have no middle."""

_JUDGE = kept_jit(judge)


class Judgement(NamedTuple):
    """What the judge says of some rows.

    Attributes:
        scene: of them.
        evidence: `f64[M, M]`.
        sizes: `i[M]`, rows of each micro cluster.
        path: `i[M, M]`, the partition of the micro clusters after 0, 1, ... merges.
        linkage: `f64[M - 1]`, the mean evidence of each merge.
        view_weights: `f64[V]`, weight of each view.
        loss: `f64[F, V]`, log-loss of the prior alone on every fold.
        alone: `i[F, V, M]`, partitions of the folds by the prior alone, in each view.
    """

    scene: Scene
    evidence: np.ndarray
    sizes: np.ndarray
    path: np.ndarray
    linkage: np.ndarray
    view_weights: np.ndarray
    loss: np.ndarray
    alone: np.ndarray

    @property
    def n_micro(self) -> int:
        """Micro clusters that there are; they stand in front."""
        return int((self.sizes > 0).sum())

    def groups(self, k: int | None = None) -> np.ndarray:
        """The group `i[M]` of each micro cluster, 0 where it is empty.

        Args:
            k: the number of groups where it is given; else as many as the evidence says.
        """
        n_merges = int((self.linkage > 0).sum()) if k is None else self.n_micro - k
        return np.maximum(self.path[np.clip(n_merges, 0, self.n_micro - 1)], 0)


class Judged(NamedTuple):
    """What the judge saw and said of the new rows.

    Attributes:
        judgement: the evidence and its merges.
        owners: `i[K]`, the group of every cell.
        partition: what the confidence rests on, the likelihood of every number included.
    """

    judgement: Judgement
    owners: np.ndarray
    partition: Partition


def by_judge(prior: Prior | None = None) -> Partitioner:
    """Partitions by the same-class judge.

    Args:
        prior: what other tables teach; the one of the package by default.
    """
    prior = prior or read_prior()
    weights = np.asarray(prior.confidence, np.float64)
    return Partitioner(see_folds, functools.partial(answer, prior), weights, None, CUTS)


def answer(prior: Prior, folded: Folded, fits: Sequence[Fitted]) -> list[Found]:
    """Partitions of the folds, each by what the others teach, and of the fits."""
    judgements = judge_all(folded, fits, prior)
    asked = [*folded.fits, *fits]
    return [_found(each, of_it, prior) for each, of_it in zip(asked, judgements, strict=True)]


def _found(fitted: Fitted, judgements: list[Judgement], prior: Prior) -> Found:
    """The partition that agrees best with those of all cuts."""
    problem = fitted.problem
    if not problem.n_targets:
        return nothing_new(fitted, len(prior.confidence) - 1)
    z = side_by_side(np.asarray(fitted.refits.z))[problem.target_mask]
    asked = nearest_rows(z, voters(problem.class_size))
    cells = [cells_of(problem, each, z, asked) for each in judgements]
    chosen, stability = central(np.stack([each.labels for each in cells]))
    own, judgement, m = cells[chosen], judgements[chosen], judgements[chosen].n_micro
    k = int(own.groups.max()) + 1
    numbers = [
        _numbers(each, int(cell.groups[: each.n_micro].max()) + 1, prior, problem.n_novel)
        for each, cell in zip(judgements, cells, strict=True)
    ]
    longest = max(map(len, numbers))
    mean = np.mean([np.pad(each, (0, longest - len(each))) for each in numbers], axis=0)
    mean = np.maximum(mean, 1e-9) / np.maximum(mean, 1e-9).sum()
    n_labelled = int(np.sum(np.asarray(problem.data.y) != UNLABELLED))
    bound = 1.0 if problem.n_novel else surest(min(problem.n_targets, n_labelled))
    mean = with_most(mean, bound)
    partition = Partition(
        evidence=judgement.evidence[:m, :m],
        sizes=judgement.sizes[:m],
        path=judgement.path[:m, :m],
        groups=own.groups[:m],
        numbers=mean,
        micro=np.arange(m),
        position=np.zeros(m),
    )
    features = np.zeros((len(judgement.sizes), len(prior.confidence) - 1))
    most = np.ones(len(judgement.sizes), np.float32)
    features[:m] = confidence_features(partition)
    most[:m] = np.minimum(nested(partition), bound)
    owners = own.owners
    partition = partition._replace(micro=np.asarray(judgement.scene.labels)[problem.target_mask])
    return Found(
        view=int(np.argmax(judgement.view_weights)),
        views=slice(None),
        places=_places(own, judgement)._replace(most=most),
        n_classes=k,
        labels=own.labels,
        features=features,
        stability=stability,
        details=Judged(judgement, owners, partition),
    )


def _numbers(judgement: Judgement, k: int, prior: Prior, n_novel: int | None) -> np.ndarray:
    """The likelihood of 1, 2, ... classes."""
    if n_novel is not None:
        numbers = np.full(max(k, n_novel), 1e-9)
        numbers[k - 1] = 1.0
        return numbers
    linkage = judgement.linkage[: judgement.n_micro - 1]
    return number_probability(linkage, k, np.asarray(prior.number, np.float64))


class Cells(NamedTuple):
    """Parts of micro clusters, each of one group.

    Attributes:
        groups: `i[M]`, the group of each micro cluster before the vote.
        labels: `i[m]`, the group of every judged row: that of the nearest cell.
        centroids: `f32[K, W]`, of each cell in all views side by side.
        owners: `i[K]`, the group of each cell; -1 where a slot is empty.
    """

    groups: np.ndarray
    labels: np.ndarray
    centroids: np.ndarray
    owners: np.ndarray


def cells_of(problem: Problem, judgement: Judgement, z: np.ndarray, asked: np.ndarray) -> Cells:
    """The cells of the judged rows; no class is lost where their number is given.

    Args:
        problem: what is solved.
        judgement: of the rows.
        z: `f32[m, W]`, the rows, in all views side by side.
        asked: `i[m, q]`, neighbours that each row asks; see `vote.nearest_rows`.
    """
    micro = np.asarray(judgement.scene.labels)[problem.target_mask]
    groups = judgement.groups(problem.n_novel)
    return cells_after_vote(groups, micro, z, asked, keep_all=problem.n_novel is not None)


def cells_after_vote(
    groups: np.ndarray, micro: np.ndarray, z: np.ndarray, asked: np.ndarray, *, keep_all: bool
) -> Cells:
    """Lets rows vote, and has them join the nearest cell of what comes out.

    A group that nobody has voted for is no class, unless all are to be kept.

    Args:
        groups: `i[M]`, the group of each micro cluster.
        micro: `i[m]`, the micro cluster of each row.
        z: `f32[m, W]`, the rows, in all views side by side.
        asked: `i[m, q]`, neighbours that each row asks; see `vote.nearest_rows`.
        keep_all: whether every group with a row keeps one.
    """
    before = groups[micro]
    after = neighbour_vote(before, asked)
    while keep_all and not np.isin(before, after).all():
        # Rows that stay may have been the only voters of another group: until none is lost.
        after = np.where(np.isin(before, after), after, before)
    parts, part, sizes = np.unique(
        np.stack([micro, after]), axis=1, return_inverse=True, return_counts=True
    )
    by_size = np.argsort(-sizes, kind="stable")
    _, largest = np.unique(parts[1][by_size], return_index=True)  # of each group: it has a cell
    first = by_size[largest]
    others = by_size[~np.isin(by_size, first) & (sizes[by_size] >= FEWEST)]
    n_slots = SLOTS * len(groups)
    kept = np.concatenate([first, others])[:n_slots]
    owners, cell_of_part = np.full(n_slots, -1), np.full(len(sizes), UNLABELLED)
    owners[: len(kept)], cell_of_part[kept] = parts[1][kept], np.arange(len(kept))
    centroids = means_of(z, cell_of_part[part.reshape(-1)], n_slots)
    cdist = scipy.spatial.distance.cdist
    labels = owners[cdist(z, centroids[: len(kept)], "sqeuclidean").argmin(axis=1)]
    for _ in range(len(largest) if keep_all else 0):  # a small cell may lie nearest to no row
        lost = np.setdiff1d(owners[: len(kept)], labels)
        if not len(lost):
            break
        slots = [int(np.flatnonzero(owners == group)[0]) for group in lost]
        # One of its own rows is its place then: rows of different groups are apart.
        centroids[slots] = z[[int(np.flatnonzero(after == group)[0]) for group in lost]]
        labels = owners[cdist(z, centroids[: len(kept)], "sqeuclidean").argmin(axis=1)]
    return Cells(groups, labels, centroids, owners)


def _places(cells: Cells, judgement: Judgement) -> Places:
    # What nobody joins is no other class that a row could be near to.
    lives = (judgement.sizes > 0) & np.isin(cells.groups, cells.labels)
    return Places(
        cells=cells.centroids,
        owners=cells.owners.astype(np.int32),
        micro=np.asarray(judgement.scene.centroids),
        groups=np.where(lives, cells.groups, -1).astype(np.int32),
        score=np.zeros(len(lives), np.float32),
        slope=np.float32(0.0),
        most=np.ones(len(lives), np.float32),
    )


def trials_of(
    problem: Problem, hparams: Sequence[Mapping[str, float]], folded: Folded, judgement: Judgement
) -> list[Trial]:
    """Every candidate alone, as the prior judges the folds in its view.

    Args:
        problem: what is solved.
        hparams: of each candidate, one a view.
        folded: in which all were fitted.
        judgement: of anything, with these folds.
    """
    scores = np.zeros((len(hparams), len(folded.fits)))
    finite = [np.asarray(each.refits.finite) for each in folded.fits]
    found = np.ones_like(scores)
    for i, (fitted, f) in enumerate(zip(folded.fits, folded.numbers, strict=True)):
        mask = problem.hidden_folds.hidden_mask[f]
        micro = np.asarray(fitted.scenes[0].labels)[mask]
        for v in range(len(hparams)):
            groups = np.maximum(judgement.alone[i, v], 0)[micro]
            scores[v, i] = is_right(groups, problem.hidden_folds.hidden_y[f][mask]).mean()
            found[v, i] = len(np.unique(groups))
    return [
        Trial(
            number=v,
            hparams=dict(values),
            score=float(scores[v].mean()) if folded.fits else float("nan"),
            fold_scores=tuple(scores[v].tolist()),
            fold_k=tuple(found[v].tolist()),
            diverged=sum(int(not each[v]) for each in finite),
            log_loss=float(judgement.loss[:, v].mean()) if folded.fits else None,
        )
        for v, values in enumerate(hparams)
    ]


def judge_all(
    folded: Folded, fits: Sequence[Fitted], prior: Prior | None = None
) -> list[list[Judgement]]:
    """Judges folds and fits, every scene by what the folds teach without the classes it hides.

    Args:
        folded: of the table.
        fits: of the same table.
        prior: what other tables teach; the one of the package by default.

    Returns:
        For every fold and every fit the judgement of each of its scenes.
    """
    n_folds = len(folded.fits)
    # Filled up with folds that teach nothing, and with scenes that nobody asks about: runs with
    # like numbers of them share a program.
    teachers = folded.fits + folded.fits[:1] * (-n_folds % AT_ONCE if n_folds else 0)
    asked = [(each, scene) for each in fits for scene in each.scenes]
    seen = [*((each, each.scenes[0]) for each in teachers), *asked]
    seen += seen[:1] * (-len(asked) % AT_ONCE if asked else 0)
    n_teachers, n_micro = len(teachers), len(seen[0][1].sizes)
    sizes = np.stack([np.asarray(scene.sizes) for _, scene in seen])
    filled = sizes > 0
    pairs = filled[:, :, None] & filled[:, None, :] & ~np.eye(n_micro, dtype=bool)
    hidden = np.stack([each.hidden for each, _ in seen])
    shares = np.zeros((n_teachers, n_micro, hidden.shape[1]))
    for f, each in enumerate(folded.fits):
        shares[f] = _shares(each)
    clean = np.einsum("gc,fmc->gfm", hidden, shares) <= TAINTED
    clean[:, n_folds:] = False
    taught = {
        "features": np.stack([np.asarray(scene.features) for _, scene in seen]),
        "pairs": pairs,
        "sizes": sizes,
        "same": (shares @ shares.transpose(0, 2, 1)).astype(np.float32),
        "several": hidden[:n_teachers].sum(axis=1) > 1,
        "teaches": pairs[None, :n_teachers] & clean[:, :, :, None] & clean[:, :, None, :],
        "finite": np.stack([np.asarray(each.refits.finite) for each, _ in seen]),
    }
    lessons = Lessons(**jax.device_put(taught))
    verdicts = jax.tree.map(np.asarray, _JUDGE(lessons, prior or read_prior()))

    def judgement(g: int) -> Judgement:
        return Judgement(
            scene=seen[g][1],
            evidence=verdicts.evidence[g].astype(np.float64),
            sizes=sizes[g],
            path=verdicts.path.labels[g],
            linkage=verdicts.path.linkage[g].astype(np.float64),
            view_weights=verdicts.view_weights[g].astype(np.float64),
            loss=verdicts.loss[:n_folds].astype(np.float64),
            alone=verdicts.alone[:n_folds],
        )

    places = iter(range(n_teachers, n_teachers + len(asked)))
    of_fits = [[judgement(next(places)) for _ in each.scenes] for each in fits]
    return [*([judgement(f)] for f in range(n_folds)), *of_fits]


def _shares(fold: Fitted) -> np.ndarray:
    """The share `f64[M, C]` of every known class in each micro cluster of a fold."""
    problem, mask = fold.problem, fold.problem.target_mask
    labels = np.asarray(fold.scenes[0].labels)[mask]
    assert problem.true_targets is not None
    of_class = problem.true_targets[mask]
    rows = count_pairs(labels, of_class, len(fold.scenes[0].sizes), len(fold.hidden))
    return np.asarray(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1))
