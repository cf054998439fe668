import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score
from tiers import few

from ncd_jax.methods import ncd_sc, sc
from ncd_jax.methods.parts import NoHParams
from ncd_jax.methods.spec import Spec
from ncd_jax.types import Goal, NCDData

KEY = jax.random.key(0)
N, SLOTS, WIDTH = 96, 5, 12


def make_data():
    """Four groups: two known classes and two novel ones."""
    rng = np.random.default_rng(0)
    group = rng.permutation(np.arange(N) % 4)
    centres = np.array([[0.0, 4.0], [0.0, -4.0], [-2.0, 0.0], [2.0, 0.0]])
    x = centres[group] + 0.6 * rng.normal(size=(N, 2))
    y = np.where(group < 2, group, -1)
    return NCDData(x.astype(np.float32), y.astype(np.int32)), group - 2


DATA, TRUTH = make_data()
NOVEL = np.flatnonzero(DATA.y == -1).astype(np.int32)
N_NOVEL, SPARE = len(NOVEL), 30
# Behind them rows that do not count: there always is room.
GOAL = Goal(
    np.append(NOVEL, np.zeros(SPARE, np.int32)), np.arange(N_NOVEL + SPARE) < N_NOVEL, np.int32(2)
)
SPEC = Spec(n_features=2, n_known=3, latent_width=WIDTH, max_clusters=SLOTS, restarts=5)
METHODS = {"sc": (sc.sc(SPEC), NoHParams()), "ncd_sc": (ncd_sc.ncd_sc(SPEC), None)}


def hparams(min_dist=0.3, n_components=3):
    return ncd_sc.HParams(np.float32(min_dist), np.int32(n_components))


def discover(key, data, goal, h, *, method):
    state = method.init(key, data, goal, h)
    model = state._replace(opt=None)
    z = method.represent(model, data.x[goal.rows])
    clusters = method.cluster(key, model, z, goal.k, goal.mask)
    active = jnp.arange(SLOTS) < goal.k
    assigned = method.assign(model, z, clusters.centroids, active)
    return state, z, clusters, assigned


RUN = {
    name: jax.jit(functools.partial(discover, method=found)) for name, (found, _) in METHODS.items()
}


@pytest.fixture(params=few(METHODS, "ncd_sc"))
def method(request):
    """A method as one compiled program, and its hyperparameters."""
    h = METHODS[request.param][1]
    return RUN[request.param], hparams() if h is None else h


def test_clusters(method):
    run, h = method
    _, z, clusters, assigned = run(KEY, DATA, GOAL, h)
    assert clusters.centroids.shape == (SLOTS, z.shape[1])
    assert adjusted_rand_score(TRUTH[NOVEL], clusters.labels[:N_NOVEL]) == 1
    np.testing.assert_array_equal(assigned, clusters.labels)


def test_padding_changes_nothing(method):
    """Rows of the goal that do not count: SC must not see them, NCD SC embeds them anyway."""
    run, h = method
    state, _, clusters, *_ = run(KEY, DATA, GOAL, h)
    rows = np.append(NOVEL, np.arange(SPARE, dtype=np.int32))
    other, _, found, *_ = run(KEY, DATA, GOAL._replace(rows=rows), h)
    np.testing.assert_array_equal(found.labels[:N_NOVEL], clusters.labels[:N_NOVEL])
    np.testing.assert_allclose(other.embedding["width"], state.embedding["width"], rtol=1e-6)


def test_sc_uses_as_many_columns_as_clusters():
    for k in (2, 4):
        _, z, clusters, *_ = RUN["sc"](KEY, DATA, GOAL._replace(k=np.int32(k)), NoHParams())
        z = np.asarray(z)[:N_NOVEL]
        assert z.shape == (N_NOVEL, SLOTS)
        np.testing.assert_array_equal(z[:, k:], 0)
        assert (np.abs(z[:, :k]).max(axis=0) > 0).all()
        np.testing.assert_allclose(z[:, :k].T @ z[:, :k], np.eye(k), atol=1e-3)
        assert set(np.asarray(clusters.labels)[:N_NOVEL]) == set(range(k))


def test_sc_does_not_look_at_known_rows():
    other = DATA._replace(x=np.where((DATA.y >= 0)[:, None], np.float32(7), DATA.x))
    a, b = (np.asarray(RUN["sc"](KEY, data, GOAL, NoHParams())[1]) for data in (DATA, other))
    np.testing.assert_array_equal(a[:N_NOVEL], b[:N_NOVEL])


def test_ncd_sc_embeds_without_labels():
    z = np.asarray(RUN["ncd_sc"](KEY, DATA, GOAL, hparams())[1])
    assert z.shape == (N_NOVEL + SPARE, WIDTH)
    np.testing.assert_allclose(np.linalg.norm(z, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(z[:, 3:], 0)
    unlabelled = DATA._replace(y=np.full(N, -1, np.int32))
    np.testing.assert_array_equal(z, RUN["ncd_sc"](KEY, unlabelled, GOAL, hparams())[1])


def test_sc_keeps_the_restart_with_the_lowest_sum_of_distances():
    """Three rows far out: by squares they would have a cluster, and two groups share one."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0.0, 1.0], 200)
    z = np.stack([groups, np.zeros(400)], 1) + rng.normal(0, 0.1, (400, 2))
    z = np.concatenate([z, [[0.5, 12.0]] * 3]).astype(np.float32)
    found = sc.sc(dataclasses.replace(SPEC, restarts=20))
    clusters = jax.jit(lambda z: found.cluster(KEY, None, z, 2, jnp.ones(len(z), bool)))(z)
    assert adjusted_rand_score(groups, clusters.labels[:400]) > 0.9


@pytest.mark.thorough
def test_vmap_over_candidates_equals_loop():
    run = RUN["ncd_sc"]
    many = ncd_sc.HParams(np.float32([0.2, 0.5, 0.8]), np.int32([2, 5, 3]))
    together = np.asarray(jax.jit(jax.vmap(lambda h: run(KEY, DATA, GOAL, h)[1]))(many))
    for i in range(3):
        one = run(KEY, DATA, GOAL, jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], many))[1]
        np.testing.assert_allclose(together[i], one, atol=2e-3)
