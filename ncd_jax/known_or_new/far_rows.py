"""Rows far from every labelled one: of no known class, whatever else speaks for it.

What folds teach comes from classes that lie among others, and of a handful of rows far away it may
say that nothing is new. How far is far, labelled rows say: each is asked, without itself, how far
its third nearest labelled row is.

Source: the distance to a near neighbour as a measure of novelty, Ramaswamy, Rastogi, Shim,
"Efficient algorithms for mining outliers from large data sets", SIGMOD 2000.
"""

import numpy as np
import scipy

__all__ = ["far_rows"]

NEIGHBOUR = 3
REACH = 2.0
"""Times as far as any labelled row from its third neighbour: from there on a row is far, and up to
there far rows belong together."""


def far_rows(x: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """Looks for rows that lie far from all labelled ones, and near one another.

    A row is far where its third nearest labelled row is more than twice as far as that of any
    labelled one, and further than half of all pairs of these are apart. One far row alone is an
    outlier of whatever class; several that are as near to each other as labelled rows may be are
    none.

    Args:
        x: `f[u, d]`, unlabelled rows in the columns.
        labelled: `f[l, d]`, labelled ones, a thousand or so at most.

    Returns:
        `bool[u]`.
    """
    from sklearn.neighbors import NearestNeighbors  # a second, while the device computes

    far = np.zeros(len(x), bool)
    if len(labelled) < 2 or len(x) < 2:
        return far
    at = min(NEIGHBOUR, len(labelled) - 1)
    near = NearestNeighbors(n_neighbors=at, algorithm="brute").fit(labelled)
    reach = REACH * float(near.kneighbors()[0][:, -1].max())
    apart = float(np.median(scipy.spatial.distance.pdist(labelled)))
    far = near.kneighbors(x)[0][:, -1] > max(reach, apart)
    if far.sum() > 1:
        among = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(x[far])
        far[far] = among.kneighbors()[0][:, 0] <= reach
        return far
    return np.zeros(len(x), bool)
