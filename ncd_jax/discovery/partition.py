"""A partition of the rows in question, whoever made it, and the model that it becomes.

Two can make one: a cluster validity index, which counts clusters that the method makes, here, and
the same-class judge, which merges micro clusters (`by_judge`). Both learn from fits in which known
classes are hidden, both answer for these and for the new rows, and both say in the same form where
the new classes lie and what speaks for a row that lies there.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import scipy

from ncd_jax.clustering.matching import adjusted_rand
from ncd_jax.clustering.n_clusters import INDEX_SIGNS, best_number
from ncd_jax.data.folds import pad_rows
from ncd_jax.data.table import Table
from ncd_jax.discovery.around import NEIGHBOUR, TINY, Reference
from ncd_jax.discovery.fit import Refits, cut, in_parallel, k_search, purpose_key, refit_all
from ncd_jax.discovery.model import Model, Places
from ncd_jax.discovery.problem import Problem
from ncd_jax.judge.scene import Scene, side_by_side
from ncd_jax.known_or_new.gate_weights import read_gate_prior
from ncd_jax.types import UNLABELLED, Array, Clusters, Method

__all__ = [
    "Fitted",
    "Folded",
    "Found",
    "Partitioner",
    "by_index",
    "central",
    "choose",
    "fit_fold",
    "limits_of",
    "make_ready",
    "means_of",
    "model_of",
    "nothing_new",
    "see_folds",
]

RANK = 0.995
"""Share of a class's own rows that are familiar in each of the two spaces."""
MOST_ROWS = 1024
"""Labelled rows, and as many new ones, that others are held against."""
FEWEST_OF_A_CLASS = 20
"""Rows from which on a class has a limit of its own."""
NEARER = (3.0, 0.0)
"""Of the log-odds to be known, where no class could be hidden."""
INDEX_POSITION = np.array([4.0, -0.5])
"""What a row's position says, and the intercept, where no class could be hidden."""
INDEX_STRENGTH = 0.03
"""Of the pull to them: the rows of the folds add up to 1."""


class Fitted(NamedTuple):
    """A problem and what was fitted to it.

    Attributes:
        problem: the problem; in a fold its target rows are those of the hidden classes.
        refits: of it.
        scenes: the target rows as the judge sees them, of every cut; none for an index.
        hidden: `bool[C]`, the known classes that nobody may learn from who answers for it.
    """

    problem: Problem
    refits: Refits
    scenes: list[Scene]
    hidden: np.ndarray


class Folded(NamedTuple):
    """The folds in which a method was fitted, one after the other.

    Attributes:
        fits: of each.
        numbers: which fold of the problem each is; those in which every training diverged are not
            there.
    """

    fits: list[Fitted]
    numbers: list[int]


class Found(NamedTuple):
    """What a partitioner says of the target rows of a fit.

    Attributes:
        view: the refit in which rows are shown.
        views: the refits that together make the space of the places.
        places: where the new classes lie; their numbers are in no order, and some may be of no row.
        n_classes: how many these are.
        labels: `i[m]`, the class of every target row.
        features: `f[M, D]`, what speaks for a row in each micro cluster, a place for its position
            last.
        stability: mean adjusted Rand index between the partitions that this one was chosen from;
            none where it is the only one.
        details: for people: what only this kind of partitioner has to tell.
    """

    view: int
    views: slice
    places: Places
    n_classes: int
    labels: np.ndarray
    features: np.ndarray
    stability: float | None
    details: Any = None


class Partitioner(NamedTuple):
    """Who makes partitions.

    Attributes:
        learn: `(problem, hparams) -> Folded`, fits the folds.
        answer: `(folded, fits) -> [Found]`, for all folds and then for the fits, each by what was
            learned without its hidden classes.
        prior: `f64[D + 1]`, what other tables teach of the features' weights, the intercept last.
        strength: of the pull to them; none where folds of the table do not move them.
        n_cuts: how often the rows of the table are cut.
    """

    learn: Callable[[Problem, Sequence[Any]], Folded]
    answer: Callable[[Folded, Sequence[Fitted]], list[Found]]
    prior: np.ndarray
    strength: float | None
    n_cuts: int


