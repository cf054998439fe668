import itertools

import jax
import numpy as np
import pytest

from ncd_jax.judge import features as module
from ncd_jax.judge.features import NAMES, pair_features
from ncd_jax.judge.micro import MicroClusters

N, M, L, D = 70, 6, 3, 4
RULER, CLASS_SIZE = 0.7, 25.0


def describe(z, x, labels):
    """The features of all pairs said again, pair by pair and row by row: `{(i, j): values}`."""
    z, x = z.astype(np.float64), x.astype(np.float64)
    slots = np.unique(labels)
    rows = {i: np.flatnonzero(labels == i) for i in slots}
    centroid = {i: z[rows[i]].mean(axis=0) for i in slots}
    distance = {
        (i, j): max(np.linalg.norm(centroid[i] - centroid[j]), 1e-6)
        for i, j in itertools.permutations(slots, 2)
    }
    others = {i: [distance[i, j] for j in slots if j != i] for i in slots}
    between_rows = np.linalg.norm(z[:, None] - z, axis=2)
    np.fill_diagonal(between_rows, np.inf)
    neighbours = np.argsort(between_rows, axis=1)[:, :-1]

    def on_line(v, i, j):
        start, end = v[rows[i]].mean(axis=0), v[rows[j]].mean(axis=0)
        share = (v - start) @ (end - start) / max(np.sum((end - start) ** 2), 1e-12)
        return share[rows[i]], share[rows[j]]

    def log_separation(v, i, j):
        a, b = on_line(v, i, j)
        return -np.log(np.std(a) + np.std(b) + 1e-6)

    def middle(v, i, j):
        both = np.concatenate(on_line(v, i, j))
        return np.mean((both > 0.33) & (both < 0.67))

    def log_edges(i, j, q):
        q = min(q, len(z) - 1)
        found = sum(np.isin(neighbours[rows[i], :q], rows[j]).ravel())
        found += sum(np.isin(neighbours[rows[j], :q], rows[i]).ravel())
        return np.log(found / (q * 2 * min(len(rows[i]), len(rows[j]))) + 0.002)

    def silhouette(i, j):
        values = []
        for own, other in ((i, j), (j, i)):
            to_own = np.linalg.norm(z[rows[own]] - centroid[own], axis=1)
            to_other = np.linalg.norm(z[rows[own]] - centroid[other], axis=1)
            values += list(1 - to_own / np.maximum(to_other, 1e-6))
        return np.mean(values)

    def log_rank(i, j):
        def rank(a, b):
            order = sorted((distance[a, c], c) for c in slots if c != a)
            return order.index((distance[a, b], b))

        return np.log1p(min(rank(i, j), rank(j, i)))

    def log_valley(i, j):
        both = np.concatenate(on_line(z, i, j))
        density = [np.exp(-0.5 * ((g / 10 - both) / 0.12) ** 2).sum() for g in range(11)]
        ends = min(max(density[:3]), max(density[8:]))
        return np.log(min(density[2:9]) / ends + 0.02)

    def mean_rows(i, j):
        return 2 / (1 / len(rows[i]) + 1 / len(rows[j]))

    def near(i):
        return np.mean(sorted(others[i])[:2])

    return {
        (i, j): {
            "log_separation": log_separation(z, i, j),
            "middle": middle(z, i, j),
            "log_edges_10": log_edges(i, j, 10),
            "log_distance": np.log(distance[i, j]),
            "log_distance_near": np.log(distance[i, j] / np.mean([near(i), near(j)])),
            "silhouette": silhouette(i, j),
            "log_edges_30": log_edges(i, j, 30),
            "log_distance_class": np.log(distance[i, j] / RULER),
            "log_separation_raw": log_separation(x, i, j),
            "middle_raw": middle(x, i, j),
            "log_rank": log_rank(i, j),
            "log_valley": log_valley(i, j),
            "log_rows": np.log(mean_rows(i, j)),
            "log_rows_class": np.log(mean_rows(i, j) / CLASS_SIZE),
        }
        for i, j in itertools.combinations(slots, 2)
    }


def as_micro(labels):
    sizes = np.sum(labels[..., None] == np.arange(M), axis=-2, dtype=np.int32)
    return MicroClusters(labels.astype(np.int32), sizes)


