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
    np.testing.assert_allclose(out, oracle.transform(x), rtol=1e-6, atol=2.0**-15)


def test_a_row_is_scaled_alike_wherever_it_stands():
    x = np.random.default_rng(0).normal(3, 2, (10_000, 3))
    fitted = Standardiser.fit(table_of(x))
    whole = fitted.apply(x)
    np.testing.assert_allclose(whole, (x - fitted.mean) / fitted.scale, rtol=1e-6, atol=2.0**-15)
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
    assert fitted.apply(x)[:, 1].std() == pytest.approx(1, abs=1e-4)


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


@pytest.mark.parametrize("wild", [1e3, 1e9, -1e6])
@pytest.mark.parametrize("n", [40, 2000])
def test_a_wild_cell_moves_nothing_but_itself(wild, n):
    x = np.random.default_rng(3).normal(5, 2, (n, 2))
    calm = Standardiser.fit(table_of(x)).apply(x)
    x[7, 0] *= wild
    fitted = Standardiser.fit(table_of(x))
    out = fitted.apply(x)
    others = np.arange(n) != 7
    bound = abs(out[7, 0])
    assert 4 < bound < 30
    np.testing.assert_allclose(out[others], calm[others], atol=0.1 + 45 / n)
    # Rows that come later are clipped at the same bound.
    np.testing.assert_array_equal(fitted.apply(x[7:8] * 100)[0, 0], out[7, 0])


@pytest.mark.parametrize("seed", range(5))
def test_columns_without_wild_cells_are_left_as_they_are(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 3000))
    columns = [
        rng.normal(0, 1, n),
        rng.uniform(0, 1, n),
        rng.integers(0, 2, n),
        np.where(rng.random(n) < 0.02, 1, 0),  # rare, not wild
        rng.choice([0, 0, 0, 50], n) + rng.normal(0, 1, n),
        rng.poisson(0.1, n),
        rng.exponential(1, n),
    ]
    x = np.stack(columns, axis=1).astype(float)
    plain = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(Standardiser.fit(table_of(x)).apply(x), plain, atol=1e-4, rtol=1e-6)


def test_long_tails_keep_their_order():
    x = np.random.default_rng(0).lognormal(0, 2, (5000, 1))
    out = Standardiser.fit(table_of(x)).apply(x)[:, 0]
    assert len(np.unique(out[np.argsort(x[:, 0])[-200:]])) > 180
    assert (np.diff(out[np.argsort(x[:, 0])]) >= 0).all()


@pytest.mark.parametrize("factor", [2.54, 1e-3, 1000 / 3, 7e12])
def test_units_do_not_matter_to_the_byte(factor):
    rng = np.random.default_rng(2)
    x = np.stack([np.round(rng.normal(3, 2, 500), 2), rng.lognormal(1, 1, 500)], axis=1)
    x[3, 1] *= 1e5
    one, other = (Standardiser.fit(table_of(v)).apply(v) for v in (x, x * factor))
    assert one.tobytes() == other.tobytes()
