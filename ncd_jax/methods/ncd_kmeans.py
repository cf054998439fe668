"""NCD k-means on the columns of the table: new centroids are drawn away from known classes.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.2 and appendix D.
"""

from typing import NamedTuple

from ncd_jax.clustering.ncd_kmeans import VARIANTS, ncd_kmeans, needs_labelled_rows
from ncd_jax.methods.kmeans import HParams, kmeans_method, space
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import UNLABELLED, Array, Clusters, Goal, Method, NCDData

__all__ = ["INFO", "State", "ncd_kmeans_method"]


class State(NamedTuple):
    """What clustering asks about the known classes.

    Attributes:
        means: `f32[C, d]` of the labelled rows of each class.
        present: `bool[C]`, known classes with a labelled row.
        rows: `f32[n, d]`, all rows of the table for the variants whose centroids move on
            labelled rows; for the others there are none, `f32[0, d]`.
        labelled: `bool[n]`, which of these rows have a label.
        opt: nothing; there is no training.
    """

    means: Array
    present: Array
    rows: Array
    labelled: Array
    opt: tuple[()]


def ncd_kmeans_method(spec: Spec) -> Method:
    """NCD k-means on the columns as they are, as pure functions for the shapes in `spec`."""
    variant = spec.variant or INFO.variants[0]
    # Columns as they are and the nearest class mean: as in k-means.
    plain = kmeans_method(spec)

    def init(key: Array, data: NCDData, goal: Goal, hparams: HParams) -> State:
        means, present, opt = plain.init(key, data, goal, hparams)
        keep = len(data.x) if needs_labelled_rows(variant) else 0
        return State(means, present, data.x[:keep], data.y[:keep] != UNLABELLED, opt)

    def cluster(key: Array, state: State, z: Array, k: Array | int, mask: Array) -> Clusters:
        found = ncd_kmeans(
            key,
            z,
            k,
            state.means,
            state.present,
            max_clusters=spec.max_clusters,
            mask=mask,
            labelled=state.rows,
            labelled_mask=state.labelled,
            variant=variant,
            restarts=spec.restarts,
        )
        return Clusters(found.centroids, found.labels)

    return plain._replace(init=init, cluster=cluster)


INFO = MethodInfo(
    title="NCD k-means",
    make=ncd_kmeans_method,
    hparams=HParams,
    state=State,
    space=space,
    citation="C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical "
    "Approach to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, "
    "2024. arXiv 2311.05440.",
    variants=tuple(VARIANTS),
    width=None,
)
