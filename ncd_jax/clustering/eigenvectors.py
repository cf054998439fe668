"""Leading eigenvectors of a symmetric matrix by a restarted block Krylov iteration.

A block of random vectors is multiplied by the matrix a few times; within the space that these
products span, the best approximations (Ritz vectors) are found exactly. The next round starts from
more of them than are wanted, which makes up for what a restart forgets.
Its cost is a few hundred products with a vector where a full decomposition costs `n^3`.

Sources: Golub and Underwood, "The block Lanczos method for computing eigenvalues", 1977; Musco
and Musco, "Randomized block Krylov methods for stronger and faster approximate singular value
decomposition", 2015; Wu and Simon, "Thick-restart Lanczos method for large symmetric eigenvalue
problems", 2000.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from ncd_jax.clustering.rows import dot
from ncd_jax.types import Array

__all__ = ["Eigenpairs", "leading_eigenpairs"]

_OVERSAMPLING = 8
# Measured on 2000 rows and 10 columns: 24 blocks need one round too, which takes 8 times as long.
_MOST_BLOCKS = 12
# What float32 leaves of a vector that depends on others, with a margin.
_DEPENDENT = 1e-5
# Below every eigenvalue of a normalised affinity: unused directions come last.
_UNUSED = -4.0
# Residuals of float32 products get no smaller, as a share of the largest eigenvalue.
_ROUNDING = 5e-6


# One lane after the other: LAPACK's batches wait for threads of the pool that they themselves run
# in, and where as many devices as it has threads do so, they wait for ever.
_qr = jax.custom_batching.sequential_vmap(lambda a: tuple(jnp.linalg.qr(a)))
_eigh = jax.custom_batching.sequential_vmap(lambda a: tuple(jnp.linalg.eigh(a)))


class Eigenpairs(NamedTuple):
    """Approximate eigenpairs in the order of falling eigenvalues.

    Attributes:
        values: `f32[w]`; 0 where there is no further eigenpair.
        vectors: `f32[n, w]`, orthonormal columns; 0 where there is no further eigenpair.
        residuals: `f32[w]`, norms of `A v - value v`. The value is off by at most that, and the
            angle of a vector to the true eigenspace by about that over the gap to the others.
        n_iter: scalar, rounds that were needed.
        converged: scalar bool, whether the residuals that count came below the tolerance.
    """

    values: Array
    vectors: Array
    residuals: Array
    n_iter: Array
    converged: Array


def leading_eigenpairs(
    key: Array,
    matrix: Array,
    known: Array,
    mask: Array,
    n_wanted: Array | int,
    *,
    width: int,
    most_columns: int = 440,
    max_iter: int = 12,
    tol: float = 1e-5,
) -> Eigenpairs:
    """Eigenpairs with the largest eigenvalues, apart from one that is known.

    Equal arguments give equal results, signs included.

    Args:
        key: random key, for the start.
        matrix: `f32[n, n]`, symmetric, eigenvalues in [-1, 1]; zero rows where masked.
        known: `f32[n]`, an eigenvector of norm 1 that is not wanted, or zero.
        mask: `bool[n]`, rows that count.
        n_wanted: scalar, the pairs that must converge.
        width: static number of pairs returned.
        most_columns: static, columns of the space that is searched in a round, at most. Matrices
            that are no larger are decomposed exactly.
        max_iter: rounds at most.
        tol: a residual has converged below this share of the range from the largest to the
            smallest of the approximate eigenvalues, or when float32 has no better.
    """
    n = len(matrix)
    chex.assert_shape([matrix, known, mask], [(n, n), (n,), (n,)])
    key_start, key_sign = jax.random.split(key)
    operator = _Operator(matrix, known, mask)
    if most_columns >= n:
        first = _orthonormal(jnp.eye(n, dtype=matrix.dtype), operator.project)
        unknown = jnp.zeros(n, matrix.dtype)
        whole = _Round(first, operator.multiply(first), first, unknown, unknown, jnp.int32(0))
        end = _rayleigh_ritz(whole, n)
    else:
        block = width + _OVERSAMPLING
        n_blocks = min(max(most_columns // block, 3), _MOST_BLOCKS)
        n_kept = max(n_blocks // 3, 1)

        def improve(carry: _Round) -> _Round:
            return _rayleigh_ritz(_grow(operator, carry, n_kept, block), n_kept * block)

        def unfinished(carry: _Round) -> Array:
            going = (carry.n_iter < max_iter) & carry.is_open(n_wanted, tol)
            return (carry.n_iter < 1) | going

        random = jax.random.normal(key_start, (n, block), matrix.dtype)
        empty = jnp.zeros((n, n_blocks * block), matrix.dtype)
        unknown = jnp.zeros(n_kept * block, matrix.dtype)
        first = _orthonormal(random, operator.project)
        start = _Round(empty, empty, first, unknown, unknown, jnp.int32(0))
        end = jax.lax.while_loop(unfinished, improve, start)
    side = jax.random.normal(key_sign, (n,), matrix.dtype)
    return _pairs(end, side, mask, width, converged=~end.is_open(n_wanted, tol))


class _Operator(NamedTuple):
    """The matrix on the rows that count, across the eigenvector that is known."""

    matrix: Array
    known: Array
    mask: Array

    def project(self, w: Array) -> Array:
        """Columns `f32[n, b]` without what is masked or known of them."""
        w = w * self.mask[:, None]
        return w - self.known[:, None] * dot(self.known, w)[None, :]

    def multiply(self, w: Array) -> Array:
        """The matrix times columns `f32[n, b]`, projected."""
        return self.project(dot(self.matrix, w))


class _Round(NamedTuple):
    """A space to search in: columns of a basis, of which unused ones are zero.

    Attributes:
        basis: `f32[n, c]`, orthonormal columns, the best approximations first.
        image: `f32[n, c]`, the matrix times the basis.
        beyond: `f32[n, b]`, orthonormal columns for what of the image is not in the basis.
        values: `f32[q]`, approximate eigenvalues of the first columns.
        residuals: `f32[q]`, their residual norms.
        n_iter: scalar, rounds so far.
    """

    basis: Array
    image: Array
    beyond: Array
    values: Array
    residuals: Array
    n_iter: Array

    def is_open(self, n_wanted: Array | int, tol: float) -> Array:
        """Whether one of the first `n_wanted` residuals is too large; see `leading_eigenpairs`."""
        exists = self.values > _UNUSED / 2
        spread = self.values[0] - jnp.min(jnp.where(exists, self.values, self.values[0]))
        enough = jnp.maximum(tol * spread, _ROUNDING * jnp.max(jnp.abs(self.values) * exists))
        count = exists & (jnp.arange(len(self.values)) < n_wanted)
        return jnp.any(count & (self.residuals > enough))


def _orthonormal(w: Array, remove: Callable[[Array], Array]) -> Array:
    """Orthonormal columns for `w` without what `remove` removes; dependent ones become zero."""
    for _ in range(2):  # the second pass takes out what rounding left
        size = jnp.linalg.norm(w, axis=0)
        q, r = _qr(remove(w / jnp.where(size > 0, size, 1.0)[None, :]))
        # Where a column is dependent `q` has an arbitrary one, and those after it have a part of
        # that. The second pass removes it, and has the dependent ones last.
        dependent = jnp.abs(jnp.diagonal(r)) < _DEPENDENT
        w = jnp.where(dependent, 0.0, q)[:, jnp.argsort(dependent)]
    return w


def _grow(operator: _Operator, start: _Round, n_kept: int, block: int) -> _Round:
    """Fills the basis behind its first `n_kept` blocks by products with the matrix."""

    def add(i: Array, carry: _Round) -> _Round:
        basis = jax.lax.dynamic_update_slice_in_dim(carry.basis, carry.beyond, i * block, axis=1)
        product = operator.multiply(carry.beyond)
        image = jax.lax.dynamic_update_slice_in_dim(carry.image, product, i * block, axis=1)
        beyond = _orthonormal(product, lambda w: operator.project(w - dot(basis, dot(basis.T, w))))
        return carry._replace(basis=basis, image=image, beyond=beyond)

    return jax.lax.fori_loop(n_kept, start.basis.shape[1] // block, add, start)


def _rayleigh_ritz(grown: _Round, n_kept: int) -> _Round:
    """The best approximations in the space of the basis, as the start of a next round."""
    small = dot(grown.basis.T, grown.image)
    unused = 1.0 - jnp.round(jnp.sum(grown.basis**2, axis=0))
    small = 0.5 * (small + small.T) + _UNUSED * jnp.diag(unused)
    values, coordinates = _eigh(small)
    values, coordinates = values[::-1][:n_kept], coordinates[:, ::-1][:, :n_kept]
    vectors, products = dot(grown.basis, coordinates), dot(grown.image, coordinates)
    residuals = jnp.linalg.norm(products - vectors * values[None, :], axis=0)
    padding = ((0, 0), (0, len(small) - n_kept))
    return grown._replace(
        basis=jnp.pad(vectors, padding),
        image=jnp.pad(products, padding),
        values=values,
        residuals=jnp.where(values > _UNUSED / 2, residuals, 0.0),
        n_iter=grown.n_iter + 1,
    )


def _pairs(end: _Round, side: Array, mask: Array, width: int, *, converged: Array) -> Eigenpairs:
    """The first pairs of the last round, with zeros where there are fewer than `width`."""
    missing = max(width - len(end.values), 0)
    vectors = jnp.pad(end.basis[:, :width], ((0, 0), (0, max(width - end.basis.shape[1], 0))))
    values = jnp.pad(end.values[:width], (0, missing), constant_values=_UNUSED)
    residuals = jnp.pad(end.residuals[:width], (0, missing))
    exists = values > _UNUSED / 2
    # An eigenvector has no sign of its own; the side of a random vector gives it one.
    sign = jnp.where(dot(side, vectors) < 0, -1.0, 1.0)
    return Eigenpairs(
        jnp.where(exists, values, 0.0),
        jnp.where(exists, vectors * sign[None, :], 0.0) * mask[:, None],
        jnp.where(exists, residuals, 0.0),
        end.n_iter,
        converged,
    )
