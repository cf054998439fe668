"""The answer after some answers: the same table, sorted by what the judge and a person say.

Nothing is fitted. What the micro clusters and their parts are grouped to goes through the same
vote and the same cells as in the run, so that `discovery.model.apply` speaks of the new answer, of
rows that come later too. How sure a row is follows from the evidence with the answers in it: a
merge that a person has confirmed, or denied, leaves less doubt of the number.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy

from ncd_jax.ask.parts import Sight
from ncd_jax.ask.state import State, answer_all, merge_all
from ncd_jax.discovery.around import Reference
from ncd_jax.discovery.by_judge import Cells, cells_after_vote
from ncd_jax.discovery.model import Model, Places, Remembered, position_of, shares
from ncd_jax.discovery.partition import limits_of, means_of
from ncd_jax.discovery.solution import Asked, second_of
from ncd_jax.judge.confidence import Partition, confidence_features, nested
from ncd_jax.judge.number import number_probability
from ncd_jax.judge.prior import read_prior
from ncd_jax.judge.vote import nearest_rows
from ncd_jax.kept_programs import kept_jit

__all__ = ["Resorted", "remembered_as", "resort", "sight_of", "state_of"]

STEP = 8
"""Places are filled up to a multiple of this: programs are shared."""

_POSITION = kept_jit(position_of)


class Resorted(NamedTuple):
    """What holds after some answers.

    Attributes:
        state: of the rows that are asked about.
        model: for rows of any kind.
        labels: `i[u]`, the class of every unlabelled row, an index into those of the model.
        confidence: `f64[u]`, of that.
        runner_up: `i[u]`, the second likeliest class; -1 where there is none.
        runner_up_confidence: `f64[u]`, of that.
        numbers: `f64[k]`, the chance of 1, 2, ... new classes; none where nothing was answered.
        answers: that it follows from.
    """

    state: State
    model: Model
    labels: np.ndarray
    confidence: np.ndarray
    runner_up: np.ndarray
    runner_up_confidence: np.ndarray
    numbers: np.ndarray | None
    answers: Mapping[str, str]


def sight_of(asked: Asked) -> Sight:
    """What questions and answers are about."""
    return Sight(asked.evidence, asked.micro, asked.z, asked.known)


def resort(
    base: Model,
    asked: Asked,
    sight: Sight,
    answers: Mapping[str, str],
    written: Mapping[int, str] | None = None,
) -> Resorted:
    """Sorts the unlabelled rows again.

    Args:
        base: the model of the run, before any answer.
        asked: what the run left.
        sight: of it.
        answers: to questions by their name; see `answer_all`.
        written: names of classes that a person wrote for unlabelled rows `0 <= i < u`: known ones,
            or any other name for a new class of the person's own.

    Raises:
        ValueError: for a question or an answer that there is not, and for a new class of a row that
            is of a known one and of which no new row is.
    """
    state = state_of(base, asked, sight, answers, written)
    kinds = _kinds(base, asked, written or {})
    if not answers and not kinds:
        own = asked.labels, asked.confidence, asked.runner_up, asked.runner_up_confidence
        return Resorted(state, base, *own, None, answers)
    voters, leaf = nearest_rows(asked.z, asked.n_voters), state.leaves.of_row
    cells = cells_after_vote(state.codes, leaf, asked.z, voters, keep_all=bool(asked.n_novel))
    of_rows = cells.labels.copy()
    for row in state.written:
        of_rows[row] = state.labels[row]
    # The vote may leave no row of a code, be it the last one.
    n_codes = int(max(state.codes.max(), of_rows.max())) + 1
    labels, number = _numbered(base, asked, of_rows, n_codes, kinds)
    found = _Sorted(state, cells, of_rows, number)
    return _answer(base, asked, found, labels, kinds)._replace(answers=answers)


def state_of(
    base: Model,
    asked: Asked,
    sight: Sight,
    answers: Mapping[str, str],
    written: Mapping[int, str] | None = None,
) -> State:
    """What `resort` rests on, and the next question: all that is quick. Arguments are the same.

    Raises:
        ValueError: see there.
    """
    kinds = _kinds(base, asked, written or {})
    # Where no row may be of a known class, such a label is of that row alone.
    n_heard = base.n_known if sight.may_be_known else 0
    said = [row for row, kind in kinds.items() if asked.like[row] >= 0 and kind < n_heard]
    # A row that the judge has not seen speaks through its like, if nothing is written for that.
    said.sort(key=lambda row: int(asked.row[asked.like[row]] == row))
    return answer_all(sight, answers, {int(asked.like[row]): kinds[row] for row in said})


class _Sorted(NamedTuple):
    """The sample, sorted.

    Attributes:
        state: what answers say.
        cells: of rows of one code.
        of_rows: `i[n]`, the code of each row in the end.
        number: from code to index of a class; -1 where it has no row.
    """

    state: State
    cells: Cells
    of_rows: np.ndarray
    number: np.ndarray


def _kinds(base: Model, asked: Asked, written: Mapping[int, str]) -> dict[int, int]:
    """What a person wrote, as numbers: known classes from 0, others -1, -2, ... by name."""
    known = {name: c for c, name in enumerate(base.classes[: base.n_known])}
    others = sorted({name for name in written.values() if name not in known})
    kinds = known | {name: -1 - i for i, name in enumerate(others)}
    of_new = {name for row, name in written.items() if asked.like[row] >= 0}
    for name in others:
        if name not in of_new:
            raise ValueError(f"{name!r} is written for rows of known classes alone")
    return {row: kinds[name] for row, name in sorted(written.items())}


def _numbered(
    base: Model, asked: Asked, of_rows: np.ndarray, n_codes: int, kinds: Mapping[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Classes of all unlabelled rows, new ones by size, and the number of every code."""
    n_columns, n_known = asked.known.shape[1], base.n_known
    new = asked.like >= 0
    labels = asked.labels.astype(np.intp)  # new classes go by code, behind all others
    labels[new] = of_rows[asked.like[new]]
    is_code = new & (labels >= n_columns)
    heard = [row for row in kinds if new[row]]
    own = {kinds[row]: int(of_rows[asked.like[row]]) for row in heard}
    for row, kind in kinds.items():
        labels[row] = kind if kind >= 0 else own[kind]
        is_code[row] = kind < 0
    sizes = np.bincount(labels[is_code], minlength=n_codes)
    order = np.argsort(-sizes, kind="stable")
    number = np.full(n_codes, -1)
    number[order] = n_known + np.arange(n_codes)
    number[sizes == 0] = -1
    labels[is_code] = number[labels[is_code]]
    return labels, number


