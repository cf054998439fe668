"""NCD SC against a dense decomposition of the full Laplacian.

python -m benchmarks.spectral               # needs no extra
python -m benchmarks.spectral --small       # 2000 rows, for `make bench`

Ours is the whole method: spanning tree, affinity, eigenvectors, all rows placed, and the novel
ones clustered. The peer decomposes the Laplacian of all rows with LAPACK, at the kernel width that
ours found, and clusters the novel rows with scikit-learn; scikit-learn's own spectral clustering
is given the same affinity. The larger tables are ours alone: a dense Laplacian of 100,000 rows
would take 40 GB.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import app, flags
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans, SpectralClustering
from sklearn.metrics import adjusted_rand_score

from benchmarks.kmeans_work import overlapping_groups
from benchmarks.timing import Cost, Floor, compile_program, measure_floor, timed, write_results
from ncd_jax.methods import Spec
from ncd_jax.methods.ncd_sc import HParams, ncd_sc
from ncd_jax.types import UNLABELLED, Goal, NCDData

_SMALL = flags.DEFINE_bool("small", False, "A table of 2000 rows.")
_N = flags.DEFINE_list("n", [], "Numbers of rows; all that there are by default.")

D, KNOWN, NOVEL, COMPONENTS, MIN_DIST = 16, 6, 4, 10, 0.8
SIZES = (2_000, 6_000, 18_000, 100_000)
DENSE = 6_000
"""Rows that a dense decomposition is waited for."""


def main(_: list[str]) -> None:
    """Measures every number of rows."""
    sizes = [2_000] if _SMALL.value else [int(n) for n in _N.value] or SIZES
    floor = measure_floor()
    rows = [_measure(floor, n) for n in sizes]
    write_results(
        "_".join(["spectral", *(["small"] if _SMALL.value else []), *_N.value]),
        rows,
        columns=D,
        components=COMPONENTS,
        min_dist=MIN_DIST,
    )


def _measure(floor: Floor, n: int) -> dict[str, Any]:
    host, classes = overlapping_groups(n, D, KNOWN + NOVEL, apart=4.5)
    y = np.where(classes < KNOWN, classes, UNLABELLED)
    novel = np.flatnonzero(y == UNLABELLED)
    goal = Goal(jnp.asarray(novel), jnp.ones(len(novel), bool), jnp.int32(NOVEL))
    data = NCDData(jnp.asarray(host), jnp.asarray(y, jnp.int32))
    method = ncd_sc(Spec(D, KNOWN, COMPONENTS, NOVEL))
    hparams = HParams(jnp.float32(MIN_DIST), jnp.int32(COMPONENTS))

    def ours(key: jax.Array, data: NCDData, goal: Goal) -> tuple[jax.Array, jax.Array]:
        key_fit, key_cluster = jax.random.split(key)
        state = method.init(key_fit, data, goal, hparams)
        z = method.represent(state, data.x[goal.rows])
        labels = method.cluster(key_cluster, state, z, goal.k, goal.mask).labels
        return labels, state.embedding["width"]

    program = compile_program(ours, jax.random.key(0), data, goal)
    program.run()
    turns = 1 if n > DENSE else 3
    runs = [
        timed(functools.partial(program.call, jax.random.key(seed), data, goal))
        for seed in range(turns)
    ]
    seconds = float(np.median([each for _, each in runs]))
    truth = classes[novel]
    row = {
        "n": n,
        "seconds": round(seconds, 2),
        "compile_seconds": round(program.seconds, 1),
        "megabytes": round(program.megabytes),
        "ari": round(
            float(np.mean([adjusted_rand_score(truth, labels) for (labels, _), _ in runs])), 3
        ),
        "times_floor": round(seconds / floor.seconds(_cost(n)), 1),
    }
    if n > DENSE:
        return row
    width = float(runs[0][0][1])
    labels, theirs = timed(lambda: _dense(host, width, novel))
    row |= {
        "dense_seconds": round(theirs, 2),
        "times_dense": round(theirs / seconds, 1),
        "dense_ari": round(float(adjusted_rand_score(truth, labels)), 3),
    }
    model = SpectralClustering(KNOWN + NOVEL, gamma=1 / (2 * width), random_state=0)
    labels, theirs = timed(lambda: model.fit(host).labels_[novel])
    return row | {
        "sklearn_seconds": round(theirs, 2),
        "times_sklearn": round(theirs / seconds, 1),
        "sklearn_ari": round(float(adjusted_rand_score(truth, labels)), 3),
    }


def _dense(x: np.ndarray, width: float, novel: np.ndarray) -> np.ndarray:
    """The definition: all eigenvectors of all rows, of which a few are clustered."""
    affinity = np.exp(cdist(x, x, "sqeuclidean") / (-2 * width)).astype(np.float32)
    np.fill_diagonal(affinity, 0)
    root = np.sqrt(affinity.sum(axis=1))
    _, vectors = eigh(affinity / root[:, None] / root[None, :], overwrite_a=True)
    z = vectors[:, -2 : -2 - COMPONENTS : -1] / root[:, None]
    z = z[novel] / np.linalg.norm(z[novel], axis=1, keepdims=True)
    return KMeans(NOVEL, n_init=10, random_state=0).fit(z).labels_


def _cost(n: int) -> Cost:
    """Spanning tree, affinity of the landmarks, some 400 products with it, and placing the rows."""
    tree, landmarks = min(n, 20_000), min(n, 2_000)
    flops = 3.0 * tree**2 * D + 2.0 * landmarks**2 * (D + 400) + 2.0 * n * landmarks * (D + 10)
    return Cost(flops, 4.0 * (n * D + landmarks**2 * 50))


if __name__ == "__main__":
    app.run(main)
