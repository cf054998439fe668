"""NCD k-means: k-means whose draws keep away from the known classes.

Source: Troisemaine et al., "A Practical Approach to Novel Class Discovery in Tabular Data",
2024, arXiv 2311.05440, section 3.2 and, for the variants, appendix D.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.kmeans import Power, draw_starts, lloyd, nearest, squared_distances
from ncd_jax.clustering.precise import dot
from ncd_jax.types import Array, KMeansResult

__all__ = ["VARIANTS", "Variant", "ncd_kmeans", "needs_labelled_rows"]


class Variant(NamedTuple):
    """What the centroids do, static.

    Attributes:
        moves_novel: whether the new centroids move.
        moves_known: whether the known ones do.
        on_all: whether on labelled rows too, or on unlabelled ones only.
        power: exponent of the distances that weigh draws and add up to the inertia.
    """

    moves_novel: bool
    moves_known: bool
    on_all: bool
    power: Power = 2


VARIANTS: dict[str, Variant] = {
    "novel_unlabelled": Variant(moves_novel=True, moves_known=False, on_all=False),
    "novel_all": Variant(moves_novel=True, moves_known=False, on_all=True),
    "known_unlabelled": Variant(moves_novel=False, moves_known=True, on_all=False),
    "known_all": Variant(moves_novel=False, moves_known=True, on_all=True),
    "both_unlabelled": Variant(moves_novel=True, moves_known=True, on_all=False),
    "both_all": Variant(moves_novel=True, moves_known=True, on_all=True),
    "novel_unlabelled_plain": Variant(moves_novel=True, moves_known=False, on_all=False, power=1),
}
"""By name, the default first; `ncd_kmeans` says what they mean."""


def needs_labelled_rows(variant: str) -> bool:
    """Whether the centroids of a variant move on labelled rows too."""
    return VARIANTS[variant].on_all


def ncd_kmeans(
    key: Array,
    x: Array,
    n_clusters: Array | int,
    known_centroids: Array,
    present: Array,
    *,
    max_clusters: int,
    mask: Array | None = None,
    labelled: Array | None = None,
    labelled_mask: Array | None = None,
    variant: str = "novel_unlabelled",
    restarts: int = 10,
    max_iter: int = 100,
    tol: float = 1e-4,
) -> KMeansResult:
    """Clusters the unmasked rows of `x`, none of which is of a known class.

    New centroids are drawn among these rows, as in k-means++, far from the known centroids
    and from each other. Then centroids move as in Lloyd's algorithm, and the restart with the
    lowest inertia wins. Every row belongs to the nearest new centroid.

    A variant says which centroids move, and on which rows:

    * `novel_unlabelled`: the new ones, on the rows of `x`. The known centroids have done their
      part in the draws; no row is assigned to them.
    * `novel_all`, `both_unlabelled`, `both_all`: rows are assigned among known and new
      centroids while these move, freely, labelled rows too. So known centroids take rows
      away from new ones.
    * `known_unlabelled`, `known_all`: the new ones stay where they were drawn, also
      assigned among all. What moves only matters for which restart wins.
    * `novel_unlabelled_plain`: as `novel_unlabelled`, but plain distances, not their squares,
      weigh the draws and add up to the inertia. So does the authors' code, and some of its
      results come from that: another local optimum may have the lowest sum.

    Args:
        key: random key.
        x: `f32[n, d]`.
        n_clusters: scalar between 1 and `max_clusters`.
        known_centroids: `f32[C, d]`, means of the known classes.
        present: `bool[C]`, which of them exist.
        max_clusters: static number `K` of slots for new centroids.
        mask: `bool[n]`, rows that count; all by default.
        labelled: `f32[m, d]`, labelled rows, for variants on all rows. Others ignore them.
        labelled_mask: `bool[m]`, which of them count; all by default.
        variant: static, a name in `VARIANTS`.
        restarts: independent starts.
        max_iter: iterations of each start at most.
        tol: a start stops when its centroids move by less than this share of the mean
            column variance of the unmasked rows (sum of squares over all centroids).

    Returns:
        New centroids and the labels of `x` among them. The inertia is that of the rows and
        centroids that took part in the moves.
    """
    chex.assert_rank([x, known_centroids, present], [2, 2, 1])
    moves_novel, moves_known, on_all, power = VARIANTS[variant]
    if on_all and labelled is None:
        raise ValueError(f"variant {variant} needs the labelled rows")
    weight = jnp.ones(len(x), x.dtype) if mask is None else mask.astype(x.dtype)
    # A mean near the data keeps the differences of squares accurate.
    center = dot(weight, x) / jnp.maximum(weight.sum(), 1.0)
    centered = (x - center) * weight[:, None]
    variance = jnp.sum(centered**2) / jnp.maximum(weight.sum(), 1.0) / max(x.shape[1], 1)
    known = jnp.where(present[:, None], known_centroids - center, 0.0)
    to_known = jnp.where(present, squared_distances(centered, known), jnp.inf)
    to_known = jnp.min(to_known, axis=1, initial=jnp.inf)
    active = jnp.arange(max_clusters) < n_clusters

    rows, row_weight = centered, weight
    if on_all and labelled is not None:
        others = jnp.ones(len(labelled), x.dtype) if labelled_mask is None else labelled_mask
        others = others.astype(x.dtype)
        rows = jnp.concatenate([centered, (labelled - center) * others[:, None]])
        row_weight = jnp.concatenate([weight, others])
    among_all = moves_known or on_all
    takes_rows = jnp.concatenate([active, present & among_all])
    moving = jnp.concatenate([active & moves_novel, present & moves_known])

    def start(key: Array) -> KMeansResult:
        new = draw_starts(key, centered, weight, active, to_known, power=power)
        return lloyd(
            rows,
            row_weight,
            jnp.concatenate([new, known]),
            takes_rows,
            moving,
            max_iter=max_iter,
            tol=tol * variance,
            power=power,
        )

    runs = jax.vmap(start)(jax.random.split(key, restarts))
    best = jax.tree.map(lambda leaf: leaf[jnp.argmin(runs.inertia)], runs)
    new = best.centroids[:max_clusters]
    labels = nearest(x - center, new, active)
    centroids = jnp.where(active[:, None], new + center, 0.0)
    return best._replace(centroids=centroids, labels=labels)
