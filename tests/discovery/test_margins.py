import numpy as np
import pytest
from scipy.spatial.distance import cdist

from ncd_jax.discovery.calibration import is_right, ranking_quality
from ncd_jax.discovery.margins import consensus_margin


def of_nearest(distances: np.ndarray, answer: int = 0) -> np.ndarray:
    """The margin where every row is in the cluster of its nearest centroid."""
    return consensus_margin(distances, distances.argmin(axis=2), answer)


def test_one_refit_gives_one_minus_the_ratio_of_distances():
    rng = np.random.default_rng(0)
    z, centroids = rng.normal(size=(50, 3)), rng.normal(size=(4, 3))
    near, next_near = np.sort(distances := cdist(z, centroids), axis=1)[:, :2].T
    np.testing.assert_allclose(of_nearest(distances[None]), 1 - near / next_near)


def test_the_numbering_of_clusters_does_not_matter():
    rng = np.random.default_rng(0)
    distances = rng.random((3, 40, 4))
    shuffled = np.stack(
        [distances[0], distances[1][:, [2, 0, 3, 1]], distances[2][:, [1, 0, 3, 2]]]
    )
    # Random refits agree so little that matches tie; blocks make them unique.
    block = np.repeat(np.arange(4), 10)
    for d in (distances, shuffled):
        d[0, np.arange(40), block] = 0.01
    distances[1:, np.arange(40), block] = 0.01
    shuffled[1, np.arange(40), np.array([1, 3, 0, 2])[block]] = 0.01
    shuffled[2, np.arange(40), np.array([1, 0, 3, 2])[block]] = 0.01
    np.testing.assert_allclose(of_nearest(distances), of_nearest(shuffled))


def test_by_hand():
    """Two refits; the second puts row 2 elsewhere, which costs it and its cluster."""
    first = np.array([[1.0, 4.0], [1.0, 2.0], [2.0, 4.0], [4.0, 1.0]])
    second = np.array([[1.0, 4.0], [1.0, 2.0], [4.0, 2.0], [4.0, 1.0]])
    # Clusters {0, 1, 2}, {3} and {0, 1}, {2, 3}: Jaccard 2/3 and 1/2, each averaged with 1.
    expected = np.array([0.75 * 5 / 6, 0.5 * 5 / 6, 0.0, 0.75 * 3 / 4])
    np.testing.assert_allclose(of_nearest(np.stack([first, second])), expected)


@pytest.mark.parametrize("k", [1, 3])
def test_rows_on_all_centroids(k: int):
    margin = of_nearest(np.zeros((2, 5, k)), 1)
    np.testing.assert_array_equal(margin, np.ones(5))  # all are in one cluster


def test_the_answer_of_a_head_counts_and_not_the_nearest_centroid():
    """Row 0 is put into cluster 1, though the centroid of cluster 0 is nearer: no margin at all."""
    distances = np.array([[[1.0, 4.0], [1.0, 4.0], [4.0, 1.0]]])
    np.testing.assert_allclose(
        consensus_margin(distances, np.array([[1, 0, 1]]), 0), [0.0, 0.75, 0.75]
    )


def test_slots_that_are_empty_in_one_refit_are_full_in_another():
    """Three slots; the second refit calls the clusters 1 and 2 what the first calls 0 and 2."""
    far = np.inf
    first = np.array([[1.0, far, 4.0], [4.0, far, 1.0], [1.0, far, 4.0]])
    distances = np.stack([first, first[:, [1, 0, 2]]])
    labels = np.array([[0, 2, 0], [1, 2, 1]])
    np.testing.assert_allclose(consensus_margin(distances, labels, 0), 0.75)
    # A refit that has no such cluster says nothing for it, and counts against its rows.
    one = np.stack([first, np.where(np.isinf(first), far, [1.0, far, far])])
    lonely = consensus_margin(one, np.array([[0, 2, 0], [0, 0, 0]]), 0)
    assert lonely[1] == 0 < lonely[0] < 0.75


def test_a_row_that_refits_disagree_on_is_less_sure_than_one_they_agree_on():
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    true = rng.integers(0, 3, 600)
    good = centres[true] + rng.normal(0, 1.3, (600, 2))
    refits = np.stack([cdist(good + rng.normal(0, 1.2, (600, 2)), centres) for _ in range(5)])
    right = is_right(refits[0].argmin(axis=1), true)
    alone = ranking_quality(of_nearest(refits[:1]), right)
    assert ranking_quality(of_nearest(refits), right) > alone + 0.05
