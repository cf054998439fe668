import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from ncd_jax.data.column_codes import ONE_HOT
from ncd_jax.data.encode import Encoder
from ncd_jax.errors import UserError
from ncd_jax.read.columns import MAX_CATEGORIES, Column
from ncd_jax.read.describe import describe
from ncd_jax.read.raw import RawTable

N = 500


def mixed_frame(seed=0, n=N):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 10, n),
            "income": rng.lognormal(10, 2, n),
            "visits": rng.poisson(3, n),
            "colour": rng.choice(["red", "green", "blue"], n).astype(object),
            "city": [f"city {i:02}" for i in np.minimum(rng.geometric(0.08, n), 60)],
            "member": rng.random(n) < 0.3,
            "since": pd.Timestamp("2020-03-01 06:00") + pd.to_timedelta(rng.random(n) * 900, "D"),
        }
    )
    frame.loc[rng.random(n) < 0.1, "income"] = np.nan
    frame.loc[rng.random(n) < 0.2, "colour"] = None
    return frame


def fit(frame, **options):
    found = describe(RawTable(frame), list(frame), **options)
    return Encoder.fit(found.frame, found.columns)


def oracle(frame):
    """scikit-learn's own pipeline for the columns that are not dates."""
    numeric, words = ["age", "income", "visits"], ["colour", "city"]
    onehot = OneHotEncoder(
        max_categories=MAX_CATEGORIES,
        handle_unknown="infrequent_if_exist",
        sparse_output=False,
        feature_name_combiner=lambda name, word: f"{name}={word}",
    )
    return ColumnTransformer(
        [
            ("numeric", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numeric),
            ("words", onehot, words),
        ],
        verbose_feature_names_out=False,
    ).fit(frame)


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_agrees_with_scikit_learn_on_old_and_new_rows():
    frame, new = mixed_frame(), mixed_frame(1)
    new.loc[:20, "colour"] = "violet"
    new.loc[:20, "city"] = "nowhere"
    new.loc[30:40, "age"] = np.nan
    encoder, expected = fit(frame), oracle(frame)
    names = {
        "colour=None": "colour=(missing)",
        "colour=nan": "colour=(missing)",
        "city=infrequent_sklearn": "city=(infrequent)",
    }
    columns = [names.get(name, name) for name in expected.get_feature_names_out()]
    for rows in (frame, new):
        wanted = pd.DataFrame(expected.transform(rows), columns=columns).clip(upper=30)
        found = pd.DataFrame(encoder.apply(rows), columns=encoder.names)[columns].clip(upper=30)
        for name in columns:
            scale = ONE_HOT if "=" in name else 1.0
            off = 1e-9 if "=" in name else 2.0**-15
            np.testing.assert_allclose(
                found[name], wanted[name] * scale, rtol=1e-6, atol=off, err_msg=name
            )
    # The oracle was not an empty one.
    assert wanted[columns[-1]].any()
    assert not wanted[[c for c in columns if c.startswith("colour=")]].loc[:20].any(axis=None)


def test_result_is_float32_and_every_column_has_its_weight():
    x = fit(mixed_frame()).apply(mixed_frame())
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    encoder = fit(mixed_frame())
    for block in encoder.blocks:
        part = x[:, block.start : block.stop].astype(np.float64)
        if block.kind == "numeric":
            assert part.var(axis=0).sum() == pytest.approx(1, abs=1e-4)
            np.testing.assert_allclose(part.mean(axis=0), 0, atol=1e-4)
        else:
            np.testing.assert_array_equal(np.unique(part), np.float32([0, ONE_HOT]))
            np.testing.assert_array_equal((part > 0).sum(axis=1), 1)


def test_blocks_cover_the_columns_in_order():
    encoder = fit(mixed_frame())
    blocks = encoder.blocks
    assert [block.start for block in blocks] == [0, *(block.stop for block in blocks[:-1])]
    assert blocks[-1].stop == len(encoder.names) == len(set(encoder.names))
    assert [(b.column, b.kind, b.stop - b.start) for b in blocks] == [
        ("age", "numeric", 1),
        ("city", "categorical", MAX_CATEGORIES),
        ("colour", "categorical", 4),
        ("income", "numeric", 1),
        ("income", "categorical", 2),
        ("member", "categorical", 2),
        ("since", "numeric", 7),
        ("visits", "numeric", 1),
    ]
    for block in blocks:
        assert all(n.startswith(block.column) for n in encoder.names[block.start : block.stop])


def test_missing_cells():
    frame = pd.DataFrame({"v": [1.0, np.nan, 3.0, 8.0], "w": [1.0, 2.0, 3.0, 4.0]})
    encoder = fit(frame)
    assert encoder.names == ("v", "v=(given)", "v=(missing)", "w")
    x = encoder.apply(frame)
    np.testing.assert_array_equal(x[1, 0], x[2, 0])  # 3 is the median of 1, 3 and 8
    np.testing.assert_array_equal(x[:, 2] > 0, [False, True, False, False])
    np.testing.assert_array_equal(x[:, 1] > 0, [True, False, True, True])
    new = encoder.apply(pd.DataFrame({"v": [2.0], "w": [np.nan]}))
    assert np.isfinite(new).all()
    assert new[0, 3] == 0  # 2.5 is the median and the mean of w


