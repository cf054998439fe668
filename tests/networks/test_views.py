import functools

import jax
import numpy as np
import pytest

from ncd_jax.networks.augmentation import two_views

N, D = 200, 6
KEY = jax.random.key(0)
# Every entry is unique and says where it is from: the row before the point, the column after it.
X = (np.arange(N)[:, None] + np.arange(D) / 10).astype(np.float32)


@pytest.fixture(scope="module")
def view():
    """The second of two views: what holds for one must hold for both, see the test of two."""
    return jax.jit(lambda *arguments: two_views(*arguments)[1])


def test_replaced_entries_come_from_the_same_column_of_another_row(view):
    made = np.asarray(view(KEY, X, 0.4, 0.0))
    replaced = made != X
    assert 0.35 < replaced.mean() < 0.45
    assert np.isin(made, X).all()
    np.testing.assert_array_equal(np.round(made % 1, 1), np.round(X % 1, 1))


def test_no_row_replaces_itself(view):
    for seed in range(10):
        assert (np.asarray(view(jax.random.key(seed), X, 1.0, 0.0)) != X).all()


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6, 1.0])
def test_the_rate_is_the_share_of_replaced_entries(view, rate):
    replaced = np.asarray(view(KEY, X, rate, 0.0)) != X
    spread = 4 * np.sqrt(rate * (1 - rate) / X.size)
    assert abs(replaced.mean() - rate) <= spread
    # Entries are replaced one by one: neither whole rows nor whole columns.
    assert abs(replaced.mean(axis=0) - rate).max() <= spread * np.sqrt(D)
    assert replaced.sum(axis=1).var() <= 1.5 * D * rate * (1 - rate)


def test_columns_come_from_different_rows(view):
    """Else a row replaced as a whole would be a row of the table."""
    made = np.asarray(view(KEY, X, 1.0, 0.0))
    assert len(np.unique(np.floor(made[0]))) > 1
    for column in range(D):
        np.testing.assert_array_equal(np.sort(made[:, column]), X[:, column])


BLOCKS, ALONE = ((1, 3), (3, 6)), [0]
two = jax.jit(two_views, static_argnums=4)


@functools.cache
def views_by_blocks():
    return np.asarray(two(KEY, X, 0.4, 0.3, BLOCKS))


def test_a_category_is_replaced_as_a_whole_and_has_no_noise():
    made = views_by_blocks()
    rows = np.floor(made)
    for start, stop in BLOCKS:
        block = made[..., start:stop]
        assert np.isin(block, X).all()
        np.testing.assert_array_equal(rows[..., start:stop].min(axis=-1), rows[..., stop - 1])
        replaced = rows[..., start] != np.arange(N)
        assert abs(replaced.mean() - 0.4) < 0.1
    first, second = (rows[..., start] for start, _ in BLOCKS)
    assert (first != second).mean() > 0.5
    assert not np.isin(made[..., ALONE], X).any()


def test_numbers_do_not_notice_that_others_are_categories():
    made, plain = views_by_blocks(), np.asarray(two(KEY, X, 0.4, 0.3))
    np.testing.assert_array_equal(made[..., ALONE], plain[..., ALONE])
    assert (made != plain).any()


def test_noise_is_in_units_of_the_column(view):
    scale = np.array([1.0, 10.0, 0.1, 3.0, 0.0, 1.0], np.float32)
    x = scale * np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    keys = map(jax.random.key, range(10))
    noise = np.concatenate([np.asarray(view(key, x, 0.0, 0.2)) - x for key in keys])
    np.testing.assert_allclose(noise.std(axis=0), 0.2 * x.std(axis=0), rtol=0.1, atol=1e-7)
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.02 * scale.max())
    assert abs(np.corrcoef(noise[:, :4].T) - np.eye(4)).max() < 0.1


def test_views_are_two_independent_draws():
    views = np.asarray(two(KEY, X, 0.5, 0.1))
    assert views.shape == (2, N, D)
    noise = views - np.asarray(two(KEY, X, 0.5, 0.0))
    scale = 0.1 * X.std()
    assert abs(noise.std(axis=(1, 2)) / scale - 1).max() < 0.1
    assert abs(np.corrcoef(noise.reshape(2, -1))[0, 1]) < 0.1
    views = np.asarray(two(KEY, X, 0.5, 0.0))
    first, second = views != X
    assert abs(first.mean() - 0.5) < 0.05
    assert abs((first & second).mean() - 0.25) < 0.05
    assert (views[0] != views[1])[first & second].mean() > 0.9


def test_the_draw_does_not_depend_on_the_rates(view):
    """Rows that a low rate replaces are replaced by a high one too, by the same."""
    low, high = np.asarray(view(KEY, X, 0.2, 0.0)), np.asarray(view(KEY, X, 0.5, 0.0))
    replaced = low != X
    np.testing.assert_array_equal(low[replaced], high[replaced])
    together = jax.jit(jax.vmap(view, (None, None, 0, None)))(KEY, X, np.float32([0.2, 0.5]), 0.0)
    np.testing.assert_array_equal(together, [low, high])


@pytest.mark.parametrize("x", [np.ones((1, D)), np.zeros((N, D))])
def test_one_row_and_constant_rows_stay(view, x):
    np.testing.assert_array_equal(view(KEY, x.astype(np.float32), 0.9, 0.3), x)