def _answer(
    base: Model, asked: Asked, found: _Sorted, labels: np.ndarray, kinds: Mapping[int, int]
) -> Resorted:
    state, n_known = found.state, base.n_known
    n_new = max(int(labels.max()) + 1 - n_known, 0)
    numbers, most, score = _sureness(asked, found, n_new)
    model = _model(base, asked, found, n_new, (most, score))
    new = asked.like >= 0
    like = asked.like[new]
    # Of a row that the judge has not seen, what holds for the one that it does as.
    place = _POSITION(model.places, asked.z, labels[asked.row] - n_known)
    micro, position = (np.asarray(each) for each in place)
    right = model.places.most[micro] / (
        1 + np.exp(-(model.places.score[micro] + model.places.slope * position))
    )
    sure, p_known = asked.confidence.copy(), asked.p_known.astype(np.float64)
    sure[new] = (1 - p_known[new]) * right[like]
    said = np.flatnonzero(new & (labels < n_known))
    if state.known.shape[1]:
        of_leaf = state.known[state.leaves.of_row[asked.like[said]], labels[said]]
        p_known[said] = sure[said] = 1 / (1 + np.exp(-of_leaf))
    sure[new] *= asked.familiar[new]
    for row, kind in kinds.items():
        sure[row], p_known[row] = 1.0, float(kind >= 0)
    squared = scipy.spatial.distance.cdist(asked.z, model.means[model.rows], "sqeuclidean")[like]
    second, second_sure = _runners_up(base, asked, labels)
    share = shares(squared, p_known[new], labels[new], sure[new], n_known)
    second[new], second_sure[new] = second_of(share, labels[new], sure[new])
    return Resorted(
        state=state,
        model=model._replace(remembered=remembered_as(base, asked, labels, sure, p_known)),
        labels=labels,
        confidence=sure,
        runner_up=second,
        runner_up_confidence=second_sure,
        numbers=numbers,
        answers={},
    )


