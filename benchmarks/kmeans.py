"""k-means with ten restarts against scikit-learn and OTT-JAX, at equal inertia.

python -m benchmarks.kmeans                 # needs the extra `bench`
python -m benchmarks.kmeans --n=1000000 --d=16 --turns=1    # some of the sizes
python -m benchmarks.kmeans --small         # three sizes, for `make bench`

All three get the same rows, tolerance and limit of iterations; ours and scikit-learn's take turns
with the same seeds, and inertias are compared turn by turn. Scikit-learn gets one thread or all,
whichever is faster there. Where ten restarts of it would take minutes it makes one, and its time
counts ten times.
"""

import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from benchmarks.kmeans_work import (
    better_threads,
    kmeans_cost,
    overlapping_groups,
    start_iterations,
)
from benchmarks.timing import Floor, compile_program, measure_floor, timed, write_results
from ncd_jax.clustering.kmeans import kmeans

_SMALL = flags.DEFINE_bool("small", False, "Three sizes that take half a minute.")
_N = flags.DEFINE_list("n", [], "Numbers of rows; all that there are by default.")
_D = flags.DEFINE_list("d", [], "Numbers of columns; all that there are by default.")
_TURNS = flags.DEFINE_integer("turns", 3, "Turns of ours and scikit-learn.")

SMALL = ((10_000, 16, 10), (100_000, 16, 10), (10_000, 16, 50))
SIZES = (
    (100_000, 16, 10),
    *itertools.product((10_000, 100_000, 1_000_000), (16, 256), (5, 50)),
)
RESTARTS, MAX_ITER, TOL = 10, 100, 1e-4
MUCH = 5e8
"""Numbers `n K d` beyond which scikit-learn makes one restart."""
OTT_HOLDS = 2e7
"""Numbers `restarts n K` beyond which OTT-JAX is not asked: it holds them several times."""


def main(_: list[str]) -> None:
    """Measures every size, one after the other."""
    all_sizes = SMALL if _SMALL.value else SIZES
    sizes = [
        (n, d, k)
        for n, d, k in all_sizes
        if (not _N.value or str(n) in _N.value) and (not _D.value or str(d) in _D.value)
    ]
    floor = measure_floor()
    rows = [_measure(floor, *size) for size in sizes]
    write_results(
        "_".join(["kmeans", *(["small"] if _SMALL.value else []), *_N.value, *_D.value]),
        rows,
        restarts=RESTARTS,
        max_iter=MAX_ITER,
        tol=TOL,
        **floor.facts,
    )


def _measure(floor: Floor, n: int, d: int, k: int) -> dict[str, Any]:
    host, _ = overlapping_groups(n, d, k)
    x = jnp.asarray(host)

    def ours(key: jax.Array, x: jax.Array) -> Any:
        return kmeans(key, x, k, max_clusters=k, restarts=RESTARTS, max_iter=MAX_ITER, tol=TOL)

    key = jax.random.key(0)
    program = compile_program(ours, key, x)
    program.run()
    restarts = 1 if n * d * k > MUCH else RESTARTS
    threads = better_threads(host, k)

    def peer(seed: int) -> float:
        with threadpool_limits(threads):
            model = KMeans(k, n_init=restarts, max_iter=MAX_ITER, tol=TOL, random_state=seed)
            return float(model.fit(host).inertia_)

    times, inertias, iterations = [], [], []
    for seed in range(_TURNS.value):
        found, seconds = timed(functools.partial(program.call, jax.random.key(seed), x))
        inertia, theirs = timed(functools.partial(peer, seed))
        times.append((seconds, theirs * RESTARTS / restarts))
        inertias.append((float(found.inertia), inertia))
        iterations.append(int(found.n_iter))
    a, b = np.median(times, axis=0)
    ratio = float(np.median([theirs / seconds for seconds, theirs in times]))
    of_starts = int(start_iterations(x, k, max_clusters=k, max_iter=MAX_ITER, tol=TOL))
    cost = kmeans_cost(n, d, k, 2 + int(np.log(k)), of_starts, int(np.median(iterations)))
    row = {
        "n": n,
        "d": d,
        "k": k,
        "seconds": round(float(a), 3),
        "compile_seconds": round(program.seconds, 1),
        "megabytes": round(program.megabytes),
        "sklearn_seconds": round(float(b), 3),
        "sklearn_threads": threads,
        "times_sklearn": round(ratio, 1),
        "inertia_to_sklearn": round(float(np.mean([o / p for o, p in inertias])), 4),
        "times_floor": round(float(a) / floor.seconds(cost), 1),
    }
    return row | _ott(x, k, float(a), inertias[0][0])


def _ott(x: jax.Array, k: int, seconds: float, inertia: float) -> dict[str, Any]:
    if RESTARTS * len(x) * k > OTT_HOLDS:
        return {"times_ott": None, "inertia_to_ott": None}
    from ott.tools import k_means

    # Theirs is the sum of squared shifts itself.
    tol = TOL * float(jnp.var(x, axis=0).mean())
    run = jax.jit(
        lambda key: k_means.k_means(
            x, k, n_init=RESTARTS, max_iterations=MAX_ITER, tol=tol, rng=key
        )
    )
    jax.block_until_ready(run(jax.random.key(0)))
    found, theirs = timed(lambda: run(jax.random.key(0)))
    return {
        "times_ott": round(theirs / seconds, 1),
        "inertia_to_ott": round(inertia / float(found.error), 4),
    }


if __name__ == "__main__":
    app.run(main)
