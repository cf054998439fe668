"""How clearly rows belong to the classes of a model."""

import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.kmeans import squared_distances
from ncd_jax.discovery.model import margin


def test_margin():
    """On a centroid, halfway to the border, on the border, and a third centroid far away."""
    centroids = jnp.array([[0.0, 0.0], [4.0, 0.0], [0.0, 100.0]])
    z = jnp.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [4.0, 0.0], [-4.0, 0.0]])
    np.testing.assert_allclose(
        margin(squared_distances(z, centroids)), [1, 2 / 3, 0, 1, 1 / 2], rtol=1e-6
    )
    np.testing.assert_array_equal(margin(squared_distances(z, centroids[:1])), 1)
    unused = jnp.where(jnp.arange(3) < 1, squared_distances(z, centroids), jnp.inf)
    np.testing.assert_array_equal(margin(unused), 1)


def test_margin_is_a_share_for_any_rows():
    rng = np.random.default_rng(0)
    z, centroids = rng.normal(size=(50, 3)), rng.normal(size=(6, 3))
    values = margin(squared_distances(jnp.asarray(z), jnp.asarray(centroids)))
    distance = np.sort(np.linalg.norm(z[:, None] - centroids, axis=2), axis=1)
    np.testing.assert_allclose(values, 1 - distance[:, 0] / distance[:, 1], rtol=1e-4, atol=1e-6)
    assert values.min() >= 0
    assert values.max() <= 1
    same = margin(jnp.zeros((2, 2)))
    np.testing.assert_array_equal(same, 0)