def _sureness(
    asked: Asked, found: _Sorted, n_new: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The chance of every number, and of each leaf the most that a row can have, and its score."""
    prior, state = read_prior(), found.state
    weights = np.asarray(prior.confidence, np.float64)
    sizes, u = state.leaves.sizes, len(state.leaves.nodes)
    merges = merge_all(state.evidence, sizes, -np.inf)[0]
    path = np.tile(np.arange(u), (u, 1))
    for step, merge in enumerate(merges, start=1):
        path[step:, merge.b] = path[step, merge.a[0]]
    # Groups of each step from 0 on, as the judge's own are.
    path = np.stack([np.unique(groups, return_inverse=True)[1] for groups in path])
    groups = np.unique(state.codes, return_inverse=True)[1]
    k = max(len(np.unique(groups)), 1)
    if asked.n_novel and n_new == asked.n_novel:
        numbers = np.full(max(k, n_new), 1e-9)
        numbers[k - 1] = 1.0
    else:
        linkage = np.array([merge.linkage for merge in merges])
        numbers = number_probability(linkage, k, np.asarray(prior.number, np.float64))
    partition = Partition(
        evidence=state.evidence + asked.shift,
        sizes=sizes,
        path=path,
        groups=groups,
        numbers=numbers,
        micro=np.arange(u),
        position=np.zeros(u),
    )
    features = confidence_features(partition)
    return numbers, nested(partition), features[:, :-1] @ weights[:-2] + weights[-1]


def _model(
    base: Model,
    asked: Asked,
    found: _Sorted,
    n_new: int,
    sureness: tuple[np.ndarray, np.ndarray],
) -> Model:
    """The model in which new classes lie where they do now."""
    n_slots, state, cells = base.spec.n_known, found.state, found.cells
    u = len(state.codes)
    number = np.append(np.maximum(found.number - base.n_known, -1), -1)

    def as_new(codes: np.ndarray) -> np.ndarray:
        """Which new class each is; -1 where it is none."""
        return number[np.where(codes >= asked.known.shape[1], codes, -1)]

    def filled(values: np.ndarray, nothing: float, kind: type, room: int) -> np.ndarray:
        whole = np.full((room, *values.shape[1:]), nothing, kind)
        whole[: len(values)] = values
        return whole

    room = max(-(-u // STEP) * STEP, len(base.places.groups), n_new)
    n_cells, (most, score) = max(2 * room, len(cells.owners)), sureness
    places = Places(
        cells=filled(cells.centroids, 0.0, np.float32, n_cells),
        owners=filled(as_new(cells.owners), -1, np.int32, n_cells),
        micro=filled(means_of(asked.z, state.leaves.of_row, u), 0.0, np.float32, room),
        groups=filled(as_new(state.codes), -1, np.int32, room),
        score=filled(score, 0.0, np.float32, room),
        slope=base.places.slope,
        most=filled(most, 1.0, np.float32, room),
    )
    of_rows = as_new(found.of_rows)
    means = np.concatenate([base.means[:n_slots], means_of(asked.z, of_rows, room)])
    return base._replace(
        classes=(*base.classes[: base.n_known], *(f"novel_{i}" for i in range(n_new))),
        rows=np.concatenate([base.rows[: base.n_known], n_slots + np.arange(n_new)]).astype(int),
        means=means.astype(np.float32),
        places=places,
        reference=_reference(base.reference, asked, found, of_rows, len(means)),
    )


def _reference(
    old: Reference, asked: Asked, found: _Sorted, of_rows: np.ndarray, n_means: int
) -> Reference:
    """Rows that a person called known are labelled rows from now on; limits are those of now."""
    y, n_slots = old.y.copy(), len(old.log_share)
    new = np.flatnonzero(y == -1)
    view = asked.z[:, slice(*asked.view)]
    # Views side by side are on a scale of their own; the rows are the same.
    scale = np.sqrt(asked.z.shape[1] / max(view.shape[1], 1))
    nearest = scipy.spatial.distance.cdist(old.z[new], view * scale, "sqeuclidean").argmin(axis=1)
    codes = found.of_rows[nearest]
    known = codes < asked.known.shape[1]
    y[new[known]] = codes[known]
    classes = np.where(y >= 0, y, n_slots)
    classes[new[~known]] = n_slots + np.maximum(of_rows[nearest[~known]], 0)
    there = y > -2
    limits = [
        limits_of(space[there], classes[there], y[there] == -1, n_means) for space in (old.x, old.z)
    ]
    return old._replace(y=y, limits=np.array(limits, np.float32))


def _runners_up(base: Model, asked: Asked, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The old ones, new classes as what most of their rows are now."""
    became = np.append(np.arange(len(base.classes)), -1)
    for c in range(base.n_known, len(base.classes)):
        rows = labels[asked.labels == c]
        became[c] = np.bincount(rows).argmax() if len(rows) else -1
    second = became[asked.runner_up]
    second[second == labels] = -1
    return second, np.where(second >= 0, asked.runner_up_confidence, 0.0)


def remembered_as(
    base: Model, asked: Asked, labels: np.ndarray, sure: np.ndarray, p_known: np.ndarray
) -> Remembered | None:
    """What the model remembers if its unlabelled rows are answered so; nothing if it never did.

    Args:
        base: the model.
        asked: where it remembers them.
        labels: `i[u]`, their classes.
        sure: `f[u]`, their confidence.
        p_known: `f[u]`, the chance of each to be of a known class.
    """
    if base.remembered is None:
        return None
    old = Remembered(*(each.copy() for each in base.remembered))
    for kept, now in zip(old[1:], (labels, sure, p_known), strict=True):
        kept[asked.at[::-1]] = now[::-1]  # the first of equal rows counts
    return old
