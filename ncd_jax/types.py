"""The vocabulary of the package. Read this file first.

Three kinds of data are kept apart everywhere:

* **static**: frozen, hashable facts that shape the program (widths, counts). A new
  value is a new compilation.
* **hparams**: a pytree of traced scalars (learning rate, loss weight, latent size).
  Give every leaf a leading axis and the same program sweeps over it.
* **state**: what the next training step needs, a pytree that a method owns.

Shapes are written `[n, d]`: `n` rows, `d` columns, `C` known classes, `L` latent
columns, `K` cluster slots. Ragged things have a fixed shape and a boolean mask.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jax import Array
else:  # annotations alone ask for it, and who reads a command line does not wait for JAX
    Array = Any

__all__ = [
    "UNLABELLED",
    "Array",
    "AssignFn",
    "Batch",
    "Blocks",
    "ClusterFn",
    "Clusters",
    "Goal",
    "InitFn",
    "Interval",
    "KEstimate",
    "KMeansResult",
    "Method",
    "NCDData",
    "PyTree",
    "RepresentFn",
    "RunResult",
    "Stage",
    "StepFn",
]

PyTree = Any
Blocks = tuple[tuple[int, int], ...]
"""Encoded columns of each category, the first one and the one behind; see `networks.categories`."""

UNLABELLED = -1
"""The class code of a row without a label."""


class NCDData(NamedTuple):
    """A problem of novel class discovery.

    Attributes:
        x: `f32[n, d]`, standardised columns.
        y: `i32[n]`, the code of a known class in `0..C-1`, or `UNLABELLED`. Novel
            labels are not representable here, so nothing that takes `NCDData` can see one.
        mask: `bool[n]`, which rows there are: tables of like sizes are filled up to one length, so
            that they share programs. None, and all rows count, for methods that do not ask.
    """

    x: Array
    y: Array
    mask: Array | None = None


class Goal(NamedTuple):
    """What a method is to find: groups among some of the unlabelled rows.

    Attributes:
        rows: `i32[m]`, the rows to be told apart: the novel ones, or those that a fold hides.
        mask: `bool[m]`, which of them count.
        k: scalar i32, the number of groups. Only methods that must know it before they are
            fitted look at it.
    """

    rows: Array
    mask: Array
    k: Array


class Batch(NamedTuple):
    """Some rows of a problem, as a training step is given them.

    Attributes:
        x: `f32[b, d]`.
        y: `i32[b]`, known class or `UNLABELLED`.
        wanted: `bool[b]`, whether the row is one of the goal's. In a fold the other unlabelled
            rows are truly novel ones, and known ones whose label is held out. Nobody can say which
            is which, so no method gives them a class or a cluster in training; they serve where
            none is needed, as in reconstruction.
        places: `i32[w]`, where in the batch the wanted rows are, zeros behind the last one. Pairs
            of few rows need not be looked for among all. None, and `w` is `b`.
    """

    x: Array
    y: Array
    wanted: Array
    places: Array | None = None


class Clusters(NamedTuple):
    """Groups of rows.

    Attributes:
        centroids: `f32[K, L]`; slots at and above the number of clusters are zero.
        labels: `i32[m]`, the cluster of every row, masked rows included.
    """

    centroids: Array
    labels: Array


class KMeansResult(NamedTuple):
    """The best of several k-means restarts.

    Attributes:
        centroids: `f32[K, d]`; slots at and above the number of clusters are zero.
        labels: `i32[n]`, the nearest centroid of every row, masked rows included.
        inertia: scalar, sum of squared distances of the unmasked rows to their centroid.
        n_iter: scalar, Lloyd iterations of the restart that won.
        converged: scalar bool, whether that restart stopped before its iteration limit.
    """

    centroids: Array
    labels: Array
    inertia: Array
    n_iter: Array
    converged: Array


class KEstimate(NamedTuple):
    """The number of clusters that a validity index prefers.

    Attributes:
        k: scalar i32, the preferred number.
        ks: `i32[m]`, the numbers that were tried.
        values: `f32[m]`, the index at each of them; infinitely bad where it is not defined.
    """

    k: Array
    ks: Array
    values: Array


class RunResult(NamedTuple):
    """What one cross-validation run reports, each a scalar; sweeps stack it on leading axes.

    Attributes:
        accuracy: share of the rows of the hidden classes in the cluster of their class, under the
            best one-to-one match of clusters to classes.
        k: i32, the number of clusters used on them.
        diverged: bool; a diverged run has accuracy 0.
        loss: `f32[epochs]`, mean training loss of each epoch.
        log_loss: of the judge's prior on the pairs of the fold; NaN where it is not asked.
    """

    accuracy: Array
    k: Array
    diverged: Array
    loss: Array
    log_loss: Array


@dataclass(frozen=True)
class Interval:
    """The range of one tuned hyperparameter, both ends included.

    Attributes:
        low: smallest value.
        high: largest value.
        log: whether the search is uniform on the logarithm.
        integer: whether only whole numbers are allowed.
        valid: smallest and largest value that makes sense where the user fixes one.
        meaning: what the hyperparameter does, in a few words for people.
    """

    low: float
    high: float
    log: bool = False
    integer: bool = False
    valid: tuple[float, float] = (0.0, 1.0)
    meaning: str = ""


InitFn = Callable[[Array, NCDData, Goal, PyTree], PyTree]
"""`(key, data, goal, hparams) -> state`: begins with random weights, or, without training, fits.

