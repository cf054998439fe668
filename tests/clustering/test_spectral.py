import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score
from tiers import few

from ncd_jax.clustering.eigenvectors import _orthonormal, leading_eigenpairs
from ncd_jax.clustering.rows import unit_rows
from ncd_jax.clustering.spectral import (
    extend,
    fit_spectral,
    kernel_width,
    longest_spanning_edge,
)

KEY = jax.random.key(0)
WIDTH = 4

longest_edge = jax.jit(longest_spanning_edge)


def normal(n, d, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def everything(x):
    return np.ones(len(x), bool)


# Spanning tree


@pytest.mark.parametrize(("n", "d"), [(2, 1), (3, 2), (40, 2), (150, 5)])
def test_longest_edge_against_scipy(n, d, rtol):
    x = normal(n, d)
    tree = minimum_spanning_tree(cdist(x, x, "sqeuclidean"))
    np.testing.assert_allclose(longest_edge(x, everything(x)), tree.data.max(), rtol=10 * rtol)


def test_longest_edge_of_the_unmasked_rows():
    x = normal(60, 3)
    mask = np.random.default_rng(1).random(60) < 0.5
    other = np.where(mask[:, None], x, 1e6)
    expected = longest_edge(x[mask], everything(x[mask]))
    np.testing.assert_allclose(longest_edge(x, mask), expected, rtol=1e-6)
    np.testing.assert_array_equal(longest_edge(other, mask), longest_edge(x, mask))


@pytest.mark.parametrize(
    ("x", "mask"),
    [
        (np.ones((1, 2)), [1]),
        (np.eye(4), [0, 0, 0, 0]),
        (np.eye(4), [0, 0, 1, 0]),
        (np.full((5, 3), 3.7), [1] * 5),
    ],
)
def test_no_edge_has_length_zero(x, mask):
    assert longest_edge(x.astype(np.float32), np.array(mask, bool)) == 0


# Eigenvectors


def symmetric(values, seed=0):
    """A symmetric matrix with these eigenvalues, and its eigenvectors."""
    q, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    return (q * values) @ q.T, q


@functools.partial(jax.jit, static_argnames=("width", "most_columns", "max_iter"))
def compiled_pairs(matrix, known, mask, n_wanted, **static):
    return leading_eigenpairs(KEY, matrix, known, mask, n_wanted, **static)


def pairs_of(matrix, known, n_wanted, **static):
    arrays = np.float32(matrix), np.float32(known), everything(matrix)
    return jax.tree.map(np.asarray, compiled_pairs(*arrays, n_wanted, **static))


ITERATION = {"width": WIDTH, "most_columns": 96, "max_iter": 20}
SPECTRA = {
    "well apart": np.concatenate([[1, 0.9, 0.7, 0.4], np.linspace(0.2, -1, 146)]),
    "many close to one": 1 - np.linspace(0, 1.2, 150) ** 2,
    "all small": 1e-3 * np.linspace(1, -1, 150) ** 3,
    "four ones": np.concatenate([np.ones(4), np.linspace(0.5, -0.5, 146)]),
}


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_eigenpairs_against_their_construction(spectrum):
    values = SPECTRA[spectrum]
    matrix, q = symmetric(values)
    found = pairs_of(matrix, np.zeros(150), WIDTH, **ITERATION)
    scale = np.abs(values).max()
    np.testing.assert_allclose(found.values, values[:WIDTH], atol=1e-5 * scale)
    np.testing.assert_allclose(found.vectors.T @ found.vectors, np.eye(WIDTH), atol=1e-5)
    actual = matrix @ found.vectors - found.vectors * found.values[None, :]
    assert (np.linalg.norm(actual, axis=0) < found.residuals + 1e-5 * scale).all()
    assert found.converged
    gap = values[WIDTH - 1] - values[WIDTH]
    angle = subspace_angles(np.asarray(found.vectors), q[:, :WIDTH]).max()
    assert angle < 2 * found.residuals.max() / gap + 1e-3


def test_small_matrices_are_decomposed_exactly():
    values = np.linspace(0.9, -0.8, 30)
    matrix, q = symmetric(values)
    found = pairs_of(matrix, np.zeros(30), 30, width=40)
    np.testing.assert_allclose(found.values[:30], values, atol=1e-6)
    np.testing.assert_allclose(np.abs(np.sum(found.vectors[:, :30] * q, axis=0)), 1, atol=1e-4)
    np.testing.assert_array_equal(found.values[30:], 0)
    np.testing.assert_array_equal(found.vectors[:, 30:], 0)


@pytest.mark.parametrize("n", [40, 150])
def test_the_known_eigenvector_is_left_out(n):
    """Also where its eigenvalue would put it among the wanted, or zero would."""
    values = np.linspace(-0.1, -0.9, n)
    values[0] = 1.0
    matrix, q = symmetric(values)
    found = pairs_of(matrix, q[:, 0], WIDTH, **ITERATION)
    np.testing.assert_allclose(found.values, values[1 : 1 + WIDTH], atol=1e-3)
    np.testing.assert_allclose(q[:, 0] @ found.vectors, 0, atol=1e-5)


def test_says_when_it_did_not_converge():
    arguments = (symmetric(np.linspace(1, 0, 150))[0], np.zeros(150), WIDTH)
    once = pairs_of(*arguments, **ITERATION | {"max_iter": 1})
    assert not once.converged
    assert once.n_iter == 1
    often = pairs_of(*arguments, **ITERATION)
    assert often.converged
    assert often.n_iter > 1
    assert often.residuals.max() < 0.1 * once.residuals.max()


def test_a_dependent_column_brings_nothing_in():
    """What a QR decomposition puts in its place must not reach the columns after it."""
    w = normal(9, 4)
    w[:, 1] = 2 * w[:, 0]
    q = np.asarray(jax.jit(lambda w: _orthonormal(w, lambda w: w.at[0].set(0.0)))(w))
    np.testing.assert_allclose(q[0], 0, atol=1e-6)
    np.testing.assert_allclose(q.T @ q, np.diag([1, 1, 1, 0]), atol=1e-6)


# Embedding


TRACED = []


@functools.partial(jax.jit, static_argnames=("width", "max_landmarks"))
def compiled_fit(key, x, mask, min_dist, n_components, width, max_landmarks):
    TRACED.append(x.shape)
    return fit_spectral(
        key, x, mask, min_dist, n_components, width=width, max_landmarks=max_landmarks
    )


def fit(x, mask, min_dist, n_components, key=KEY, width=WIDTH, max_landmarks=1000):
    found = compiled_fit(
        key, x, mask, min_dist, n_components, width=width, max_landmarks=max_landmarks
    )
    return jax.tree.map(np.asarray, found)


compiled_extend = jax.jit(extend, static_argnames="chunk")


def place(fitted, x, **static):
    return jax.tree.map(np.asarray, compiled_extend(fitted, x, **static))


def dense(x, min_dist, n_components):
    """The definition, in float64: eigenvalues and eigenvectors 2 to n_components + 1, degrees."""
    distances = cdist(x, x, "sqeuclidean")
    longest = minimum_spanning_tree(distances).data.max()
    affinity = np.exp(distances / longest * np.log(min_dist))
    np.fill_diagonal(affinity, 0)
    degrees = affinity.sum(axis=1)
    values, vectors = np.linalg.eigh(affinity / np.sqrt(np.outer(degrees, degrees)))
    chosen = slice(-2, -2 - n_components, -1)
    return values[chosen], vectors[:, chosen], degrees


def check_embedding(x, result, expected, n_components):
    values, vectors, degrees = expected
    np.testing.assert_allclose(result.pairs.values[:n_components], values, atol=1e-5)
    np.testing.assert_allclose(result.map.degrees, degrees, rtol=1e-3)
    z, found = place(result.map, x)
    np.testing.assert_array_equal(z[:, n_components:], 0)
    np.testing.assert_allclose(found, degrees, rtol=1e-3)
    own = np.asarray(z * np.sqrt(found)[:, None])[:, :n_components]
    np.testing.assert_allclose(np.abs(np.sum(own * vectors, axis=0)), 1, atol=2e-3)
    np.testing.assert_allclose(own.T @ own, np.eye(n_components), atol=1e-3)


@pytest.mark.parametrize(
    ("n", "min_dist"),
    few([(60, 0.1), (60, 0.8), (460, 0.1), (460, 0.8)], (60, 0.8), (460, 0.1)),
)
def test_training_rows_have_the_eigenvectors_of_the_definition(n, min_dist):
    """Small tables are decomposed exactly, large ones by iteration."""
    x = normal(n, 3) * np.array([[1, 2, 3]], np.float32)
    result = fit(x, everything(x), min_dist, 3)
    assert result.pairs.converged
    check_embedding(x, result, dense(x, min_dist, 3), 3)


def test_masked_rows_take_no_part():
    x, junk = normal(40, 3), 50 * normal(20, 3, seed=1)
    order = np.random.default_rng(2).permutation(60)
    rows, mask = np.concatenate([x, junk])[order], order < 40
    result = fit(rows, mask, 0.5, 3)
    expected = dense(rows[mask], 0.5, 3)
    np.testing.assert_allclose(result.pairs.values[:3], expected[0], atol=1e-5)
    z, degrees = (placed[mask] for placed in place(result.map, rows))
    own = (z * np.sqrt(degrees)[:, None])[:, :3]
    np.testing.assert_allclose(np.abs(np.sum(own * expected[1], axis=0)), 1, atol=2e-3)
    other = fit(np.where(mask[:, None], rows, -rows), mask, 0.5, 3)
    jax.tree.map(np.testing.assert_array_equal, other, result)


def test_the_longest_edge_has_the_affinity_asked_for(rtol):
    x = normal(60, 3)
    width = fit(x, everything(x), 0.3, 2).map.width
    affinity = np.exp(-longest_edge(x, everything(x)) / (2 * width))
    np.testing.assert_allclose(affinity, 0.3, rtol=10 * rtol)
    np.testing.assert_allclose(kernel_width(jnp.float32(8.0), np.exp(-2.0)), 2.0, rtol=rtol)


def test_groups_need_not_be_round():
    """Two interleaved half circles: the first eigenvector tells them apart by its sign."""
    x, side = make_moons(60, noise=0.05, random_state=0)
    x = np.pad(x, ((0, 0), (0, 1))).astype(np.float32)  # of the shape of other tables
    result = fit(x, everything(x), 0.01, 2)
    assert adjusted_rand_score(side, result.map.vectors[:, 0] > 0) > 0.95
    by_columns = KMeans(2, n_init=10, random_state=0).fit_predict(x)
    assert adjusted_rand_score(side, by_columns) < 0.6


def test_new_rows_lie_among_their_neighbours(blobs):
    """Rows that were not seen are placed as those of their class are."""
    x, classes = blobs([24, 20, 16], 3, spread=0.5)
    seen = np.arange(60) % 3 > 0
    result = fit(x, seen, 0.5, 2)
    z = np.asarray(place(result.map, x)[0])[:, :2]
    centres = np.stack([z[seen & (classes == c)].mean(axis=0) for c in range(3)])
    nearest = cdist(z[~seen], centres).argmin(axis=1)
    np.testing.assert_array_equal(nearest, classes[~seen])
    within = [np.abs(z[~seen & (classes == c)].mean(axis=0) - centres[c]).max() for c in range(3)]
    assert max(within) < 0.2 * np.ptp(centres, axis=0).min()


def test_held_out_rows_are_told_apart_as_landmarks_are(blobs):
    """Of many columns, some have eigenvalues that nothing can be divided by."""
    x, classes = blobs([60, 50, 40], 6, spread=1.5)
    seen = np.arange(150) % 3 > 0
    result = fit(x, seen, 0.99, 24, width=24)
    in_use = np.any(result.map.vectors != 0, axis=0)
    assert 8 < in_use.sum() < 24
    np.testing.assert_array_equal(in_use, result.map.weights > 0)
    z = np.asarray(jax.jit(unit_rows)(place(result.map, x)[0]))
    centres = np.stack([z[seen & (classes == c)].mean(axis=0) for c in range(3)])
    right = cdist(z, centres).argmin(axis=1) == classes
    assert right[seen].mean() > 0.9
    assert right[~seen].mean() > right[seen].mean() - 0.1


def test_the_extension_does_not_jump(blobs):
    """A row close to a landmark is placed close to it, also along small eigenvalues."""
    x, _ = blobs([60, 50, 40], 3, spread=0.8)
    result = fit(x, everything(x), 0.9, WIDTH)
    own_share = 1 / np.mean(result.map.degrees)
    # Divided by it, the row itself would count double.
    assert result.pairs.values[WIDTH - 1] < own_share
    at = place(result.map, x)[0]
    near = place(result.map, x + np.float32(1e-4))[0]
    np.testing.assert_allclose(near, at, atol=0.2 * np.abs(at).max())


def test_far_away_rows_are_placed_with_the_nearest():
    x = normal(60, 3)
    result = fit(x, everything(x), 0.5, 2)
    z, degrees = place(result.map, x * 1e4)
    assert np.isfinite(z).all()
    assert (degrees == 0).all()
    assert (np.abs(z[:, :2]).max(axis=1) > 0).all()


def test_landmarks_tell_what_all_rows_tell(blobs):
    x, classes = blobs([24, 20, 16], 3, spread=0.5)
    result = fit(x, everything(x), 0.5, 2, max_landmarks=40)
    assert result.map.landmarks.shape == (40, 3)
    np.testing.assert_array_equal(result.map.landmarks, x[result.rows])
    z = np.asarray(place(result.map, x)[0])
    labels = KMeans(3, n_init=10, random_state=0).fit_predict(z)
    assert adjusted_rand_score(labels, classes) > 0.97


def test_chunks_do_not_matter():
    x = normal(60, 3)
    fitted = fit(x, everything(x), 0.5, 2).map
    new = normal(60, 3, seed=1)
    a, b = place(fitted, new), place(fitted, new, chunk=7)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), a, b)


