"""What benchmarks of clustering share: rows, counted work, and a peer at its best."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from benchmarks.timing import Cost, timed
from ncd_jax.clustering.kmeans import kmeans
from ncd_jax.read.threads import usable_cores

__all__ = ["better_threads", "kmeans_cost", "overlapping_groups", "start_iterations"]

SAMPLE = 16_384
"""Rows on which the restarts of our k-means compete."""


def overlapping_groups(n: int, d: int, k: int, apart: float = 3.5) -> tuple[np.ndarray, np.ndarray]:
    """Rows `f32[n, d]` of groups of unequal size, and the group `i64[n]` of each.

    Centres are `apart` deviations from each other, more or less.
    """
    rng = np.random.default_rng(0)
    centres = rng.normal(0, apart / np.sqrt(2 * d), (k, d)).astype(np.float32)
    group = rng.choice(k, n, p=rng.dirichlet(np.full(k, 5.0)))
    rows = rng.standard_normal((n, d), dtype=np.float32)
    rows += centres[group]
    return rows, group


def better_threads(x: np.ndarray, k: int) -> int:
    """Threads that serve scikit-learn best, one or all: where others work too, they spin."""

    def seconds(threads: int) -> float:
        model = KMeans(k, n_init=1, max_iter=5, random_state=0)
        with threadpool_limits(threads):
            return timed(lambda: model.fit(x[:200_000]))[1]

    return min((usable_cores(), 1), key=seconds)


def start_iterations(x: jax.Array, k: jax.Array | int, **settings: Any) -> jax.Array:
    """Iterations of ten restarts together, a scalar, on the rows where they compete.

    Args:
        x: `f32[n, d]`.
        k: number of clusters.
        **settings: of k-means.
    """

    def iterations(key: jax.Array) -> jax.Array:
        return kmeans(key, x[:SAMPLE], k, restarts=1, **settings).n_iter

    return jnp.sum(jax.vmap(iterations)(jax.random.split(jax.random.key(0), 10)))


def kmeans_cost(n: int, d: int, k: int, trials: int, of_starts: int, of_all: int) -> Cost:
    """Draws, distances and means as products; the rows are read once an iteration.

    Args:
        n: rows.
        d: columns.
        k: clusters.
        trials: draws for each of them, in each of ten restarts.
        of_starts: iterations of all restarts together.
        of_all: iterations of the winner over all rows, where there are more than compete.
    """
    sample = min(n, SAMPLE)
    of_all = of_all if n > SAMPLE else 0
    draws = 2.0 * 10 * k * trials * sample * d
    moves = 4.0 * (of_starts * sample + of_all * n) * k * d
    return Cost(draws + moves, 4.0 * (of_starts / 10 * sample + of_all * n) * d)
