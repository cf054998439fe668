"""The number of clusters by every validity index, k = 2..30, against scikit-learn.

python -m benchmarks.k_estimation           # needs the extra `bench`
python -m benchmarks.k_estimation --small   # 1000 rows, for `make bench`

As a sweep estimates it: for every number ten restarts of at most 25 iterations and the index of
the best, three times over with other seeds. The peer does the same with scikit-learn; its
clusterings are made once and count for every index. Scikit-learn has no Dunn index.
"""

import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from sklearn import metrics
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from benchmarks.kmeans_work import (
    better_threads,
    kmeans_cost,
    overlapping_groups,
    start_iterations,
)
from benchmarks.timing import Cost, compile_program, measure_floor, timed, write_results
from ncd_jax.clustering.n_clusters import INDEX_SIGNS, KSearch, estimate_by_validity
from ncd_jax.clustering.validity import INDICES

_SMALL = flags.DEFINE_bool("small", False, "A table of 1000 rows.")

D, CLASSES, MOST, REPEATS, MAX_ITER = 16, 10, 30, 3, 25
KS = range(2, MOST + 1)
PEERS = {
    "silhouette": metrics.silhouette_score,
    "davies_bouldin": metrics.davies_bouldin_score,
    "calinski_harabasz": metrics.calinski_harabasz_score,
}


def main(_: list[str]) -> None:
    """Measures ours for every index before and after the peer, and takes the median."""
    n = 1000 if _SMALL.value else 4000
    host, _groups = overlapping_groups(n, D, CLASSES)
    x, keys = jnp.asarray(host), jax.random.split(jax.random.key(0), REPEATS)

    def estimate(index: str, keys: jax.Array, x: jax.Array) -> Any:
        how = KSearch(MOST, n_known=0, index=index, max_rows=n)
        one = functools.partial(estimate_by_validity, x=x, mask=jnp.ones(n, bool), search=how)
        return jax.lax.map(one, keys)

    programs = {
        name: compile_program(functools.partial(estimate, name), keys, x) for name in INDICES
    }
    before = {name: [timed(program.run)[1] for _ in range(2)] for name, program in programs.items()}
    peer_seconds, peer_values = _peer(host)
    found = {name: timed(program.run) for name, program in programs.items()}
    floor = measure_floor()
    clustering = _clustering_cost(x)
    rows = []
    for name, program in programs.items():
        estimate_of, seconds = found[name]
        ours = float(np.median([*before[name], seconds]))
        row = {
            "index": name,
            "n": n,
            "seconds": round(ours, 2),
            "compile_seconds": round(program.seconds, 1),
            "megabytes": round(program.megabytes),
            "times_floor": round(ours / floor.seconds(_with_index(clustering, n, name)), 1),
            "k": np.asarray(estimate_of.k).tolist(),
        }
        if name in PEERS:
            ours_values = np.asarray(estimate_of.values).mean(axis=0)
            values = peer_values[name].mean(axis=0)
            row |= {
                "sklearn_seconds": round(peer_seconds[name], 2),
                "times_sklearn": round(peer_seconds[name] / ours, 1),
                "sklearn_k": [
                    KS[int(best)]
                    for best in np.argmax(INDEX_SIGNS[name] * peer_values[name], axis=1)
                ],
                "largest_difference": round(float(np.max(np.abs(ours_values / values - 1))), 3),
            }
        rows.append(row)
    write_results("k_estimation_small" if _SMALL.value else "k_estimation", rows)


def _peer(x: np.ndarray) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Seconds by index, clusterings included, and the values `f64[repeats, numbers]`."""
    values = {name: np.zeros((REPEATS, len(KS))) for name in PEERS}
    with threadpool_limits(better_threads(x, CLASSES)):
        start = time.perf_counter()
        labels = {
            (seed, k): KMeans(k, n_init=10, max_iter=MAX_ITER, random_state=seed).fit(x).labels_
            for seed in range(REPEATS)
            for k in KS
        }
        clustering = time.perf_counter() - start
        seconds = {}
        for name, measure in PEERS.items():
            start = time.perf_counter()
            for (seed, k), of_rows in labels.items():
                values[name][seed, k - KS[0]] = measure(x, of_rows)
            seconds[name] = clustering + time.perf_counter() - start
    return seconds, values


def _clustering_cost(x: jax.Array) -> Cost:
    """What all clusterings take, in as many slots as there are clusters."""
    count = functools.partial(start_iterations, x, max_clusters=MOST, max_iter=MAX_ITER)
    iterations = np.asarray(jax.jit(lambda: jax.lax.map(count, jnp.array(KS)))())
    n, d = x.shape
    costs = [
        kmeans_cost(n, d, k, 2 + int(np.log(MOST)), int(of_starts), 0)
        for k, of_starts in zip(KS, iterations, strict=True)
    ]
    flops, traffic = np.sum(costs, axis=0)
    return Cost(REPEATS * flops, REPEATS * traffic)


def _with_index(clustering: Cost, n: int, name: str) -> Cost:
    """Sums of distances by cluster are products with all pairs of rows, which are read for each."""
    if not INDICES[name].on_distances:
        return clustering
    read = 4.0 * n**2 * REPEATS * len(KS)
    products = 2.0 * n**2 * REPEATS * sum(KS) if name == "silhouette" else 0.0
    return Cost(clustering.flops + products, clustering.bytes + read)


if __name__ == "__main__":
    app.run(main)
