"""One battery for every method of the registry: a new one joins by being there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import few

from ncd_jax.discovery.problem import make_hparams
from ncd_jax.methods import METHODS, Spec
from ncd_jax.methods.spaces import SPACES
from ncd_jax.types import Batch, Goal, NCDData

N, D, C, STEPS, SLOTS, K = 24, 3, 4, 4, 5, 2
ABSENT = 3
KEY = jax.random.key(0)


def make_data():
    """Known classes 0 to 2 and unlabelled rows; class 3 is hidden, as in a fold."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, D)).astype(np.float32)
    y = rng.permutation(np.arange(N, dtype=np.int32) % 4)
    return NCDData(x, np.where(y == ABSENT, -1, y).astype(np.int32))


DATA = make_data()
NOVEL = np.flatnonzero(DATA.y == -1)
GOAL = jax.device_put(Goal(NOVEL, np.ones(len(NOVEL), bool), np.int32(K)))


def batch_of(data):
    """All rows; those without a label are wanted."""
    return Batch(data.x, data.y, data.y == -1)


def folds(n):
    """The data with `n` sets of labels: each hides another class of those that are left."""
    hidden = np.arange(n)[:, None] % 3
    return DATA._replace(y=np.where(DATA.y[None, :] == hidden, -1, DATA.y).astype(np.int32))


class Case:
    """A method, its hyperparameters, and a few steps of it as one compiled program."""

    def __init__(self, name, variant, count_traces):
        self.name = name
        self.info = METHODS[name]
        self.space = self.info.space(D)
        width = int(self.space[self.info.width].high) if self.info.width else D
        self.method = self.info.make(
            Spec(
                D,
                C,
                width,
                max_clusters=SLOTS,
                restarts=3,
                variant=variant or self.info.variants[0],
            )
        )
        self.counted = count_traces(self.run)
        self._train = jax.jit(self.counted)
        # As a sweep does: the rows are shared, labels and hyperparameters are not.
        self.train_many = jax.jit(jax.vmap(self.run, in_axes=(None, NCDData(None, 0), 0)))
        self.represent = jax.jit(self.method.represent)
        self.assign = jax.jit(self.method.assign)
        self.cluster = jax.jit(lambda state, z, mask: self.method.cluster(KEY, state, z, K, mask))

    def train(self, *arguments):
        """`run`, compiled; what it gives is taken to the host."""
        return jax.tree.map(np.asarray, self._train(*arguments))

    def run(self, key, data, hparams):
        """State and info after some steps, and what the method says of the rows then and before."""
        key_init, key_steps = jax.random.split(key)

        state, infos = self.method.init(key_init, data, GOAL, hparams), []
        before = self.method.represent(state, data.x)
        for stage in self.method.stages:

            def step(state, key, stage=stage):
                return stage.step(key, state, batch_of(data), hparams)

            keys = jax.random.split(key_steps, STEPS)
            state, info = jax.lax.scan(step, stage.enter(state), keys)
            infos.append(info)
        return state, infos, self.method.represent(state, data.x), before

    def middle(self, **changes):
        """Hyperparameters in the middle of their ranges."""
        values = {
            name: (i.low * i.high) ** 0.5 if i.log else (i.low + i.high) / 2
            for name, i in self.space.items()
        } | {name: value for name, value in changes.items() if name in self.space}
        return {n: round(v) if self.space[n].integer else v for n, v in values.items()}

    def corners(self, **changes):
        """Each hyperparameter at either end of its range, the others in the middle."""
        ends = [
            self.middle(**{name: end, **changes})
            for name, i in self.space.items()
            for end in (i.low, i.high)
        ]
        return ends or [self.middle()] * 2

    def hparams(self, values):
        return make_hparams(self.name, values)

    def stack(self, many):
        return self.hparams({name: np.array([v[name] for v in many]) for name in self.space})


def test_what_flags_are_made_of_is_what_methods_say():
    assert list(SPACES) == list(METHODS)
    assert all(METHODS[name].space is space for name, space in SPACES.items())


CASES = [(name, info.variants[0]) for name, info in METHODS.items()]
KEPT = ("kmeans", "rca", "ncd_sc", "baseline")
"""One of every kind; the others, which have files of their own, take long to compile."""
EVERY = pytest.mark.parametrize("case", CASES, ids="-".join, indirect=True)
OTHER_VARIANTS = [(name, other) for name, info in METHODS.items() for other in info.variants[1:]]


@pytest.fixture(
    scope="module",
    params=few(CASES, *(case for case in CASES if case[0] in KEPT)),
    ids="-".join,
)
def case(request, count_traces):
    return Case(*request.param, count_traces)


@pytest.fixture
def trained_case(case):
    if not case.method.stages:
        pytest.skip("this method is not trained")
    return case


@pytest.fixture(scope="module")
def trained(case):
    return case.train(KEY, DATA, case.hparams(case.middle()))


def check_finite(tree):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def check_close(a, b, rtol, atol):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), a, b)


def check_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_shapes(case, trained):
    state, infos, z, _ = trained
    assert z.ndim == 2
    assert len(z) == N
    assert z.dtype == jnp.float32
    for info in infos:
        assert {name: value.shape for name, value in info.items()} == dict.fromkeys(info, (STEPS,))
        assert "loss" in info
    assert "opt" in state._fields


@EVERY
def test_step_keeps_the_form_of_the_state(case):
    """Else no scan could carry it."""
    hparams = case.hparams(case.middle())
    before = jax.eval_shape(case.method.init, KEY, DATA, GOAL, hparams)
    for stage in case.method.stages:
        assert jax.eval_shape(stage.enter, before) == before
        after, _ = jax.eval_shape(stage.step, KEY, before, batch_of(DATA), hparams)
        assert before == after
    if case.method.stages:
        assert sum(stage.share for stage in case.method.stages) == pytest.approx(1)


