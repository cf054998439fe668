"""What users would otherwise pick: scikit-learn on the columns, or on an LDA of known classes.

`BASELINES` are for the setting `ncd`, `GCD_BASELINES` for `gcd`, where unlabelled rows are of known
classes too. Not to be confused with `ncd_jax.methods.baseline`, which is a method of this package:
hence their titles say whose they are.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.cluster import KMeans, SpectralClustering, kmeans_plusplus
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    pairwise_distances_argmin,
    pairwise_distances_argmin_min,
    silhouette_score,
)
from sklearn.neighbors import NearestCentroid
from sklearn.preprocessing import FunctionTransformer
from sklearn.semi_supervised import SelfTrainingClassifier

from ncd_jax.types import UNLABELLED

__all__ = [
    "BASELINES",
    "GCD_BASELINES",
    "Baseline",
    "GCDBaseline",
    "PartlyLabelled",
    "estimate_k",
]

_KEPT = 0.95
"""Share of the labelled rows that the distance threshold keeps."""
_SURE = 0.75
"""Probability that self-training asks of a label, and rejects below."""
_MOST_STEPS = 100


class Baseline(NamedTuple):
    """A way of clustering novel rows that is not of this package, of scikit-learn's estimators.

    Attributes:
        title: its name in tables.
        represent: a transformer, fitted to known rows, in whose space rows are clustered.
        cluster: of `(k, random_state)`; some have no way to assign rows they have not seen.
    """

    title: str
    represent: Callable[[], Any]
    cluster: Callable[..., Any]


_KMEANS = functools.partial(KMeans, n_init=10)
BASELINES: dict[str, Baseline] = {
    "sklearn_kmeans": Baseline("scikit-learn: k-means", FunctionTransformer, _KMEANS),
    "sklearn_spectral": Baseline(
        "scikit-learn: spectral clustering",
        FunctionTransformer,
        functools.partial(SpectralClustering, affinity="nearest_neighbors"),
    ),
    "lda_kmeans": Baseline("scikit-learn: LDA + k-means", LinearDiscriminantAnalysis, _KMEANS),
}


def estimate_k(z: np.ndarray, k_max: int, max_rows: int, seed: int) -> int:
    """The number of clusters in `2..k_max` at which k-means has the best silhouette."""
    rows = np.random.default_rng(seed).permutation(len(z))[:max_rows]
    z = z[rows]
    ks = range(2, min(k_max, len(z) - 1) + 1)
    values = [
        silhouette_score(z, KMeans(k, n_init=3, random_state=seed).fit_predict(z)) for k in ks
    ]
    return ks[int(np.argmax(values))]


class PartlyLabelled(NamedTuple):
    """Rows of a table with the labels that are left.

    Attributes:
        x: `f[n, d]`, standardised.
        y: `i[n]`, known class or `UNLABELLED`.
        k: novel classes where the number is given.
        k_max: largest number of them that is considered.
        seed: of all draws.
    """

    x: np.ndarray
    y: np.ndarray
    k: int | None
    k_max: int
    seed: int

    @property
    def n_known(self) -> int:
        """Number of known classes."""
        return int(self.y.max()) + 1

    @property
    def unlabelled(self) -> np.ndarray:
        """`f[u, d]`, the rows without a label."""
        return self.x[self.y == UNLABELLED]

    def n_novel(self, rows: np.ndarray) -> int:
        """The number that is given, or the one with the best silhouette of k-means on rows."""
        if self.k is not None:
            return self.k
        return estimate_k(rows, self.k_max, 2000, self.seed) if len(rows) > 3 else min(len(rows), 1)


class GCDBaseline(NamedTuple):
    """A way of sorting unlabelled rows that is not of this package.

    Attributes:
        title: its name in tables.
        fit: from rows to the class `i[u]` of the unlabelled ones: a known one, or `n_known` and a
            novel one.
    """

    title: str
    fit: Callable[[PartlyLabelled], np.ndarray]


def _kmeans_of_all(rows: PartlyLabelled) -> np.ndarray:
    """All unlabelled rows at once; which cluster is a known class the scores find out."""
    x = rows.unlabelled
    k = rows.n_known + rows.k if rows.k is not None else rows.n_novel(x)
    return np.asarray(_KMEANS(k, random_state=rows.seed).fit_predict(x))


def _seeded_kmeans(rows: PartlyLabelled) -> np.ndarray:
    """Semi-supervised k-means: labelled rows keep their cluster, known means are where they begin.

    Without a number, that of all rows' silhouette less the known classes, one at least.

    Source: Vaze, Han, Vedaldi, Zisserman, "Generalized category discovery", CVPR 2022.
    """
    x, y, n_known = rows.x, rows.y, rows.n_known
    k = rows.k or max(rows.n_novel(rows.unlabelled) - n_known, 1)
    means = NearestCentroid().fit(x[y != UNLABELLED], y[y != UNLABELLED]).centroids_
    others, _ = kmeans_plusplus(rows.unlabelled, k, random_state=rows.seed)
    centres, labels = np.concatenate([means, others]), y
    for _ in range(_MOST_STEPS):
        found = np.where(y == UNLABELLED, pairwise_distances_argmin(x, centres), y)
        if (found == labels).all():
            break
        labels = found
        for c in np.unique(labels):
            centres[c] = x[labels == c].mean(axis=0)
    return labels[y == UNLABELLED]


def _nearest_class(rows: PartlyLabelled) -> np.ndarray:
    """The nearest mean of a known class, within a distance that most labelled rows keep."""
    labelled = rows.y != UNLABELLED
    x, y = rows.x[labelled], rows.y[labelled]
    means = NearestCentroid().fit(x, y).centroids_
    own = np.linalg.norm(x - means[y], axis=1)
    nearest, distance = pairwise_distances_argmin_min(rows.unlabelled, means)
    return _cluster_the_rest(rows, nearest, distance > np.quantile(own, _KEPT))


def _self_training(rows: PartlyLabelled) -> np.ndarray:
    """A classifier that labels rows it is sure of; of what it rejects, k-means makes classes."""
    model = SelfTrainingClassifier(LogisticRegression(max_iter=1000), threshold=_SURE)
    chances = model.fit(rows.x, rows.y).predict_proba(rows.unlabelled)
    return _cluster_the_rest(rows, chances.argmax(axis=1), chances.max(axis=1) < _SURE)


def _cluster_the_rest(rows: PartlyLabelled, known: np.ndarray, is_new: np.ndarray) -> np.ndarray:
    labels, x = known.copy(), rows.unlabelled[is_new]
    if len(x):
        k = min(max(rows.n_novel(x), 1), len(x))
        labels[is_new] = rows.n_known + _KMEANS(k, random_state=rows.seed).fit_predict(x)
    return np.asarray(labels)


GCD_BASELINES: dict[str, GCDBaseline] = {
    "kmeans_of_all": GCDBaseline("scikit-learn: k-means of all unlabelled rows", _kmeans_of_all),
    "seeded_kmeans": GCDBaseline("semi-supervised k-means", _seeded_kmeans),
    "nearest_class": GCDBaseline("nearest known class within a distance", _nearest_class),
    "self_training": GCDBaseline("scikit-learn: self-training with rejection", _self_training),
}