def draw(sizes, n_rows=N, seed=0):
    """Rows in `z` and `x` and their slots; there are `n_rows`, and junk where they have no slot."""
    rng = np.random.default_rng(seed)
    slots = np.repeat(np.arange(len(sizes)), sizes)
    labels = rng.permutation(np.concatenate([slots, np.full(n_rows - len(slots), -1)]))
    z = 2 + rng.normal(size=(M + 1, L))[labels] + 0.4 * rng.normal(size=(n_rows, L))
    x = rng.normal(size=(M + 1, D))[labels] + 0.8 * rng.normal(size=(n_rows, D))
    junk = np.flatnonzero(labels == -1)
    z[junk[::2]], x[junk[::2]] = 30, -50
    return z.astype(np.float32), x.astype(np.float32), labels


def on_a_square():
    """Four pairs of rows whose centroids are as far from both of their neighbours."""
    z, x, labels = draw([2, 2, 2, 2])
    corners = np.array([[1, 1, 0], [1, -1, 0], [-1, -1, 0], [-1, 1, 0]], np.float32)
    for corner in range(4):
        ends = np.array([[0, 0, 0.25], [0, 0, -0.25]], np.float32) * (1 + corner)
        z[labels == corner] = corners[corner] + ends
    return z, x, labels


CASES = {
    "all slots": draw([10, 12, 8, 15, 20, 5]),
    "masked rows, empty slot": draw([10, 12, 8, 15, 3]),
    "hole among the slots": draw([10, 0, 8, 15, 0, 20]),
    "sizes one and two": draw([1, 2, 1, 2, 40, 1]),
    "fewer rows than neighbours": draw([3, 4, 5, 2, 3]),
    "two": draw([20, 25]),
    "two rows": draw([1, 1]),
    "ties": on_a_square(),
}


@pytest.fixture(scope="module")
def features():
    compiled = jax.jit(pair_features)
    return lambda z, x, labels: np.asarray(compiled(z, x, as_micro(labels), RULER, CLASS_SIZE))


def expected(z, x, labels):
    """The oracle's features as an array, 0 where there is no pair."""
    rows = labels >= 0
    values = np.zeros((M, M, len(NAMES)))
    for (i, j), named in describe(z[rows], x[rows], labels[rows]).items():
        values[i, j] = values[j, i] = [named[name] for name in NAMES]
    return values


@pytest.mark.parametrize("case", CASES)
def test_as_pair_by_pair(features, case):
    actual, wanted = features(*CASES[case]), expected(*CASES[case])
    for f, name in enumerate(NAMES):
        np.testing.assert_allclose(
            actual[:, :, f], wanted[:, :, f], rtol=1e-4, atol=1e-4, err_msg=name
        )


def test_batched_equals_single(features):
    z, x, labels = map(np.stack, zip(*CASES.values(), strict=True))
    micro = as_micro(labels)
    many = jax.jit(jax.vmap(pair_features, in_axes=(0, 0, 0, None, None)))(
        z, x, micro, RULER, CLASS_SIZE
    )
    for lane, case in enumerate(CASES.values()):
        np.testing.assert_allclose(many[lane], features(*case), rtol=1e-5, atol=1e-5)


def test_rows_in_blocks(features, monkeypatch):
    """Four of them, the last of which is not full."""
    case = CASES["all slots"]
    whole = features(*case)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 20)
    z, x, labels = case
    in_blocks = jax.jit(lambda *args: pair_features(*args))(
        z, x, as_micro(labels), RULER, CLASS_SIZE
    )
    np.testing.assert_allclose(in_blocks, whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sizes", [[], [1], [60]])
def test_no_pair(features, sizes):
    np.testing.assert_array_equal(features(*draw(sizes)), 0)


def test_centroids_at_one_place(features):
    z, x, labels = CASES["all slots"]
    everywhere_alike = features(np.ones_like(z), np.ones_like(x), labels)
    assert np.isfinite(everywhere_alike).all()
    # Two of several micro clusters: the others are seen as if nothing had happened.
    z = z.copy()
    z[labels == 0] = z[labels == 1] = 2.0
    values = features(z, x, labels)
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[2:, 2:], expected(z, x, labels)[2:, 2:], rtol=1e-4, atol=1e-4)
