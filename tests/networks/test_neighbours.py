import functools
from collections import deque

import jax
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chisquare

from ncd_jax.networks.augmentation import (
    FAR,
    Memory,
    augment,
    distance_levels,
    empty_memory,
    level_of_rank,
    push,
)

KEY = jax.random.key(0)
N, D, SLOTS, FILLED = 40, 15, 60, 25
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
LABELLED = RNG.random(N) < 0.4
EARLIER = RNG.normal(size=(FILLED, D)).astype(np.float32)
EARLIER_LABELLED = RNG.random(FILLED) < 0.6
# A level is this much of a distance; both distances of a comparison may be off by half of it.
LEVEL = 1 / (FAR // 2)


PUSH, FIND, LEVELS = map(jax.jit, (push, level_of_rank, distance_levels))


def levels_of(x, y):
    return np.asarray(LEVELS(np.float32(x), np.float32(y)))


def nothing(slots, d):
    """An empty memory, made on the host."""
    free = np.zeros(slots, bool)
    return Memory(np.zeros((slots, d), np.float32), free, free)


def test_an_empty_memory_is_nothing():
    jax.tree.map(np.testing.assert_array_equal, empty_memory(3, 2), nothing(3, 2))


@pytest.fixture(scope="module")
def memory():
    return PUSH(nothing(SLOTS, D), EARLIER, EARLIER_LABELLED)


@pytest.fixture(scope="module")
def moved():
    return jax.jit(augment)


def cosine_distances(a, b):
    unit = [np.float64(x) / np.linalg.norm(np.float64(x), axis=1, keepdims=True) for x in (a, b)]
    return cdist(*unit)


def test_levels_are_distances_between_directions():
    levels = levels_of(X, 10 * X)
    assert levels.dtype == np.int16
    away = ~np.eye(N, dtype=bool)
    np.testing.assert_allclose((levels * LEVEL)[away], cosine_distances(X, X)[away], atol=LEVEL)


def test_levels_of_opposite_equal_and_zero_rows():
    x = np.array([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])
    levels = levels_of(x, x[:1])
    # A cosine of 1 rounds to one beside it, and its distance to some levels.
    np.testing.assert_allclose(levels[:2, 0], [0, 2 * (FAR // 2)], atol=8)
    assert levels.max() < FAR
    assert levels.min() >= 0


@pytest.mark.parametrize("highest", [5, 300, FAR])
def test_level_of_rank_against_sorting(highest):
    """Few levels make ties, and `FAR` is where a rank leads that no row has."""
    rng = np.random.default_rng(highest)
    levels = rng.integers(0, highest + 1, size=(70, 30)).astype(np.int16)
    kind, own_kind = rng.random(70) < 0.3, rng.random(30) < 0.5
    for rank in (0, 1, 2, 10, 20, 69, 1000):
        found = np.asarray(FIND(levels, rank, kind, own_kind))
        for column in range(30):
            own = np.sort(levels[kind == own_kind[column], column])
            expected = 0 if rank == 0 else FAR if rank > len(own) else own[rank - 1]
            assert found[column] == expected


def test_ranks_may_differ_between_columns():
    levels = np.random.default_rng(1).permutation(50)[:, None].repeat(50, 1).astype(np.int16)
    one = np.ones(50, bool)
    found = FIND(levels, 1 + np.arange(50, dtype=np.int32), one, one)
    np.testing.assert_array_equal(found, np.arange(50))


def test_more_rows_than_16_bits_can_count():
    p = FAR + 100
    levels = np.arange(p).clip(0, FAR - 1).astype(np.int16)[:, None]
    kinds = np.ones(p, bool), np.ones(1, bool)
    assert FIND(levels, FAR - 5, *kinds) == FAR - 6


@pytest.mark.parametrize("batch", [3, 7, 10, 23])
def test_memory_forgets_first_what_came_first(batch):
    """Against a queue of the standard library, until it has turned over more than twice."""
    queue, memory = deque(maxlen=10), nothing(10, 2)
    rng = np.random.default_rng(0)
    for _ in range(-(-25 // batch)):
        x, labelled = rng.normal(size=(batch, 2)).astype(np.float32), rng.random(batch) < 0.5
        memory = jax.tree.map(np.asarray, PUSH(memory, x, labelled))
        queue.extend(zip(x.tolist(), labelled.tolist(), strict=True))
        assert int(memory.filled.sum()) == len(queue)
        assert memory.filled[10 - len(queue) :].all()
        rows, kinds = zip(*queue, strict=True)
        np.testing.assert_array_equal(memory.x[10 - len(queue) :], np.float32(rows))
        np.testing.assert_array_equal(memory.labelled[10 - len(queue) :], kinds)


@pytest.mark.parametrize("k", [1, 3, 10, 1000])
def test_moved_rows_lie_between_a_row_and_a_near_one_of_its_kind(k, memory, moved):
    """Against sorted distances of all rows of the same kind; empty slots are no rows."""
    pool = np.concatenate([EARLIER, X])
    kinds = np.concatenate([EARLIER_LABELLED, LABELLED])
    distances = cosine_distances(X, pool)
    for seed in range(10):
        result = np.asarray(moved(jax.random.key(seed), X, LABELLED, memory, k))
        for i, point in enumerate(result):
            allowed = np.flatnonzero(kinds == LABELLED[i])
            allowed = allowed[allowed != FILLED + i]
            by_distance = allowed[np.argsort(distances[i, allowed])]
            farthest = distances[i, by_distance[:k][-1]] + LEVEL
            step, ways = point - X[i], pool[by_distance] - X[i]
            part = ways @ step / (ways**2).sum(axis=1)
            off = np.linalg.norm(step - part[:, None] * ways, axis=1)
            on_segment = (off < 1e-4) & (part > -1e-4) & (part < 1 + 1e-4)
            assert (on_segment & (distances[i, by_distance] <= farthest)).any()


def test_all_near_rows_are_drawn_equally_often_and_all_parts_of_the_way(memory):
    """One row, moved by 4000 keys; five neighbours, so that the expected counts are 800."""
    keys = jax.random.split(KEY, 4000)
    many = jax.jit(jax.vmap(augment, in_axes=(0, None, None, None, None)))
    result = np.asarray(many(keys, X, LABELLED, memory, 5))[:, 0]
    pool, kinds = np.concatenate([EARLIER, X]), np.concatenate([EARLIER_LABELLED, LABELLED])
    allowed = np.flatnonzero(kinds == LABELLED[0])
    near = pool[allowed[np.argsort(cosine_distances(X[:1], pool[allowed])[0])][1:6]]
    ways, steps = near - X[0], result - X[0]
    direction = (steps / np.linalg.norm(steps, axis=1, keepdims=True)) @ (
        ways / np.linalg.norm(ways, axis=1, keepdims=True)
    ).T
    chosen = direction.argmax(axis=1)
    np.testing.assert_allclose(direction.max(axis=1), 1, atol=1e-3)
    assert chisquare(np.bincount(chosen, minlength=5)).pvalue > 1e-3
    part = np.linalg.norm(steps, axis=1) / np.linalg.norm(ways, axis=1)[chosen]
    assert chisquare(np.histogram(part, bins=10, range=(0, 1))[0]).pvalue > 1e-3


def test_a_row_alone_in_its_kind_stays(moved):
    result = np.asarray(moved(KEY, X, np.arange(N) == 3, nothing(SLOTS, D), 5))
    np.testing.assert_array_equal(result[3], X[3])
    assert (np.delete(result, 3, axis=0) != np.delete(X, 3, axis=0)).any(axis=1).all()


def test_rows_of_the_other_kind_are_none_where_all_directions_are_the_same(moved):
    """Cosine says nothing, so all rows tie; labelled ones are short and unlabelled ones long."""
    x = np.where(LABELLED[:, None], 1.0, 10.0) * np.linspace(1, 2, N)[:, None] * np.eye(1, D)
    lengths = np.asarray(moved(KEY, x.astype(np.float32), LABELLED, nothing(SLOTS, D), 100))[:, 0]
    np.testing.assert_array_equal(lengths <= 2, LABELLED)
    np.testing.assert_array_equal(lengths >= 10, ~LABELLED)


@pytest.mark.parametrize("labelled", [True, False])
def test_one_kind_only(labelled, memory, moved):
    kinds = np.full(N, labelled)
    assert np.isfinite(moved(KEY, X, kinds, memory, 5)).all()


def test_lanes_share_the_distances(memory):
    """That they equal a loop is tested with categories beside the numbers."""
    ks = np.array([1, 4, 30], np.int32)
    labelled = np.stack([LABELLED, ~LABELLED, np.ones(N, bool)])
    many = jax.vmap(augment, in_axes=(None, None, 0, Memory(None, None, None), 0))
    products = [
        e
        for e in jax.make_jaxpr(many)(KEY, X, labelled, memory, ks).eqns
        if e.primitive.name == "dot_general"
    ]
    assert [e.outvars[0].aval.shape for e in products] == [(SLOTS + N, N)]


BLOCKS = ((1, 4), (6, 8), (8, 14))
WIDTH = D
NUMBERS = [0, 4, 5, 14]


def mixed_rows(rng, n, words=6):
    """Rows of numbers and blocks; few words leave columns of the blocks that are never set."""
    x = rng.normal(size=(n, WIDTH)).astype(np.float32)
    for start, stop in BLOCKS:
        codes = rng.integers(0, min(stop - start, words), n)
        x[:, start:stop] = np.sqrt(0.5) * np.eye(stop - start)[codes]
    return x


def mixed_problem(seed=0, **options):
    """Rows, their kinds, and a memory with free slots."""
    rng = np.random.default_rng(seed)
    x, earlier = mixed_rows(rng, N, **options), mixed_rows(rng, FILLED, **options)
    memory = PUSH(nothing(SLOTS, WIDTH), earlier, EARLIER_LABELLED)
    memory = jax.tree.map(np.asarray, memory)
    return x, memory, np.concatenate([earlier, x]), np.concatenate([EARLIER_LABELLED, LABELLED])


def neighbours_of(x, pool, kinds, i, k):
    """Indices of the rows no farther than the k-th of their kind, by sorting."""
    levels = levels_of(pool, x[i : i + 1])[:, 0]
    allowed = np.flatnonzero(kinds == LABELLED[i])
    allowed = allowed[allowed != len(pool) - N + i]
    farthest = np.sort(levels[allowed])[:k][-1]
    return allowed[levels[allowed] <= farthest]


def votes_of(pool, near):
    """How many of the neighbours have each word, block by block."""
    return [(pool[near, start:stop] > 0).sum(axis=0) for start, stop in BLOCKS]


@pytest.fixture(scope="module")
def moved_mixed():
    return jax.jit(functools.partial(augment, blocks=BLOCKS))


@pytest.mark.parametrize("k", [1, 2, 5, 12, 1000])
@pytest.mark.parametrize("rare", [False, True])
def test_categories_are_the_most_frequent_of_the_neighbours(k, rare, moved_mixed):
    """By counting one by one; where two are as frequent, it is one of them."""
    x, memory, pool, kinds = mixed_problem(words=2 if rare else 6)
    for seed in range(3):
        result = np.asarray(moved_mixed(jax.random.key(seed), x, LABELLED, memory, k))
        for i, row in enumerate(result):
            near = neighbours_of(x, pool, kinds, i, k)
            for (start, stop), votes in zip(BLOCKS, votes_of(pool, near), strict=True):
                elected = np.flatnonzero(row[start:stop])
                assert len(elected) == 1
                assert votes[elected[0]] == votes.max()


def test_blocks_of_a_moved_row_are_those_of_some_row(moved_mixed):
    """To the last bit, also where columns were shifted and scaled one by one."""
    x, memory, pool, _ = mixed_problem()
    for scaled in (False, True):
        mean, scale = (pool.mean(axis=0), pool.std(axis=0)) if scaled else (0, 1)
        rows, earlier = ((part - mean) / scale for part in (x, pool[:FILLED]))
        rows, earlier = np.float32(rows), np.float32(earlier)
        stored = PUSH(nothing(SLOTS, WIDTH), earlier, memory.labelled[-FILLED:])
        result = np.asarray(moved_mixed(KEY, rows, LABELLED, stored, 7))
        known = np.concatenate([earlier, rows]).astype(np.float32)
        for start, stop in BLOCKS:
            words = {row.tobytes() for row in known[:, start:stop]}
            assert {row.tobytes() for row in result[:, start:stop]} <= words
        assert not np.isin(result[:, NUMBERS], known).any()


@pytest.mark.parametrize("k", [1, 3, 1000])
def test_numbers_do_not_notice_that_others_are_categories(k, moved, moved_mixed):
    x, memory, *_ = mixed_problem()
    plain, mixed = (np.asarray(f(KEY, x, LABELLED, memory, k)) for f in (moved, moved_mixed))
    np.testing.assert_array_equal(mixed[:, NUMBERS], plain[:, NUMBERS])
    assert (mixed != plain).any()


def line(numbers, codes):
    """Rows whose directions turn with their number, and one category of three words."""
    angles = np.asarray(numbers) / 100
    rows = 100 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return np.concatenate([rows, np.eye(4)[codes][:, :3]], axis=1).astype(np.float32)


MANY = jax.vmap(functools.partial(augment, blocks=((2, 5),)), (0, None, None, None, None))
ELECT = jax.jit(MANY)


def elected_for_the_first(x, k, n_keys=200):
    """Words of the first row, and the way it goes, over many keys; all rows are of one kind.

    Rows of the other kind are added until there are as many as in any of the tables.
    """
    keys = jax.random.split(KEY, n_keys)
    rows = np.concatenate([x, line([1] * (7 - len(x)), [0] * (7 - len(x)))])
    result = np.asarray(ELECT(keys, rows, np.arange(7) < len(x), nothing(1, 5), k))[:, 0]
    return result[:, 2:], result[:, 1] > 0


def test_the_neighbour_it_moves_to_decides_between_equals():
    """One neighbour on either side, with a word each."""
    words, up = elected_for_the_first(line([0, 3, -4, 40, 50], [0, 1, 2, 0, 0]), 2)
    np.testing.assert_array_equal(words, np.where(up[:, None], [0, 1, 0], [0, 0, 1]))
    assert 0.3 < up.mean() < 0.7


def test_the_first_of_equals_where_the_neighbour_has_none_of_them():
    """Two neighbours below with either of two words, and one above with the first word."""
    x = line([0, -3, -4, -5, -6, 7, 40], [0, 2, 1, 2, 1, 0, 0])
    words, up = elected_for_the_first(x, 5)
    np.testing.assert_array_equal(words[up], np.tile([0, 1, 0], (up.sum(), 1)))
    assert {tuple(row) for row in words[~up]} == {(0, 1, 0), (0, 0, 1)}


def test_rows_as_far_away_as_the_last_neighbour_count_too():
    """Five rows alike, of which two would do; three of them have one word, two the other."""
    words, _ = elected_for_the_first(line([0, 5, 5, 5, 5, 5], [0, 1, 2, 2, 2, 1]), 2)
    # The word is part of the direction, and here it is small beside the numbers.
    assert words.argmax(axis=1).tolist() == [2] * len(words)


def test_a_row_has_no_vote_of_its_own():
    """Also where it is given more neighbours than there are; else it would be two against two."""
    words, _ = elected_for_the_first(line([0, 3, 4, 5], [0, 0, 1, 1]), 1000)
    np.testing.assert_array_equal(words, np.tile([0, 1, 0], (len(words), 1)))


def test_where_no_neighbour_has_a_category_a_row_keeps_its_own():
    """Code 3 is no word at all."""
    words, _ = elected_for_the_first(line([0, 3, 4, 5], [1, 3, 3, 3]), 3)
    np.testing.assert_array_equal(words, np.tile([0, 1, 0], (len(words), 1)))
    words, _ = elected_for_the_first(line([0, 3, 4, 5], [3, 3, 3, 2]), 3)
    np.testing.assert_array_equal(words, np.tile([0, 0, 1], (len(words), 1)))


def test_a_row_alone_in_its_kind_keeps_its_categories(moved_mixed):
    """Whatever the others are: an empty slot, or a row of the other kind, in front."""
    x, _, pool, _ = mixed_problem()
    others = np.zeros((SLOTS, WIDTH), np.float32)
    others[-FILLED:] = pool[:FILLED]
    others = Memory(others, np.zeros(SLOTS, bool), np.arange(SLOTS) >= SLOTS - FILLED)
    assert (others.x[-FILLED] != x[3])[[1, 2, 3, 6, 7]].any()
    for memory in (nothing(SLOTS, WIDTH), others):
        result = np.asarray(moved_mixed(KEY, x, np.arange(N) == 3, memory, 5))
        np.testing.assert_array_equal(result[3], x[3])


def test_lanes_with_categories_equal_a_loop(moved_mixed):
    x, memory, *_ = mixed_problem()
    ks = np.array([1, 4, 30], np.int32)
    labelled = np.stack([LABELLED, ~LABELLED, np.ones(N, bool)])
    many = jax.vmap(moved_mixed, in_axes=(None, None, 0, Memory(None, None, None), 0))
    together = jax.jit(many)(KEY, x, labelled, memory, ks)
    for i in range(3):
        alone = moved_mixed(KEY, x, labelled[i], memory, int(ks[i]))
        np.testing.assert_allclose(together[i], alone, atol=1e-6)
