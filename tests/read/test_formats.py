"""The same table is the same from files of every format and from frames of everybody."""

import datetime
import decimal
import functools

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows
from reading_fixtures import N, make_labels, make_values

from ncd_jax.data.own_table import read_table
from ncd_jax.data.targets import read_targets
from ncd_jax.errors import UserError
from ncd_jax.read.dtypes import is_frame, to_frame

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
feather = pytest.importorskip("pyarrow.feather")
pl = pytest.importorskip("polars")
pytest.importorskip("openpyxl")

RNG = np.random.default_rng(0)
GAPS = RNG.random(N) < 0.2
DAYS = [
    datetime.date(2023, 1, 1) + datetime.timedelta(days=int(d)) for d in RNG.integers(0, 400, N)
]
WHOLE = RNG.integers(-500, 500, N).tolist()
PARIS = datetime.timezone(datetime.timedelta(hours=1))


def gapped(cells):
    return [None if gap else cell for cell, gap in zip(cells, GAPS, strict=True)]


COLUMNS = {
    "fractions": make_values(0).tolist(),
    "fractions with gaps": gapped(make_values(1).tolist()),
    "tiny": (make_values(2) * 1e-30 / 3).tolist(),
    "whole": WHOLE,
    "whole with gaps": gapped(WHOLE),
    "few numbers": [i % 3 for i in range(N)],
    "few numbers with gaps": gapped([i % 3 for i in range(N)]),
    "truths": [i % 5 < 2 for i in range(N)],
    "truths with gaps": gapped([i % 5 < 2 for i in range(N)]),
    "words": [("red", "green", "blue")[i % 3] for i in range(N)],
    "words with gaps": gapped([("red", "Green", "green", "NA")[i % 4] for i in range(N)]),
    "codes": [("01", "1", "1.10", "47e5")[i % 4] for i in range(N)],
    "numbers as text": [f"{v:,.2f} $" for v in make_values(3).tolist()],
    "days": DAYS,
    "days with gaps": gapped(DAYS),
    "times": [datetime.datetime(2024, 1, 1, i % 24, i % 60) for i in range(N)],
    "decimals": [decimal.Decimal(i * i) / 8 for i in range(N)],
    "row numbers": list(range(N)),
    "names": [f"name {i}" for i in range(N)],
    "one value": ["x"] * N,
    "empty": [None] * N,
    "flag": [None if i % 3 else "x" for i in range(N)],
    "sentinel": [-999.0 if i % 7 == 0 else v for i, v in enumerate(make_values(4) / 100)],
    "durations": [datetime.timedelta(seconds=i * i) for i in range(N)],
}
LABEL_KINDS = {
    "letters": make_labels(),
    "NA among them": [("NA", "nan", "None", None)[i % 4] for i in range(N)],
    "numbers": [(1, 2, 10, None)[i % 4] for i in range(N)],
    "big numbers": [(2**53, 2**53 + 1, 2**60 + 1, None)[i % 4] for i in range(N)],
    "truths": [(True, False, True, None)[i % 4] for i in range(N)],
}


def plain_frame(columns):
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in columns.items()})


def to_arrow(columns):
    return pa.table({name: pa.array(cells) for name, cells in columns.items()})


def arrow_backed(columns):
    return to_arrow(columns).to_pandas(types_mapper=pd.ArrowDtype)


def written(write):
    """From a function that writes a frame to one that gives the file."""

    def source(columns, folder, name):
        path = folder / name
        write(columns, path)
        return path

    return source


def write_csv(columns, path):
    plain_frame(columns).to_csv(path, index=False, sep="\t" if ".tsv" in path.name else ",")


def write_excel(columns, path):
    cells = {
        name: [float(c) if isinstance(c, decimal.Decimal) else c for c in cells]
        for name, cells in columns.items()
    }
    plain_frame(cells).to_excel(path, index=False)


def write_parquet(columns, path):
    parquet.write_table(to_arrow(columns), path)


def write_feather(columns, path):
    feather.write_feather(to_arrow(columns), str(path))


SOURCES = {
    "t.csv": written(write_csv),
    "t.tsv.gz": written(write_csv),
    "t.xlsx": written(write_excel),
    "t.parquet": written(write_parquet),
    "t.feather": written(write_feather),
    "pandas": lambda columns, *_: pd.DataFrame(columns),
    "pandas, nullable": lambda columns, *_: pd.DataFrame(columns).convert_dtypes(),
    "pandas, Arrow": lambda columns, *_: arrow_backed(columns),
    "Arrow": lambda columns, *_: to_arrow(columns),
    "Polars": lambda columns, *_: pl.from_arrow(to_arrow(columns)),
}
LOSSY = {"t.xlsx": "durations"}  # a number of days, and no more is said


ALL_COLUMNS = COLUMNS | {"other": make_values(9).tolist(), "y": make_labels()}


