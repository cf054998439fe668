"""RCA against a direct inverse, and against scikit-learn where both must agree."""

import functools

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from sklearn.cluster import KMeans
from sklearn.covariance import shrunk_covariance
from sklearn.decomposition import PCA

from ncd_jax.methods import rca
from ncd_jax.methods.spec import Spec
from ncd_jax.scoring import score
from ncd_jax.types import Goal, NCDData

C, D = 3, 5
KEY = jax.random.key(0)
GOAL = Goal(np.zeros(1, np.int32), np.ones(1, bool), np.int32(2))


@functools.cache
def programs(n_features, n_known, normalise):
    """`init` and `represent`, compiled."""
    method = rca.rca(Spec(n_features, n_known, n_features, normalise=normalise))
    return jax.jit(method.init), jax.jit(method.represent)


def fit(data, shrinkage, n_known=C, normalise=False):
    """The state, and the rows as it sees them."""
    init, represent = programs(data.x.shape[1], n_known, normalise)
    state = init(KEY, data, GOAL, rca.HParams(np.float32(shrinkage)))
    return jax.tree.map(np.asarray, (state, represent(state, data.x)))


@pytest.fixture(scope="module")
def table():
    """Correlated columns far from the origin; classes 0 and 1 are labelled, 2 and 3 are not."""
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(D, D))
    classes = rng.permutation(np.repeat(np.arange(4), [30, 25, 40, 35]))
    x = 3.0 * rng.normal(size=(4, D))[classes] + rng.normal(size=(len(classes), D)) @ mix + 7.0
    y = np.where(classes < 2, classes, -1).astype(np.int32)
    return NCDData(x.astype(np.float32), y)


def within(table):
    x, y = np.asarray(table.x, float), np.asarray(table.y)
    apart = np.concatenate([x[y == c] - x[y == c].mean(axis=0) for c in (0, 1)])
    return apart.T @ apart / len(apart)


@pytest.mark.parametrize("shrinkage", [0.001, 0.1, 0.7])
def test_distances_are_those_of_the_inverse_covariance(table, shrinkage):
    z = fit(table, shrinkage)[1]
    inverse = np.linalg.inv(shrunk_covariance(within(table), shrinkage))
    np.testing.assert_allclose(
        pdist(z), pdist(np.asarray(table.x, float), "mahalanobis", VI=inverse), rtol=1e-3
    )


def test_known_classes_vary_alike_in_every_direction(table):
    z = fit(table, 1e-6)[1]
    whitened = within(NCDData(z, table.y))
    np.testing.assert_allclose(whitened, np.eye(D), atol=1e-2)


def test_full_shrinkage_leaves_angles_between_centred_rows(table):
    z = fit(table, 1.0, normalise=True)[1]
    centred = np.asarray(table.x) - np.asarray(table.x).mean(axis=0)
    np.testing.assert_allclose(
        cdist(z, z, "sqeuclidean"), 2 * cdist(centred, centred, "cosine"), atol=1e-4
    )


def test_novel_labels_and_rows_without_label_do_not_enter_the_covariance(table):
    """Other unlabelled rows, of the same mean: the same map."""
    novel = np.asarray(table.y) < 0
    x = np.asarray(table.x)
    mirrored = np.where(novel[:, None], 2 * x[novel].mean(axis=0) - x, x)
    one = fit(table, 0.1, normalise=True)[0]
    other = fit(NCDData(mirrored, table.y), 0.1, normalise=True)[0]
    np.testing.assert_allclose(one.scale, other.scale, rtol=1e-5)
    np.testing.assert_allclose(one.centre, other.centre, rtol=1e-4)


def test_one_row_a_class_changes_nothing():
    """Nothing is noise where no labelled row differs from the mean of its class."""
    x = np.random.default_rng(0).normal(size=(6, D)).astype(np.float32)
    data = NCDData(x, np.array([0, 1, 2, -1, -1, -1], np.int32))
    z = fit(data, 1.0)[1]
    np.testing.assert_allclose(z, x - x.mean(axis=0, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_a_wide_table_by_its_leading_components(masked):
    """The same distances as those of RCA on the components that scikit-learn finds."""
    rng, most = np.random.default_rng(0), rca.MOST_COMPONENTS
    x = rng.normal(size=(150, 2 * most)) * np.geomspace(5, 0.1, 2 * most)
    y = np.where(np.arange(150) < 60, np.arange(150) % 2, -1).astype(np.int32)
    kept = PCA(most).fit_transform(x)
    mask = np.arange(170) < 150 if masked else None
    if masked:  # rows that only fill up
        x, y = np.vstack([x, np.full((20, 2 * most), 9.0)]), np.append(y, np.full(20, -1, np.int32))

    def distances(x, y, mask):
        return pdist(fit(NCDData(x.astype(np.float32), y, mask), 0.1, n_known=2)[1][:150])

    np.testing.assert_allclose(distances(x, y, mask), distances(kept, y[:150], None), rtol=1e-3)


def test_noise_that_hides_classes_is_divided_away():
    """Classes differ in one column, and the noise of another is thirty times as wide."""
    rng = np.random.default_rng(0)
    classes = rng.permutation(np.repeat(np.arange(5), 40))
    x = np.stack([4.0 * classes, 30.0 * rng.normal(size=200)], axis=1)
    x += 0.5 * rng.normal(size=x.shape)
    data = NCDData(x.astype(np.float32), np.where(classes < 3, classes, -1).astype(np.int32))
    novel = classes >= 3

    def accuracy(z):
        labels = KMeans(2, n_init=10, random_state=0).fit_predict(z[novel])
        return score(labels, classes[novel] - 3)["acc"]

    assert accuracy(data.x) < 0.7
    assert accuracy(fit(data, 0.001)[1]) > 0.95
