"""NCD SC: spectral clustering of known and novel rows together.

The embedding never looks at a label. The known classes tell which embedding is good: the one in
which they come out as clusters.

Rows of the embedding are scaled to norm 1 (Ng, Jordan and Weiss, "On spectral clustering: analysis
and an algorithm", 2001). The source's code clusters them as they are; there, a few rows far from
all others rule the sums of squares of k-means.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.3.
"""

from typing import NamedTuple

import jax.numpy as jnp

from ncd_jax.clustering.rows import unit_rows
from ncd_jax.clustering.spectral import SpectralMap, extend, fit_spectral
from ncd_jax.methods import spaces
from ncd_jax.methods.parts import PAPER, assign_to_nearest, cluster_by_kmeans
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Goal, Method, NCDData

__all__ = ["INFO", "HParams", "State", "ncd_sc"]


class HParams(NamedTuple):
    """Traced hyperparameters, each a scalar.

    Attributes:
        min_dist: affinity of the longest edge of the spanning tree, in (0, 1). The square root of
            the authors' published value.
        n_components: eigenvectors in use.
    """

    min_dist: Array
    n_components: Array


class State(NamedTuple):
    """The fitted model.

    Attributes:
        embedding: arrays of the `SpectralMap` by name.
        opt: nothing; there is no training.
    """

    embedding: dict[str, Array]
    opt: tuple[()]


def ncd_sc(spec: Spec) -> Method:
    """NCD SC as pure functions for the shapes in `spec`."""

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        del goal
        everywhere = jnp.ones(len(data.x), bool)
        fitted = fit_spectral(key, data.x, everywhere, *hparams, width=spec.latent_width)
        return State(fitted.map._asdict(), ())

    def represent(state: State, x: Array) -> Array:
        values, _ = extend(SpectralMap(**state.embedding), x)
        return unit_rows(values)

    cluster = cluster_by_kmeans(spec)
    return Method(init, (), represent, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="NCD SC",
    make=ncd_sc,
    hparams=HParams,
    state=State,
    space=spaces.ncd_sc,
    citation=PAPER,
    tuned_on_known=True,
    width="n_components",
)
