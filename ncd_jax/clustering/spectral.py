"""Spectral embedding of rows, with landmarks for many rows and a formula for new ones.

Rows are the nodes of a graph. Two rows are joined by the affinity `exp(-|x-y|^2 / (2 sigma^2))`,
a row with itself by none. The leading eigenvectors of `D^-1/2 A D^-1/2`, the first left out, are
the smallest of the normalised Laplacian. The width `sigma` is chosen such that the longest edge
of the minimum spanning tree keeps an affinity of `min_dist`, so that the graph is connected.

`sigma^2 = -max_MST(d^2) / (2 ln min_dist)`. The authors' published values leave out the 2: a
`min_dist` of theirs is the square of ours.

Beyond a fixed number of rows a random sample, the landmarks, is decomposed, and all other rows
are placed by the Nystroem extension, as are new ones.

Sources: von Luxburg, "A tutorial on spectral clustering", 2007; Troisemaine et al., "A Practical
Approach to Novel Class Discovery in Tabular Data", 2024, arXiv 2311.05440, section 3.3; Fowlkes et
al., "Spectral grouping using the Nystroem method", 2004; Bengio et al., "Out-of-sample extensions
for LLE, Isomap, MDS, Eigenmaps, and spectral clustering", 2003; for the spanning tree Prim,
"Shortest connection networks and some generalizations", 1957.
"""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.eigenvectors import Eigenpairs, leading_eigenpairs
from ncd_jax.clustering.rows import dot, draw_rows, mean_row, squared_distances
from ncd_jax.types import Array

__all__ = [
    "SpectralFit",
    "SpectralMap",
    "extend",
    "fit_spectral",
    "kernel_width",
    "longest_spanning_edge",
]

_LEAST_SHARE = 1e-4
"""Columns whose eigenvalue is a smaller share of the largest one are dropped.

The extension divides by it, and what landmarks and new rows differ by grows beyond all bounds. On
the digits table, 64 columns and `min_dist` 0.8, 35 per cent of the new rows of novel classes were
in the right cluster where 92 per cent of the landmarks were; without these columns 92 and 95.
"""

_NEVER = -1e30


class SpectralMap(NamedTuple):
    """What places rows in a spectral embedding.

    Attributes:
        landmarks: `f32[m, d]`, the rows whose graph was decomposed.
        active: `bool[m]`, which of them count.
        degrees: `f32[m]`, sum of each landmark's affinities; that to itself is 1 in a sample and
            0 else.
        vectors: `f32[m, w]`, eigenvectors of the random walk `D^-1 A`, one a column: those of
            `D^-1/2 A D^-1/2`, of norm 1, divided by the square root of the degrees. Columns that
            are not in use, or whose weight is too small to place rows by, are zero.
        weights: `f32[w]`, eigenvalues of the kernel with its diagonal; 0 for such columns.
        width: scalar, `sigma^2`.
    """

    landmarks: Array
    active: Array
    degrees: Array
    vectors: Array
    weights: Array
    width: Array


class SpectralFit(NamedTuple):
    """A spectral embedding, and how exact it is.

    Attributes:
        map: what places rows.
        rows: `i32[m]`, which rows the landmarks are.
        pairs: eigenpairs of the affinity; values and vectors are 0 where a column is not in use.
    """

    map: SpectralMap
    rows: Array
    pairs: Eigenpairs


def kernel_width(longest_edge: Array, min_dist: Array) -> Array:
    """`sigma^2` at which an edge of that squared length has affinity `min_dist`, in (0, 1)."""
    # Rows that are all the same are joined by affinity 1 at any width.
    edge = jnp.where(longest_edge > 0, longest_edge, 1.0)
    return -edge / (2.0 * jnp.log(min_dist))


def longest_spanning_edge(x: Array, mask: Array) -> Array:
    """Squared length, a scalar, of the longest edge that connects the unmasked rows.

    It is exact: the smallest length such that the graph of all shorter or equal edges is
    connected. Rows join the tree one by one, `n^2 d` operations in all; nothing larger than
    `x` is held. It is 0 where fewer than two rows count.

    Args:
        x: `f32[n, d]`.
        mask: `bool[n]`, rows that count.
    """
    chex.assert_rank([x, mask], [2, 1])

    def join(carry: tuple[Array, Array, Array, Array], _: None) -> tuple[tuple, None]:
        newest, outside, to_tree, longest = carry
        outside = outside.at[newest].set(False)
        to_tree = jnp.minimum(to_tree, jnp.sum((x - x[newest][None, :]) ** 2, axis=1))
        open_edges = jnp.where(outside, to_tree, jnp.inf)
        newest = jnp.argmin(open_edges)
        edge = open_edges[newest]
        longest = jnp.where(jnp.isfinite(edge), jnp.maximum(longest, edge), longest)
        return (newest, outside, to_tree, longest), None

    unreached = jnp.full(len(x), jnp.inf, x.dtype)
    start = (jnp.argmax(mask), mask, unreached, jnp.zeros((), x.dtype))
    (*_, longest), _ = jax.lax.scan(join, start, length=max(len(x) - 1, 0))
    return longest


