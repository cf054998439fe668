import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from tiers import few

from ncd_jax.clustering.n_clusters import KSearch
from ncd_jax.tuning.cross_validation import Protocol, SweepData, cross_validate, one_run
from ncd_jax.tuning.train import train
from ncd_jax.types import Goal, NCDData

A, F, S = 3, 3, 2
N_HIDDEN = (2, 2, 3)  # classes in each fold
KEYS = jax.random.split(jax.random.key(0), S)
LR = [0.001, 0.003, 0.002]
# Class sizes and known rows are for the judge, which is not asked here.
FOR_JUDGE = jax.device_put((np.zeros(F, np.float32), np.zeros(1, np.int32)))


def protocol_of(k_given, lanes):
    return Protocol(
        epochs=2,
        batch_size=32,
        n_hidden=max(N_HIDDEN),
        lanes=lanes,
        k_search=None if k_given else KSearch(5, 5, "silhouette", 2, 1000),
    )


class Sweep:
    """One compiled cross-validation of the toy method."""

    def __init__(self, toy, table, folds, make_hparams, k_given, lanes):
        self.data, self.folds, self.make = table[0], folds, make_hparams
        self.protocol = protocol_of(k_given, lanes)

        @jax.jit
        def program(x, folds, hparams):
            data = SweepData(KEYS, x, folds, jnp.array(N_HIDDEN), *FOR_JUDGE)
            return cross_validate(toy, data, hparams, self.protocol, len(hparams.lr))

        self.program = program

    def __call__(self, lr=LR, **changes):
        folds = self.folds._replace(**changes)
        found = self.program(self.data.x, folds, self.make({"lr": np.array(lr)}))
        return jax.tree.map(np.asarray, found)


@pytest.fixture(scope="module", params=few(["k known", "k unknown"], "k unknown"))
def sweep(request, toy, table, folds, toy_hparams):
    """Three candidates on two devices, one at a time on each."""
    return Sweep(toy, table, folds, toy_hparams, request.param == "k known", lanes=1)


@pytest.fixture(scope="module")
def result(sweep):
    return sweep()


