"""NCD k-means on the columns of the table: new centroids are drawn away from known classes.

The variant `novel_unlabelled_plain` weighs draws and adds up the inertia by plain distances, not
by their squares. So does the authors' code, and some of its results come from that: another local
optimum may have the lowest sum.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.2 and appendix D.
"""

from typing import NamedTuple

import chex
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.clustering.rows import class_means, mean_row, squared_distances
from ncd_jax.clustering.starts import Power
from ncd_jax.methods import spaces
from ncd_jax.methods.kmeans import kmeans_method
from ncd_jax.methods.parts import PAPER, NoHParams, present_classes
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Clusters, Goal, KMeansResult, Method, NCDData

__all__ = ["INFO", "State", "ncd_kmeans", "ncd_kmeans_method"]


class State(NamedTuple):
    """Where the known classes lie.

    Attributes:
        means: `f32[C, d]` of the labelled rows of each class.
        present: `bool[C]`, known classes with a labelled row.
        opt: nothing; there is no training.
    """

    means: Array
    present: Array
    opt: tuple[()]


def ncd_kmeans(
    key: Array,
    x: Array,
    n_clusters: Array | int,
    known: State,
    *,
    max_clusters: int,
    mask: Array,
    power: Power = 2,
    restarts: int = 10,
) -> KMeansResult:
    """Clusters the unmasked rows of `x`, none of which is of a known class.

    New centroids are drawn among these rows, as in k-means++, far from the known centroids
    and from each other. Then they move as in Lloyd's algorithm. The known centroids have done
    their part in the draws: no row is assigned to them. Arguments are as those of `kmeans`.
    """
    chex.assert_rank([x, *known[:2]], [2, 2, 1])
    # A point near the data keeps the differences of squares accurate.
    centroids = jnp.where(known.present[:, None], known.means, 0.0)
    centre = mean_row(centroids, known.present)
    squared = squared_distances(x - centre[None, :], centroids - centre[None, :])
    apart = jnp.where(known.present[None, :], squared, jnp.inf)
    return kmeans(
        key,
        x,
        n_clusters,
        max_clusters=max_clusters,
        mask=mask,
        avoid=jnp.min(apart, axis=1, initial=jnp.inf),
        power=power,
        restarts=restarts,
        trials=1,  # as in the source
    )


def ncd_kmeans_method(spec: Spec) -> Method:
    """NCD k-means on the columns as they are, as pure functions for the shapes in `spec`."""
    power: Power = 1 if spec.variant == "novel_unlabelled_plain" else 2

    def init(key: Array, data: NCDData, goal: Goal, hparams: NoHParams) -> State:
        del key, goal, hparams
        means = class_means(data.x, data.y, spec.n_known)
        return State(means, present_classes(data.y, spec.n_known), ())

    def cluster(key: Array, state: State, z: Array, k: Array | int, mask: Array) -> Clusters:
        found = ncd_kmeans(
            key,
            z,
            k,
            state,
            max_clusters=spec.max_clusters,
            mask=mask,
            power=power,
            restarts=spec.restarts,
        )
        return Clusters(found.centroids, found.labels)

    return kmeans_method(spec)._replace(init=init, cluster=cluster)


INFO = MethodInfo(
    title="NCD k-means",
    make=ncd_kmeans_method,
    hparams=NoHParams,
    state=State,
    space=spaces.nothing,
    citation=PAPER,
    variants=("novel_unlabelled", "novel_unlabelled_plain"),
    masked=True,
    grid=({},),
    width=None,
)
