import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.networks.categories import (
    block_of_column,
    first_columns,
    largest,
    leading,
    members,
    packed,
)

BLOCKS, D, N = ((1, 4), (4, 6), (7, 12)), 13, 40
NUMBERS = [0, 6, 12]
CODES = np.stack([np.random.default_rng(1).integers(0, b - a, N) for a, b in BLOCKS], axis=1)


def one_hot_rows(codes=CODES, value=0.7):
    """Random numbers, and blocks in which one column is set, or none for a code of -1."""
    x = np.random.default_rng(0).normal(size=(len(codes), D)).astype(np.float32)
    for (start, stop), code in zip(BLOCKS, codes.T, strict=True):
        x[:, start:stop] = value * (np.arange(stop - start) == code[:, None])
    return x


def standardised(x):
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)


def test_where_blocks_are():
    assert block_of_column(BLOCKS, D).tolist() == [-1, 0, 0, 0, 1, 1, -1, 2, 2, 2, 2, 2, -1]
    assert first_columns(BLOCKS, D).tolist() == [0, 1, 1, 1, 4, 4, 6, 7, 7, 7, 7, 7, 12]
    assert members(BLOCKS).tolist() == [1, 2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert packed(BLOCKS) == ((0, 3), (3, 5), (5, 10))


def test_largest_value_of_each_block():
    x = np.random.default_rng(0).normal(size=(N, D)).astype(np.float32)
    expected = np.stack([x[:, a:b].max(axis=1) for a, b in BLOCKS], axis=1)
    np.testing.assert_array_equal(largest(jnp.asarray(x), BLOCKS), expected)


@pytest.mark.parametrize("scale", [lambda x: x, lambda x: 100 * x, standardised])
def test_the_leading_column_is_the_one_that_is_set(scale):
    codes = CODES.copy()
    codes[:5, 0] = -1
    codes[3:9, 2] = -1
    expected = np.zeros((N, D), bool)
    for i, row in enumerate(codes):
        for (start, _), code in zip(BLOCKS, row, strict=True):
            if code >= 0:
                expected[i, start + code] = True
    found = jax.jit(leading, static_argnums=1)(scale(one_hot_rows(codes)), BLOCKS)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected)


def test_the_first_of_equals_leads():
    x = jnp.array([[9.0, 2.0, 2.0, 1.0, 0.0, 0.0], [9.0, 0.0, 3.0, 3.0, -1.0, 1e-6]])
    found = leading(x, ((1, 4), (4, 6)))
    expected = [[0, 1, 0, 0, 0, 0], [0, 0, 1, 0, 0, 1]]
    np.testing.assert_array_equal(found, np.array(expected, bool))
