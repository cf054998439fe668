"""What users would otherwise pick: scikit-learn on the columns, or on an LDA of known classes.

Not to be confused with `ncd_jax.methods.baseline`, which is a method of this package: hence
their titles say whose they are.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import silhouette_score

__all__ = ["BASELINES", "BaselineInfo", "estimate_k"]


class BaselineInfo(NamedTuple):
    """A way of clustering novel rows that is not of this package.

    Attributes:
        title: its name in tables.
        represent: `(x_known, y_known) -> (x -> z)`, where rows are clustered.
        fit: `(z, k, seed) -> (labels, predict)`; `predict` is none where it has no way to
            assign rows it has not seen.
    """

    title: str
    represent: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]
    fit: Callable[
        [np.ndarray, int, int], tuple[np.ndarray, Callable[[np.ndarray], np.ndarray] | None]
    ]


def estimate_k(z: np.ndarray, k_max: int, max_rows: int, seed: int) -> int:
    """The number of clusters in `2..k_max` at which k-means has the best silhouette."""
    rows = np.random.default_rng(seed).permutation(len(z))[:max_rows]
    z = z[rows]
    ks = range(2, min(k_max, len(z) - 1) + 1)
    values = [
        silhouette_score(z, KMeans(k, n_init=3, random_state=seed).fit_predict(z)) for k in ks
    ]
    return ks[int(np.argmax(values))]


def _columns(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    del x, y
    return lambda rows: rows


def _discriminants(x: np.ndarray, y: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    project: Callable[[np.ndarray], np.ndarray] = LinearDiscriminantAnalysis().fit(x, y).transform
    return project


def _kmeans(
    z: np.ndarray, k: int, seed: int
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    model = KMeans(k, n_init=10, random_state=seed).fit(z)
    return model.labels_, model.predict


def _spectral(z: np.ndarray, k: int, seed: int) -> tuple[np.ndarray, None]:
    model = SpectralClustering(k, affinity="nearest_neighbors", random_state=seed)
    return model.fit_predict(z), None


BASELINES: dict[str, BaselineInfo] = {
    "sklearn_kmeans": BaselineInfo("scikit-learn: k-means", _columns, _kmeans),
    "sklearn_spectral": BaselineInfo("scikit-learn: spectral clustering", _columns, _spectral),
    "lda_kmeans": BaselineInfo("scikit-learn: LDA + k-means", _discriminants, _kmeans),
}
