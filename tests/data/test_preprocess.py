import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from ncd_jax.data.preprocess import Standardiser
from ncd_jax.data.table import Table


def table_of(x, standardise=True):
    x = np.asarray(x, np.float64)
    columns = tuple(f"c{i}" for i in range(x.shape[1]))
    y = np.full(len(x), -1, np.int32)
    return Table("t", x, y, columns, ("a", "b", "c"), standardise=standardise)


@pytest.mark.parametrize("scale", [1e-200, 1e-3, 1.0, 1e9, 1e200])
def test_agrees_with_scikit_learn(scale):
    x = np.random.default_rng(0).normal(3, 2, (100, 5))
    # Scaling by hand: scikit-learn itself overflows on the large numbers.
    oracle = StandardScaler().fit(x)
    fitted = Standardiser.fit(table_of(x * scale))
    np.testing.assert_allclose(fitted.mean / scale, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(fitted.scale / scale, oracle.scale_, rtol=1e-12)
    out = fitted.apply(x * scale)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, oracle.transform(x), rtol=1e-5, atol=1e-6)


def test_a_row_is_scaled_alike_wherever_it_stands():
    x = np.random.default_rng(0).normal(3, 2, (10_000, 3))
    fitted = Standardiser.fit(table_of(x))
    whole = ((x - fitted.mean) / fitted.scale).astype(np.float32)
    np.testing.assert_array_equal(fitted.apply(x), whole)
    np.testing.assert_array_equal(fitted.apply(x[9_999:]), whole[9_999:])
    assert fitted.apply(x[:0]).shape == (0, 3)


def test_labels_and_test_rows_play_no_part():
    x = np.random.default_rng(0).normal(size=(10, 2))
    plain = table_of(x)
    other = Table("t", x, np.arange(10, dtype=np.int32) % 3, plain.columns, plain.classes, x[:2])
    np.testing.assert_array_equal(Standardiser.fit(plain).mean, Standardiser.fit(other).mean)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e300, -7.3])
def test_constant_columns_become_zero(value):
    x = np.stack([np.full(37, value), np.arange(37.0)], axis=1)
    fitted = Standardiser.fit(table_of(x))
    assert fitted.scale[0] == 1
    np.testing.assert_array_equal(fitted.apply(x)[:, 0], 0)
    assert fitted.apply(x)[:, 1].std() == pytest.approx(1)


def test_one_row():
    np.testing.assert_array_equal(
        Standardiser.fit(table_of([[3.0, 4.0]])).apply([[3.0, 5.0]]), [[0, 1]]
    )


def test_tables_that_are_not_to_be_standardised_stay_as_they_are():
    x = np.array([[1.0, 0.0], [5.0, 0.0]])
    np.testing.assert_array_equal(Standardiser.fit(table_of(x, standardise=False)).apply(x), x)


def test_stored_and_restored(tmp_path):
    x = np.random.default_rng(1).normal(size=(20, 3))
    fitted = Standardiser.fit(table_of(x))
    np.savez(tmp_path / "s.npz", **fitted.to_arrays())
    with np.load(tmp_path / "s.npz") as stored:
        restored = Standardiser.from_arrays(stored)
    np.testing.assert_array_equal(restored.apply(x), fitted.apply(x))
