"""What a run has learned, as data: one rule for the class of a row, and for how sure that is.

The run itself, its evaluation on hidden classes, `predict`, assign mode and the exported program
all ask `apply`. A row is of a known class where it lies nearer to labelled rows than to new ones;
which known class, its labelled neighbours say; which new class, the nearest cell. It is as sure as
the places that it lies in were right where classes were hidden, and no surer than it is like rows
of its class: far from everything, no class is its own.

Sources: distances to labelled and to other rows, Elkan and Noto, "Learning classifiers from only
positive and unlabeled data", KDD 2008; the third nearest neighbour as a measure of novelty,
Ramaswamy, Rastogi, Shim, "Efficient algorithms for mining outliers from large data sets", SIGMOD
2000; that new rows exceed a rank among old ones as seldom as the rank says, Laxhammar and Falkman,
"Conformal prediction for distribution-independent anomaly detection", 2010.
"""

from typing import Any, Generic, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import squared_distances
from ncd_jax.data.encode import Encoder
from ncd_jax.data.preprocess import Standardiser, fingerprints
from ncd_jax.discovery.around import (
    TINY,
    OfKind,
    Reference,
    look_around,
    rows_by_kind,
    third_in_columns,
)
from ncd_jax.discovery.fit import in_parallel, represent
from ncd_jax.discovery.problem import filled, make_method
from ncd_jax.judge.scene import side_by_side
from ncd_jax.kept_programs import kept_jit
from ncd_jax.known_or_new.decision import IN_DOUBT
from ncd_jax.methods import Spec
from ncd_jax.types import Array, Method, PyTree

__all__ = [
    "CLIP",
    "Answered",
    "Applied",
    "Arrays",
    "Model",
    "Places",
    "Remembered",
    "Told",
    "apply",
    "apply_model",
    "arrays_of",
    "assign",
    "latents",
    "nothing_told",
    "on_host",
    "position_of",
    "shares",
]

CLIP = 3.0
"""Of the logarithm of how much nearer one kind of rows is than the other."""
ABSENT = -1e9
"""Log-odds of a class without a labelled row."""
_CHUNK = 512
"""Rows that a model is applied to together: one compiled program serves tables of any length, and a
row gets the same answer whatever stands beside it."""

A = TypeVar("A")


class Places(NamedTuple):
    """Where the new classes lie, in all views side by side, as arrays of host or device.

    Attributes:
        cells: `f32[K, W]`, what rows join: cluster slots of a method, or parts of micro clusters.
        owners: `i32[K]`, the new class of each; -1 where a slot is empty.
        micro: `f32[M, W]`, what a row's position is told by.
        groups: `i32[M]`, the new class of each; -1 where a slot is empty.
        score: `f32[M]`, log-odds that a row on the border of each is right.
        slope: scalar, what its position adds to them.
        most: `f32[M]`, the chance that the number of classes leaves each where it is: no row of it
            is surer.
    """

    cells: Any
    owners: Any
    micro: Any
    groups: Any
    score: Any
    slope: Any
    most: Any


class Remembered(NamedTuple):
    """Rows of the run and what it said of them: they get the same answer ever after.

    Attributes:
        keys: `u64[n]`, fingerprints of the rows, ascending.
        labels: `i32[n]`, index into the classes of the model.
        confidence: `f32[n]`; 1 for labelled rows.
        p_known: `f32[n]`, chance to be of a known class.
    """

    keys: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    p_known: np.ndarray


class Model(NamedTuple):
    """A fitted method with a place for every class.

    Attributes:
        method: name of the method.
        spec: its static facts.
        hparams: its hyperparameters by name in the view that is shown, for people.
        state: of `V` refits, stacked, less what only training needs: `opt` is none.
        view: which of them rows are shown in, and held against others.
        judged: whether rows join the nearest cell; else the method says which.
        encoder: from columns of any kind to numbers; none where they are numbers.
        scaler: from these to what the method takes.
        columns: names of the columns, in order, as numbers.
        classes: names of all classes, known ones first.
        means: `f32[C + M, W]`, the middle of the `C` known classes, then of the new ones; zero
            where there is none.
        rows: `i[len(classes)]`, the row of `means` that is each class's own.
        places: of the new classes.
        reference: what rows are held against.
        remembered: rows of the run; none in a fold.
    """

    method: str
    spec: Spec
    hparams: dict[str, float]
    state: PyTree
    view: int
    judged: bool
    encoder: Encoder | None
    scaler: Standardiser
    columns: tuple[str, ...]
    classes: tuple[str, ...]
    means: np.ndarray
    rows: np.ndarray
    places: Places
    reference: Reference
    remembered: Remembered | None = None

    @property
    def n_known(self) -> int:
        """Known classes among `classes`."""
        return int((self.rows < self.spec.n_known).sum())