def check_equal(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


def take(tree, *index):
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


@pytest.fixture(scope="module")
def plain_sweep(sorting_toy, table, folds, toy_hparams):
    """Of a method without k-means, and with the number that is given: of few operations."""
    return functools.partial(Sweep, sorting_toy, table, folds, toy_hparams, True)


@pytest.fixture(scope="module")
def one_by_one(plain_sweep):
    sweep = plain_sweep(lanes=1)
    return sweep, sweep()


@pytest.fixture(params=few(["plain", "k-means"], "plain"))
def looped(request, one_by_one, sorting_toy, toy, table, folds, toy_hparams):
    """A sweep, its result, and the method that is swept."""
    if request.param == "plain":
        return *one_by_one, sorting_toy
    sweep = Sweep(toy, table, folds, toy_hparams, False, lanes=1)
    return sweep, sweep(), toy


def test_equals_nested_loops(looped, rtol):
    sweep, result, toy = looped
    run = jax.jit(lambda data, hparams: one_run(toy, data, hparams, sweep.protocol))
    for a in range(A):
        hparams = sweep.make({"lr": LR[a]})
        for f in range(F):
            for s in range(S):
                fold, k = take(sweep.folds, f), np.int32(N_HIDDEN[f])
                size, known_rows = FOR_JUDGE[0][0], FOR_JUDGE[1]
                data = SweepData(KEYS[s], sweep.data.x, fold, k, size, known_rows)
                alone = run(data, hparams)
                jax.tree.map(
                    functools.partial(np.testing.assert_allclose, rtol=100 * rtol, atol=1e-5),
                    take(result, a, f, s),
                    alone,
                )


def test_shapes(result, sweep):
    assert result.loss.shape == (A, F, S, sweep.protocol.epochs)
    for leaf in jax.tree.leaves(result._replace(loss=result.k)):
        assert leaf.shape == (A, F, S)


def test_against_other_implementations(sweep, result, toy):
    """Scikit-learn clusters, SciPy matches, NumPy counts: from the trained state on."""
    a, f, s = 1, 2, 0
    fold, hparams = jax.device_put(take(sweep.folds, f)), sweep.make({"lr": LR[a]})
    x, protocol = sweep.data.x, sweep.protocol
    key_train, *_ = jax.random.split(KEYS[s], 3)
    run = functools.partial(train, epochs=protocol.epochs, batch_size=protocol.batch_size)
    goal = Goal(fold.hidden_rows, fold.hidden_mask, N_HIDDEN[f])
    state, info = jax.jit(lambda: run(key_train, toy, NCDData(x, fold.y), goal, hparams))()
    np.testing.assert_allclose(result.loss[a, f, s], info["loss"], rtol=1e-4)

    rows = np.asarray(fold.hidden_rows)[fold.hidden_mask]
    classes = np.asarray(fold.hidden_y)[fold.hidden_mask]
    labels = KMeans(N_HIDDEN[f], n_init=5, random_state=0).fit_predict(
        toy.represent(state, x[rows])
    )
    table = np.zeros((N_HIDDEN[f],) * 2)
    np.add.at(table, (labels, classes), 1)
    expected = table[linear_sum_assignment(-table)].sum() / len(rows)
    assert result.k[a, f, s] == N_HIDDEN[f]
    np.testing.assert_allclose(result.accuracy[a, f, s], expected, rtol=1e-6)


def test_candidates_share_their_noise(sweep):
    twice = sweep([LR[0], LR[1], LR[0]])
    check_equal(take(twice, 0), take(twice, 2))
    assert not np.allclose(twice.loss[0], twice.loss[1])


def test_seeds_and_folds_differ(result):
    assert not np.allclose(result.loss[:, :, 0], result.loss[:, :, 1])
    assert not np.allclose(result.loss[:, 0], result.loss[:, 1])


def test_folds_do_not_touch_each_other(sweep, result):
    y = np.where(np.arange(F)[:, None] == 2, -1, sweep.folds.y)
    other = sweep(y=y)
    check_equal(take(result, slice(None), slice(2)), take(other, slice(None), slice(2)))
    assert not np.allclose(result.loss[:, 2], other.loss[:, 2])


@pytest.mark.parametrize("lr", [1e6, np.inf, np.nan])
def test_a_candidate_that_diverges_harms_no_other(lr, sweep, result):
    other = sweep([LR[0], lr, LR[2]])
    assert other.diverged[1].all()
    assert not other.diverged[::2].any()
    assert not result.diverged.any()
    np.testing.assert_array_equal(other.accuracy[1], 0)
    for a in (0, 2):
        check_equal(take(result, a), take(other, a))


def test_answers_are_for_scoring_only(sweep, result):
    """Other classes on hidden rows change the scores, and nothing else."""
    random = np.random.default_rng(0).permuted(sweep.folds.hidden_y, axis=1)
    other = sweep(hidden_y=random)
    check_equal(result.loss, other.loss)
    check_equal(result.k, other.k)
    assert other.accuracy.mean() < result.accuracy.mean()


def test_names_of_hidden_classes_do_not_matter(sweep, result):
    numbers = np.array(N_HIDDEN, np.int32)[:, None]
    other = sweep(hidden_y=numbers - 1 - sweep.folds.hidden_y)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), result, other)


def test_padding_does_not_matter(sweep, result):
    """Rows behind the mask may be any, and be classified in any way."""
    folds = sweep.folds
    assert not folds.hidden_mask.all()
    for row in (np.argmax(np.asarray(sweep.data.y) == 0), 17):
        rows = np.where(folds.hidden_mask, folds.hidden_rows, row).astype(np.int32)
        other = sweep(hidden_rows=rows)
        check_equal(result, other)


def test_finds_the_number_of_hidden_blobs(result):
    assert (np.asarray(result.k) == np.array(N_HIDDEN)[:, None]).mean() > 0.9
    assert result.accuracy.mean() > 0.95


def test_lanes_bound_memory_only(one_by_one, plain_sweep, rtol):
    """Two candidates side by side, and a remainder, give the same as one at a time."""
    wide, (_, result) = plain_sweep(lanes=2 * F * S), one_by_one
    lr = [*LR, *LR, LR[0]]
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=100 * rtol, atol=1e-5),
        take(wide(lr), slice(A)),
        result,
    )


def test_the_sweep_never_visits_the_host(sweep):
    """No callback, feed or transfer in the program, and none to call it."""
    given = sweep.data.x, sweep.folds, sweep.make({"lr": np.array(LR)})
    program = sweep.program.lower(*given).compile()
    assert not re.findall(r"callback|infeed|outfeed|\bsend\(|\brecv\(", program.as_text())
    placed = jax.device_put(given, program.input_shardings[0])
    with jax.transfer_guard("disallow"):
        result = jax.block_until_ready(program(*placed))
    assert result.accuracy.shape == (A, F, S)
