"""k-means on the columns of the table: what there is without learning from known classes.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 6.
"""

from typing import NamedTuple

from ncd_jax.methods.parts import (
    assign_to_nearest,
    class_means,
    cluster_by_kmeans,
    mean_logits,
    present_classes,
)
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Goal, Interval, Method, NCDData

__all__ = ["INFO", "HParams", "State", "kmeans_method", "space"]


class HParams(NamedTuple):
    """There is nothing to tune."""


class State(NamedTuple):
    """What is known about the known classes; k-means does not look at it.

    Attributes:
        means: `f32[C, d]` of the labelled rows of each class.
        present: `bool[C]`, known classes with a labelled row.
        opt: nothing; there is no training.
    """

    means: Array
    present: Array
    opt: tuple[()]


def space(n_features: int) -> dict[str, Interval]:
    """There is nothing to tune, whatever the number of columns."""
    del n_features
    return {}


def kmeans_method(spec: Spec) -> Method:
    """k-means on the columns as they are, as pure functions for the shapes in `spec`."""

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        del key, goal, hparams
        means = class_means(data.x, data.y, spec.n_known)
        return State(means, present_classes(data.y, spec.n_known), ())

    def represent(state: State, x: Array) -> Array:
        del state
        return x

    def known_logits(state: State, x: Array) -> Array:
        return mean_logits(x, state.means, state.present)

    cluster = cluster_by_kmeans(spec)
    return Method(init, (), represent, known_logits, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="k-means",
    make=kmeans_method,
    hparams=HParams,
    state=State,
    space=space,
    citation="D. Arthur, S. Vassilvitskii: k-means++: The Advantages of Careful Seeding. "
    "Symposium on Discrete Algorithms, 2007.",
    masked=True,
    grid=({},),
    width=None,
)
