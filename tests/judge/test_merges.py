import itertools

import jax
import numpy as np
import pytest

from ncd_jax.judge.merges import best_partition, evidence, merges

M = 7
BEST = jax.jit(best_partition)


@pytest.fixture(scope="module")
def run():
    compiled = jax.jit(merges)
    return lambda w, sizes: compiled(w.astype(np.float32), np.asarray(sizes, np.int32))


def draw(seed, sizes=None, shift=0.0):
    """Symmetric evidence, and sizes of which some are 0."""
    rng = np.random.default_rng(seed)
    w = np.triu(rng.normal(shift, 2.0, (M, M)), 1)
    sizes = rng.integers(0, 9, M) if sizes is None else np.asarray(sizes)
    w = np.where((sizes[:, None] > 0) & (sizes > 0), w + w.T, 0.0)
    return w.astype(np.float32).astype(np.float64), sizes


def brute_force(w, sizes):
    """Every partition and linkage of the path, from the means over all pairs of rows."""
    micro = np.repeat(np.arange(M), sizes)
    of_rows = w[micro[:, None], micro]
    groups = [[i] for i in range(M) if sizes[i]]
    path, linkages = [groups], []
    while len(groups) > 1:

        def mean(pair, groups=groups):
            a, b = (np.isin(micro, groups[g]) for g in pair)
            return of_rows[a][:, b].mean()

        # `max` keeps the first of equal ones.
        a, b = pair = max(itertools.combinations(range(len(groups)), 2), key=mean)
        linkages.append(mean(pair))
        joint = groups[a] + groups[b]
        groups = [joint if g == a else group for g, group in enumerate(groups) if g != b]
        path.append(groups)
    return path, linkages


def as_labels(groups):
    labels = np.full(M, -1)
    for number, group in enumerate(groups):
        labels[group] = number
    return labels


def worth_by_rows(w, sizes, labels):
    """The evidence of all pairs of rows in one group, one by one."""
    micro = np.repeat(np.arange(M), sizes)
    together = itertools.combinations(range(len(micro)), 2)
    pairs = ((micro[a], micro[b]) for a, b in together)
    return sum(w[i, j] for i, j in pairs if i != j and labels[i] == labels[j])


CASES = {
    **{f"seed {seed}": draw(seed) for seed in range(4)},
    "all above 0": draw(0, shift=9),
    "all below 0": draw(0, shift=-9),
    "equal": (np.ones((M, M)), np.full(M, 1)),
    "two levels": (np.kron(np.eye(4), np.full((2, 2), 2.0))[:M, :M] - 1, np.full(M, 2)),
    "gaps": draw(5, sizes=[3, 0, 4, 2, 0, 1, 6]),
    "one": draw(0, sizes=[0, 0, 5, 0, 0, 0, 0]),
    "two": draw(0, sizes=[0, 0, 5, 0, 1, 0, 0]),
    "none": draw(0, sizes=[0] * M),
}


@pytest.mark.parametrize("case", CASES)
def test_path_by_brute_force(run, case):
    w, sizes = CASES[case]
    path = run(w, sizes)
    wanted, linkages = brute_force(w, sizes)
    for step, labels in enumerate(path.labels):
        groups = wanted[min(step, len(wanted) - 1)]
        np.testing.assert_array_equal(labels, as_labels(groups))
    np.testing.assert_allclose(path.linkage[: len(linkages)], linkages, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(path.linkage[len(linkages) :], -np.inf)


@pytest.mark.parametrize("case", CASES)
def test_to_stop_at_0_is_to_have_most_worth(run, case):
    w, sizes = CASES[case]
    path, linkages = brute_force(w, sizes)
    stopped = next((t for t, mean in enumerate(linkages) if mean <= 0), len(linkages))
    worths = [worth_by_rows(w, sizes, as_labels(groups)) for groups in path]
    assert int(np.argmax(worths)) == stopped
    np.testing.assert_array_equal(BEST(run(w, sizes)), as_labels(path[stopped]))


def test_one_slot(run):
    path = run(np.zeros((1, 1)), [4])
    np.testing.assert_array_equal(path.labels, [[0]])
    np.testing.assert_array_equal(BEST(path), [0])
    assert path.linkage.shape == (0,)


def test_batched_equals_single(run):
    w, sizes = map(np.stack, zip(*CASES.values(), strict=True))
    both = jax.jit(jax.vmap(lambda w, sizes: (path := merges(w, sizes), best_partition(path))))
    many, best = jax.tree.map(np.asarray, both(w.astype(np.float32), sizes.astype(np.int32)))
    for lane, case in enumerate(CASES.values()):
        path = run(*case)
        np.testing.assert_array_equal(many.labels[lane], path.labels)
        np.testing.assert_allclose(many.linkage[lane], path.linkage, rtol=1e-5)
        np.testing.assert_array_equal(best[lane], BEST(path))


def test_evidence_has_limits():
    limited = jax.jit(evidence)
    log_odds = np.array([[9, 5, -7], [5, 2, 1], [-7, 1, 9]], np.float32)
    pairs = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], bool)
    np.testing.assert_array_equal(limited(log_odds, pairs), [[0, 4, -4], [4, 0, 0], [-4, 0, 0]])