class Told(NamedTuple):
    """What is known of `n` rows already, as in a run that has asked for known ones.

    Attributes:
        p_known: `f32[n]`, chance to be of a known class; NaN, and the model says it.
        is_new: `bool[n]`, what was decided.
        likeliest: `i32[n]`, the known class it would be of; -1, and the model says it.
        p_class: `f32[n]`, how likely that is, if it is of a known class.
        itself: `i32[n]`, which row of the reference it is, and no neighbour of its own; -1 where it
            is none of them.
    """

    p_known: Any
    is_new: Any
    likeliest: Any
    p_class: Any
    itself: Any


class Applied(NamedTuple, Generic[A]):
    """What a model says about `n` rows.

    Attributes:
        z: `f32[n, L]`, in the view that is shown.
        squared: `f32[n, m]`, squared distances to the class means: from `apply` to all `C + M`,
            infinite where there is no class, from `apply_model` to that of each class.
        labels: `i32[n]`: from `apply` the row of the means, from `apply_model` the index into the
            model's classes.
        confidence: `f32[n]`, how likely the class is right.
        p_known: `f32[n]`, chance to be of a known class.
        nearness: `f32[n]`, the logarithm of how much nearer labelled rows are than new ones.
        micro: `i32[n]`, the micro cluster in which a row would lie as a new one.
        position: `f32[n]`, there: how much nearer it is to its class than to any other new one, 0
            on the border, 1 in the middle.
        familiar: `f32[n]`, how like rows of its class it is: 1 within their limits, 0 far away.
    """

    z: A
    squared: A
    labels: A
    confidence: A
    p_known: A
    nearness: A
    micro: A
    position: A
    familiar: A


class Answered(NamedTuple):
    """What people are told of `n` rows.

    Attributes:
        labels: `i[n]`, index into the classes of the model.
        confidence: `f64[n]`.
        shares: `f64[n, m]`, of every class; see `shares`.
        unfamiliar: `bool[n]`, rows that are like none of their class.
    """

    labels: np.ndarray
    confidence: np.ndarray
    shares: np.ndarray
    unfamiliar: np.ndarray


class Arrays(NamedTuple):
    """A model as the device takes it.

    Attributes:
        is_class: `bool[C + M]`, means that are of a class.
        reference: without its rows, which go by kind.
    """

    state: PyTree
    view: Any
    means: Any
    is_class: Any
    places: Places
    reference: Reference
    labelled: OfKind
    new: OfKind


def arrays_of(model: Model) -> Arrays:
    """The arrays of a model."""
    is_class, view = np.isin(np.arange(len(model.means)), model.rows), np.int32(model.view)
    by_kind = rows_by_kind(model.reference)
    return Arrays(model.state, view, model.means, is_class, model.places, *by_kind)


def nothing_told(n: int) -> Told:
    """Where the model is asked for everything, of `n` rows."""
    nobody = np.full(n, -1, np.int32)
    unknown = np.full(n, np.nan, np.float32)
    return Told(unknown, np.zeros(n, bool), nobody, np.zeros(n, np.float32), nobody)