def test_a_category_that_is_only_there_or_not():
    encoder = fit(pd.DataFrame({"v": [5.0, np.nan] * 3, "w": range(6)}))
    assert encoder.names[:2] == ("v=5", "v=(missing)")
    x = encoder.apply(pd.DataFrame({"v": ["5.0", None, "6"], "w": [1, 2, 3]}))
    np.testing.assert_array_equal(x[:, :2] > 0, [[True, False], [False, True], [False, False]])


def test_dates_are_what_the_calendar_says():
    frame = pd.DataFrame({"d": pd.date_range("2021-01-04", periods=28)})  # a Monday
    encoder = fit(frame)
    assert encoder.names == ("d:time", "d:year_sin", "d:year_cos", "d:week_sin", "d:week_cos")
    x = encoder.apply(frame)
    np.testing.assert_allclose(np.diff(x[:, 0]), x[1, 0] - x[0, 0], atol=2.0**-13)
    np.testing.assert_allclose(x[:21, 3:], x[7:, 3:], atol=1e-4)
    assert len(np.unique(x[:7, 3:].round(4), axis=0)) == 7
    assert x[:7, 4].argmax() == 0  # the cosine is largest on Monday
    later = encoder.apply(pd.DataFrame({"d": ["2021-01-05", "2022-01-04"]}))
    np.testing.assert_allclose(later[0], x[1], atol=1e-6)
    np.testing.assert_allclose(later[1, 1:3], x[0, 1:3], atol=1e-2)
    assert later[1, 0] > 3 * x[-1, 0]  # a year later is the bound, which is out of the range


def test_time_of_day():
    frame = pd.DataFrame({"d": pd.date_range("2021-01-04", periods=48, freq="h")})
    encoder = fit(frame)
    assert encoder.names[-2:] == ("d:day_sin", "d:day_cos")
    x = encoder.apply(frame)
    np.testing.assert_allclose(x[:24, -2:], x[24:, -2:], atol=1e-6)
    assert x[:24, -2].argmax() == 6
    assert x[:24, -1].argmax() == 0


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_numbers_of_any_size(scale):
    x = np.random.default_rng(0).normal(3, 2, 100)
    encoder = fit(pd.DataFrame({"v": x * scale}))
    expected = StandardScaler().fit_transform(x[:, None])
    np.testing.assert_allclose(
        encoder.apply(pd.DataFrame({"v": x * scale})), expected, rtol=1e-6, atol=2.0**-15
    )
    far = encoder.apply(pd.DataFrame({"v": [1e300 * scale if scale <= 1 else 1e308]}))
    assert 6 < far[0, 0] < 15


def test_columns_may_be_reordered_and_others_are_ignored():
    frame = mixed_frame()
    encoder = fit(frame)
    shuffled = frame[frame.columns[::-1]].assign(more="?")
    np.testing.assert_array_equal(encoder.apply(shuffled), encoder.apply(frame))
    with pytest.raises(UserError, match="no column 'colour'; did you mean 'color'"):
        encoder.apply(frame.rename(columns={"colour": "color"}))


def test_new_cells_of_the_wrong_kind_are_refused():
    frame = mixed_frame()
    encoder = fit(frame)
    for name, cell in [("age", "old"), ("member", "maybe"), ("since", "yesterday")]:
        broken = frame.astype({name: object})
        broken.loc[3, name] = cell
        with pytest.raises(
            UserError, match=f"column '{name}' has cells that are not .*: row 3 '{cell}'"
        ):
            encoder.apply(broken)


def test_stored_as_json_and_equal_to_the_bit_in_a_fresh_process(tmp_path):
    frame = mixed_frame()
    encoder = fit(frame)
    (tmp_path / "encoder.json").write_text(json.dumps(encoder.to_json(), allow_nan=False))
    frame.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    code = (
        "import json, pathlib, numpy as np\n"
        "from ncd_jax.data.encode import Encoder\n"
        "from ncd_jax.data.own_table import read_rows_in_batches\n"
        "encoder = Encoder.from_json(json.loads(pathlib.Path('encoder.json').read_text()))\n"
        "rows = next(read_rows_in_batches(pathlib.Path('rows.csv'), encoder))\n"
        "np.save('x.npy', rows.x)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), encoder.apply(frame))
    assert Encoder.from_json(json.loads(json.dumps(encoder.to_json()))) == encoder
    with pytest.raises(TypeError):
        Encoder.from_json([{"column": {"name": "a", "kind": "numeric", "spelling": "plain"}}])


def test_the_table_is_left_as_it_is():
    frame = mixed_frame()
    fit(frame).apply(frame)
    pd.testing.assert_frame_equal(frame, mixed_frame())


def test_numeric_tables_come_out_as_scikit_learn_has_them():
    iris = load_iris(as_frame=True).data
    expected = StandardScaler().fit_transform(iris.to_numpy()[:, np.argsort(iris.columns)])
    np.testing.assert_allclose(fit(iris).apply(iris), expected, rtol=1e-6, atol=2.0**-15)


def test_neither_order_nor_units_of_columns_change_a_byte():
    frame = mixed_frame()
    frame.loc[5, "age"] *= 1000
    other = frame[frame.columns[::-1]].assign(age=frame["age"] * 2.54, visits=frame["visits"] * 7e9)
    assert fit(other).apply(other).tobytes() == fit(frame).apply(frame).tobytes()


def test_a_constant_column_becomes_zero():
    frame = pd.DataFrame({"v": [0.1] * 9})
    x = Encoder.fit(frame, [Column("v", "numeric")]).apply(frame)
    np.testing.assert_allclose(x, 0, atol=1e-9)
