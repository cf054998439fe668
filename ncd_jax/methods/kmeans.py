"""k-means on the columns of the table: what there is without learning from known classes.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 6.
"""

from typing import NamedTuple

from ncd_jax.methods import spaces
from ncd_jax.methods.parts import NoHParams, assign_to_nearest, cluster_by_kmeans
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Goal, Method, NCDData

__all__ = ["INFO", "State", "kmeans_method"]


class State(NamedTuple):
    """There is nothing to fit before the clusters, and no training."""

    opt: tuple[()]


def kmeans_method(spec: Spec) -> Method:
    """k-means on the columns as they are, as pure functions for the shapes in `spec`."""

    def init(key: Array, data: NCDData, goal: Goal, hparams: NoHParams) -> State:
        del key, data, goal, hparams
        return State(())

    def represent(state: State, x: Array) -> Array:
        del state
        return x

    cluster = cluster_by_kmeans(spec)
    return Method(init, (), represent, cluster, assign_to_nearest, spec.max_clusters)


INFO = MethodInfo(
    title="k-means",
    make=kmeans_method,
    hparams=NoHParams,
    state=State,
    space=spaces.nothing,
    citation="D. Arthur, S. Vassilvitskii: k-means++: The Advantages of Careful Seeding. "
    "Symposium on Discrete Algorithms, 2007.",
    masked=True,
    grid=({},),
    width=None,
)