A state is a named tuple. What only training needs is in its field `opt`. The rest is the model that
is stored, and all that the functions below ask for.
"""
StepFn = Callable[[Array, PyTree, Batch, PyTree], tuple[PyTree, dict[str, Array]]]
"""`(key, state, batch, hparams) -> (state, info)`: one step of a training.

It keeps the form of the state. The info is scalars for people, at least `loss`.
"""
RepresentFn = Callable[[PyTree, Array], Array]
"""`(state, x) -> z`: maps rows `f32[n, d]`, each by itself, to `f32[n, L]` to be clustered in."""
ClusterFn = Callable[[Array, PyTree, Array, Array | int, Array], Clusters]
"""`(key, state, z, k, mask) -> clusters` of the rows of `f32[m, L]` that `bool[m]` lets through.

Into at most the scalar `k` of the method's `max_clusters` slots.
"""
AssignFn = Callable[[PyTree, Array, Array, Array], Array]
"""`(state, z, centroids, active) -> slots`: the cluster of rows that `cluster` did not see.

Gives rows `f32[n, L]` a slot `i32[n]` of centroids `f32[K, L]`, active: `bool[K]`.
"""


def _unchanged(state: PyTree) -> PyTree:
    return state


class Stage(NamedTuple):
    """One part of a training.

    Attributes:
        step: see `StepFn`.
        share: of the epochs; those of a method's stages add up to 1.
        enter: `(state) -> state`, applied once where the stage begins.
    """

    step: StepFn
    share: float = 1.0
    enter: Callable[[PyTree], PyTree] = _unchanged


class Method(NamedTuple):
    """A method of novel class discovery as a record of pure functions.

    Every function is safe under `jit` and `vmap` over `key`, `goal` and `hparams`, and over
    the labels of the data while its rows are shared. A state says all that is to be known about
    what was fitted: no function but `init` and the steps is given hyperparameters.

    Attributes:
        init: see `InitFn`.
        stages: of the training, one after the other; none for a method that is not trained.
        represent: see `RepresentFn`.
        cluster: see `ClusterFn`.
        assign: see `AssignFn`.
        max_clusters: cluster slots `K`.
    """

    init: InitFn
    stages: tuple[Stage, ...]
    represent: RepresentFn
    cluster: ClusterFn
    assign: AssignFn
    max_clusters: int