def test_vmap_equals_loop():
    """Lanes differ in width of the kernel and in the columns in use; the rows are shared."""
    x = normal(60, 3)
    min_dists, ns = [0.1, 0.5, 0.9], [2, 4, 3]
    many = functools.partial(compiled_fit, width=WIDTH, max_landmarks=40)
    lanes = jax.jit(jax.vmap(many, in_axes=(None, None, None, 0, 0)))
    together = lanes(KEY, x, everything(x), np.float32(min_dists), np.int32(ns))
    for i in range(3):
        one = fit(x, everything(x), min_dists[i], ns[i], max_landmarks=40)
        lane = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], together)
        np.testing.assert_allclose(lane.pairs.values, one.pairs.values, atol=1e-5)
        np.testing.assert_allclose(lane.map.vectors, one.map.vectors, atol=1e-3)
        np.testing.assert_array_equal(lane.rows, one.rows)
        np.testing.assert_array_equal(lane.map.vectors[:, ns[i] :], 0)


def test_hyperparameters_are_no_new_compilation():
    x = normal(6, 6)
    fit(x, everything(x), 0.1, 2)
    before = len(TRACED)
    fit(x, everything(x), 0.5, 4)
    assert len(TRACED) == before


def test_candidates_share_the_spanning_tree():
    """Else every one of them would walk along a tree of its own."""
    x, mask = jax.device_put((normal(90, 3), np.ones(90, bool)))
    many = jax.vmap(lambda m: fit_spectral(KEY, x, mask, m, 2, width=2).map.width)
    equations = jax.make_jaxpr(many)(np.full(7, 0.5, np.float32)).eqns
    walks = [e for e in equations if e.params.get("length") == 89]
    assert len(walks) == 1
    assert all(out.aval.shape[:1] != (7,) for out in walks[0].outvars)