def apply(method: Method, judged: bool, arrays: Arrays, x: Array, told: Told) -> Applied[Array]:
    """From scaled rows to classes.

    Args:
        method: the method.
        judged: see `Model`.
        arrays: of the model.
        x: `f32[n, d]`, as the model's scaler gives them.
        told: what is known of them already.
    """
    state, view, means, is_class, places, reference, labelled, new = arrays
    n_known = len(reference.log_share)
    leaves = jax.tree.leaves(state)  # none where nothing is fitted, as in k-means
    n_views = len(leaves[0]) if leaves else 1
    views = jax.vmap(method.represent, (0, None), axis_size=n_views)(state, x)
    z, side = views[view], side_by_side(views)
    squared = jnp.where(is_class, squared_distances(side, means), jnp.inf)

    near = look_around(labelled, new, z, told.itself, n_known)
    slope, intercept = reference.nearer
    known = slope * jnp.clip(near.nearness, -CLIP, CLIP) + intercept
    p_known = jnp.where(jnp.isnan(told.p_known), jax.nn.sigmoid(known), told.p_known)
    is_new = jnp.where(jnp.isnan(told.p_known), known < -IN_DOUBT, told.is_new)
    is_new &= jnp.any(places.owners >= 0)

    chances = _class_chances(reference, near.votes, squared[:, :n_known])
    likeliest = jnp.where(told.likeliest >= 0, told.likeliest, jnp.argmax(chances, axis=1))
    p_class = jnp.where(told.likeliest >= 0, told.p_class, jnp.max(chances, axis=1))

    novel = _joined(method, view, judged, state, places, z, side)
    micro, position = position_of(places, side, novel)
    right = places.most[micro] * jax.nn.sigmoid(places.score[micro] + places.slope * position)
    labels = jnp.where(is_new, n_known + novel, likeliest).astype(jnp.int32)
    sure = jnp.where(is_new, (1.0 - p_known) * right, p_known * p_class)
    limits = reference.limits[:, labels]
    in_view = jnp.where(is_new, near.to_new, near.to_labelled)
    of_kind = jnp.stack([third_in_columns(labelled, new, x, told.itself, is_new), in_view])
    familiar = jnp.min(jnp.minimum(limits / jnp.maximum(of_kind, TINY), 1.0), axis=0) ** 2
    return Applied(
        z, squared, labels, sure * familiar, p_known, near.nearness, micro, position, familiar
    )


def _class_chances(reference: Reference, votes: Array, squared: Array) -> Array:
    """How likely a row is of each known class, if it is of one, `f32[n, C]`."""
    distance = jnp.sqrt(squared)
    beyond = (distance - jnp.min(distance, axis=1, keepdims=True)) / reference.apart
    features = jnp.stack(
        [
            jnp.log(jnp.mean(votes[:, :3], axis=1) + 0.03),
            jnp.log(jnp.mean(votes, axis=1) + 0.03),
            -jnp.minimum(beyond, 10.0),
            jnp.broadcast_to(reference.log_share[None], squared.shape),
        ],
        axis=2,
    )
    logits = jnp.einsum("ncf,f->nc", features, reference.votes)
    return jax.nn.softmax(jnp.where(jnp.isfinite(squared), logits, ABSENT), axis=1)


def _joined(
    method: Method, view: Array, judged: bool, state: PyTree, places: Places, z: Array, side: Array
) -> Array:
    """The new class `i32[n]` that rows join; 0 where there is none."""
    active = places.owners >= 0
    if judged:
        squared = jnp.where(active, squared_distances(side, places.cells), jnp.inf)
        cell = jnp.argmin(squared, axis=1)
    else:
        own = jax.tree.map(lambda leaf: leaf[view], state)
        cell = method.assign(own, z, places.cells, active)
    return jnp.maximum(places.owners[cell], 0)


def position_of(places: Places, side: Any, novel: Any) -> tuple[Array, Array]:
    """Where rows lie in the new class that they are in.

    Args:
        places: of the new classes.
        side: `f32[n, W]`, rows in all views side by side.
        novel: `i32[n]`, the class of each.

    Returns:
        The nearest micro cluster of that class, `i32[n]`, and the position there; see `Applied`.
    """
    squared = jnp.where(places.groups >= 0, squared_distances(side, places.micro), jnp.inf)
    own_class = places.groups[None] == novel[:, None]
    of_own = jnp.where(own_class, squared, jnp.inf)
    own = jnp.sqrt(jnp.min(of_own, axis=1))
    other = jnp.sqrt(jnp.min(jnp.where(own_class, jnp.inf, squared), axis=1))
    nearer = jnp.where(jnp.isfinite(other), 1 - own / jnp.maximum(other, TINY), 1.0)
    return jnp.argmin(of_own, axis=1), jnp.clip(nearer, 0.0, 1.0)


_APPLY = kept_jit(apply, static_argnames=["method", "judged"])


