"""SC, spectral clustering of the novel rows alone: what the known classes teach is not used.

The rows are embedded by the eigenvectors 2 to k+1 of their affinity graph and grouped by k-means
there. A few rows far from all others stretch this space, and sums of squares are ruled by them. So
draws are weighted by plain distances, and the restart with the lowest sum of plain distances wins.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.3.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.spectral import SpectralMap, extend, fit_spectral
from ncd_jax.methods.parts import assign_to_nearest, class_means, mean_logits, present_classes
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Clusters, Goal, Interval, Method, NCDData

__all__ = ["INFO", "HParams", "State", "sc", "space"]

# Affinity of the longest edge of the spanning tree: the authors' 0.6, in our definition.
MIN_DIST = 0.6**0.5


class HParams(NamedTuple):
    """There is nothing to tune."""


class State(NamedTuple):
    """The fitted model.

    Attributes:
        embedding: arrays of the `SpectralMap` by name.
        means: `f32[C, d]` of the labelled rows of each class.
        present: `bool[C]`, known classes with a labelled row.
        opt: nothing; there is no training.
    """

    embedding: dict[str, Array]
    means: Array
    present: Array
    opt: tuple[()]


def space(n_features: int) -> dict[str, Interval]:
    """There is nothing to tune, whatever the number of columns."""
    del n_features
    return {}


def sc(spec: Spec) -> Method:
    """SC as pure functions for the shapes in `spec`; the embedding has `max_clusters` columns.

    Known classes are told apart by the nearest class mean in the columns of the table, as known
    rows have no part in the embedding.
    """

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        del hparams
        fitted = fit_spectral(
            key, data.x[goal.rows], goal.mask, MIN_DIST, goal.k, width=spec.max_clusters
        )
        means = class_means(data.x, data.y, spec.n_known)
        return State(fitted.map._asdict(), means, present_classes(data.y, spec.n_known), ())

    def represent(state: State, x: Array) -> Array:
        values, degrees = extend(SpectralMap(**state.embedding), x)
        return values * jnp.sqrt(degrees)[:, None]

    def known_logits(state: State, x: Array) -> Array:
        return mean_logits(x, state.means, state.present)

    def cluster(key: Array, state: State, z: Array, k: Array | int, mask: Array) -> Clusters:
        """k-means by plain distances."""
        del state
        found = kmeans(
            key,
            z,
            k,
            max_clusters=spec.max_clusters,
            mask=mask,
            power=1,
            restarts=spec.restarts,
        )
        return Clusters(found.centroids, found.labels)

    return Method(init, (), represent, known_logits, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="SC",
    make=sc,
    hparams=HParams,
    state=State,
    space=space,
    citation="U. von Luxburg: A Tutorial on Spectral Clustering. Statistics and Computing, 2007. "
    "As in C. Troisemaine et al.: A Practical Approach to Novel Class Discovery in Tabular Data. "
    "Data Mining and Knowledge Discovery, 2024. arXiv 2311.05440.",
    needs_k=True,
    width=None,
)