def see_folds(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> Folded:
    """Fits every fold, in one program. A fold in which every training diverged is left out.

    Args:
        problem: what is solved.
        hparams: hyperparameters of each refit.
    """
    every, see = range(len(problem.hidden_folds.y)), functools.partial(_see, problem, hparams)
    fitted = zip(every, in_parallel(see, every, threads=not problem.method.stages), strict=True)
    fits = {f: fit for f, fit in fitted if fit is not None}
    return Folded([*fits.values()], [*fits])


def make_ready(problem: Problem, hparams: Sequence[Mapping[str, float]]) -> None:
    """Fits one fold, so that the programs are there that all of them run."""
    if len(problem.hidden_folds.y):
        _see(problem, hparams, 0)


def _see(problem: Problem, hparams: Sequence[Mapping[str, float]], f: int) -> Fitted | None:
    return fit_fold(problem.of_fold(f), hparams, problem.hidden_folds.hidden[f])


def fit_fold(
    fold: Problem, hparams: Sequence[Mapping[str, float]], hidden: np.ndarray
) -> Fitted | None:
    """Fits a fold and cuts its rows once; none where every training diverged.

    Args:
        fold: the problem of it.
        hparams: hyperparameters of each refit.
        hidden: `bool[C]`, the classes that it hides.
    """
    try:
        refits = refit_all(fold, hparams)
    except FloatingPointError:
        return None
    return Fitted(fold, refits, cut(fold, refits) if fold.is_judged else [], hidden)


def central(labels: np.ndarray) -> tuple[int, float | None]:
    """Which of the partitions `i[S, u]` agrees best with the others, and how well all agree.

    By mean adjusted Rand index; one partition alone agrees with nobody.
    """
    if len(labels) == 1:
        return 0, None
    agree = np.array([[adjusted_rand(a, b) for a in labels] for b in labels])
    np.fill_diagonal(agree, np.nan)
    return int(np.argmax(np.nanmean(agree, axis=1))), float(np.nanmean(agree))


def nothing_new(fitted: Fitted, n_features: int) -> Found:
    """Where no row is to be told apart.

    Args:
        fitted: the fit.
        n_features: `D`, of what would speak for a row.
    """
    refits = fitted.refits
    place = np.zeros((1, refits.z.shape[2]), np.float32)
    nobody, nothing = np.full(1, -1, np.int32), np.zeros(1, np.float32)
    places = Places(place, nobody, place, nobody, nothing, np.float32(0.0), nothing)
    view = int(np.argmax(np.asarray(refits.finite)))
    return Found(
        view=view,
        views=slice(view, view + 1),
        places=places,
        n_classes=0,
        labels=np.zeros(0, int),
        features=np.zeros((1, n_features)),
        stability=None,
    )


def by_index() -> Partitioner:
    """Partitions by a cluster validity index."""
    return Partitioner(see_folds, _answer, INDEX_POSITION, INDEX_STRENGTH, 1)


def _answer(folded: Folded, fits: Sequence[Fitted]) -> list[Found]:
    """Partitions of the folds and of the fits; nothing is learned for them but how sure to be."""
    return [choose(each) for each in [*folded.fits, *fits]]


def choose(fitted: Fitted) -> Found:
    """Takes the number of classes that the refits prefer together, and the central partition.

    The validity index is averaged over the refits before its best number is taken. Of the refits'
    partitions into that number the answer is the one that agrees best with the others, by mean
    adjusted Rand index. Refits that diverged have no say, nor on a number those for which its index
    is not defined.
    """
    problem, refits = fitted.problem, fitted.refits
    if not problem.n_targets:
        return nothing_new(fitted, len(INDEX_POSITION) - 1)
    votes = np.flatnonzero(np.asarray(refits.finite))
    k = min(_number(problem, refits, votes), problem.n_targets)
    clusters: Clusters = _partition(
        problem.method,
        purpose_key(problem.config, "discover"),
        refits.state,
        refits.z,
        np.int32(k),
        problem.target_mask,
    )
    labels = np.asarray(clusters.labels)[votes][:, problem.target_mask]
    best, stability = central(labels)
    own, centroids = labels[best], np.asarray(clusters.centroids)[votes[best]]
    # Empty clusters occur where there are fewer distinct rows than classes wanted.
    slots, own = np.unique(own, return_inverse=True)
    owners = np.full(len(centroids), -1, np.int32)
    owners[slots] = np.arange(len(slots))
    refit, n = int(votes[best]), len(centroids)
    return Found(
        view=refit,
        views=slice(refit, refit + 1),
        places=Places(
            cells=centroids,
            owners=owners,
            micro=centroids,
            groups=owners,
            score=np.zeros(n, np.float32),
            slope=np.float32(0.0),
            most=np.ones(n, np.float32),
        ),
        n_classes=len(slots),
        labels=own,
        features=np.zeros((n, len(INDEX_POSITION) - 1)),
        stability=stability,
    )


def _number(problem: Problem, refits: Refits, votes: np.ndarray) -> int:
    """The number of classes that is given, or has the best mean index over the refits."""
    how = k_search(problem)
    if how is None:
        assert problem.n_novel is not None
        return problem.n_novel
    assert refits.estimate is not None
    sign = INDEX_SIGNS[how.index]
    values = np.ma.masked_invalid(refits.estimate.values)[votes].mean(axis=0)
    values = values.filled(-sign * np.inf)
    with np.errstate(invalid="ignore"):  # infinitely bad, and no tolerance
        best = best_number(values, sign, how.tolerance)
    return int(np.asarray(refits.estimate.ks)[0, best])


@functools.partial(jax.jit, static_argnames="method")
def _partition(
    method: Method, key: Array, state: object, z: Array, k: Array, mask: Array
) -> Clusters:
    """Groups the unmasked rows in the representation of every refit, into `k` clusters each."""

    def one(key: Array, state: object, z: Array) -> Clusters:
        return method.cluster(key, state, z, k, mask)

    return jax.vmap(one)(jax.random.split(key, len(z)), state, z)


def means_of(z: np.ndarray, labels: np.ndarray, n_slots: int) -> np.ndarray:
    """Mean `f32[n_slots, L]` of the rows of each label; zero where there is none."""
    member = (labels[:, None] == np.arange(n_slots)).astype(np.float32)
    means: np.ndarray = member.T @ z / np.maximum(member.sum(axis=0), 1)[:, None]
    return means


def model_of(
    fitted: Fitted, found: Found, table: Table, hparams: dict[str, float], *, judged: bool
) -> Model:
    """The model of what was found, in which a known class without a labelled row has no name.

    Places keep the scores that they have; see `sureness`.

    Args:
        fitted: the problem, with what was fitted to it.
        found: what was found in it.
        table: its table.
        hparams: of the view that is shown.
        judged: whether rows join the nearest cell.
    """
    problem, refits = fitted.problem, fitted.refits
    n_slots, mask = problem.spec.n_known, problem.target_mask
    known, new = (side_by_side(np.asarray(each)[found.views]) for each in (refits.known, refits.z))
    y, rows = np.asarray(problem.data.y), np.asarray(problem.known_rows)
    labelled = y[rows] != UNLABELLED
    present = np.unique(y[rows][labelled])
    means = np.concatenate(
        [
            means_of(known[labelled], y[rows][labelled], n_slots),
            means_of(new[mask], found.labels, len(found.places.groups)),
        ]
    )
    return Model(
        method=problem.config.method,
        spec=problem.spec,
        hparams=dict(hparams),
        state=refits.states(found.views),
        view=found.view - (found.views.start or 0),
        judged=judged,
        encoder=table.encoder,
        scaler=problem.scaler,
        columns=table.columns,
        classes=(
            *(table.classes[c] for c in present),
            *(f"novel_{i}" for i in range(found.n_classes)),
        ),
        means=means,
        rows=np.concatenate([present, n_slots + np.arange(found.n_classes)]).astype(int),
        places=found.places,
        reference=_reference(fitted, found, means),
    )


def _reference(fitted: Fitted, found: Found, means: np.ndarray) -> Reference:
    problem, refits, n_slots = fitted.problem, fitted.refits, fitted.problem.spec.n_known
    y, rows = np.asarray(problem.data.y), np.asarray(problem.known_rows)
    rng = np.random.default_rng(problem.config.seed)
    labelled = _drawn(rng, np.flatnonzero(y[rows] != UNLABELLED))
    new = _drawn(rng, np.arange(problem.n_targets))
    x_rows = np.concatenate([rows[labelled], np.asarray(problem.target_rows)[new]])
    # Programs are compiled for lengths: those of all tables, and the rest is cut off on the host.
    x = np.asarray(rows_at(problem.data.x, pad_rows(x_rows, 2 * MOST_ROWS)))[: len(x_rows)]
    known, own = (np.asarray(each)[found.view] for each in (refits.known, refits.z))
    z = np.concatenate([known[labelled], own[new]])
    classes = np.concatenate([y[rows[labelled]], n_slots + found.labels[new]])
    is_new = classes >= n_slots
    limits = [limits_of(space, classes, is_new, len(means)) for space in (x, z)]
    counts = np.bincount(y[rows][y[rows] != UNLABELLED], minlength=n_slots)
    room = 2 * MOST_ROWS - len(x)  # one program for all tables
    return Reference(
        x=np.pad(x, ((0, room), (0, 0))),
        z=np.pad(z, ((0, room), (0, 0))),
        y=np.pad(np.where(is_new, -1, classes), (0, room), constant_values=-2).astype(np.int32),
        limits=np.array(limits, np.float32),
        nearer=np.array(NEARER, np.float32),
        votes=read_gate_prior().sorting.classes.astype(np.float32),
        log_share=np.log((counts + 1e-9) / (counts.sum() + 1e-9)).astype(np.float32),
        apart=np.float32(_apart(refits, found, problem, means[:n_slots][counts > 0])),
        usual=np.float32(np.nan),
    )


@jax.jit
def rows_at(x: Array, rows: Array) -> Array:
    """Rows `f32[m, d]` of a table by their numbers, one program for all tables of a size."""
    return x[rows]


def _drawn(rng: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    return rows if len(rows) <= MOST_ROWS else np.sort(rng.permutation(rows)[:MOST_ROWS])


def _apart(refits: Refits, found: Found, problem: Problem, means: np.ndarray) -> float:
    """How much further than the nearest class mean the second one usually is, of target rows."""
    side = side_by_side(np.asarray(refits.z)[found.views])[problem.target_mask]
    if len(means) < 2 or not len(side):
        return 1.0
    nearest = np.partition(scipy.spatial.distance.cdist(side, means), 1, axis=1)
    return float(np.median(nearest[:, 1] - nearest[:, 0])) + TINY


def limits_of(
    space: np.ndarray, classes: np.ndarray, is_new: np.ndarray, n_slots: int
) -> np.ndarray:
    """How far the third neighbour of a row of each class may be among rows of its kind, `f[s]`.

    Labelled rows among labelled ones: what was given to a known class does not vouch for itself.
    """
    limits = np.full(n_slots, TINY)
    for kind in (~is_new, is_new):
        if not kind.any():
            continue
        third = _third(space[kind].astype(np.float64))
        everywhere = max(float(np.quantile(third, RANK, method="lower")), TINY)
        for c in np.unique(classes[kind]):
            of_class = third[classes[kind] == c]
            limits[c] = everywhere
            if len(of_class) >= FEWEST_OF_A_CLASS:
                limits[c] = max(float(np.quantile(of_class, RANK, method="lower")), TINY)
    return limits


def _third(rows: np.ndarray) -> np.ndarray:
    """Distance `f64[n]` of every row to the third of the others, or the last that there is."""
    norms, n_nearest = np.square(rows).sum(axis=1), min(NEIGHBOUR + 1, len(rows))
    # Which rows are near is told by a product, how far they are is measured.
    squared = norms[:, None] + norms[None] - 2.0 * (rows @ rows.T)
    near = np.argpartition(squared, n_nearest - 1, axis=1)[:, :n_nearest]
    distance: np.ndarray = np.square(rows[:, None] - rows[near]).sum(axis=2).max(axis=1)
    return np.sqrt(distance)