@pytest.mark.thorough
def test_jit_equals_no_jit():
    x = normal(6, 6)
    compiled = fit(x, everything(x), 0.5, 2)
    with jax.disable_jit():
        plain = fit_spectral(KEY, jnp.asarray(x), jnp.ones(6, bool), 0.5, 2, width=WIDTH)
        z = extend(plain.map, jnp.asarray(x))[0]
    np.testing.assert_allclose(compiled.pairs.values, plain.pairs.values, atol=1e-6)
    np.testing.assert_allclose(place(compiled.map, x)[0], z, atol=1e-4)


def test_the_key_decides():
    x = normal(60, 3)
    a, b = (fit(x, everything(x), 0.5, 3, max_landmarks=40) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    other = fit(x, everything(x), 0.5, 3, key=jax.random.key(1), max_landmarks=40)
    assert not np.array_equal(a.rows, other.rows)


DEGENERATE = {
    "two rows count": (np.eye(6), [0, 0, 1, 0, 1, 0]),
    "one row counts": (np.eye(6), [0, 0, 1, 0, 0, 0]),
    "no row counts": (np.eye(6), [0] * 6),
    "fewer rows than columns": (np.eye(6), [1, 1, 1, 0, 0, 0]),
    "all rows equal": (np.full((6, 6), 3.7), [1] * 6),
    "two distinct rows": (np.repeat(np.eye(6)[:2], 3, axis=0), [1] * 6),
    "one row": (np.ones((1, 2)), [1]),
    "two rows": (np.eye(2), [1, 1]),
}


OF_ONE_SHAPE = [case for case, (x, _) in DEGENERATE.items() if len(x) == 6]


@pytest.mark.parametrize("case", few(DEGENERATE, *OF_ONE_SHAPE))
def test_degenerate_tables_stay_finite(case):
    x, mask = DEGENERATE[case]
    x = x.astype(np.float32)
    result = fit(x, np.array(mask, bool), 0.5, WIDTH)
    new = np.concatenate([x, x + 1, x * np.float32(1e6)])
    for leaf in jax.tree.leaves((result, place(result.map, new))):
        assert np.isfinite(leaf).all()
    rank = max(sum(mask) - 1, 0)
    np.testing.assert_array_equal(result.map.vectors[:, rank:], 0)


def test_training_rows_are_where_they_were():
    x, mask = normal(60, 3), np.arange(60) % 4 > 0
    result = fit(x, mask, 0.5, WIDTH)
    z, degrees = place(result.map, x)
    np.testing.assert_array_equal(z[mask], result.map.vectors[mask])
    np.testing.assert_array_equal(degrees[mask], result.map.degrees[mask])


def test_equal_rows_are_placed_equally():
    x = np.repeat(normal(30, 3), 2, axis=0)
    result = fit(x, everything(x), 0.5, 3)
    z = place(result.map, x)[0]
    np.testing.assert_allclose(z[::2], z[1::2], atol=1e-5)
    np.testing.assert_allclose(z, result.map.vectors, atol=1e-5)


def test_lanes_make_no_batches_of_lapack():
    """These wait for threads of their own pool; sweeps over two devices were seen to hang."""

    def pairs(matrix):
        known, mask = jnp.zeros(len(matrix)), jnp.ones(len(matrix), bool)
        return leading_eigenpairs(
            jax.random.key(0), matrix, known, mask, 2, width=3, most_columns=33
        )

    program = jax.jit(jax.vmap(pairs)).lower(np.zeros((4, 50, 50), np.float32)).as_text()
    calls = re.findall(r"@lapack_s(geqrf|syevd)_ffi\(.*?\(tensor<([\dx]+)xf32>", program)
    assert {name for name, _ in calls} == {"geqrf", "syevd"}
    assert all(shape.count("x") == 1 for _, shape in calls)
