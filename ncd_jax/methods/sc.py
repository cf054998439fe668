"""SC, spectral clustering of the novel rows alone: what the known classes teach is not used.

The rows are embedded by the eigenvectors 2 to k+1 of their affinity graph and grouped by k-means
there. A few rows far from all others stretch this space, and sums of squares are ruled by them. So
draws are weighted by plain distances, and the restart with the lowest sum of plain distances wins.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.3.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ncd_jax.clustering.spectral import SpectralMap, extend, fit_spectral
from ncd_jax.methods import spaces
from ncd_jax.methods.parts import (
    NoHParams,
    assign_to_nearest,
    cluster_by_kmeans,
)
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Goal, Method, NCDData

__all__ = ["INFO", "State", "sc"]

# Affinity of the longest edge of the spanning tree: the authors' 0.6, in our definition.
MIN_DIST = 0.6**0.5


class State(NamedTuple):
    """The fitted model.

    Attributes:
        embedding: arrays of the `SpectralMap` by name.
        opt: nothing; there is no training.
    """

    embedding: dict[str, Array]
    opt: tuple[()]


def sc(spec: Spec) -> Method:
    """SC as pure functions for the shapes in `spec`; the embedding has `max_clusters` columns."""

    def init(key: Array, data: NCDData, goal: Goal, hparams: NoHParams) -> State:
        del hparams
        fitted = fit_spectral(
            key, data.x[goal.rows], goal.mask, MIN_DIST, goal.k, width=spec.max_clusters
        )
        return State(fitted.map._asdict(), ())

    def represent(state: State, x: Array) -> Array:
        values, degrees = extend(SpectralMap(**state.embedding), x)
        return values * jnp.sqrt(degrees)[:, None]

    cluster = cluster_by_kmeans(spec, power=1)
    return Method(init, (), represent, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="SC",
    make=sc,
    hparams=NoHParams,
    state=State,
    space=spaces.nothing,
    citation="U. von Luxburg: A Tutorial on Spectral Clustering. Statistics and Computing, 2007. "
    "As in C. Troisemaine et al.: A Practical Approach to Novel Class Discovery in Tabular Data. "
    "Data Mining and Knowledge Discovery, 2024. arXiv 2311.05440.",
    needs_k=True,
    width=None,
)
