import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from tiers import few

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.methods import kmeans as plain
from ncd_jax.methods import ncd_kmeans as ncd
from ncd_jax.methods.parts import NoHParams
from ncd_jax.methods.spec import Spec
from ncd_jax.types import Goal, NCDData

C, K, D, ROOM = 3, 4, 3, 70
KEY = jax.random.key(0)
NAMES = [("k-means", ""), *(("NCD k-means", variant) for variant in ncd.INFO.variants)]


@pytest.fixture(scope="module")
def table():
    """Rows and classes 0 to 4: 0 and 1 are known, 2 is known and hidden, 3 and 4 are novel."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(5), [20, 25, 15, 30, 20]))
    centres = 1.5 * rng.normal(size=(5, D))
    return (centres[classes] + rng.normal(size=(len(classes), D))).astype(np.float32), classes


@functools.cache
def make(name, variant):
    info = {"k-means": plain.INFO, "NCD k-means": ncd.INFO}[name]
    assert info.title == name
    return info.make(Spec(D, C, D, max_clusters=K, restarts=3, variant=variant))


def fold(table):
    x, classes = table
    y = np.where(classes < 2, classes, -1).astype(np.int32)
    return NCDData(x, y), goal_of(classes >= 2, 3)


def goal_of(wanted, k):
    """These rows, and others behind them that do not count."""
    rows = np.flatnonzero(wanted).astype(np.int32)
    return Goal(
        np.append(rows, np.zeros(ROOM - len(rows), np.int32)),
        np.arange(ROOM) < len(rows),
        np.int32(k),
    )


def discover(method, data, goal):
    """What the package does with a method without training, up to the clusters."""
    state = method.init(KEY, data, goal, NoHParams())
    z = method.represent(state, jnp.asarray(data.x)[goal.rows])
    return state, z, method.cluster(KEY, state._replace(opt=None), z, goal.k, goal.mask)


@functools.cache
def program(name, variant):
    return jax.jit(functools.partial(discover, make(name, variant)))


@pytest.mark.parametrize(("name", "variant"), few(NAMES, NAMES[0], NAMES[-1]))
def test_clusters_are_those_of_the_algorithm(name, variant, table):
    """With the means of the classes that are labelled in this fold."""
    x, classes = table
    data, goal = fold(table)
    _, z, clusters = program(name, variant)(data, goal)
    np.testing.assert_array_equal(z, x[goal.rows])
    options = {"max_clusters": K, "mask": goal.mask, "restarts": 3}
    if name == "k-means":
        expected = jax.jit(functools.partial(kmeans, **options))(KEY, z, 3)
    else:
        means = np.stack([x[classes == c].mean(axis=0) for c in range(2)])
        power = 1 if variant.endswith("plain") else 2
        known = ncd.State(means, np.ones(2, bool), ())
        expected = jax.jit(functools.partial(ncd.ncd_kmeans, power=power, **options))(
            KEY, z, 3, known
        )
    np.testing.assert_allclose(clusters.centroids, expected.centroids, atol=1e-4)
    np.testing.assert_array_equal(clusters.labels, expected.labels)


@pytest.mark.parametrize(("name", "variant"), NAMES[:2])
def test_new_rows_join_the_nearest_cluster_in_use(name, variant, table):
    data, goal = fold(table)
    method = make(name, variant)
    state, z, clusters = program(name, variant)(data, goal)
    active, assign = np.arange(K) < goal.k, jax.jit(method.assign)
    np.testing.assert_array_equal(assign(state, z, clusters.centroids, active), clusters.labels)
    new = np.random.default_rng(1).normal(0, 3, (50, D)).astype(np.float32)
    expected = cdist(new, np.asarray(clusters.centroids)[:3]).argmin(axis=1)
    z = jax.jit(method.represent)(state, new)
    np.testing.assert_array_equal(assign(state, z, clusters.centroids, active), expected)


@pytest.mark.parametrize("variant", few(ncd.INFO.variants, ncd.INFO.variants[0]))
def test_folds_side_by_side_equal_a_loop(variant, table):
    """Another class is hidden in each; the rows are shared."""
    x, classes = table
    run = program("NCD k-means", variant)
    folds = [
        (
            NCDData(x, np.where((classes < 3) & (classes != c), classes, -1).astype(np.int32)),
            goal_of((classes == c) | (classes == 3), 2),
        )
        for c in range(3)
    ]
    data, goals = jax.tree.map(lambda *leaves: np.stack(leaves), *folds)
    many = jax.jit(jax.vmap(run, in_axes=(NCDData(None, 0), 0)))
    together = jax.tree.map(np.asarray, many(data._replace(x=x), goals)[2])
    for i in range(3):
        expected = run(*folds[i])[2]
        np.testing.assert_array_equal(together.labels[i], expected.labels)
        np.testing.assert_allclose(together.centroids[i], expected.centroids, atol=1e-4)
    assert np.abs(together.centroids[0] - together.centroids[1]).max() > 0.1


def test_nothing_is_tuned():
    for info in (plain.INFO, ncd.INFO):
        assert info.space(D) == {}
        assert info.hparams._fields == ()
        assert info.width is None
        assert make(info.title, "").stages == ()
    assert ncd.INFO.variants == ("novel_unlabelled", "novel_unlabelled_plain")