def apply_model(model: Model, x: np.ndarray, told: Told | None = None) -> Applied[np.ndarray]:
    """Applies a model to rows `f[n, d]`, columns as in `Table.x`, as arrays of the host.

    Args:
        model: the model.
        x: the rows.
        told: what is known of them already; nothing by default.
    """
    method = make_method(model.method, model.spec)
    arrays = jax.device_put(arrays_of(model))
    told, scaled = told or nothing_told(len(x)), model.scaler.apply(x)
    nothing = nothing_told(_CHUNK)

    def of_chunk(start: int) -> Applied[np.ndarray]:
        rows, n = filled(scaled[start : start + _CHUNK], _CHUNK)
        of_rows = Told(
            *(np.append(a[start : start + n], b[n:]) for a, b in zip(told, nothing, strict=True))
        )
        found = _APPLY(method, model.judged, arrays, rows, of_rows)
        return Applied(*(np.asarray(each)[:n] for each in found))

    parts = in_parallel(of_chunk, range(0, max(len(x), 1), _CHUNK))
    applied: Applied[np.ndarray] = Applied(*map(np.concatenate, zip(*parts, strict=True)))
    class_of_row = np.zeros(len(model.means), int)
    class_of_row[model.rows] = np.arange(len(model.rows))
    return applied._replace(
        squared=applied.squared[:, model.rows], labels=class_of_row[applied.labels]
    )


def latents(model: Model, x: np.ndarray) -> np.ndarray:
    """Rows `f[n, d]`, columns as in `Table.x`, in the view that is shown, `f32[n, L]`."""
    method, states = make_method(model.method, model.spec), jax.device_put(model.state)
    return represent(method, states, model.view, model.scaler.apply(x))


def assign(model: Model, x: np.ndarray) -> Answered:
    """Gives every row a class, and says how surely. Rows of the run get the run's answer.

    Args:
        model: the model.
        x: `f[n, d]`, columns as in `Table.x`.
    """
    applied = apply_model(model, x)
    labels, p_known = applied.labels.copy(), applied.p_known.astype(np.float64)
    sure, familiar = applied.confidence.astype(np.float64), applied.familiar.astype(np.float64)
    if model.encoder is not None:
        blank = model.encoder.is_blank(x)
        sure[blank], familiar[blank] = 0.0, 0.0
    if (old := model.remembered) is not None and len(old.keys):
        keys = fingerprints(model.scaler.apply(x))
        at = np.minimum(np.searchsorted(old.keys, keys), len(old.keys) - 1)
        seen = old.keys[at] == keys
        for of_rows, of_run in zip((labels, sure, p_known), old[1:], strict=True):
            of_rows[seen] = of_run[at[seen]]
    share = shares(applied.squared, p_known, labels, sure, model.n_known, familiar)
    return Answered(labels, sure, share, familiar < 1)


def shares(
    squared: np.ndarray,
    p_known: np.ndarray,
    labels: np.ndarray,
    sure: np.ndarray,
    n_known: int,
    familiar: np.ndarray | float = 1.0,
) -> np.ndarray:
    """How likely each class is, `f64[n, m]`; a row adds up to 1, and none is likelier than its own.

    A row's own class has its confidence, or what makes it the likeliest. The rest is divided by one
    over the squared distance to the class means: known classes have the chance to be known
    together, new ones the other.

    Args:
        squared: `f[n, m]`, to the means of the classes, known ones first.
        p_known: `f[n]`.
        labels: `i[n]`, the class of each row.
        sure: `f[n]`, its confidence.
        n_known: number of known classes.
        familiar: `f[n]`; what is like no class is as like one as another.
    """
    rows, (n, m) = np.arange(len(labels)), squared.shape
    inverse = 1.0 / np.maximum(squared.astype(np.float64), 1e-12)
    kinds = np.repeat(np.eye(2), [n_known, m - n_known], axis=0)  # m x (known, new)
    weight = inverse @ kinds
    chance = np.column_stack([p_known, 1.0 - p_known])
    share = inverse * ((chance / np.maximum(weight, 1e-300)) @ kinds.T)
    share[rows, labels] = 0.0
    rest = share.sum(axis=1)
    even = np.full((n, m), 1.0 / max(m - 1, 1))
    even[rows, labels] = 0.0
    share = np.where(rest[:, None] > 1e-12, share / np.maximum(rest, 1e-12)[:, None], even)
    of_distance = np.broadcast_to(familiar, n)[:, None]
    share = (of_distance * share + (1.0 - of_distance) * even) * (1.0 - sure)[:, None]
    # The likeliest of the others may not pass it: then the two are level, and a hair apart.
    share[rows, labels] = np.maximum(sure, share.max(axis=1, initial=1e-12) * (1 + 1e-9))
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def on_host(model: Model) -> Model:
    """The model in NumPy arrays: it can be copied and sent."""
    state, places, reference = jax.tree.map(
        np.asarray, (model.state, model.places, model.reference)
    )
    return model._replace(state=state, places=places, reference=reference)
