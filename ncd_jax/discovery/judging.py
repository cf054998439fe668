"""The judge on one table: folds teach it, then it says which novel rows are one class."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.matching import count_pairs
from ncd_jax.discovery.calibration import is_right
from ncd_jax.discovery.problem import Problem
from ncd_jax.discovery.refits import Refits, refit_all
from ncd_jax.judge.prior import Prior, read_prior
from ncd_jax.judge.verdict import Lessons, judge
from ncd_jax.tuning.proposals import Trial

__all__ = ["FoldScenes", "Judgement", "judge_scenes", "see_folds", "trials_of"]

TAINTED = 0.2
"""Share of a micro cluster's rows of a class from which on it would teach of that class."""

FOLDS_AT_ONCE = 5

_JUDGE = jax.jit(judge)


class FoldScenes(NamedTuple):
    """The folds in which a method was fitted, one after the other.

    Attributes:
        refits: of each; their scenes are what the judge sees.
        numbers: which fold of the problem each is.
        shares: `f64[M, C]` of each, the share of every known class in each micro cluster.
        hidden: `bool[F, C]`, the classes that each hides.
    """

    refits: list[Refits]
    numbers: list[int]
    shares: list[np.ndarray]
    hidden: np.ndarray


class Judgement(NamedTuple):
    """What the judge says of some rows.

    Attributes:
        evidence: `f64[M, M]`.
        sizes: `i[M]`, rows of each micro cluster.
        path: `i[M, M]`, the partition of the micro clusters after 0, 1, ... merges.
        linkage: `f64[M - 1]`, the mean evidence of each merge.
        say: `f64[V]`, weight of each view.
        loss: `f64[F, V]`, log-loss of the prior alone on every fold.
        alone: `i[F, V, M]`, partitions of the folds by the prior alone, in each view.
    """

    evidence: np.ndarray
    sizes: np.ndarray
    path: np.ndarray
    linkage: np.ndarray
    say: np.ndarray
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


def see_folds(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> FoldScenes:
    """Fits every fold, in one program. A fold in which every training diverged is left out.

    Args:
        problem: what is solved.
        hparams: hyperparameters of each refit.
    """
    folds, seen, shares, kept = problem.hidden_folds, [], [], []
    n_known = folds.hidden.shape[1]
    for f in range(len(folds.y)):
        try:
            refits = refit_all(problem.of_fold(f), hparams)
        except FloatingPointError:
            continue
        mask = folds.hidden_mask[f]
        labels = np.asarray(refits.seen.labels)[mask]
        of_class = np.flatnonzero(folds.hidden[f])[folds.hidden_y[f][mask]]
        rows = count_pairs(labels, of_class, len(refits.seen.sizes), n_known)
        shares.append(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1))
        seen.append(refits)
        kept.append(f)
    return FoldScenes(seen, kept, shares, folds.hidden[kept])


def trials_of(
    problem: Problem,
    hparams: Sequence[Mapping[str, float]],
    folds: FoldScenes,
    judgement: Judgement,
) -> list[Trial]:
    """Every candidate alone, as the prior judges the folds in its view.

    Args:
        problem: what is solved.
        hparams: of each candidate, one a view.
        folds: in which all were fitted.
        judgement: of anything, with these folds.
    """
    scores = np.zeros((len(hparams), len(folds.refits)))
    found = np.ones_like(scores)
    for i, (refits, f) in enumerate(zip(folds.refits, folds.numbers, strict=True)):
        mask = problem.hidden_folds.hidden_mask[f]
        micro = np.asarray(refits.seen.labels)[mask]
        for v in range(len(hparams)):
            groups = np.maximum(judgement.alone[i, v], 0)[micro]
            scores[v, i] = is_right(groups, problem.hidden_folds.hidden_y[f][mask]).mean()
            found[v, i] = len(np.unique(groups))
    return [
        Trial(
            number=v,
            hparams=dict(values),
            score=float(scores[v].mean()) if folds.refits else float("nan"),
            fold_scores=tuple(scores[v].tolist()),
            fold_k=tuple(found[v].tolist()),
            diverged=sum(int(not each.finite[v]) for each in folds.refits),
            log_loss=float(judgement.loss[:, v].mean()) if folds.refits else None,
        )
        for v, values in enumerate(hparams)
    ]


def judge_scenes(
    folds: FoldScenes, others: Sequence[Refits], prior: Prior | None = None
) -> list[Judgement]:
    """Judges every fold by what the others teach, and more scenes by what all folds teach.

    Args:
        folds: of the table.
        others: with scenes of the same table.
        prior: what other tables teach; the one of the package by default.
    """
    n_folds, n_known = folds.hidden.shape
    # Filled up with folds that teach nothing: runs with like numbers of folds share a program.
    missing = -n_folds % FOLDS_AT_ONCE
    seen = [*folds.refits, *folds.refits[:1] * missing, *others]
    if not n_folds:
        missing, seen = 0, list(others)
    sizes = np.stack([np.asarray(each.seen.sizes) for each in seen])
    filled = sizes > 0
    pairs = filled[:, :, None] & filled[:, None, :] & ~np.eye(sizes.shape[1], dtype=bool)
    n_micro = sizes.shape[1]
    shares = np.stack(folds.shares) if n_folds else np.zeros((0, n_micro, n_known))
    shares = np.concatenate([shares, np.zeros((missing, n_micro, n_known))])
    nothing = np.zeros((missing + len(others), n_known), bool)
    hidden = np.concatenate([folds.hidden, nothing])
    clean = np.einsum("gc,fmc->gfm", hidden, shares) <= TAINTED
    clean[:, n_folds:] = False
    teaches = pairs[None, : n_folds + missing] & clean[:, :, :, None] & clean[:, :, None, :]
    lessons = Lessons(
        features=jnp.stack([each.seen.features for each in seen]),
        pairs=jnp.asarray(pairs),
        sizes=jnp.asarray(sizes),
        same=jnp.asarray(shares @ shares.transpose(0, 2, 1), jnp.float32),
        several=jnp.asarray(hidden[: n_folds + missing].sum(axis=1) > 1),
        teaches=jnp.asarray(teaches),
        finite=jnp.stack([each.finite for each in seen]),
    )
    verdicts = jax.tree.map(np.asarray, _JUDGE(lessons, prior or read_prior()))
    return [
        Judgement(
            evidence=verdicts.evidence[g].astype(np.float64),
            sizes=sizes[g],
            path=verdicts.path.labels[g],
            linkage=verdicts.path.linkage[g].astype(np.float64),
            say=verdicts.say[g].astype(np.float64),
            loss=verdicts.loss[:n_folds].astype(np.float64),
            alone=verdicts.alone[:n_folds],
        )
        for g in (*range(n_folds), *range(n_folds + missing, len(seen)))
    ]
