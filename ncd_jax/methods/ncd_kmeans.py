"""NCD k-means on the columns of the table: new centroids are drawn away from known classes.

The variant `novel_unlabelled_plain` weighs draws and adds up the inertia by plain distances, not
by their squares. So does the authors' code, and some of its results come from that: another local
optimum may have the lowest sum.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.2 and appendix D.
"""

from ncd_jax.clustering.ncd_kmeans import ncd_kmeans
from ncd_jax.methods.kmeans import HParams, State, kmeans_method, space
from ncd_jax.methods.spec import MethodInfo, Spec
from ncd_jax.types import Array, Clusters, Method

__all__ = ["INFO", "ncd_kmeans_method"]


def ncd_kmeans_method(spec: Spec) -> Method:
    """NCD k-means on the columns as they are, as pure functions for the shapes in `spec`.

    All but the clusters is as in k-means.
    """

    def cluster(key: Array, state: State, z: Array, k: Array | int, mask: Array) -> Clusters:
        found = ncd_kmeans(
            key,
            z,
            k,
            state.means,
            state.present,
            max_clusters=spec.max_clusters,
            mask=mask,
            power=1 if spec.variant == "novel_unlabelled_plain" else 2,
            restarts=spec.restarts,
        )
        return Clusters(found.centroids, found.labels)

    return kmeans_method(spec)._replace(cluster=cluster)


INFO = MethodInfo(
    title="NCD k-means",
    make=ncd_kmeans_method,
    hparams=HParams,
    state=State,
    space=space,
    citation="C. Troisemaine, A. Reiffers-Masson, S. Gosselin, V. Lemaire, S. Vaton: A Practical "
    "Approach to Novel Class Discovery in Tabular Data. Data Mining and Knowledge Discovery, "
    "2024. arXiv 2311.05440.",
    variants=("novel_unlabelled", "novel_unlabelled_plain"),
    masked=True,
    grid=({},),
    width=None,
)