def fit_spectral(
    key: Array,
    x: Array,
    mask: Array,
    min_dist: Array | float,
    n_components: Array | int,
    *,
    width: int,
    max_landmarks: int = 2000,
    max_tree_rows: int = 20_000,
) -> SpectralFit:
    """Decomposes the graph of the unmasked rows, or of a sample of them.

    What depends on the rows alone, distances and spanning tree, is computed once for all lanes
    where `min_dist` and `n_components` are batched and the rest is not.

    Args:
        key: random key.
        x: `f32[n, d]`.
        mask: `bool[n]`, rows that count.
        min_dist: scalar in (0, 1), the affinity of the longest edge of the spanning tree.
        n_components: scalar, columns in use, at most `width`.
        width: static number of columns.
        max_landmarks: static, rows that are decomposed at most. A run holds a few matrices of
            `4 max_landmarks^2` bytes.
        max_tree_rows: static, rows of the spanning tree at most. More than landmarks: its longest
            edge hangs on few rows, and would differ much from sample to sample.
    """
    chex.assert_rank([x, mask], [2, 1])
    key_tree, key_rows, key_vectors = jax.random.split(key, 3)
    in_tree, tree_mask = draw_rows(key_tree, mask, max_tree_rows)
    longest = longest_spanning_edge(x[in_tree], tree_mask)
    rows, active = draw_rows(key_rows, mask, max_landmarks)
    landmarks = jnp.where(active[:, None], x[rows], 0.0)
    centred = landmarks - mean_row(landmarks, active)[None, :]
    distances = squared_distances(centred, centred)
    joined = active[:, None] & active[None, :] & ~jnp.eye(len(rows), dtype=bool)

    sigma2 = kernel_width(longest, jnp.asarray(min_dist))
    # A landmark of a sample stands for many rows, which are joined with each other, so it is with
    # itself. Else the small eigenvalues would be ruled by what the diagonal lacks.
    sampled = jnp.sum(mask) > len(rows)
    affinity = jnp.where(joined, jnp.exp(-distances / (2.0 * sigma2)), 0.0)
    affinity = affinity + jnp.diag((active & sampled).astype(affinity.dtype))
    degrees = jnp.sum(affinity, axis=1)
    inverse_root = jnp.where(degrees > 0, jax.lax.rsqrt(jnp.where(degrees > 0, degrees, 1.0)), 0.0)
    total = jnp.sum(degrees)
    stationary = jnp.sqrt(degrees / jnp.where(total > 0, total, 1.0))
    pairs = leading_eigenpairs(
        key_vectors,
        affinity * inverse_root[:, None] * inverse_root[None, :],
        stationary,
        active,
        n_components,
        width=width,
    )
    used = jnp.arange(width) < n_components
    pairs = pairs._replace(
        values=jnp.where(used, pairs.values, 0.0),
        vectors=jnp.where(used[None, :], pairs.vectors, 0.0),
        residuals=jnp.where(used, pairs.residuals, 0.0),
    )
    # With ones on its diagonal the kernel has no negative eigenvalue. Those of the affinity pass
    # through zero, and an extension that divides by them is nothing but noise there.
    weights = pairs.values + jnp.where(sampled, 0.0, dot(inverse_root**2, pairs.vectors**2))
    weights = jnp.where(used, jnp.maximum(weights, 0.0), 0.0)
    kept = weights > _LEAST_SHARE * jnp.max(weights)
    placing = jnp.where(kept[None, :], pairs.vectors * inverse_root[:, None], 0.0)
    weights = jnp.where(kept, weights, 0.0)
    embedding = SpectralMap(landmarks, active, degrees, placing, weights, sigma2)
    return SpectralFit(embedding, rows, pairs)


def extend(fitted: SpectralMap, x: Array, *, chunk: int = 1024) -> tuple[Array, Array]:
    """Places rows: their values `f32[n, w]` of the eigenvectors of `D^-1 A`, and degrees `f32[n]`.

    A row equal to a landmark gets what the landmark has. Any other gets the mean of the landmarks'
    values, weighted by affinity and divided by the eigenvalue. Times the square root of the
    degree these are the eigenvectors of `D^-1/2 A D^-1/2`.

    Args:
        fitted: from `fit_spectral`.
        x: `f32[n, d]`.
        chunk: static, rows side by side; bounds memory.
    """
    centre = mean_row(fitted.landmarks, fitted.active)
    landmarks = fitted.landmarks - centre[None, :]
    norms = jnp.sum(landmarks**2, axis=1)
    # A column that is not in use has no weight, and zeros to be divided by it.
    scaled = fitted.vectors / jnp.where(fitted.weights > 0, fitted.weights, 1.0)[None, :]

    def place(row: Array) -> tuple[Array, Array]:
        centred = row - centre
        squared = norms + jnp.sum(centred**2) - 2.0 * dot(landmarks, centred)
        nearest = jnp.argmin(jnp.where(fitted.active, squared, jnp.inf))
        same = jnp.all(row == fitted.landmarks[nearest]) & fitted.active[nearest]
        exponent = -jnp.maximum(squared, 0.0) / (2.0 * fitted.width)
        exponent = jnp.where(fitted.active, exponent, _NEVER)
        values = dot(jax.nn.softmax(exponent), scaled)
        degree = jnp.sum(jnp.exp(exponent))
        return (
            jnp.where(same, fitted.vectors[nearest], values),
            jnp.where(same, fitted.degrees[nearest], degree),
        )

    return jax.lax.map(place, x, batch_size=min(chunk, max(len(x), 1)))
