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

from ncd_jax.clustering.spectral import SpectralMap, extend, fit_spectral
from ncd_jax.methods.parts import (
    assign_to_nearest,
    class_means,
    cluster_by_kmeans,
    mean_logits,
    present_classes,
)
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.networks.projection import unit_rows
from ncd_jax.types import Array, Goal, Interval, Method, NCDData

__all__ = ["INFO", "HParams", "State", "ncd_sc", "space"]


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
        means: `f32[C, L]` of the labelled landmarks of each class, in the embedding.
        present: `bool[C]`, known classes with a labelled landmark.
        opt: nothing; there is no training.
    """

    embedding: dict[str, Array]
    means: Array
    present: Array
    opt: tuple[()]


def space(n_features: int) -> dict[str, Interval]:
    """Ranges that are searched, whatever the number of columns."""
    del n_features
    return {
        "min_dist": Interval(
            0.1,
            0.993,
            valid=(1e-6, 0.9999),
            meaning="affinity of the rows that are hardest to connect",
        ),
        "n_components": Interval(
            2, 64, log=True, integer=True, valid=(1, 1000), meaning="eigenvectors in use"
        ),
    }


def ncd_sc(spec: Spec) -> Method:
    """NCD SC as pure functions for the shapes in `spec`.

    Known classes are told apart by the nearest class mean in the embedding.
    """

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        del goal
        fitted = fit_spectral(
            key,
            data.x,
            jnp.ones(len(data.x), bool),
            hparams.min_dist,
            hparams.n_components,
            width=spec.latent_width,
        )
        y = data.y[fitted.rows]
        means = class_means(unit_rows(fitted.map.vectors), y, spec.n_known)
        return State(fitted.map._asdict(), means, present_classes(y, spec.n_known), ())

    def represent(state: State, x: Array) -> Array:
        values, _ = extend(SpectralMap(**state.embedding), x)
        return unit_rows(values)

    def known_logits(state: State, x: Array) -> Array:
        return mean_logits(represent(state, x), state.means, state.present)

    cluster = cluster_by_kmeans(spec)
    return Method(init, (), represent, known_logits, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="NCD SC",
    make=ncd_sc,
    hparams=HParams,
    state=State,
    space=space,
    citation="C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical "
    "Approach to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, "
    "2024. arXiv 2311.05440.",
    tuned_on_known=True,
    width="n_components",
)