@functools.cache
def wanted_columns(names):
    return read_table(plain_frame({name: ALL_COLUMNS[name] for name in names}), "y")


@pytest.mark.parametrize("source", SOURCES)
def test_columns(tmp_path, source):
    """Columns x sources: 24 x 10."""
    columns = ALL_COLUMNS.copy()
    columns.pop(LOSSY.get(source), None)
    wanted = wanted_columns(tuple(columns))
    made = SOURCES[source](columns, tmp_path, source)
    table = read_table(made, "y")
    assert table.columns == wanted.columns
    np.testing.assert_array_equal(table.x, wanted.x)
    np.testing.assert_array_equal(table.y, wanted.y)
    assert table.classes == wanted.classes
    assert [r.kind for r in table.reading.columns] == [r.kind for r in wanted.reading.columns]
    # A model of one format reads new rows of another one.
    np.testing.assert_array_equal(read_rows(made, wanted.encoder).x, wanted.x)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", LABEL_KINDS)
def test_labels(tmp_path, name, source):
    """Kinds of labels x sources: 5 x 10 = 50 tables."""
    if name == "big numbers" and source in ("t.xlsx", "pandas", "pandas, nullable"):
        pytest.skip("a float cannot hold them")
    columns = {"q": make_values(0).tolist(), "y": LABEL_KINDS[name]}
    wanted = sorted({str(c) for c in LABEL_KINDS[name] if c is not None}, key=lambda c: (len(c), c))
    table = read_table(SOURCES[source](columns, tmp_path, source), "y")
    assert sorted(table.classes, key=lambda c: (len(c), c)) == wanted
    named = [table.classes[code] if code >= 0 else None for code in table.y]
    assert named == [None if c is None else str(c) for c in LABEL_KINDS[name]]


def test_words_of_categories_are_levels():
    words = [("1", "2", "10")[i % 3] for i in range(N)]
    frame = pd.DataFrame({"q": pd.Categorical(words), "other": make_values(0), "y": make_labels()})
    wanted = read_table(frame, "y")
    assert wanted.encoder.names[-3:] == ("q=1", "q=10", "q=2")
    polars = pl.DataFrame({"q": words, "other": make_values(0), "y": make_labels()})
    polars = polars.with_columns(pl.col("q").cast(pl.Categorical))
    np.testing.assert_array_equal(read_table(polars, "y").x, wanted.x)


def test_times_with_a_zone_are_those_of_utc():
    times = [datetime.datetime(2024, 1, 1, 12, 30, tzinfo=PARIS)] * 5
    utc = pd.Timestamp("2024-01-01 11:30")
    for frame in [
        pd.DataFrame({"t": times}),
        pl.DataFrame({"t": times}),
        pa.table({"t": pa.array(times, pa.timestamp("us", "Europe/Paris"))}),
        pd.DataFrame({"t": pd.Series(times).astype(pd.ArrowDtype(pa.timestamp("ns", "UTC")))}),
    ]:
        assert to_frame(frame)["t"].tolist() == [utc] * 5


def test_frames_in_the_one_form_are_not_copied():
    frame = pd.DataFrame({"a": make_values(0), "b": range(N), "c": ["x"] * N})
    assert to_frame(frame) is frame
    settled = to_frame(frame.assign(d=pd.array([1, None] * 24, "Int64")))
    assert np.shares_memory(settled["a"].to_numpy(), frame["a"].to_numpy())
    assert settled["d"].dtype == np.float64
    assert not is_frame(frame["a"])
    assert not is_frame(frame.to_numpy())
    sparse = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])})
    assert to_frame(sparse)["a"].tolist() == [0.0, 1.0]
    period = pd.DataFrame({"a": pd.period_range("2024-01", periods=2, freq="M")})
    assert to_frame(period)["a"].tolist() == [pd.Timestamp(2024, 1, 1), pd.Timestamp(2024, 2, 1)]


def test_labels_of_everybody():
    for cells, classes in [
        ([1, 2, 3, None], [1, 2, 3]),
        ([2**53, 2**53 + 1, 2**60 + 1, None], [2**53, 2**53 + 1, 2**60 + 1]),
        (["a", "b", "c", None], ["a", "b", "c"]),
    ]:
        for y in [pl.Series(cells), pa.array(cells), pa.chunked_array([cells]), cells]:
            targets = read_targets(y)
            assert targets.classes.tolist() == classes
            assert targets.codes.tolist() == [0, 1, 2, -1]


def test_lists_are_refused_from_everywhere():
    cells = [[1, 2, 3][: 1 + i % 3] for i in range(N)]
    for frame in [pd.DataFrame({"q": cells}), pl.DataFrame({"q": cells}), pa.table({"q": cells})]:
        with pytest.raises(UserError, match="'q' holds lists"):
            read_table(pl.DataFrame({"y": make_labels()}).to_pandas().join(to_frame(frame)), "y")
