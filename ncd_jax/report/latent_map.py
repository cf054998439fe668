"""A two-dimensional picture of the latent space."""

from collections.abc import Sequence

import numpy as np
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from ncd_jax.report.findings import LatentMap

__all__ = ["latent_map"]

_ITERATIONS = 500
"""Of t-SNE; the picture of a thousand points hardly moves after them."""
_FEWEST_FOR_TSNE = 8
"""With fewer distinct points neighbourhoods mean nothing, and t-SNE divides by zero."""


def latent_map(
    z: np.ndarray,
    rows: np.ndarray,
    labels: Sequence[str],
    is_novel: np.ndarray,
    truth: Sequence[str] | None,
    *,
    seed: int,
    max_points: int = 1000,
) -> LatentMap:
    """Lays latents out in the plane with t-SNE.

    Args:
        z: `f[n, L]`, latents of known and unlabelled rows.
        rows: `i[n]`, their row numbers in the table.
        labels: the known class or `novel_i` of each.
        is_novel: `bool[n]`, whether the row is in a novel class.
        truth: true class of each where it is known.
        seed: of the sample and of t-SNE.
        max_points: most points drawn. Known rows keep at least a third of them, unlabelled
            rows two thirds, as far as there are that many.

    Returns:
        The picture, in order of row.
    """
    chosen = _sample(np.asarray(is_novel), max_points, np.random.default_rng(seed))
    chosen = chosen[np.argsort(np.asarray(rows)[chosen])]
    points = np.nan_to_num(np.asarray(z, dtype=np.float64)[chosen])
    return LatentMap(
        xy=_embed(points, seed),
        row=np.asarray(rows)[chosen],
        label=tuple(labels[i] for i in chosen),
        is_novel=np.asarray(is_novel)[chosen],
        truth=None if truth is None else tuple(truth[i] for i in chosen),
    )


def _sample(is_novel: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    known, novel = np.flatnonzero(~is_novel), np.flatnonzero(is_novel)
    n_known = min(known.size, max(size // 3, size - novel.size))
    n_novel = min(novel.size, size - n_known)
    return np.concatenate(
        [random.choice(known, n_known, replace=False), random.choice(novel, n_novel, replace=False)]
    )


def _embed(points: np.ndarray, seed: int) -> np.ndarray:
    # t-SNE starts from two principal axes, so there must be two columns.
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
    n_distinct = len(np.unique(points, axis=0))
    if n_distinct < _FEWEST_FOR_TSNE:
        return _principal_axes(points)
    perplexity = min(30.0, (n_distinct - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=_ITERATIONS)
    # Its threads wait for each other in every iteration: on a busy machine one alone was
    # measured six times faster than two.
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(points))


def _principal_axes(points: np.ndarray) -> np.ndarray:
    """Coordinates on the first two principal axes; zeros where there is no spread."""
    if len(points) == 0:
        return np.zeros((0, 2))
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    xy = centred @ axes[:2].T
    return np.pad(xy, ((0, 0), (0, 2 - xy.shape[1])))