def test_stays_finite_at_every_end_of_the_space(case):
    many = case.corners()
    check_finite(case.train_many(KEY, folds(len(many)), case.stack(many)))


@pytest.mark.thorough
@pytest.mark.parametrize("case", OTHER_VARIANTS, ids="-".join, indirect=True)
def test_other_variants_stay_finite_too(case):
    """What they are is tested where their method is."""
    test_stays_finite_at_every_end_of_the_space(case)


def test_stays_finite_under_heavy_dropout(case):
    if "dropout" in case.space:
        check_finite(case.train(KEY, DATA, case.hparams(case.middle(dropout=0.9))))


def test_stays_finite_without_a_labelled_row(case):
    nothing = DATA._replace(y=np.full(N, -1, np.int32))
    check_finite(case.train(KEY, nothing, case.hparams(case.middle())))


def test_stays_finite_on_constant_rows(case):
    same = DATA._replace(x=np.zeros_like(DATA.x))
    check_finite(case.train(KEY, same, case.hparams(case.middle())))


def test_steps_change_the_state(trained_case, trained):
    _, _, z, before = trained
    assert not np.allclose(before, z)


def test_the_key_decides(case, trained):
    hparams = case.hparams(case.middle())
    check_equal(case.train(KEY, DATA, hparams), trained)
    if case.method.stages:
        other = case.train(jax.random.key(1), DATA, hparams)
        assert not np.allclose(other[2], trained[2])


@pytest.mark.thorough
def test_jit_equals_no_jit(case, trained, rtol):
    """A single step; without `jit` Python runs its operations one by one."""
    state, hparams = trained[0], case.hparams(case.middle(lr=1e-4))
    for stage in case.method.stages:
        batch = batch_of(DATA)
        compiled, info = jax.jit(stage.step)(KEY, state, batch, hparams)
        plain, plain_info = stage.step(KEY, state, batch, hparams)
        check_close(info, plain_info, 100 * rtol, 1e-4)
        check_close(compiled._replace(opt=None), plain._replace(opt=None), 100 * rtol, 1e-3)


def test_clusters(case, trained):
    """At most as many as wanted, in the first slots; those of new rows are among them."""
    state, _, z, _ = trained
    rows = z[NOVEL]
    found = case.cluster(state, rows, np.ones(len(rows), bool))
    assert found.centroids.shape == (SLOTS, z.shape[1])
    assert found.labels.shape == (len(NOVEL),)
    assert set(np.unique(found.labels)) <= set(range(K))
    np.testing.assert_array_equal(np.asarray(found.centroids)[K:], 0)
    active = np.arange(SLOTS) < K
    again = case.assign(state._replace(opt=None), rows, found.centroids, active)
    np.testing.assert_array_equal(again, found.labels)


def test_rows_behind_the_mask_do_not_matter(case, trained):
    state, _, z, _ = trained
    mask = np.arange(len(NOVEL)) < len(NOVEL) - 2
    rows = z[NOVEL]
    a = case.cluster(state, rows, mask)
    b = case.cluster(state, np.where(mask[:, None], rows, z[0] + 1), mask)
    check_close(a.centroids, b.centroids, 1e-4, 1e-5)
    np.testing.assert_array_equal(np.asarray(a.labels)[mask], np.asarray(b.labels)[mask])


def test_vmap_over_labels_and_hparams_equals_loop(case, rtol):
    """At a small learning rate: training amplifies what other orders of summation differ by."""
    many = case.corners(lr=1e-5)
    data = folds(len(many))
    together = case.train_many(KEY, data, case.stack(many))
    for i, values in enumerate(many):
        alone = case.train(KEY, data._replace(y=data.y[i]), case.hparams(values))
        lane = jax.tree.map(lambda leaf, i=i: np.asarray(leaf)[i], together)
        # Eigenvectors of close eigenvalues turn into each other at the least rounding.
        check_close(lane[1:], alone[1:], 100 * rtol, 1e-3 if case.method.stages else 1e-2)


def test_hparams_are_no_new_compilation(case, trained):
    before = case.counted.traces
    for values in case.corners():
        case.train(KEY, DATA, case.hparams(values))
    assert case.counted.traces == before


def test_the_model_is_the_state_without_opt(case, trained):
    state, _, z, _ = trained
    model = state._replace(opt=None)
    check_close(case.represent(model, DATA.x), z, 1e-4, 1e-5)


def test_evaluation_looks_at_each_row_alone(case, trained):
    state, others = trained[0], np.where(np.arange(N)[:, None] < N // 2, DATA.x, np.float32(7))
    a, b = case.represent(state, DATA.x), case.represent(state, others)
    check_close(np.asarray(a)[: N // 2], np.asarray(b)[: N // 2], 1e-4, 1e-5)
    check_equal(case.represent(state, DATA.x), a)


@EVERY
@pytest.mark.parametrize("n_features", [1, 2, 16, 64, 1000])
def test_space_is_valid_for_tables_of_any_width(case, n_features):
    space = case.info.space(n_features)
    assert list(space) == list(case.space)
    assert sorted(space) == sorted(case.info.hparams._fields)
    for interval in space.values():
        assert interval.low < interval.high
        if interval.log:
            assert interval.low > 0
        if interval.integer:
            assert interval.low == int(interval.low) >= 1
            assert interval.high == int(interval.high)
